"""What makes a change safe, on the agent's sockets: what it takes out of service, and the guard that watches it."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class TakeOutInfo(Wire, frozen=True):
    """A large change: the virtual servers and real servers that it takes out of service at once, by name, of so many in service.

    ``token`` stands for exactly this list; a PUT that does not name it is refused.  The names are the first few hundred, the counts are
    whole.
    """

    token: str
    virtual: list[str]
    real: list[str]
    virtual_count: int
    virtual_total: int
    real_count: int
    real_total: int


class GuardInfo(Wire, frozen=True):
    """A change that goes back by itself unless it is confirmed.

    ``state``: watching, going back, or how it ended (then for a while): confirmed, went back, superseded (by a later change).  ``reason``:
    why it goes or went back.  ``left_s``: until it goes back.  ``watched``: what is watched besides the time, in words.
    """

    etag: str
    serial: int
    state: str
    began_at: float
    deadline_at: float
    left_s: float
    guard_s: float
    previous_serial: int
    actor: str = ""
    comment: str = ""
    reason: str = ""
    ended_at: float = 0.0
    watched: list[str] = []


class GuardRequest(Wire, frozen=True):
    """``action``: confirm or revert; ``etag``: of the change that is meant (``""``: whichever is watched)."""

    action: str
    actor: str = ""
    etag: str = ""
