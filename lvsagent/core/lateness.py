"""How late this process wakes up, and whether that is too late for the heartbeat chosen.

Pure: told when it wanted to wake and when it did.
"""

from __future__ import annotations

import math
from collections import deque

SPAN_S = 60.0
WORRYING_SHARE = 1 / 3
"""Of the heartbeat interval: later than this, and a beat may come too late for the other director."""


class Lateness:
    """The last minute's wake-ups."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        self._said_at = float("-inf")

    def woke(self, due: float, now: float) -> None:
        """It wanted to wake at ``due`` and did so ``now``."""
        self._late.append((now, max(0.0, now - due)))
        while self._late and self._late[0][0] < now - SPAN_S:
            self._late.popleft()

    def complaint(self, due: float, now: float, keepalive_s: float) -> str:
        """``woke``, and the warning if that was too late, once a minute at most."""
        self.woke(due, now)
        if now - due <= keepalive_s * WORRYING_SHARE or now - self._said_at < SPAN_S:
            return ""
        self._said_at = now
        return self.warning(keepalive_s)

    @property
    def worst_s(self) -> float:
        """The latest wake-up of the last minute."""
        return max((late for _, late in self._late), default=0.0)

    @property
    def p99_s(self) -> float:
        """99 of 100 wake-ups were not later than this."""
        ordered = sorted(late for _, late in self._late)
        return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else 0.0

    def warning(self, keepalive_s: float) -> str:
        """In words with the figures, when it is too late for this interval; else ``""``."""
        if self.worst_s <= keepalive_s * WORRYING_SHARE:
            return ""
        worst, usual = _duration(self.worst_s), _duration(self.p99_s)
        return (
            f"this host woke up {worst} too late within the last minute (99 of 100 times at most {usual}): "
            f"that is too late for a heartbeat every {_duration(keepalive_s)}"
        )


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
