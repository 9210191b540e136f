"""lvs.cf in a browser's text field and back, without losing a byte of what was not edited.

A text field knows one kind of line end and only Unicode.  So a line's CR LF becomes an end of line, and what a page cannot carry is
shown as marks: ``\\xff`` for a byte that is not UTF-8, ``␍`` for a carriage return inside a line, ``␀`` for a NUL.  The text itself
travels beside the field, packed, and what comes back is held against it: an unchanged line is the file's own.  Pure.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping

from app.forms.values import legible
from app.textdiff import changed_parts

LARGEST_FILE_BYTES = 16 * 1024 * 1024
"""The largest lvs.cf that the console takes from a browser; half of what the agent takes."""

Line = tuple[str, str]
"""What a line says, and its end: LF, CR LF, or nothing for what follows the last line feed."""


def shown(text: str) -> str:
    """``text`` (UTF-8 with surrogateescape) as a text field can hold it; lines end with LF."""
    if _plain(text):
        return text
    return "\n".join(_legible(said) for said, _end in _lines(text))


def restored(typed: str, text: str) -> str:
    """What was typed into the field that showed ``text``.

    Lines that were not changed come out as they are in ``text``.  In the others, marks that ``text`` has become again what they stand for,
    and lines end as most of ``text``'s do.
    """
    typed = typed.replace("\r\n", "\n").replace("\r", "\n")
    if _plain(text):
        return typed
    before = shown(text)
    if typed == before:
        return text
    lines, new = _lines(text), typed.split("\n")
    usual, marks = _usual_end(lines), _marks(text)
    out: list[Line] = []
    at = 0
    for start, stop, first, last in changed_parts(before.split("\n"), new):
        out += lines[at:start]
        out += [(_unmarked(one, marks), usual) for one in new[first:last]]
        at = stop
    out += lines[at:]
    return "".join([said + (end or usual) for said, end in out[:-1]]) + out[-1][0]


def pack(text: str) -> str:
    """``text`` as one word of ASCII for a hidden field; every byte of it is in there."""
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogateescape"))).decode()


def unpack(word: str) -> str | None:
    """The text in such a word; ``None`` when it is not one, or larger than any lvs.cf may be."""
    engine = zlib.decompressobj()
    try:
        data = engine.decompress(base64.b64decode(word, validate=True), LARGEST_FILE_BYTES + 1)
    except (ValueError, zlib.error):
        return None
    return data.decode("utf-8", "surrogateescape") if engine.eof and len(data) <= LARGEST_FILE_BYTES else None


def _plain(text: str) -> bool:
    return not re.search("[\r\0\ud800-\udfff]", text)


def _lines(text: str) -> list[Line]:
    *ended, last = text.split("\n")
    lines = [(one[:-1], "\r\n") if one.endswith("\r") else (one, "\n") for one in ended]
    return [*lines, (last, "")]


def _usual_end(lines: list[Line]) -> str:
    with_return = sum(end == "\r\n" for _said, end in lines)
    return "\r\n" if 2 * with_return > len(lines) - 1 else "\n"


def _legible(said: str) -> str:
    return legible(said).replace("\r", "␍").replace("\0", "␀")


def _marks(text: str) -> Mapping[str, str]:
    """What stands in the field for what, as far as ``text`` has it."""
    return {_legible(one): one for one in set(re.findall("[\0\ud800-\udfff]|\r(?!\n)", text))}


def _unmarked(said: str, marks: Mapping[str, str]) -> str:
    for mark, meant in marks.items():
        said = said.replace(mark, meant)
    return said
