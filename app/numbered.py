"""The lines of an lvs.cf with their numbers, and what is to be said about each beside it.

Pure.  A small file comes whole; of a large one only the places that something is said about, with the lines around them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.forms.values import legible

WHOLE_LINES = 1000
AROUND = 3
PLACES = 100


class Finding(Protocol):
    """A diagnostic of ``app.lvscf`` or its twin off the wire."""

    @property
    def severity(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def message(self) -> str: ...


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """One line.  ``skipped``: how many lines between the one before and this one are not shown."""

    number: int
    text: str
    findings: tuple[Finding, ...] = ()
    skipped: int = 0

    @property
    def severity(self) -> str:
        """The gravest of its findings; blank without any."""
        found = [str(one.severity) for one in self.findings]
        return next((one for one in ("error", "warning", "info") if one in found), "")


def numbered(text: str, findings: Iterable[Finding] = (), *, whole_lines: int = WHOLE_LINES) -> list[NumberedLine]:
    """The lines of ``text``: all of up to ``whole_lines``, of more only those around the first findings.  LF ends a line."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    said: dict[int, list[Finding]] = defaultdict(list)
    for one in findings:
        if 0 < one.line <= len(lines):
            said[one.line].append(one)
    places = range(1, len(lines) + 1) if len(lines) <= whole_lines else _around(sorted(said)[:PLACES], len(lines))
    out, last = [], 0
    for number in places:
        shown = legible(lines[number - 1].removesuffix("\r"))
        out.append(NumberedLine(number, shown, tuple(said.get(number, ())), number - last - 1))
        last = number
    return out


def _around(places: Sequence[int], count: int) -> list[int]:
    near = {number for place in places for number in range(place - AROUND, place + AROUND + 1) if 0 < number <= count}
    return sorted(near)


def head(text: str, limit: int) -> tuple[list[NumberedLine], int]:
    """The first ``limit`` lines of ``text``, and how many more there are."""
    if not text:
        return [], 0
    lines = text.removesuffix("\n").split("\n", limit)
    rest = lines.pop().count("\n") + 1 if len(lines) > limit else 0
    return numbered("\n".join([*lines, ""]), whole_lines=limit), rest


def count_lines(text: str) -> int:
    """How many lines ``text`` has, the last one with or without a line feed."""
    return text.count("\n") + (text != "" and not text.endswith("\n"))
