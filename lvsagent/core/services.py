"""Failover services (``service = fos``): when the standby, which watches them, asks for the role.

Pure.  A service that fails where it runs moves all of them; one that fails everywhere must not have them go to and fro.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SETTLE_S = 10.0
"""After a change of roles services are given time to start."""
PATIENCE_S = 60.0
"""Between one request for the role and the next."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A failover service as the standby sees it: ``up`` is ``None`` while nothing is known; ``checked_at`` of the last check."""

    name: str
    up: bool | None
    checked_at: float


def reason_to_take_over(services: Iterable[Watched], *, role_since: float, asked_at: float, now: float) -> str:
    """Why the standby should ask for the role, ``""`` when it should not.  All times are of the same clock.

    Only what was checked well after the last change of roles counts, so that nobody judges the other by what was its own.
    """
    if now - asked_at < PATIENCE_S:
        return ""
    failed = [one.name for one in services if one.up is False and one.checked_at >= role_since + SETTLE_S]
    if not failed:
        return ""
    return f"the failover service{'s' if len(failed) > 1 else ''} {', '.join(failed)} failed on the active director"
