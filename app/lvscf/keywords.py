"""THE table of lvs.cf's keywords: everything that reads, writes, checks, compares or documents the file is driven by it.

Owns each keyword's level, type, default, the default that the screens offer, the version that brought it, its meaning and what a
change of it touches.  The order within a level is the order in which a new file is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.lvscf.model import (
    NO_ADDRESS,
    CheckKind,
    DnsRecord,
    Forwarding,
    PersistenceEngine,
    Protocol,
    ReservationConflictAction,
    Scheduler,
    ServiceKind,
)


class Level(StrEnum):
    """Where a keyword may stand.  ``virtual`` and ``failover`` blocks accept the same ones."""

    GLOBAL = "global"
    BLOCK = "virtual, failover"
    SERVER = "server"


class ValueType(StrEnum):
    """The types of values; ``values`` reads and writes them."""

    INTEGER = "integer"
    BOOLEAN = "0 or 1"
    SECONDS = "seconds"
    DECIMAL = "seconds, decimals allowed"
    PORT = "port or TCP service name"
    PORT_NUMBER = "port number"
    WORD = "word"
    HOST = "host"
    ADDRESS = "IP address"
    HOST_DEVICE = "host and device"
    MASK = "netmask"
    STRING = "string"
    TEXT = "string, 255 bytes at most"
    COMMAND = "command line"


class Effect(StrEnum):
    """What a change of the keyword touches."""

    TABLE = "the IPVS table"
    ADDRESSES = "this director's addresses"
    CHECKS = "health checks"
    HEARTBEAT = "the heartbeat and the role"
    SYNC = "connection synchronisation"
    PROGRAMS = "programs that are run"
    MODE = "which blocks are in use"
    KEPT = "nothing: kept in the file"


WordType = type[StrEnum]


class Range:
    """Limits of a number: outside ``hard`` the kernel or the network cannot take it (error), outside ``sensible`` it is hardly meant."""

    __slots__ = ("hard", "sensible")

    def __init__(self, hard: tuple[float, float] | None, sensible: tuple[float, float] | None = None) -> None:
        self.hard = hard
        self.sensible = sensible


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """One keyword at one level.  ``default`` is the model's value when it is absent, ``screens`` what the screens offer for a new one.

    ``words``: the enumeration of a WORD.  ``always``: a new file or block names it even at its default.  ``quoted``: a new line quotes it.
    ``zero_is_none``: 0.0.0.0 means that there is none.  ``in_use``: false for one that this version keeps and does not obey yet.
    """

    name: str
    level: Level
    type: ValueType
    default: object
    meaning: str
    effect: Effect
    screens: str | None = None
    version: str = "Piranha"
    words: WordType | None = None
    range: Range | None = None
    always: bool = False
    quoted: bool = False
    zero_is_none: bool = False
    in_use: bool = True

    @property
    def default_text(self) -> str | None:
        """The default in lvs.cf's own terms, ``None`` where there is none."""
        if self.zero_is_none:
            return NO_ADDRESS
        if self.default is None:
            return None
        if isinstance(self.default, bool):
            return str(int(self.default))
        return str(self.default)


