"""The mass-failure brake: when most servers of several services fail at once, it is hardly the servers.

Pure; time is an argument.  While it is on, servers that fail keep their place, for a set time.
"""

from __future__ import annotations

from collections import Counter

SEVERAL = 2
"""So many services must have lost most of their servers."""
SHORTEST_WINDOW_S = 5.0


class Brake:
    """``hold_s``: how long servers are kept once it is on; 0: it never is.  Knows which checks are of servers in service."""

    def __init__(self) -> None:
        self.hold_s = 0.0
        self.until = 0.0
        self._up: Counter[str] = Counter()
        self._failed: dict[str, float] = {}
        self._lost: Counter[str] = Counter()

    def on(self, now: float) -> bool:
        """Whether servers that fail are kept in service."""
        return now < self.until

    def moved(self, key: str, *, into: bool) -> None:
        """The server of this check has come into service, or has left it for any reason."""
        self._up[service_of(key)] += 1 if into else -1
        if into:
            self._forget(key)

    def failed(self, key: str, now: float, window_s: float) -> tuple[str, ...]:
        """The server of check ``key`` has just failed and left.  Returns all that come back after all, if this was one too many.

        Failures within ``window_s`` are at once.
        """
        if self.hold_s <= 0:
            return ()
        oldest = now - max(window_s, SHORTEST_WINDOW_S)
        while self._failed and (first := next(iter(self._failed))) and self._failed[first] < oldest:
            self._forget(first)
        self._forget(key)
        self._failed[key] = now
        self._lost[service_of(key)] += 1
        if len(self._failed) <= self._up.total() or not self._several():
            return ()
        self.until = now + self.hold_s
        kept = tuple(self._failed)
        self._failed.clear()
        self._lost.clear()
        return kept

    def release(self) -> None:
        """Somebody has decided: servers that fail leave."""
        self.until = 0.0

    def _several(self) -> bool:
        return sum(lost > self._up[service] for service, lost in self._lost.items()) >= SEVERAL

    def _forget(self, key: str) -> None:
        if self._failed.pop(key, None) is not None:
            self._lost[service_of(key)] -= 1


def service_of(key: str) -> str:
    """The virtual server that a check belongs to."""
    return key.partition("/")[0]
