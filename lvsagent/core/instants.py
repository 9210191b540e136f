"""How much time has passed between two moments, when a restart, a reboot or somebody who sets the clock may lie in between.

Pure.  Within one boot the monotonic clock says it exactly.  Over a reboot there is only the wall clock, which is believed unless it says
that time went backwards.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment as a host sees it: in which boot (``""``: not known), on its monotonic clock, and in seconds since the epoch."""

    boot: str
    monotonic: float
    wall: float


def passed_s(before: Instant, now: Instant) -> float:
    """Seconds from ``before`` to ``now``, never negative."""
    if before.boot and before.boot == now.boot:
        return max(0.0, now.monotonic - before.monotonic)
    return max(0.0, now.wall - before.wall)
