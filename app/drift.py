"""Here and on the other director, side by side: what each has, what differs, and what may be done about it.

Pure: from the agent's snapshot to rows and words.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.presentation import DOWN, IDLE, UP, WARN, Badge, clock, last_known, since
from lvsagent.wire import Difference, Fingerprints, State

SHOWN = 12
ACTIONS = {
    "now": ("SYNC NOW", "Compare now; whichever of the two is behind gets what it lacks."),
    "adopt": ("ADOPT", "Apply the file as it stands on the disk."),
    "restore": ("RESTORE", "Write what runs back into the file."),
    "reconcile": ("RESTORE", "Make the table what lvs.cf says, now instead of at the next round."),
}
SERIOUS = frozenset({"diverged", "file"})


@dataclass(frozen=True, slots=True)
class Row:
    """One thing, here and there; ``alike`` says how the two compare."""

    title: str
    here: str
    peer: str
    alike: Badge


@dataclass(frozen=True, slots=True)
class Button:
    """``action`` as the agent knows it; ``words`` say what it does."""

    action: str
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Mend:
    """A difference, since when, and the buttons that mend it."""

    code: str
    words: str
    here: str
    peer: str
    kind: str
    since: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """The page.  ``peer`` is what the other one is called; empty where there is none."""

    peer: str
    summary: Badge
    words: str
    answered: str
    rows: tuple[Row, ...]
    differences: tuple[Mend, ...]


def drift(state: State, now: float, *, down: bool) -> Drift:
    """Everything the page says."""
    sync = state.sync
    peer = "" if sync.state == "none" else sync.peer_node or state.peer.name or "the other director"
    lone = sync.state == "none"
    word = "as it should be" if lone and sync.equal else "alike" if sync.equal and sync.state == "in_step" else "not alike"
    summary = Badge(word, UP if word != "not alike" else WARN)
    return Drift(
        peer=peer,
        summary=last_known(summary, down),
        words=sync.words,
        answered=f"answered {since(sync.answered_at, now)} ago" if sync.answered_at else "has not answered yet" if peer else "",
        rows=_rows(sync.here, sync.peer),
        differences=tuple(_difference(one, now) for one in sync.differences),
    )


def _rows(here: Fingerprints, peer: Fingerprints | None) -> tuple[Row, ...]:
    pairs = (
        ("lvs.cf on the disk", here.file, peer.file if peer else None),
        ("lvs.cf in force", here.applied, peer.applied if peer else None),
        ("table as lvs.cf wants it", here.table, peer.table if peer else None),
        ("table there is", here.table_read, peer.table_read if peer else None),
    )
    rows = [Row("serial", str(here.serial), str(peer.serial) if peer else "", _alike(str(here.serial), str(peer.serial) if peer else None))]
    rows += [Row(title, ours[:SHOWN] or "none", (theirs or "")[:SHOWN], _alike(ours, theirs)) for title, ours, theirs in pairs]
    return tuple(rows)


def _alike(ours: str, theirs: str | None) -> Badge:
    if theirs is None:
        return Badge("not known", IDLE)
    return Badge("alike", UP) if ours == theirs else Badge("different", WARN)


def _difference(one: Difference, now: float) -> Mend:
    buttons = tuple(Button(action, *ACTIONS[action]) for action in one.actions if action in ACTIONS)
    kind = DOWN if one.code in SERIOUS else WARN
    when = f"since {clock(one.since)}, for {since(one.since, now)}" if one.since else ""
    return Mend(one.code, one.words, one.here, one.peer, kind, when, buttons)