INT_MAX = 2**31 - 1
PORTS = Range((1, 65535))
PORTS_AND_NONE = Range((0, 65535))
KERNEL_TIMEOUT = Range((0, INT_MAX // 1000), (0, 31 * 86400))
MONTH = 31 * 86400
HEARTBEAT_TIMES = Range(None, (0.01, 3600))
CHECK_TIMES = Range(None, (1, 86400))
COUNTS = Range(None, (0, 1000))
WEIGHTS = Range((0, INT_MAX), (0, 65535))
PIRANHA, OURS = "Piranha", "0.1.0"

G, B, S = Level.GLOBAL, Level.BLOCK, Level.SERVER
T, F = ValueType, Effect

# A table: two lines a keyword.
# fmt: off
_GLOBAL = (
    Keyword(name="serial_no", level=G, type=T.INTEGER, default=0, screens="1", always=True, effect=F.KEPT, range=Range(None, (0, INT_MAX)),
            meaning="Edit counter; every accepted change adds one."),
    Keyword(name="primary", level=G, type=T.HOST, default=NO_ADDRESS, zero_is_none=True, effect=F.HEARTBEAT,
            meaning="The primary director's public address."),
    Keyword(name="primary_private", level=G, type=T.HOST, default=None, effect=F.HEARTBEAT,
            meaning="The primary director's address on the second heartbeat path. Absent: the public ones serve as private ones too."),
    Keyword(name="primary_shared", level=G, type=T.STRING, default=None, effect=F.KEPT,
            meaning="A shared disk, as the primary director names it."),
    Keyword(name="service", level=G, type=T.WORD, words=ServiceKind, default=ServiceKind.LVS, screens="lvs", always=True, effect=F.MODE,
            meaning="Which kind of block is in use: virtual (lvs) or failover (fos)."),
    Keyword(name="rsh_command", level=G, type=T.STRING, default="rsh", screens="ssh", effect=F.PROGRAMS,
            meaning="How lvs.cf goes to the other director: ssh or rsync."),
    Keyword(name="backup_active", level=G, type=T.BOOLEAN, default=False, screens="0", always=True, effect=F.HEARTBEAT,
            meaning="Redundancy on: there is a second director."),
    Keyword(name="backup", level=G, type=T.HOST, default=NO_ADDRESS, zero_is_none=True, effect=F.HEARTBEAT,
            meaning="The backup director's public address; 0.0.0.0 is none."),
    Keyword(name="backup_private", level=G, type=T.HOST, default=None, effect=F.HEARTBEAT,
            meaning="The backup director's address on the second heartbeat path."),
    Keyword(name="backup_shared", level=G, type=T.STRING, default=None, effect=F.KEPT,
            meaning="A shared disk, as the backup director names it."),
    Keyword(name="heartbeat", level=G, type=T.BOOLEAN, default=False, screens="1", always=True, effect=F.KEPT,
            meaning="Kept and written, as Piranha's heartbeat ignores it too."),
    Keyword(name="heartbeat_port", level=G, type=T.PORT, default=539, screens="539", always=True, range=PORTS, effect=F.HEARTBEAT,
            meaning="The UDP port of the heartbeat."),
    Keyword(name="keepalive", level=G, type=T.DECIMAL, default=2, screens="6", always=True, range=HEARTBEAT_TIMES, effect=F.HEARTBEAT,
            meaning="The interval between two heartbeats."),
    Keyword(name="deadtime", level=G, type=T.DECIMAL, default=5, screens="18", always=True, range=HEARTBEAT_TIMES, effect=F.HEARTBEAT,
            meaning="The silence after which the other director is taken for dead."),
    Keyword(name="reservation_conflict_action", level=G, type=T.WORD, words=ReservationConflictAction, default=None, effect=F.KEPT,
            meaning="What to do about a reserved shared disk."),
    Keyword(name="network", level=G, type=T.WORD, words=Forwarding, default=Forwarding.NAT, screens="nat", always=True, effect=F.TABLE,
            meaning="The forwarding method of every real server."),
    Keyword(name="nat_router", level=G, type=T.HOST_DEVICE, default=None, effect=F.ADDRESSES,
            meaning="The inner gateway address that moves with the active role, and its interface. NAT only."),
    Keyword(name="nat_nmask", level=G, type=T.MASK, default=NO_ADDRESS, screens="255.255.255.0", effect=F.ADDRESSES,
            meaning="The netmask of nat_router; 0.0.0.0 lets the director choose."),
    Keyword(name="debug_level", level=G, type=T.STRING, default="NONE", screens="NONE", always=True, effect=F.KEPT,
            meaning="Kept for Piranha."),
    Keyword(name="monitor_links", level=G, type=T.INTEGER, default=0, screens="0", always=True, range=Range(None, (0, 1)),
            effect=F.HEARTBEAT,
            meaning="1: a director with a dead network link gives up its role."),
    Keyword(name="syncdaemon", level=G, type=T.BOOLEAN, default=False, screens="0", always=True, effect=F.SYNC,
            meaning="Synchronise the connection table with the other director."),
    Keyword(name="syncd_iface", level=G, type=T.STRING, default="eth0", effect=F.SYNC,
            meaning="The interface of the synchronisation."),
    Keyword(name="syncd_id", level=G, type=T.INTEGER, default=0, effect=F.SYNC,
            meaning="The identifier of the synchronisation; its lowest 8 bits count."),
    Keyword(name="tcp_timeout", level=G, type=T.SECONDS, default=0, range=KERNEL_TIMEOUT, effect=F.TABLE,
            meaning="How long an idle TCP connection is remembered; 0 leaves the kernel's value."),
    Keyword(name="tcpfin_timeout", level=G, type=T.SECONDS, default=0, range=KERNEL_TIMEOUT, effect=F.TABLE,
            meaning="How long a closed TCP connection is remembered; 0 leaves the kernel's value."),
    Keyword(name="udp_timeout", level=G, type=T.SECONDS, default=0, range=KERNEL_TIMEOUT, effect=F.TABLE,
            meaning="How long an idle UDP connection is remembered; 0 leaves the kernel's value."),
    Keyword(name="hard_shutdown", level=G, type=T.BOOLEAN, default=True, effect=F.KEPT,
            meaning="In Piranha a dead checker ends everything. Kept and never obeyed: a dead checker is restarted."),
    Keyword(name="active_cmd", level=G, type=T.STRING, default=None, effect=F.PROGRAMS,
            meaning="The command line to run on becoming active, if agent.toml's root_commands lists it."),
    Keyword(name="inactive_cmd", level=G, type=T.STRING, default=None, effect=F.PROGRAMS,
            meaning="The command line to run on becoming standby, if agent.toml's root_commands lists it."),
    Keyword(name="ipvsadm", level=G, type=T.STRING, default="/sbin/ipvsadm", effect=F.KEPT,
            meaning="Kept for Piranha."),
    Keyword(name="sync", level=G, type=T.BOOLEAN, default=False, effect=F.KEPT,
            meaning="Kept for Piranha."),
    Keyword(name="mass_failure_hold", level=G, type=T.DECIMAL, default=0, version=OURS, range=Range(None, (0, 86400)), effect=F.CHECKS,
            meaning="How long servers stay in service when most servers of several services fail at once; 0 is off."),
    Keyword(name="virtual_mac", level=G, type=T.BOOLEAN, default=False, version=OURS, in_use=False, effect=F.ADDRESSES,
            meaning="Give the virtual addresses a hardware address of their own that both directors share."),
    Keyword(name="preempt", level=G, type=T.BOOLEAN, default=False, version=OURS, in_use=False, effect=F.HEARTBEAT,
            meaning="The primary director takes its role back when it returns."),
    Keyword(name="preempt_delay", level=G, type=T.DECIMAL, default=0, version=OURS, in_use=False, range=Range(None, (0, 86400)),
            effect=F.HEARTBEAT,
            meaning="How long the returned primary waits before it takes its role back."),
)

_BLOCK = (
    Keyword(name="active", level=B, type=T.BOOLEAN, default=False, screens="0", always=True, effect=F.TABLE,
            meaning="Whether the block is in service."),
    Keyword(name="address", level=B, type=T.HOST_DEVICE, default=None, zero_is_none=True, effect=F.ADDRESSES,
            meaning="The virtual address (VIP) and the interface alias that carries it."),
    Keyword(name="vip_nmask", level=B, type=T.MASK, default=NO_ADDRESS, screens="255.255.255.0", effect=F.ADDRESSES,
            meaning="The netmask of the virtual address; 0.0.0.0 lets the director choose."),
    Keyword(name="sorry_server", level=B, type=T.ADDRESS, default=None, zero_is_none=True, effect=F.TABLE,
            meaning="The server of last resort, at sorry_port or else the virtual server's port; 0.0.0.0 is none."),
    Keyword(name="fwmark", level=B, type=T.INTEGER, default=0, range=Range((0, 2**32 - 1)), effect=F.TABLE,
            meaning="The firewall mark that is the service. Protocol and port then matter to checks alone. 0 is none."),
    Keyword(name="port", level=B, type=T.PORT, default=80, screens="80", always=True, range=PORTS_AND_NONE, effect=F.TABLE,
            meaning="The port of the service."),
    Keyword(name="persistent", level=B, type=T.SECONDS, default=0, range=Range((0, 2**32 - 1), (0, MONTH)), effect=F.TABLE,
            meaning="How long a client stays with its real server; 0 is off."),
    Keyword(name="pmask", level=B, type=T.MASK, default=NO_ADDRESS, effect=F.TABLE,
            meaning="Which clients count as one for persistence; 0.0.0.0 is each for itself."),
    Keyword(name="send", level=B, type=T.TEXT, default=None, screens='"GET / HTTP/1.0\\r\\n\\r\\n"', quoted=True, effect=F.CHECKS,
            meaning="What the check sends."),
    Keyword(name="expect", level=B, type=T.TEXT, default=None, screens='"HTTP"', quoted=True, effect=F.CHECKS,
            meaning="What the answer must start with (* is any byte), or the regular expression it must match."),
    Keyword(name="use_regex", level=B, type=T.BOOLEAN, default=False, screens="0", always=True, effect=F.CHECKS,
            meaning="expect is a POSIX extended regular expression."),
    Keyword(name="send_program", level=B, type=T.COMMAND, default=None, quoted=True, effect=F.CHECKS,
            meaning="A program that checks instead of send; %h is the real server's address, %p its port."),
    Keyword(name="load_monitor", level=B, type=T.STRING, default="none", screens="none", always=True, effect=F.CHECKS,
            meaning="How the load that scales the weights is read: none, rup, ruptime or uptime (over ssh)."),
    Keyword(name="scheduler", level=B, type=T.WORD, words=Scheduler, default=Scheduler.WLC, screens="wlc", always=True, effect=F.TABLE,
            meaning="How a real server is chosen. sed, nq, mh, fo and ovf are ours (0.1.0)."),
    Keyword(name="protocol", level=B, type=T.WORD, words=Protocol, default=Protocol.TCP, screens="tcp", always=True, effect=F.TABLE,
            meaning="The protocol of the service. sctp is ours (0.1.0)."),
    Keyword(name="timeout", level=B, type=T.SECONDS, default=10, screens="6", always=True, range=CHECK_TIMES, effect=F.CHECKS,
            meaning="The interval between two checks, and the time limit of each."),
    Keyword(name="reentry", level=B, type=T.SECONDS, default=180, screens="15", always=True, range=Range(None, (0, 86400)), effect=F.CHECKS,
            meaning="How long a failed server must pass its checks before it comes back."),
    Keyword(name="quiesce_server", level=B, type=T.BOOLEAN, default=False, screens="0", always=True, effect=F.TABLE,
            meaning="A failed server keeps weight 0 and its connections instead of being removed."),
    Keyword(name="client_monitor", level=B, type=T.STRING, default="/usr/sbin/nanny", effect=F.KEPT,
            meaning="Kept for Piranha."),
    Keyword(name="start_cmd", level=B, type=T.COMMAND, default=None, quoted=True, effect=F.PROGRAMS,
            meaning="The command line that starts a failover service, if agent.toml's root_commands lists it."),
    Keyword(name="stop_cmd", level=B, type=T.COMMAND, default=None, quoted=True, effect=F.PROGRAMS,
            meaning="The command line that stops a failover service, if agent.toml's root_commands lists it."),
    Keyword(name="scheduler_flags", level=B, type=T.STRING, default=None, version=OURS, effect=F.TABLE,
            meaning="Flags of the scheduler, comma separated: flag-1, flag-2, flag-3, or by name sh-fallback, sh-port, "
                    "mh-fallback, mh-port."),
    Keyword(name="one_packet", level=B, type=T.BOOLEAN, default=False, version=OURS, effect=F.TABLE,
            meaning="Schedule every UDP packet on its own."),
    Keyword(name="pe", level=B, type=T.WORD, words=PersistenceEngine, default=None, version=OURS, effect=F.TABLE,
            meaning="What a client is known by to persistent instead of its address: sip is the Call-ID of SIP over UDP."),
    Keyword(name="mark_ports", level=B, type=T.STRING, default=None, version=OURS, quoted=True, effect=F.TABLE,
            meaning="Ports of the virtual address whose packets this director marks with fwmark by itself, such as 80,443/tcp or "
                    "20-21,1024-65535/tcp 53/udp. Absent: the marks are set elsewhere."),
    Keyword(name="check", level=B, type=T.WORD, words=CheckKind, default=CheckKind.AUTO, version=OURS, effect=F.CHECKS,
            meaning="The kind of check; auto follows send, expect, send_program and port as Piranha does."),
    Keyword(name="check_port", level=B, type=T.PORT_NUMBER, default=0, version=OURS, range=PORTS_AND_NONE, effect=F.CHECKS,
            meaning="The port to check; 0 is the real server's own."),
    Keyword(name="check_path", level=B, type=T.STRING, default=None, version=OURS, effect=F.CHECKS,
            meaning="The path that an HTTP check asks for. Absent: /."),
    Keyword(name="check_host", level=B, type=T.STRING, default=None, version=OURS, effect=F.CHECKS,
            meaning="The name that a check asks for: HTTP's Host, TLS's server name, that of a DNS query, the one said in SMTP's EHLO."),
    Keyword(name="check_status", level=B, type=T.STRING, default=None, version=OURS, effect=F.CHECKS,
            meaning="The status codes that an HTTP check accepts, such as 200 or 200-299,301. Absent: 200-399."),
    Keyword(name="check_record", level=B, type=T.WORD, words=DnsRecord, default=DnsRecord.A, version=OURS, effect=F.CHECKS,
            meaning="The type of record that a DNS check asks for."),
    Keyword(name="check_verify", level=B, type=T.BOOLEAN, default=False, version=OURS, effect=F.CHECKS,
            meaning="A TLS check accepts only a certificate that this director trusts, for check_host or for the server's address."),
    Keyword(name="check_cert_days", level=B, type=T.INTEGER, default=14, version=OURS, range=Range(None, (0, 3650)), effect=F.CHECKS,
            meaning="A TLS check warns when the certificate ends in fewer days; 0 never. It takes no server out."),
    Keyword(name="check_interval", level=B, type=T.DECIMAL, default=0, version=OURS, range=Range(None, (0, 86400)), effect=F.CHECKS,
            meaning="The interval between two checks; 0 is timeout's."),
    Keyword(name="check_timeout", level=B, type=T.DECIMAL, default=0, version=OURS, range=Range(None, (0, 86400)), effect=F.CHECKS,
            meaning="The time limit of a check; 0 is timeout's."),
    Keyword(name="rise", level=B, type=T.INTEGER, default=0, version=OURS, range=COUNTS, effect=F.CHECKS,
            meaning="Good checks in a row that bring a server back; 0 follows reentry."),
    Keyword(name="fall", level=B, type=T.INTEGER, default=0, version=OURS, range=COUNTS, effect=F.CHECKS,
            meaning="Failed checks in a row that take a server out; 0 is one."),
    Keyword(name="hold_down", level=B, type=T.DECIMAL, default=0, version=OURS, range=Range(None, (0, 86400)), effect=F.CHECKS,
            meaning="How long a server that fails for the second time stays out whatever it answers; each further time twice as long, "
                    "up to 64 times. 0 is off."),
    Keyword(name="slow_start", level=B, type=T.SECONDS, default=0, version=OURS, range=Range(None, (0, 86400)), effect=F.TABLE,
            meaning="How long a server that came back takes to reach its full weight; 0 is off."),
    Keyword(name="quorum", level=B, type=T.INTEGER, default=0, version=OURS, range=COUNTS, effect=F.TABLE,
            meaning="How many real servers must be up for the service to count as up; 0 is one. Below it the sorry server takes all new "
                    "connections; without one, those that are left go on."),
    Keyword(name="hysteresis", level=B, type=T.INTEGER, default=0, version=OURS, range=COUNTS, effect=F.TABLE,
            meaning="The quorum is lost this many real servers below it, and reached again this many above."),
    Keyword(name="sorry_port", level=B, type=T.PORT_NUMBER, default=0, version=OURS, range=PORTS_AND_NONE, effect=F.TABLE,
            meaning="The sorry server's port, with NAT; 0 is the virtual server's."),
)

_SERVER = (
    Keyword(name="address", level=S, type=T.HOST, default=NO_ADDRESS, zero_is_none=True, effect=F.TABLE,
            meaning="The real server's address."),
    Keyword(name="active", level=S, type=T.BOOLEAN, default=False, screens="0", always=True, effect=F.TABLE,
            meaning="Whether the real server is enabled."),
    Keyword(name="port", level=S, type=T.PORT_NUMBER, default=None, range=PORTS_AND_NONE, effect=F.TABLE,
            meaning="The real server's port. Absent: the virtual server's, as known at the line that opens the server block."),
    Keyword(name="weight", level=S, type=T.INTEGER, default=1, screens="1", always=True, range=WEIGHTS, effect=F.TABLE,
            meaning="The real server's share; 0 gives it no new connections."),
    Keyword(name="forward", level=S, type=T.WORD, words=Forwarding, default=None, version=OURS, effect=F.TABLE,
            meaning="This real server's own forwarding method. Absent: network's."),
    Keyword(name="upper_threshold", level=S, type=T.INTEGER, default=0, version=OURS, range=Range((0, INT_MAX)), effect=F.TABLE,
            meaning="No new connections above this many; 0 is no limit."),
    Keyword(name="lower_threshold", level=S, type=T.INTEGER, default=0, version=OURS, range=Range((0, INT_MAX)), effect=F.TABLE,
            meaning="New connections again below this many; 0 is three quarters of upper_threshold."),
)
# fmt: on

KEYWORDS: tuple[Keyword, ...] = (*_GLOBAL, *_BLOCK, *_SERVER)
"""All keywords: global, then virtual and failover, then server, each in the order of a new file."""

BY_LEVEL: Mapping[Level, Mapping[str, Keyword]] = {level: {k.name: k for k in KEYWORDS if k.level is level} for level in Level}
"""level → name → keyword."""

LEVEL_OF_BLOCK: Mapping[str, Level] = {"": Level.GLOBAL, "virtual": Level.BLOCK, "failover": Level.BLOCK, "server": Level.SERVER}
"""kind of block (``""``: the file itself) → level of the keywords in it."""

LEVEL_WORDS: Mapping[Level, str] = {
    Level.GLOBAL: "among the global settings",
    Level.BLOCK: "in a virtual or failover block",
    Level.SERVER: "in a server block",
}
"""How messages say where a keyword belongs."""

UNUSED: Mapping[tuple[Level, str], str] = {
    (
        Level.BLOCK,
        "expect_program",
    ): "expect_program was written by Piranha's screens and never read; its line has no effect and can be deleted",
}
"""Refused by Piranha's daemons, accepted here with a warning and unused."""

OBSOLETE: Mapping[str, str] = {
    "nmask": "nmask is no longer a keyword; the mask of a virtual address is vip_nmask, that of nat_router is nat_nmask",
    "dirs": "dirs is a leftover that Piranha refuses too; delete the line",
    "master": "master is a leftover that Piranha refuses too; the directors are primary and backup",
    "expect_program": "expect_program belongs in no block of this kind and is never used; delete the line",
}
"""Words that once were keywords, and what to say about them."""

SCHEDULER_FLAGS = ("flag-1", "flag-2", "flag-3", "sh-fallback", "sh-port", "mh-fallback", "mh-port")
LOAD_MONITORS = ("none", "rup", "ruptime", "uptime")
