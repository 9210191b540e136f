"""The one reader of time.

Owns nothing but the two calls; everything else in the agent is told what time it is.
"""

from __future__ import annotations

import time


class SystemClock:
    """The ``Clock`` port on this host."""

    def now(self) -> float:
        """Monotonic seconds, for intervals."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the epoch, for people."""
        return time.time()
