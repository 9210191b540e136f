"""The escapes of send and expect.  Owns their decoding, and nothing else."""

from __future__ import annotations

import re
from functools import lru_cache

_ESCAPE = re.compile(r"\\([\s\S])")
_MEANING = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


@lru_cache(maxsize=256)
def decode_escapes(text: str) -> bytes:
    r"""The bytes that ``send`` or ``expect`` stands for: ``\r \n \t \\ \' \"`` decoded, everything else as it stands.

    Bytes of the file that were not UTF-8 come out as they were.
    """
    return _ESCAPE.sub(lambda match: _MEANING.get(match[1], match[0]), text).encode("utf-8", "surrogateescape")


def unknown_escapes(text: str) -> list[str]:
    r"""The escapes in ``text`` that have no meaning, such as ``\x``, each once, in order; a lone ``\`` at the end too."""
    found = [match[0] for match in _ESCAPE.finditer(text) if match[1] not in _MEANING]
    if _ESCAPE.sub("", text).endswith("\\"):
        found.append("\\")
    return list(dict.fromkeys(found))
