"""Failovers that are measured, on the agent's socket."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class Rehearsal(Wire, frozen=True):
    """A planned failover as a client saw it.

    ``target`` was asked every ``interval_s``; ``longest_gap_s`` is the longest time between two answers, ``failed`` of ``requests`` had
    none.  ``triggered``: the role was moved on purpose while it ran, from ``moved_from`` to the other director.
    """

    target: str
    began_at: float
    duration_s: float
    interval_s: float
    limit_s: float
    requests: int
    failed: int
    longest_gap_s: float
    triggered: bool
    moved_from: str = ""
    actor: str = ""
    host: str = ""


class RehearsalRequest(Wire, frozen=True):
    """Measure here, now: ask the virtual server ``virtual`` of lvs.cf for ``seconds``, and with ``trigger`` move the role meanwhile.

    ``although_active``: the caller knows that an active director sees less of it than the standby does.
    """

    virtual: str
    seconds: float = 5.0
    trigger: bool = True
    although_active: bool = False
    actor: str = ""


class RunningRehearsal(Wire, frozen=True):
    """One that is being measured now."""

    target: str
    began_at: float
    duration_s: float
    triggered: bool
    actor: str = ""


class Rehearsals(Wire, frozen=True):
    """The rehearsals that are remembered, newest first; the one that runs; why the last one that was begun here came to nothing."""

    rehearsals: list[Rehearsal]
    running: RunningRehearsal | None = None
    failure: str = ""
