"""The IPVS table as values: what is wanted, what is there, and the operations that lead from one to the other.

The field's words on this side of the border; the kernel's (service, destination, fwd_method) stay inside the kernel adapter.
Addresses are canonical text (``ipaddress`` form).  Nothing here knows where a table comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.lvscf.model import Forwarding, Protocol, Scheduler


class Family(StrEnum):
    """The address family of a virtual server; a firewall mark has one too."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """What tells one virtual server from another in the table.

    Either ``address``, ``port`` and ``protocol`` are set and ``fwmark`` is 0, or ``fwmark`` is set and they are ``""``, 0 and ``None``.
    """

    family: Family
    protocol: Protocol | None = None
    address: str = ""
    port: int = 0
    fwmark: int = 0

    def __str__(self) -> str:
        if self.fwmark:
            return f"fwmark {self.fwmark}" + (" (IPv6)" if self.family is Family.IPV6 else "")
        host = f"[{self.address}]" if self.family is Family.IPV6 else self.address
        return f"{host}:{self.port} {self.protocol}"


@dataclass(frozen=True, slots=True, order=True)
class ServerKey:
    """A real server inside one virtual server."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """The settings of a virtual server in the table.

    ``persistence_timeout_s`` 0 is off.  ``persistence_prefix`` is the netmask as a prefix length (32 or 128: each client for itself).
    ``scheduler_flags`` are the scheduler's own
    (``flag-1``..``flag-3`` as ipvsadm names them), ``persistence_engine`` is ``""`` or ``"sip"``.
    ``scheduler`` is text, because foreign services may use one that lvs.cf has no word for.
    """

    scheduler: str = Scheduler.WLC
    persistence_timeout_s: int = 0
    persistence_prefix: int = 32
    one_packet: bool = False
    scheduler_flags: frozenset[str] = frozenset()
    persistence_engine: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """The settings of a real server in the table.  Thresholds are connections, 0 for none."""

    weight: int = 1
    forwarding: Forwarding = Forwarding.NAT
    upper_threshold: int = 0
    lower_threshold: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the entry was made, and what is open now.  Bytes and packets as the director saw them."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    active: int = 0
    inactive: int = 0
    persistent: int = 0


NO_COUNTERS = Counters()


@dataclass(frozen=True, slots=True)
class Entry:
    """One virtual server with its real servers.  Counters are left out of comparisons: they are not settings."""

    service: Service
    servers: Mapping[ServerKey, Server] = field(default_factory=dict)
    counters: Counters = field(default=NO_COUNTERS, compare=False)
    server_counters: Mapping[ServerKey, Counters] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The kernel's idle limits in seconds; as an operation, 0 leaves one as it is."""

    tcp_s: int = 0
    tcpfin_s: int = 0
    udp_s: int = 0


Table = Mapping[ServiceKey, Entry]


@dataclass(frozen=True, slots=True)
class AddService:
    key: ServiceKey
    service: Service


@dataclass(frozen=True, slots=True)
class SetService:
    key: ServiceKey
    service: Service


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Removes the virtual server with all of its real servers."""

    key: ServiceKey


@dataclass(frozen=True, slots=True)
class AddServer:
    service: ServiceKey
    key: ServerKey
    server: Server


@dataclass(frozen=True, slots=True)
class SetServer:
    service: ServiceKey
    key: ServerKey
    server: Server


@dataclass(frozen=True, slots=True)
class DeleteServer:
    service: ServiceKey
    key: ServerKey


@dataclass(frozen=True, slots=True)
class SetTimeouts:
    timeouts: Timeouts


Operation = AddService | SetService | DeleteService | AddServer | SetServer | DeleteServer | SetTimeouts


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operation that the data plane did not carry out, and why, in words ("scheduler mh: module missing")."""

    operation: Operation
    reason: str
