"""How a block of lvs.cf is named in a URL: by its name, and by a number where names repeat.

A name may hold anything (blanks, slashes, dots, bytes that are not UTF-8, nothing at all), so what a URL cannot carry is percent-encoded
inside the path segment once more.  Pure; the routing converter is in ``app.views.converters``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import unquote


class Named(Protocol):
    """Anything with a name: a virtual server, a real server, a failover service."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)

_ESCAPED = set("%/\\~?#")


@dataclass(frozen=True, slots=True)
class Ref:
    """The ``ordinal``-th block called ``name``, counted from 1 in the file's order."""

    name: str
    ordinal: int = 1

    @property
    def slug(self) -> str:
        """The path segment before the URL's own percent-encoding."""
        if not self.name:
            text = "%"
        elif set(self.name) == {"."}:
            text = "%2E" * len(self.name)
        else:
            text = "".join(_escaped(char) for char in self.name)
        return text if self.ordinal == 1 else f"{text}~{self.ordinal}"

    @classmethod
    def parse(cls, slug: str) -> Ref:
        """The inverse of ``slug``; any text at all means something."""
        text, tilde, number = slug.rpartition("~")
        if not (tilde and number.isascii() and number.isdecimal() and 2 <= int(number[:9]) < 10**8):
            text, number = slug, "1"
        name = "" if text == "%" else unquote(text, errors="surrogateescape")
        return cls(name, int(number[:9]))


def _escaped(char: str) -> str:
    if char in _ESCAPED or ord(char) < 0x21 or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff":
        if char == " ":
            return char
        return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
    return char


def refs(blocks: Iterable[Named]) -> list[Ref]:
    """The reference of each block, in order."""
    seen: Counter[str] = Counter()
    found = []
    for block in blocks:
        seen[block.name] += 1
        found.append(Ref(block.name, seen[block.name]))
    return found


def index_of(blocks: Sequence[Named], ref: Ref) -> int:
    """Where the block is.  Raises LookupError."""
    places = [place for place, block in enumerate(blocks) if block.name == ref.name]
    if not 1 <= ref.ordinal <= len(places):
        raise LookupError(ref.name)
    return places[ref.ordinal - 1]


def replaced(blocks: tuple[T, ...], index: int, block: T | None) -> tuple[T, ...]:
    """``blocks`` with the one at ``index`` replaced, or left out when ``block`` is ``None``."""
    return (*blocks[:index], *(() if block is None else (block,)), *blocks[index + 1 :])
