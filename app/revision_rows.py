"""From the agent's revisions to what HISTORY shows of them, in words.

Pure: values in, values out; the time is an argument.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from app.presentation import DOWN, IDLE, UP, WARN, Badge
from lvsagent.wire import RevisionInfo

ORIGINS = {
    "console": "in the console",
    "lvsctl": "with lvsctl",
    "outside": "edited outside the console",
    "peer": "from the other director",
    "rollback": "back to an earlier one",
    "guard": "went back by itself",
    "import": "imported",
    "start": "found at the start",
}
OUTCOMES = {
    "applied": ("applied", UP),
    "failed": ("failed", DOWN),
    "reverted": ("taken back", WARN),
    "pending": ("outcome not known", IDLE),
}


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One revision.  ``changes`` leave the serial out, which every change moves; ``comment`` is blank when it only repeats them."""

    number: int
    serial: int
    at: float
    when: str
    who: str
    node: str
    origin: str
    changes: tuple[str, ...]
    comment: str
    outcome: Badge
    kept: bool
    in_force: bool
    etag: str


def rows(found: Iterable[RevisionInfo], etag: str, now: float, newest: bool) -> list[RevisionRow]:
    """Revisions as rows, in their order; ``etag`` is that of lvs.cf now, ``newest`` whether the first of them is the newest there is."""
    out: list[RevisionRow] = []
    in_force = False
    for one in found:
        here = newest and not in_force and one.etag == etag
        in_force = in_force or here
        out.append(row(one, now, in_force=here))
    return out


def row(one: RevisionInfo, now: float, *, in_force: bool) -> RevisionRow:
    """One revision as a row."""
    word, kind = OUTCOMES.get(one.outcome, (one.outcome, IDLE))
    changes = tuple(words for words in one.changes if not words.startswith("serial_no "))
    said = "; ".join(changes[:3])
    repeated = bool(said) and (one.comment.startswith(said) or said.startswith(one.comment))  # a long comment is kept cut off
    return RevisionRow(
        number=one.number,
        serial=one.serial,
        at=one.at,
        when=day_and_time(one.at, now),
        who=one.actor,
        node=one.node,
        origin=ORIGINS.get(one.origin, one.origin),
        changes=changes,
        comment="" if repeated else one.comment,
        outcome=Badge(word, kind, one.outcome_words),
        kept=one.kept,
        in_force=in_force,
        etag=one.etag,
    )


def day_and_time(at: float, now: float) -> str:
    """``today 14:02``, ``23 Nov 14:02``, ``2025-11-23 14:02``: a history is read across days."""
    then, today = dt.datetime.fromtimestamp(at).astimezone(), dt.datetime.fromtimestamp(now).astimezone()
    if then.date() == today.date():
        return then.strftime("today %H:%M")
    return then.strftime("%-d %b %H:%M" if then.year == today.year else "%Y-%m-%d %H:%M")
