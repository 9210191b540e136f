"""What is known of a check from before a restart: what a new nanny starts from.

Pure.  Times are lengths, not dates: whoever keeps them and whoever takes them over need not agree on a clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from lvsagent.core.flapping import GOOD, LONGEST_TIMES, Record


@dataclass(frozen=True, slots=True)
class Relapses:
    """A server that has failed lately: how often, for how long it is still held down (0: it is not), how long it has been in service."""

    count: int
    held_s: float = 0.0
    up_s: float = 0.0


NO_RELAPSES = Relapses(0)


@dataclass(frozen=True, slots=True)
class Known:
    """``state`` is a health state (``""``: not known), in force for ``for_s``; ``successes`` and ``failures`` are those in a row."""

    state: str = ""
    successes: int = 0
    failures: int = 0
    relapses: Relapses = NO_RELAPSES
    for_s: float = 0.0


NOTHING_KNOWN = Known()


def record_from(relapses: Relapses, *, now: float, first_s: float) -> Record:
    """The record to go on with.  ``first_s``: the first hold-down that lvs.cf asks for by now; no hold-down is longer than that allows."""
    if first_s <= 0 or relapses.count <= 0:
        return GOOD
    held_s = min(relapses.held_s, LONGEST_TIMES * first_s)
    return Record(relapses.count, now + held_s if held_s > 0 else 0.0)


def relapses_from(record: Record, *, now: float, up_since: float | None) -> Relapses:
    """A record as lengths.  ``up_since``: since when its server is in service (None: it is not)."""
    if not record.failures:
        return NO_RELAPSES
    return Relapses(record.failures, max(0.0, record.held_until - now), 0.0 if up_since is None else max(0.0, now - up_since))
