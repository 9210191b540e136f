"""POSIX extended regular expressions (``use_regex``), translated to the syntax of Python's ``re`` over bytes.

Owns the grammar as the C library that Piranha used reads it, GNU's additions included.  It matches nothing itself; what runs the result
must bound its time.
"""

from __future__ import annotations

import string

_CLASSES = {
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "space": " \t\n\r\f\v",
    "blank": " \t",
    "punct": string.punctuation,
    "print": "".join(map(chr, range(32, 127))),
    "graph": "".join(map(chr, range(33, 127))),
    "cntrl": "".join(map(chr, (*range(32), 127))),
    "xdigit": string.hexdigits,
}
_GNU = {"w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S", "b": r"\b", "B": r"\B", "<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z"}
_MOST_REPEATS = 32767
_DEEPEST = 100


def translate(pattern: bytes) -> bytes:
    """The same expression for ``re`` (flags none), matching bytes.  Raises ValueError with the reason, in words, when it is not valid."""
    return _Translator(pattern.decode("latin-1")).run().encode("latin-1")


class _Translator:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0
        self.groups = 0
        self.closed_groups: set[int] = set()

    def run(self) -> str:
        return self._alternatives()

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        char = self._peek()
        self.at += 1
        return char

    def _alternatives(self) -> str:
        branches = [self._branch()]
        while self._peek() == "|":
            self.at += 1
            branches.append(self._branch())
        return "|".join(branches)

    def _branch(self) -> str:
        parts: list[str] = []
        while (char := self._peek()) and char != "|" and not (char == ")" and self.depth):
            if char in "*+?{" and not parts:
                raise ValueError(f"nothing stands before {char} that could be repeated")
            atom, repeatable = self._atom()
            while (mark := self._peek()) and mark in "*+?{":
                if not repeatable:
                    raise ValueError(f"nothing stands before {mark} that could be repeated")
                atom = f"(?:{atom}){self._repeat()}"
            parts.append(atom)
        return "".join(parts)

    def _atom(self) -> tuple[str, bool]:
        char = self._take()
        if char == "(":
            return self._group(), True
        if char == "[":
            return self._bracket(), True
        if char == "\\":
            return self._escape(), True
        if char in "^$":
            return (r"\A" if char == "^" else r"\Z"), False
        return (r"[\x00-\xff]" if char == "." else _literal(char)), True

    def _group(self) -> str:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("groups are nested too deep")
        self.groups += 1
        number = self.groups
        if (mark := self._peek()) and mark in "*+?{":
            raise ValueError(f"nothing stands before {mark} that could be repeated")
        inner = self._alternatives()
        if self._take() != ")":
            raise ValueError("a ( is not closed")
        self.depth -= 1
        self.closed_groups.add(number)
        return f"({inner})"

    def _escape(self) -> str:
        char = self._take()
        if not char:
            raise ValueError("it ends with a lone \\")
        if char in _GNU:
            return _GNU[char]
        if char in string.digits[1:]:
            if int(char) not in self.closed_groups:
                raise ValueError(f"\\{char} refers to a group that does not exist")
            return f"(?:\\{char})"
        return _literal(char)

    def _repeat(self) -> str:
        mark = self._take()
        if mark != "{":
            return mark
        end = self.pattern.find("}", self.at)
        if end < 0:
            raise ValueError("a { is not closed")
        low, comma, high = self.pattern[self.at : end].partition(",")
        self.at = end + 1
        if not all(part == "" or (part.isascii() and part.isdigit() and len(part) < 6) for part in (low, high)) or not (
            low or (comma and high)
        ):
            raise ValueError("between { and } stand one or two numbers")
        least, most = int(low or 0), int(high) if high else None
        if max(least, most or 0) > _MOST_REPEATS or (most is not None and most < least):
            raise ValueError(f"{{{low}{comma}{high}}} is no range of repeats")
        return f"{{{least}{comma}{'' if most is None else most}}}"

    def _bracket(self) -> str:
        negated = self._peek() == "^"
        self.at += negated
        chosen: set[int] = set()
        first = True
        while (char := self._peek()) != "]" or first:
            if not char:
                raise ValueError("a [ is not closed")
            chosen |= self._member()
            first = False
        self.at += 1
        return _char_class(set(range(256)) - chosen if negated else chosen)

    def _member(self) -> set[int]:
        named = self._named_class()
        if named is not None:
            return named
        low = self._element()
        if self._peek() != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            return {low}
        self.at += 1
        high = self._element()
        if high < low:
            raise ValueError(f"the range {chr(low)}-{chr(high)} runs backwards")
        return set(range(low, high + 1))

    def _named_class(self) -> set[int] | None:
        if not self.pattern.startswith("[:", self.at):
            return None
        end = self.pattern.find(":]", self.at + 2)
        name = self.pattern[self.at + 2 : end] if end >= 0 else ""
        if name not in _CLASSES:
            raise ValueError(f"there is no character class [:{name}:]")
        self.at = end + 2
        return set(map(ord, _CLASSES[name]))

    def _element(self) -> int:
        """One character of a bracket expression, also as ``[.x.]`` or ``[=x=]``."""
        opening = self.pattern[self.at : self.at + 2]
        if opening in ("[.", "[="):
            inner, mark = self.pattern[self.at + 2 : self.at + 3], opening[1]
            if not inner or self.pattern[self.at + 3 : self.at + 5] != f"{mark}]":
                raise ValueError(f"{opening} holds one character and is closed by {mark}]")
            self.at += 5
            return ord(inner)
        return ord(self._take())


def _literal(char: str) -> str:
    return char if char.isascii() and char.isalnum() else f"\\x{ord(char):02x}"


def _char_class(chosen: set[int]) -> str:
    if not chosen:
        return "(?!)"
    ranges: list[tuple[int, int]] = []
    for code in sorted(chosen):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return "[" + "".join(f"\\x{low:02x}-\\x{high:02x}" if high > low else f"\\x{low:02x}" for low, high in ranges) + "]"
