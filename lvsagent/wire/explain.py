"""Why a real server is in or out, on the agent's sockets: the last results of its check."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class CheckResult(Wire, frozen=True):
    """One run of a check.  ``conclusive`` false: the director could not ask, which says nothing about the server.

    ``connect_s``, ``tls_s`` and ``first_byte_s`` are the parts of ``duration_s`` (0: not reached, or there is none).  ``received`` is what
    came back, at most 1 KiB, as text with escapes; older results may have lost it.
    """

    at: float
    ok: bool
    duration_s: float
    reason: str = ""
    received: str = ""
    conclusive: bool = True
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    warning: str = ""
    share_percent: int = 100
