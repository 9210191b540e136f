"""From counters to rates and their last two minutes.

Owns the samples; it is given each reading of the table with its time and reads nothing itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from lvsagent.core.table import NO_COUNTERS, Counters, ServerKey, ServiceKey, Table
from lvsagent.wire import CountersInfo

SAMPLES = 60
SAMPLE_S = 2.0
"""Sixty samples are two minutes."""
LINES_WITH_HISTORY = 20_000
"""Beyond that many real servers only virtual servers keep a history."""


class _Line:
    """One row of the table over time."""

    __slots__ = ("bytes_per_s", "connections_per_s", "counters", "history", "packets_per_s")

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.history = array("f")
        self.connections_per_s = self.packets_per_s = self.bytes_per_s = 0.0

    def sample(self, counters: Counters, elapsed_s: float, *, keep: bool) -> None:
        before = self.counters
        if counters.connections < before.connections or counters.packets_in < before.packets_in:
            before = NO_COUNTERS  # the row was made anew
        self.connections_per_s = (counters.connections - before.connections) / elapsed_s
        packets = counters.packets_in - before.packets_in + counters.packets_out - before.packets_out
        bytes_ = counters.bytes_in - before.bytes_in + counters.bytes_out - before.bytes_out
        self.packets_per_s = packets / elapsed_s
        self.bytes_per_s = bytes_ / elapsed_s
        self.counters = counters
        if keep:
            self.history.append(self.connections_per_s)
            del self.history[:-SAMPLES]

    def info(self) -> CountersInfo:
        counters = self.counters
        return CountersInfo(
            connections=counters.connections,
            packets_in=counters.packets_in,
            packets_out=counters.packets_out,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            active=counters.active,
            inactive=counters.inactive,
            connections_per_s=self.connections_per_s,
            packets_per_s=self.packets_per_s,
            bytes_per_s=self.bytes_per_s,
            history=self.history.tolist(),
        )


NO_TRAFFIC = CountersInfo()


class Traffic:
    """Counters and rates of every virtual and real server, as of the last sample."""

    def __init__(self) -> None:
        self._services: dict[ServiceKey, _Line] = {}
        self._servers: dict[ServiceKey, dict[ServerKey, _Line]] = {}
        self._total = _Line(NO_COUNTERS)
        self._at: float | None = None

    def due(self, now: float) -> bool:
        """Whether a sample is wanted at ``now`` (monotonic seconds)."""
        return self._at is None or now - self._at >= SAMPLE_S * 0.9

    @property
    def at(self) -> float | None:
        """When the last sample was taken (monotonic seconds)."""
        return self._at

    def sample(self, table: Table, now: float) -> None:
        """Take a reading of the table."""
        elapsed_s = max(now - self._at, 0.001) if self._at is not None else 0.0
        self._at = now
        histories = sum(len(entry.servers) for entry in table.values()) <= LINES_WITH_HISTORY
        services: dict[ServiceKey, _Line] = {}
        servers: dict[ServiceKey, dict[ServerKey, _Line]] = {}
        for key, entry in table.items():
            services[key] = _sampled(self._services.get(key), service_counters(entry.counters, entry.server_counters), elapsed_s, keep=True)
            before = self._servers.get(key, {})
            servers[key] = {
                server: _sampled(before.get(server), entry.server_counters.get(server, NO_COUNTERS), elapsed_s, keep=histories)
                for server in entry.servers
            }
        self._services, self._servers = services, servers
        self._total = _sampled(self._total, _sum(services), elapsed_s, keep=True)

    def service(self, key: ServiceKey) -> CountersInfo:
        """A virtual server's."""
        line = self._services.get(key)
        return line.info() if line else NO_TRAFFIC

    def server(self, service: ServiceKey, key: ServerKey) -> CountersInfo:
        """A real server's."""
        line = self._servers.get(service, {}).get(key)
        return line.info() if line else NO_TRAFFIC

    def open_connections(self, key: ServiceKey) -> int:
        """A virtual server's open connections, to sort by."""
        line = self._services.get(key)
        return line.counters.active if line else 0

    def rate(self, key: ServiceKey) -> float:
        """A virtual server's connections a second, to sort by."""
        line = self._services.get(key)
        return line.connections_per_s if line else 0.0

    def total(self) -> CountersInfo:
        """All virtual servers together."""
        return self._total.info()


def service_counters(counters: Counters, servers: Mapping[ServerKey, Counters]) -> Counters:
    """A virtual server's counters; what is open now is known of its real servers alone."""
    return Counters(
        counters.connections,
        counters.packets_in,
        counters.packets_out,
        counters.bytes_in,
        counters.bytes_out,
        sum(line.active for line in servers.values()),
        sum(line.inactive for line in servers.values()),
        sum(line.persistent for line in servers.values()),
    )


def _sampled(line: _Line | None, counters: Counters, elapsed_s: float, *, keep: bool) -> _Line:
    if line is None or not elapsed_s:
        return _Line(counters)
    line.sample(counters, elapsed_s, keep=keep)
    return line


def _sum(lines: Mapping[ServiceKey, _Line]) -> Counters:
    totals = [line.counters for line in lines.values()]
    return Counters(
        sum(counters.connections for counters in totals),
        sum(counters.packets_in for counters in totals),
        sum(counters.packets_out for counters in totals),
        sum(counters.bytes_in for counters in totals),
        sum(counters.bytes_out for counters in totals),
        sum(counters.active for counters in totals),
        sum(counters.inactive for counters in totals),
        sum(counters.persistent for counters in totals),
    )
