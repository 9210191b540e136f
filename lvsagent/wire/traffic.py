"""Virtual servers and real servers as they stand, with what passes through them.  Owns these shapes alone."""

from __future__ import annotations

from lvsagent.wire.base import Wire
from lvsagent.wire.health import Held
from lvsagent.wire.load import LoadInfo
from lvsagent.wire.overrides import OverrideInfo


class CountersInfo(Wire, frozen=True):
    """Totals, what is open now, and rates a second over the last sample."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    active: int = 0
    inactive: int = 0
    connections_per_s: float = 0.0
    packets_per_s: float = 0.0
    bytes_per_s: float = 0.0
    history: list[float] = []
    """Connections a second, oldest first, at most 60 samples over the last two minutes."""


class RealServerState(Wire, frozen=True):
    """``state``: up, down, rising, falling, inactive, unknown, failed (the data plane refused); where an operator has decided (``order``):
    draining, drained, cut, forced up, forced down.  ``weight`` is what is in force.
    ``load``: what load_monitor reads of its host.
    """

    name: str
    address: str
    port: int
    state: str
    weight: int | None
    configured_weight: int
    forwarding: str
    reason: str = ""
    since: float = 0.0
    counters: CountersInfo = CountersInfo()
    held: Held | None = None
    order: OverrideInfo | None = None
    load: LoadInfo | None = None


class VirtualServerState(Wire, frozen=True):
    """``state``: up (active and a real server up), down (active and none), inactive, failed (the data plane refused: see ``reason``).

    ``listens`` is where a userspace data plane can really be reached ("127.0.0.100:8080"), else empty.
    ``real_servers`` is empty in the summary form; the counts are always there.
    """

    name: str
    address: str
    port: int
    protocol: str
    fwmark: int
    scheduler: str
    device: str
    netmask: str
    forwarding: str
    persistent_s: int
    state: str
    reason: str = ""
    up: int = 0
    enabled: int = 0
    total: int = 0
    sorry: bool = False
    listens: str = ""
    counters: CountersInfo = CountersInfo()
    real_servers: list[RealServerState] = []


class ForeignService(Wire, frozen=True):
    """A virtual server in the table that lvs.cf does not name: shown, never touched."""

    service: str
    scheduler: str
    servers: int
