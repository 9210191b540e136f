"""The one reader of time.

Owns nothing but these calls; everything else in the agent is told what time it is.
"""

from __future__ import annotations

import time
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

INTERVALS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the host is suspended: who slept has to notice.  (asyncio's own timers stand still meanwhile.  They are only ever given
durations, so one that was running at that moment is late by the sleep, and whatever it wakes is told the true time.)"""


class SystemClock:
    """The ``Clock`` port on this host."""

    def now(self) -> float:
        """Monotonic seconds, for intervals; those in which the host was suspended count."""
        return time.clock_gettime(INTERVALS)

    def wall(self) -> float:
        """Seconds since the epoch, for people."""
        return time.time()


def this_boot() -> str:
    """What tells one boot of this host from another: monotonic times mean something within one alone.  ``""``: not known."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
