"""REHEARSE as people read it: what can be measured here and now, what happens then, what runs, and what was measured before.

Pure: from the agent's answers and lvs.cf to words.  Whether a rehearsal is begun is the agent's business; here is only what makes no sense
to offer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.directors import is_beating, offers, other_director, question
from app.lvscf.model import Config, Protocol
from app.presentation import duration, host_port, moment, number, plural
from lvsagent.wire import Rehearsal, Rehearsals, State

SECONDS = 5.0
SHORTEST_S, LONGEST_S = 2.0, 60.0
MOVES = ("step-down", "take-over")


@dataclass(frozen=True, slots=True)
class Row:
    """A measured failover; ``triggered``: the role was moved on purpose while it was measured."""

    at: float
    moment: str
    target: str
    gap: str
    failed: str
    requests: str
    moved_from: str
    host: str
    triggered: bool


def rows(found: Iterable[Rehearsal], now: float) -> tuple[Row, ...]:
    """The rehearsals in words, in their order."""
    return tuple(
        Row(
            one.began_at,
            moment(one.began_at, now),
            one.target,
            duration(one.longest_gap_s),
            number(one.failed),
            plural(one.requests, "request"),
            one.moved_from,
            one.host,
            one.triggered,
        )
        for one in found
    )


@dataclass(frozen=True, slots=True)
class Running:
    """One that is being measured: for how long, out of how long (seconds)."""

    target: str
    passed_s: float
    duration_s: float
    words: str


def running(found: Rehearsals, now: float) -> Running | None:
    """The one that runs, if any."""
    one = found.running
    if one is None:
        return None
    passed_s = min(max(now - one.began_at, 0.0), one.duration_s)
    return Running(one.target, passed_s, one.duration_s, f"{passed_s:.0f} of {one.duration_s:g} s")


@dataclass(frozen=True, slots=True)
class Offer:
    """What REHEARSE would do here.  ``off``: why it makes no sense now; ``active``: this director is, and sees least of it."""

    choices: tuple[tuple[str, str], ...]
    happens: tuple[str, ...]
    here: str
    there: str
    active: bool
    off: str


def offer(state: State, config: Config) -> Offer:
    """What can be measured here, and what happens when it is."""
    choices = tuple(
        (one.name, host_port(one.address.host, one.port))
        for one in config.virtual
        if one.active and one.address is not None and not one.fwmark and one.protocol is Protocol.TCP
    )
    move = next((one for one in offers(state) if one.slug in MOVES), None)
    asked = question(move.slug, state, config.globals) if move else None
    if not is_beating(state):
        off = "there is no second director whose heartbeats are watched"
    elif move is None:
        off = f"this director is {state.role.role}"
    else:
        off = move.off or ("" if choices else "no active virtual server has a TCP address of its own")
    return Offer(choices, asked.happens if asked else (), state.host, other_director(state), state.role.role == "active", off)


def seconds_of(text: str) -> float | None:
    """What was typed as a duration; ``None`` when it is none that can be measured."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if SHORTEST_S <= value <= LONGEST_S else None
