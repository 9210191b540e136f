"""What an lvs.cf means: frozen values named after its keywords.

Owns the types that every other part of the project shares: the console's forms edit them, the agent plans from them.
It knows nothing of text, lines or files (see ``reader`` and ``writer`` for those), and it imports the standard library only.

Attribute names are lvs.cf's own keywords.  Text attributes such as ``send`` hold the characters between the quotes, escapes
not yet decoded, so that what an administrator sees is what the file says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

NO_ADDRESS = "0.0.0.0"  # noqa: S104 -- a word of the file format, nothing binds to it
"""How lvs.cf writes "no address"; also the default of every mask ("choose for me")."""


class ServiceKind(StrEnum):
    """``service``: which kind of block is in use."""

    LVS = "lvs"
    FOS = "fos"


class Forwarding(StrEnum):
    """``network``: how a director hands packets to its real servers."""

    NAT = "nat"
    DIRECT = "direct"
    TUNNEL = "tunnel"


class Protocol(StrEnum):
    """``protocol`` of a virtual server; ``sctp`` is ours."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class Scheduler(StrEnum):
    """``scheduler``: the first eight are Piranha's, the rest ours."""

    RR = "rr"
    WRR = "wrr"
    LC = "lc"
    WLC = "wlc"
    LBLC = "lblc"
    LBLCR = "lblcr"
    DH = "dh"
    SH = "sh"
    SED = "sed"
    NQ = "nq"
    MH = "mh"
    FO = "fo"
    OVF = "ovf"


class PersistenceEngine(StrEnum):
    """``pe``: what a client is known by, instead of its address alone."""

    SIP = "sip"


class ReservationConflictAction(StrEnum):
    """``reservation_conflict_action``: fos only, kept and unused."""

    NOTHING = "nothing"
    PREEMPT = "preempt"


class CheckKind(StrEnum):
    """``check``: ``auto`` is Piranha's own choice by send, expect, send_program and port; the others are ours."""

    AUTO = "auto"
    CONNECT = "connect"
    HTTP = "http"
    HTTPS = "https"
    TLS = "tls"
    SMTP = "smtp"
    DNS = "dns"
    PING = "ping"
    UDP = "udp"
    PROGRAM = "program"
    AGENT = "agent"


class DnsRecord(StrEnum):
    """``check_record``: the type of a DNS check's query."""

    A = "A"
    AAAA = "AAAA"
    CNAME = "CNAME"
    MX = "MX"
    NS = "NS"
    PTR = "PTR"
    SOA = "SOA"
    SRV = "SRV"
    TXT = "TXT"


@dataclass(frozen=True, slots=True)
class HostDevice:
    """``HOST DEVICE``, as in ``address = 192.0.2.100 eth1:1``: an address and the interface (alias) it lives on."""

    host: str
    device: str

    def __str__(self) -> str:
        return f"{self.host} {self.device}"

    @property
    def interface(self) -> str:
        """The real interface below the alias: ``eth1`` of ``eth1:1``."""
        return self.device.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalSettings:
    """The directives outside any block.  Durations are seconds; 0 in a ``*_timeout`` leaves the kernel's own value."""

    serial_no: int = 0
    primary: str = NO_ADDRESS
    primary_private: str | None = None
    backup: str = NO_ADDRESS
    backup_private: str | None = None
    primary_shared: str | None = None
    backup_shared: str | None = None
    service: ServiceKind = ServiceKind.LVS
    rsh_command: str = "rsh"
    backup_active: bool = False
    heartbeat: bool = False
    heartbeat_port: int = 539
    keepalive: float = 2
    deadtime: float = 5
    network: Forwarding = Forwarding.NAT
    nat_router: HostDevice | None = None
    nat_nmask: str = NO_ADDRESS
    debug_level: str = "NONE"
    reservation_conflict_action: ReservationConflictAction | None = None
    monitor_links: int = 0
    syncdaemon: bool = False
    syncd_iface: str = "eth0"
    syncd_id: int = 0
    tcp_timeout: int = 0
    tcpfin_timeout: int = 0
    udp_timeout: int = 0
    hard_shutdown: bool = True
    active_cmd: str | None = None
    inactive_cmd: str | None = None
    ipvsadm: str = "/sbin/ipvsadm"
    sync: bool = False
    mass_failure_hold: float = 0
    virtual_mac: bool = False
    preempt: bool = False
    preempt_delay: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """A ``server`` block.

    ``port`` is what the block says (``None``: nothing); ``effective_port`` is what that meant when the file was read, since an
    absent port takes the virtual server's port *as known at that line*.  ``key`` ties the value to its block in the document it
    was read from (``None``: a new one), so that a renamed server is not mistaken for a deleted and an added one.
    """

    name: str
    address: str = NO_ADDRESS
    active: bool = False
    port: int | None = None
    weight: int = 1
    forward: Forwarding | None = None
    upper_threshold: int = 0
    lower_threshold: int = 0
    effective_port: int = field(default=80, compare=False)
    key: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What ``virtual`` and ``failover`` blocks have in common: all of their directives.

    ``address`` is ``None`` when the file gives none, ``sorry_server`` when it gives none or 0.0.0.0.  ``timeout``, ``reentry``
    and ``persistent`` are seconds.  ``sorry_port`` 0 is the virtual server's port.
    ``check_interval``, ``check_timeout``, ``rise`` and ``fall`` at 0 mean "by Piranha's rule".
    """

    name: str
    active: bool = False
    address: HostDevice | None = None
    vip_nmask: str = NO_ADDRESS
    sorry_server: str | None = None
    fwmark: int = 0
    protocol: Protocol = Protocol.TCP
    port: int = 80
    scheduler: Scheduler = Scheduler.WLC
    scheduler_flags: str | None = None
    persistent: int = 0
    pmask: str = NO_ADDRESS
    load_monitor: str = "none"
    send: str | None = None
    expect: str | None = None
    use_regex: bool = False
    send_program: str | None = None
    timeout: int = 10
    reentry: int = 180
    quiesce_server: bool = False
    client_monitor: str = "/usr/sbin/nanny"
    start_cmd: str | None = None
    stop_cmd: str | None = None
    check: CheckKind = CheckKind.AUTO
    check_port: int = 0
    check_path: str | None = None
    check_host: str | None = None
    check_status: str | None = None
    check_record: DnsRecord = DnsRecord.A
    check_verify: bool = False
    check_cert_days: int = 14
    check_interval: float = 0
    check_timeout: float = 0
    rise: int = 0
    fall: int = 0
    hold_down: float = 0
    slow_start: int = 0
    quorum: int = 0
    hysteresis: int = 0
    sorry_port: int = 0
    one_packet: bool = False
    pe: PersistenceEngine | None = None
    mark_ports: str | None = None
    key: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServer(Block):
    """A ``virtual`` block with its ``server`` blocks, in the file's order."""

    servers: tuple[RealServer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverService(Block):
    """A ``failover`` block (``service = fos``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole lvs.cf.  Blocks stand in the file's order; a repeated name is kept, as in the file."""

    globals: GlobalSettings = field(default_factory=GlobalSettings)
    virtual: tuple[VirtualServer, ...] = ()
    failover: tuple[FailoverService, ...] = ()
