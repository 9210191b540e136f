"""POSIX extended regular expressions, as ``use_regex`` means them, in the words of Python's ``regex`` module.

Pure: it reads a pattern and writes a pattern, byte for byte as in the C locale; it compiles and searches nothing.  What glibc's
``regcomp`` refuses is refused here with a message in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LARGEST_COUNT = 255
_SPECIAL_END = {b"b": rb"\b", b"B": rb"\B", b">": rb"\M", b"'": rb"\Z"}
_SPECIAL = {b"<": rb"\m", b"`": rb"\A", **_SPECIAL_END}
_COUNT = re.compile(rb"\{(\d*)(,?)(\d*)\}")


def _bytes_where(test: Callable[[int], bool]) -> frozenset[int]:
    return frozenset(byte for byte in range(128) if test(byte))


CLASSES = {
    b"alpha": _bytes_where(lambda byte: chr(byte).isalpha()),
    b"digit": _bytes_where(lambda byte: chr(byte).isdigit()),
    b"alnum": _bytes_where(lambda byte: chr(byte).isalnum()),
    b"upper": _bytes_where(lambda byte: chr(byte).isupper()),
    b"lower": _bytes_where(lambda byte: chr(byte).islower()),
    b"space": frozenset(b" \t\n\v\f\r"),
    b"blank": frozenset(b" \t"),
    b"punct": _bytes_where(lambda byte: 0x21 <= byte <= 0x7E and not chr(byte).isalnum()),
    b"print": _bytes_where(lambda byte: 0x20 <= byte <= 0x7E),
    b"graph": _bytes_where(lambda byte: 0x21 <= byte <= 0x7E),
    b"cntrl": _bytes_where(lambda byte: byte < 0x20 or byte == 0x7F),
    b"xdigit": frozenset(b"0123456789abcdefABCDEF"),
}
_WORD = CLASSES[b"alnum"] | frozenset(b"_")
_SHORTHAND = {b"w": _WORD, b"W": frozenset(range(256)) - _WORD, b"s": CLASSES[b"space"], b"S": frozenset(range(256)) - CLASSES[b"space"]}


class BadPatternError(ValueError):
    """Not a POSIX extended regular expression; the message says why, in words."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A pattern for ``regex`` (bytes, no flags).

    ``needs_end``: it looks at where the text ends (``$``, a word's end), so it can only be judged once the whole text is there; any
    other pattern that matches a text also matches every longer one.
    """

    pattern: bytes
    needs_end: bool


def translate(pattern: bytes) -> Translated:
    """Raises BadPatternError."""
    return _Reader(pattern).read()


def _byte_set(members: Iterable[int]) -> bytes:
    inside = sorted(set(members))
    if not inside:
        return rb"(?!)"
    ranges: list[list[int]] = []
    for byte in inside:
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    return b"[" + b"".join(rb"\x%02x-\x%02x" % (first, last) for first, last in ranges) + b"]"


class _Reader:
    """One pass over a pattern.  ``_atom`` is where the last thing that can be repeated begins in the output (None: there is none)."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._at = 0
        self._out = bytearray()
        self._atom: int | None = None
        self._open: list[tuple[int, int]] = []
        self._groups = 0
        self._closed: set[int] = set()
        self._needs_end = False

    def read(self) -> Translated:
        if b"\0" in self._pattern:
            raise BadPatternError("a NUL byte cannot be part of a regular expression")
        while self._at < len(self._pattern):
            self._step(self._take())
        if self._open:
            raise BadPatternError('"(" without its ")"')
        return Translated(bytes(self._out), self._needs_end)

    def _take(self) -> bytes:
        byte = self._pattern[self._at : self._at + 1]
        self._at += 1
        return byte

    def _emit(self, text: bytes, *, repeatable: bool = True) -> None:
        self._atom = len(self._out) if repeatable else None
        self._out += text

    def _step(self, byte: bytes) -> None:
        steps: dict[bytes, Callable[[], None]] = {
            b"\\": self._escape,
            b"[": self._bracket,
            b"(": self._open_group,
            b"{": self._count,
            b".": lambda: self._emit(rb"[\x01-\xff]"),
            b"^": lambda: self._emit(rb"\A", repeatable=False),
            b"$": self._end,
            b"|": lambda: self._emit(b"|", repeatable=False),
        }
        if byte == b")" and self._open:
            self._close_group()
        elif byte in {b"*", b"+", b"?"}:
            self._repeat(byte, byte)
        elif byte in steps:
            steps[byte]()
        else:
            self._emit(rb"\x%02x" % byte[0])

    def _end(self) -> None:
        self._needs_end = True
        self._emit(rb"\Z", repeatable=False)

    def _repeat(self, sign: bytes, quantifier: bytes) -> None:
        if self._atom is None:
            raise BadPatternError(f'nothing before "{sign.decode()}" to repeat')
        self._out[self._atom :] = b"(?:" + bytes(self._out[self._atom :]) + quantifier + b")"

    def _count(self) -> None:
        if self._atom is None:
            raise BadPatternError('nothing before "{" to repeat')
        found = _COUNT.match(self._pattern, self._at - 1)
        if found is None or not (found[1] or found[2]) or (found[3] and not found[2]):
            raise BadPatternError('"{" without a count such as {2}, {2,} or {2,5}')
        self._at = found.end()
        low = int(found[1] or 0)
        high = int(found[3]) if found[3] else None if found[2] else low
        if max(low, high or 0) > LARGEST_COUNT:
            raise BadPatternError(f"a count above {LARGEST_COUNT}")
        if high is not None and high < low:
            raise BadPatternError(f"a count from {low} to {high}")
        self._repeat(b"{", b"{%d,%s}" % (low, b"" if high is None else b"%d" % high))

    def _open_group(self) -> None:
        self._groups += 1
        self._open.append((len(self._out), self._groups))
        self._emit(b"(", repeatable=False)

    def _close_group(self) -> None:
        start, number = self._open.pop()
        self._closed.add(number)
        self._out += b")"
        self._atom = start

    def _escape(self) -> None:
        byte = self._take()
        if not byte:
            raise BadPatternError('a "\\" at the end')
        if byte in _SPECIAL:
            self._needs_end = self._needs_end or byte in _SPECIAL_END
            self._emit(_SPECIAL[byte], repeatable=False)
        elif byte in _SHORTHAND:
            self._emit(_byte_set(_SHORTHAND[byte]))
        elif byte in b"123456789":
            if int(byte) not in self._closed:
                raise BadPatternError(f'"\\{byte.decode()}" without a group of that number before it')
            self._emit(b"(?:\\" + byte + b")")
        else:
            self._emit(rb"\x%02x" % byte[0])

    # --- [...] ---------------------------------------------------------------------------------------------------------------

    def _bracket(self) -> None:
        negated = self._pattern[self._at : self._at + 1] == b"^"
        self._at += negated
        members: set[int] = set()
        first = True
        while True:
            if self._at >= len(self._pattern):
                raise BadPatternError('"[" without its "]"')
            if self._pattern[self._at : self._at + 1] == b"]" and not first:
                self._at += 1
                break
            if self._pattern[self._at : self._at + 1] == b"-" and not first and self._pattern[self._at + 1 : self._at + 2] != b"]":
                raise BadPatternError('a "-" between brackets that is neither a range nor first nor last')
            first = False
            members |= self._bracket_item()
        self._emit(_byte_set(set(range(1, 256)) - members if negated else members))

    def _bracket_item(self) -> frozenset[int]:
        low = self._bracket_element()
        rest = self._pattern[self._at : self._at + 2]
        if rest[:1] != b"-" or rest in {b"-", b"-]"}:
            return low
        self._at += 1
        high = self._bracket_element()
        if len(low) != 1 or len(high) != 1:
            raise BadPatternError("a class cannot be the end of a range")
        (first,), (last,) = low, high
        if first > last:
            raise BadPatternError(f'the range "{chr(first)}-{chr(last)}" runs backwards')
        return frozenset(range(first, last + 1))

    def _bracket_element(self) -> frozenset[int]:
        opening = self._pattern[self._at : self._at + 2]
        if opening not in {b"[:", b"[.", b"[="}:
            return frozenset(self._take())
        sign = opening[1:]
        end = self._pattern.find(sign + b"]", self._at + 2)
        if end < 0:
            raise BadPatternError(f'"{opening.decode()}" without its "{sign.decode()}]"')
        name = self._pattern[self._at + 2 : end]
        self._at = end + 2
        if sign != b":":
            if len(name) != 1:
                raise BadPatternError("no such character: " + name.decode("ascii", "backslashreplace"))
            return frozenset(name)
        if name not in CLASSES:
            raise BadPatternError("no such class: [:" + name.decode("ascii", "backslashreplace") + ":]")
        return CLASSES[name]
