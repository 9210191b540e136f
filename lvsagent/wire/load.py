"""How busy a real server's host is, and what that did to its weight, on the agent's sockets."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class LoadInfo(Wire, frozen=True):
    """``monitor``: uptime, rup or ruptime; ``host``: whom it asks.  ``words`` say it all in one line.

    ``load`` is what was read last, at ``at`` (0: never), ``damped`` what of it counts, ``others`` the mean that it is compared with (None:
    nothing).  ``share_percent``: how much of its weight the server has for it.  ``reason``: why the newest try, at ``tried_at``, failed
    (``""``: it did not); ``received``: what came back, as harmless text of at most 1 KiB.
    """

    monitor: str
    host: str
    words: str
    load: float | None = None
    damped: float | None = None
    others: float | None = None
    share_percent: int = 100
    at: float = 0.0
    tried_at: float = 0.0
    reason: str = ""
    received: str = ""
