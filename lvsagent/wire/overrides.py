"""What operators decide about real servers at run time, on the agent's sockets and between the two directors."""

from __future__ import annotations

from lvsagent.wire.base import Wire

MOST_OVERRIDES = 10_000
"""In one message of the other director."""


class OverrideInfo(Wire, frozen=True):
    """A decision in force.

    It is about real server ``server`` of ``virtual``, or about every real server at the address ``host``.  ``action``: drain, down, up,
    weight.  ``phase`` of a drain: draining, drained (no connection is left), waiting (past its deadline), asking (past its deadline, and
    wants to be told), cut (out of the table).  ``deadline_at`` and ``return_at``: 0, or when.  ``then``: wait, cut, ask.
    ``left`` and ``templates``: connections (``active`` of them active) and persistence templates it has now; ``empty_in_s``: a guess when
    it has none, ``None`` when there is no guess.
    Not ``counted``: they are not known here, since this director is not the active one.
    """

    virtual: str
    server: str
    host: str
    action: str
    at: float
    actor: str = ""
    reason: str = ""
    weight: int = 0
    deadline_at: float = 0.0
    then: str = "wait"
    return_at: float = 0.0
    phase: str = ""
    left: int = 0
    templates: int = 0
    empty_in_s: float | None = None
    words: str = ""
    counted: bool = True
    active: int = 0


class OverrideRequest(Wire, frozen=True):
    """``action``: drain, down, up, weight, auto (what was decided is taken back), wait or cut (an answer to a drain).

    ``host``: the address of the host meant, or ``virtual`` and ``server``.  ``deadline_s`` from now and ``return_at``: 0 for none.
    """

    action: str
    virtual: str = ""
    server: str = ""
    host: str = ""
    weight: int = 0
    deadline_s: float = 0.0
    then: str = "wait"
    return_at: float = 0.0
    reason: str = ""
    actor: str = ""


class OverridesInfo(Wire, frozen=True):
    """Every decision in force, the newest first.  ``warnings``: what the one that was just made leads to, and nobody may have meant."""

    overrides: list[OverrideInfo]
    warnings: list[str] = []


class KeptOverride(Wire, frozen=True):
    """A register (see ``lvsagent.core.overrides``) in the file and on its way to the other director."""

    target: str
    action: str
    at: float
    actor: str = ""
    reason: str = ""
    weight: int = 0
    deadline_at: float = 0.0
    then: str = "wait"
    return_at: float = 0.0
    phase: str = "draining"
    counter: int = 0
    node: str = ""
