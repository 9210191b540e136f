"""What the agent's own processes say to each other: one JSON object a line, decoded and type-checked by msgspec.

supervisor, pulse and each nanny listen on ``runtime_dir/{supervisor,pulse,nanny,nanny-2,…}.sock``; lvsd connects, and reconnects when
one of them has been restarted.  On every new connection the listener says its whole state first, then lvsd sends its ``Configure``: both
sides can die at any moment and nothing needs to be remembered about the connection.
"""

from __future__ import annotations

import msgspec

from lvsagent.core.check_spec import CheckSpec
from lvsagent.core.known import Known, Relapses
from lvsagent.core.load_plan import LoadReading, LoadSpec
from lvsagent.wire import AddressState, CheckInfo, CheckResult, HeartbeatLinkInfo, PeerInfo, ProcessInfo


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages; the tag ``type`` is the class's name."""


# --- supervisor → lvsd ---------------------------------------------------------------------------------------------------------


class SupervisorState(Message, frozen=True):
    """The children as the supervisor sees them (itself included), sent at connect and at every change."""

    processes: list[ProcessInfo]


# --- lvsd → pulse --------------------------------------------------------------------------------------------------------------


class AddressSpec(Message, frozen=True):
    """An address that the active director carries.  ``prefix`` is a length; ``label`` the alias as in lvs.cf (``eth1:1``)."""

    address: str
    prefix: int
    interface: str
    label: str


class HeartbeatPath(Message, frozen=True):
    """A way between the directors: ``name`` is public or private; datagrams go from ``local`` to ``peer``, both on the heartbeat port."""

    name: str
    local: str
    peer: str


class PulseConfigure(Message, frozen=True):
    """All that pulse needs of lvs.cf.  pulse keeps the last one under its runtime folder, so that it can come back without lvsd.

    ``etag`` is that of the lvs.cf it was made from.  ``redundant``: a backup director is configured and enabled.
    ``forwarding_needed``: NAT is in use, so ip_forward must be on (IPv4 and, where IPv6 virtual servers exist, IPv6).
    ``active_command`` and ``inactive_command`` are argv, already checked against agent.toml's ``root_commands``; so are
    ``start_commands`` and ``stop_commands``, those of the active failover services in the file's order (``service = fos``).
    ``watched``: the interfaces whose links decide with ``monitor_links``.  ``serial``, ``up`` and ``total`` are told to the peer.
    """

    etag: str
    identity: str
    addresses: list[AddressSpec]
    forwarding_needed: list[str] = []
    active_command: list[str] = []
    inactive_command: list[str] = []
    redundant: bool = False
    keepalive_s: float = 2.0
    deadtime_s: float = 5.0
    heartbeat_port: int = 539
    paths: list[HeartbeatPath] = []
    preempt: bool = False
    preempt_delay_s: float = 0.0
    monitor_links: bool = False
    watched: list[str] = []
    virtual_mac: bool = False
    sync_enabled: bool = False
    sync_interface: str = ""
    sync_id: int = 0
    start_commands: list[list[str]] = []
    stop_commands: list[list[str]] = []
    serial: int = 0
    up: int = 0
    total: int = 0


class PulseHealth(Message, frozen=True):
    """What the peer is told of this director's work, sent whenever it changes.

    ``fit``: lvsd has a data plane that can serve; ``checks_done``: every check has run at least once since lvsd started.
    """

    serial: int
    up: int
    total: int
    fit: bool = True
    checks_done: bool = True


class PulseCommand(Message, frozen=True):
    """An operator's word: ``action`` is step_down, take_over, maintenance or resume."""

    action: str
    actor: str = ""
    reason: str = ""


class PulseAnnounce(Message, frozen=True):
    """Send the gratuitous ARP burst again, now."""


# --- pulse → lvsd --------------------------------------------------------------------------------------------------------------


class PulseState(Message, frozen=True):
    """Sent at connect and at every change; what only counts or tells ages at most a few times a second.

    ``problems`` are in words ("net.ipv4.ip_forward is 0: NAT cannot work").  The other fields are those of the API's role and peer;
    the peer's ``name`` and ``address`` are left empty.
    """

    etag: str
    role: str
    since: float
    reason: str
    addresses: list[AddressState]
    announced_at: float
    problems: list[str] = []
    maintenance: bool = False
    links: list[HeartbeatLinkInfo] = []
    takeover_s: float = 0.0
    late_s: float = 0.0
    late_warning: str = ""
    key: str = ""
    both_active_since: float = 0.0
    peer: PeerInfo = PeerInfo(state="none")


class PulseEvent(Message, frozen=True):
    """Something for the event log: ``kind`` role, address or problem."""

    at: float
    kind: str
    severity: str
    message: str
    subject: str = ""


# --- lvsd → nanny --------------------------------------------------------------------------------------------------------------


class NannyConfigure(Message, frozen=True):
    """The whole set of checks wanted of this nanny.  It keeps the state of every check whose spec is unchanged."""

    checks: list[CheckSpec]
    known: dict[str, Known] = {}
    """Health that lvsd remembers by check key, so that a restarted nanny starts where the last one ended."""
    brake_s: float = 0.0
    """For how long from now the mass-failure brake is on (0: it is not)."""


class NannyKeep(Message, frozen=True):
    """The mass-failure brake is on for so many seconds from now: these checks' servers come back, and whoever fails meanwhile stays."""

    keys: list[str]
    for_s: float


class NannyTrial(Message, frozen=True):
    """TEST NOW: run these once, beside the regular checks."""

    id: int
    checks: list[CheckSpec]


class NannyExplain(Message, frozen=True):
    """Tell the last results of this check."""

    id: int
    key: str


class NannyRelease(Message, frozen=True):
    """An operator's word: hold-downs of these checks' servers, and the brake's hold on them, end.  ``brake``: it ends for all."""

    keys: list[str]
    brake: bool = False


class NannyReadLoads(Message, frozen=True):
    """The hosts whose load is wanted of this nanny: these and no others."""

    specs: list[LoadSpec]


# --- nanny → lvsd --------------------------------------------------------------------------------------------------------------


class NannyReport(Message, frozen=True):
    """Checks that ran or changed since the last report.  State changes are sent at once, plain results at most every half second.

    ``relapses``, by check key: of those among them whose server has failed lately (with ``hold_down``), for whoever starts nanny again.
    """

    checks: list[CheckInfo]
    relapses: dict[str, Relapses] = {}


class TrialOutcome(Message, frozen=True):
    """The outcome of one check of a trial; ``reply`` at most 1 KiB."""

    key: str
    ok: bool
    duration_s: float
    reason: str
    reply: bytes
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    warning: str = ""


class NannyTrialDone(Message, frozen=True):
    """The answer to a NannyTrial."""

    id: int
    outcomes: list[TrialOutcome]


class NannyExplained(Message, frozen=True):
    """The answer to a NannyExplain, newest first; empty for a check that has not run."""

    id: int
    results: list[CheckResult]


class NannyLoads(Message, frozen=True):
    """Loads that were read, or why they could not be."""

    readings: list[LoadReading]


ToPulse = PulseConfigure | PulseHealth | PulseCommand | PulseAnnounce
FromPulse = PulseState | PulseEvent
ToWarden = NannyConfigure | NannyKeep | NannyTrial | NannyExplain | NannyRelease
ToNanny = ToWarden | NannyReadLoads
FromNanny = NannyReport | NannyTrialDone | NannyExplained | NannyLoads
FromSupervisor = SupervisorState
