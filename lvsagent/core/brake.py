"""The mass-failure brake: when most servers of several services fail at once, it is hardly the servers.

Pure; time is an argument.  It looks at all checks of this director together, whichever nanny makes them, before what they say reaches the
table.  While it is on, servers that fail keep their place, for a set time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

SEVERAL = 2
"""So many services must have lost most of their servers."""
SHORTEST_WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is said of a check's server.  ``out``: it is not in service, since ``since``.

    ``window_s`` is the check's interval: failures within it are at once.  ``kept_until``: nanny keeps it until then (0: no).
    """

    key: str
    out: bool
    since: float
    window_s: float
    kept_until: float = 0.0


class Brake:
    """``hold_s``: how long servers are kept once it is on; 0: it never is.  ``until``: when it is off again."""

    def __init__(self) -> None:
        self.hold_s = 0.0
        self.until = 0.0
        self._failed: dict[str, Seen] = {}
        self._kept: set[str] = set()
        self._asked: set[str] = set()

    def configure(self, hold_s: float) -> None:
        """Another length; 0 takes the brake off."""
        self.hold_s = hold_s
        if hold_s <= 0:
            self.until = 0.0
            self._failed.clear()
            self._asked.clear()

    def on(self, now: float) -> bool:
        """Whether servers that fail are kept in service."""
        return now < self.until

    def look(self, seen: Iterable[Seen], sides: Mapping[str, bool], now: float) -> frozenset[str]:
        """Who is to be kept in service now: of those seen, and of those that have left since the failures began.

        ``sides``: who was in service (true) before, by check key.  Whoever was kept and leaves all the same has had its time, or was
        released: it is let go, and is no failure.
        """
        fresh, keep = self._sort(seen, sides, now)
        if self.on(now):
            keep |= fresh.keys()
        elif fresh and self.hold_s > 0:
            keep |= self._caught(fresh, sides, now)
        self._kept |= keep
        self._asked |= keep
        return frozenset(keep)

    def release(self, keys: Collection[str], *, brake: bool) -> None:
        """Somebody has decided: these servers leave if they fail.  ``brake``: so do all that fail from now on."""
        self._asked.difference_update(keys)
        if brake:
            self.until = 0.0

    def _sort(self, seen: Iterable[Seen], sides: Mapping[str, bool], now: float) -> tuple[dict[str, Seen], set[str]]:
        """The failures that are news, and those that nanny did not know yet to keep when it spoke."""
        fresh: dict[str, Seen] = {}
        keep: set[str] = set()
        for one in seen:
            if one.kept_until > now:
                self._kept.add(one.key)
                self._asked.discard(one.key)
            elif not one.out:
                self._kept.discard(one.key)
                self._asked.discard(one.key)
            elif not sides.get(one.key):
                continue
            elif one.key in self._asked and self.on(now):
                keep.add(one.key)
            elif one.key in self._kept:
                self._kept.discard(one.key)
                self._asked.discard(one.key)
            else:
                fresh[one.key] = one
        return fresh, keep

    def _caught(self, fresh: Mapping[str, Seen], sides: Mapping[str, bool], now: float) -> set[str]:
        """All that have failed at once, if these were too many."""
        latest = max(one.since for one in fresh.values())
        before = {key: one for key, one in self._failed.items() if sides.get(key) is False}
        self._failed = {key: one for key, one in {**before, **fresh}.items() if latest - one.since <= max(one.window_s, SHORTEST_WINDOW_S)}
        if len(self._failed) <= sum(sides.values()) - len(fresh):  # the usual case, told without looking at each
            return set()
        up = Counter(service_of(key) for key, inside in sides.items() if inside and key not in fresh)
        lost = Counter(map(service_of, self._failed))
        if sum(count > up[service] for service, count in lost.items()) < SEVERAL:
            return set()
        caught = set(self._failed)
        self._failed.clear()
        self.until = now + self.hold_s
        return caught


def service_of(key: str) -> str:
    """The virtual server that a check belongs to."""
    return key.partition("/")[0]
