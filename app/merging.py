"""Two people edited one lvs.cf as a text: both edits on top of each other, and where they clash.

Pure, by lines.  Where both changed the same lines differently, ``mine`` is taken and the place is reported: whoever looks at it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.textdiff import Part, changed_parts


@dataclass(frozen=True, slots=True)
class Clash:
    """Lines that both changed: ``first`` to ``last`` of the common origin, from 1 (``last`` < ``first``: both put something there)."""

    first: int
    last: int
    was: str
    mine: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Merged:
    """The text with both edits in it."""

    text: str
    clashes: tuple[Clash, ...]


class _Edit(NamedTuple):
    start: int
    stop: int
    ours: bool
    lines: Sequence[str]


def merge(base: str, mine: str, theirs: str) -> Merged:
    """``base`` with what led to ``mine`` and what led to ``theirs``."""
    origin = base.split("\n")
    edits = sorted([*_edits(origin, mine.split("\n"), ours=True), *_edits(origin, theirs.split("\n"), ours=False)], key=lambda e: e[:2])
    out: list[str] = []
    clashes: list[Clash] = []
    at = 0
    for group in _groups(edits):
        start, stop = group[0].start, max(edit.stop for edit in group)
        out += origin[at:start]
        sides = [_said(origin, start, stop, [edit for edit in group if edit.ours is ours]) for ours in (True, False)]
        touched = {edit.ours for edit in group}
        if len(touched) == 2 and sides[0] != sides[1]:
            clashes.append(Clash(start + 1, stop, *("\n".join(lines) for lines in (origin[start:stop], *sides))))
        out += sides[0] if True in touched else sides[1]
        at = stop
    return Merged("\n".join([*out, *origin[at:]]), tuple(clashes))


def _edits(origin: Sequence[str], lines: Sequence[str], *, ours: bool) -> list[_Edit]:
    parts: list[Part] = changed_parts(origin, lines)
    return [_Edit(start, stop, ours, lines[first:last]) for start, stop, first, last in parts]


def _groups(edits: Sequence[_Edit]) -> list[list[_Edit]]:
    """Edits that meet, together.  Neighbours that only touch do not meet, unless both put something at the same place."""
    groups: list[list[_Edit]] = []
    stop = 0
    for edit in edits:
        last = groups[-1][-1] if groups else None
        same_place = last is not None and last.start == last.stop == edit.start == edit.stop
        if groups and (edit.start < stop or same_place):
            groups[-1].append(edit)
            stop = max(stop, edit.stop)
        else:
            groups.append([edit])
            stop = edit.stop
    return groups


def _said(origin: Sequence[str], start: int, stop: int, edits: Sequence[_Edit]) -> list[str]:
    """What one side says in place of ``origin[start:stop]``."""
    out: list[str] = []
    at = start
    for edit in edits:
        out += [*origin[at : edit.start], *edit.lines]
        at = edit.stop
    return [*out, *origin[at:stop]]
