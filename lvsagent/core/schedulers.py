"""Which real server gets the next connection: rr, wrr, lc, wlc and sh as the kernel's IPVS chooses.

Pure: a scheduler is asked with the servers as they are now and keeps only its own place in the round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.lvscf.model import Scheduler

SH_FALLBACK = "flag-1"
SH_PORT = "flag-2"
_SH_BUCKETS = 256


@dataclass(slots=True, eq=False)
class Load:
    """A real server as a scheduler sees it.  ``overloaded``: it has reached its upper threshold."""

    weight: int
    active: int = 0
    inactive: int = 0
    overloaded: bool = False

    @property
    def available(self) -> bool:
        """Whether it may get new connections at all."""
        return self.weight > 0 and not self.overloaded

    @property
    def overhead(self) -> int:
        """What its connections cost: an open one as much as 256 that are opening or closing."""
        return self.active * 256 + self.inactive


@dataclass(frozen=True, slots=True)
class Client:
    """Who is connecting; ``address`` as a number (an IPv6 address folded to 32 bits by ``fold``)."""

    address: int
    port: int


class Choosing(Protocol):
    """A scheduler of one virtual server.  ``servers`` is always its list in the order in which they were added."""

    def choose(self, servers: Sequence[Load], client: Client) -> int | None:
        """The place in ``servers`` of the one that gets the connection, None when none can."""
        ...

    def changed(self, servers: Sequence[Load], removed: int | None = None) -> None:
        """A server was added or its weight changed, or the one that stood at place ``removed`` is gone."""
        ...


def fold(address: int) -> int:
    """An address as 32 bits."""
    folded = 0
    while address:
        folded ^= address & 0xFFFFFFFF
        address >>= 32
    return folded


def scheduler(name: str, flags: frozenset[str] = frozenset()) -> Choosing | None:
    """A new scheduler of that name; None when there is none here."""
    match name:
        case Scheduler.RR:
            return RoundRobin()
        case Scheduler.WRR:
            return WeightedRoundRobin()
        case Scheduler.LC:
            return LeastConnections()
        case Scheduler.WLC:
            return WeightedLeastConnections()
        case Scheduler.SH:
            return SourceHash(fallback=SH_FALLBACK in flags, with_port=SH_PORT in flags)
        case _:
            return None


class RoundRobin:
    """One after the other; weights matter only in that 0 gets nothing."""

    def __init__(self) -> None:
        self._last = -1

    def choose(self, servers: Sequence[Load], client: Client) -> int | None:  # noqa: ARG002 -- one port for all schedulers
        for step in range(1, len(servers) + 1):
            place = (self._last + step) % len(servers)
            if servers[place].available:
                self._last = place
                return place
        return None

    def changed(self, servers: Sequence[Load], removed: int | None = None) -> None:  # noqa: ARG002 -- as above
        if removed is not None and removed <= self._last:
            self._last -= 1


class WeightedRoundRobin:
    """In every round each server as often as its weight says, the heavier ones first, spread over the round.

    A pass takes the servers whose weight reaches the current level; the level sinks by the weights' common divisor with each pass.
    """

    def __init__(self) -> None:
        self._last = -1
        self._level = 0
        self._top = 0
        self._divisor = 1

    def choose(self, servers: Sequence[Load], client: Client) -> int | None:  # noqa: ARG002 -- one port for all schedulers
        if not any(server.available for server in servers):
            return None
        while True:
            for place in range(self._last + 1, len(servers)):
                if servers[place].available and servers[place].weight >= self._level:
                    self._last = place
                    return place
            self._last = -1
            self._level -= self._divisor
            if self._level <= 0:
                self._level = self._top

    def changed(self, servers: Sequence[Load], removed: int | None = None) -> None:  # noqa: ARG002 -- as above
        weights = [server.weight for server in servers if server.weight > 0]
        self._last = -1
        self._divisor = math.gcd(*weights) or 1
        self._top = max(weights, default=0) - (self._divisor - 1)
        if self._level > self._top or self._level <= 0:
            self._level = self._top
        elif self._divisor > 1:
            self._level = self._level // self._divisor * self._divisor + 1


class LeastConnections:
    """The server with the least overhead, whatever the weights."""

    def choose(self, servers: Sequence[Load], client: Client) -> int | None:  # noqa: ARG002 -- one port for all schedulers
        best = None
        for place, server in enumerate(servers):
            if server.available and (best is None or server.overhead < servers[best].overhead):
                best = place
        return best

    def changed(self, servers: Sequence[Load], removed: int | None = None) -> None:
        """Nothing is remembered."""


class WeightedLeastConnections:
    """The server with the least overhead for its weight."""

    def choose(self, servers: Sequence[Load], client: Client) -> int | None:  # noqa: ARG002 -- one port for all schedulers
        best = None
        for place, server in enumerate(servers):
            if not server.available:
                continue
            if best is None or servers[best].overhead * server.weight > server.overhead * servers[best].weight:
                best = place
        return best

    def changed(self, servers: Sequence[Load], removed: int | None = None) -> None:
        """Nothing is remembered."""


class SourceHash:
    """By the client's address: a table of 256 places, filled with the servers by weight.

    A client whose server is not available is refused, unless ``fallback`` looks further; ``with_port`` hashes the client's port too.
    """

    def __init__(self, *, fallback: bool, with_port: bool) -> None:
        self._fallback = fallback
        self._with_port = with_port
        self._buckets: list[int] = []

    def choose(self, servers: Sequence[Load], client: Client) -> int | None:
        if not self._buckets:
            return None
        start = _hash(client.address + (client.port if self._with_port else 0))
        for offset in range(_SH_BUCKETS if self._fallback else 1):
            place = self._buckets[(start + offset) % _SH_BUCKETS]
            if servers[place].available:
                return place
        return None

    def changed(self, servers: Sequence[Load], removed: int | None = None) -> None:  # noqa: ARG002 -- one port for all schedulers
        """Fill the table: each server as many places in a row as its weight, at least one, round and round."""
        turns = [place for place, server in enumerate(servers) for _ in range(min(max(server.weight, 1), _SH_BUCKETS))]
        self._buckets = [turns[bucket % len(turns)] for bucket in range(_SH_BUCKETS)] if turns else []


def _hash(value: int) -> int:
    return ((value & 0xFFFFFFFF) * 0x61C88647 & 0xFFFFFFFF) >> 24
