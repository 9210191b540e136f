"""When which check is due: thousands of dates, the earliest at hand.

Pure: it holds dates it is given and reads no clock.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections.abc import Iterator


class Schedule:
    """Which key is due when: a heap, where a key's newest date is the one that counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._ticket: dict[str, tuple[float, int]] = {}
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._ticket)

    def set(self, key: str, at: float) -> None:
        """``key`` is due at ``at`` and at no other time."""
        ticket = next(self._tickets)
        self._ticket[key] = (at, ticket)
        heapq.heappush(self._heap, (at, ticket, key))
        if len(self._heap) > 2 * len(self._ticket) + 64:
            self._heap = [(due, number, name) for name, (due, number) in self._ticket.items()]
            heapq.heapify(self._heap)

    def remove(self, key: str) -> None:
        """``key`` is not due any more (no error when it was not)."""
        self._ticket.pop(key, None)

    def due_at(self, key: str) -> float | None:
        """When ``key`` is due."""
        ticket = self._ticket.get(key)
        return None if ticket is None else ticket[0]

    @property
    def next_at(self) -> float | None:
        """The earliest date of all."""
        while self._heap:
            at, ticket, key = self._heap[0]
            if self._ticket.get(key) == (at, ticket):
                return at
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> Iterator[tuple[str, float]]:
        """Take out what is due, earliest first, as ``(key, when it was due)``; stop asking to leave the rest."""
        while (at := self.next_at) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._ticket[key]
            yield key, at


def first_start(key: str, now: float, interval_s: float, checks: int) -> float:
    """When a new check first runs: somewhere, by its key, in a millisecond for each check that starts with it, at most an interval."""
    window = min(interval_s, checks / 1000)
    return now + window * zlib.crc32(key.encode("utf-8", "surrogateescape")) / 2**32
