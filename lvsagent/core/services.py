"""Failover services (``service = fos``): when the standby, which watches them, asks for the role.

Pure.  A service that fails where it runs moves all of them; one that fails everywhere must not have them go to and fro, and a watcher whose
own network is gone must not take its blindness for their failure.
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
    """A failover service as the standby sees it: ``up`` is ``None`` while nothing is known, and has been so ``since``.

    ``checked_at`` is when the last check ended, ``check_s`` how long it took.
    """

    name: str
    up: bool | None
    checked_at: float
    since: float = 0.0
    check_s: float = 0.0


class ServiceWatch:
    """One standby's watch.  All times are of the same clock."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._heard_after: dict[str, float] = {}
        """Of each that fails: when the other director was first heard after it began to."""

    def reason_to_take_over(self, services: Iterable[Watched], *, role_since: float, heard_at: float, now: float) -> str:
        """Why the standby should ask for the role now, ``""`` when it should not.

        ``heard_at``: when the other director was last heard on the network where the services are.  Only a check counts that began well
        after the last change of roles, so that nobody judges the other by what was its own, and after the other director was heard since
        the service failed: the network in between is whole, and the service fails all the same.
        """
        services = list(services)
        self._remember(services, heard_at)
        failed = [one.name for one in services if self._counts(one, role_since)]
        if not failed or now - self._asked_at < PATIENCE_S:
            return ""
        self._asked_at = now
        return f"the failover service{'s' if len(failed) > 1 else ''} {', '.join(failed)} failed on the active director"

    def _remember(self, services: list[Watched], heard_at: float) -> None:
        before, self._heard_after = self._heard_after, {}
        for one in services:
            known = before.get(one.name, heard_at)
            first = known if known > one.since else heard_at
            if one.up is False and first > one.since:
                self._heard_after[one.name] = first

    def _counts(self, one: Watched, role_since: float) -> bool:
        heard_at = self._heard_after.get(one.name, float("inf"))
        return one.checked_at >= role_since + SETTLE_S and one.checked_at - one.check_s >= heard_at
