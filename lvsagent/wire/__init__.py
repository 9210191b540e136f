"""The types on the agent's sockets: the HTTP API that the console and lvsctl use, and what lvsd says to pulse and nanny.

Owns shapes only; those of one subject alone are in a module of their own and offered from here.  Everything that comes off a socket is
decoded into one of these by msgspec, which checks every field's type; nothing downstream sees a raw dict.  Durations end in ``_s``; ``at``
is seconds since the epoch.
"""

from __future__ import annotations

from lvsagent.wire.base import Wire as Wire
from lvsagent.wire.doctor import DoctorFinding as DoctorFinding
from lvsagent.wire.doctor import DoctorReport as DoctorReport
from lvsagent.wire.doctor import DoctorRequest as DoctorRequest
from lvsagent.wire.doctor import DoctorResult as DoctorResult
from lvsagent.wire.explain import CheckResult as CheckResult
from lvsagent.wire.guard import GuardInfo as GuardInfo
from lvsagent.wire.guard import GuardRequest as GuardRequest
from lvsagent.wire.guard import TakeOutInfo as TakeOutInfo
from lvsagent.wire.health import Held as Held
from lvsagent.wire.health import Released as Released
from lvsagent.wire.health import ReleaseRequest as ReleaseRequest
from lvsagent.wire.history import RevisionInfo as RevisionInfo
from lvsagent.wire.history import Revisions as Revisions
from lvsagent.wire.overrides import OverrideInfo as OverrideInfo
from lvsagent.wire.overrides import OverrideRequest as OverrideRequest
from lvsagent.wire.overrides import OverridesInfo as OverridesInfo
from lvsagent.wire.pairing import PairingInfo as PairingInfo
from lvsagent.wire.pairing import PairingRequest as PairingRequest
from lvsagent.wire.rehearsals import Rehearsal as Rehearsal
from lvsagent.wire.rehearsals import RehearsalRequest as RehearsalRequest
from lvsagent.wire.rehearsals import Rehearsals as Rehearsals
from lvsagent.wire.rehearsals import RunningRehearsal as RunningRehearsal
from lvsagent.wire.sync import ConflictInfo as ConflictInfo
from lvsagent.wire.sync import ConflictText as ConflictText
from lvsagent.wire.sync import Difference as Difference
from lvsagent.wire.sync import Fingerprints as Fingerprints
from lvsagent.wire.sync import PeerReceipt as PeerReceipt
from lvsagent.wire.sync import SyncInfo as SyncInfo
from lvsagent.wire.sync import SyncRequest as SyncRequest

# --- the configuration ---------------------------------------------------------------------------------------------------------


class DiagnosticInfo(Wire, frozen=True):
    """One finding of ``app.lvscf`` (line 0: the file as a whole)."""

    severity: str
    code: str
    line: int
    message: str


class PlanStep(Wire, frozen=True):
    """One operation that a configuration leads to, in words, and the open connections it touches.

    ``action`` is add, change or remove; ``what`` is "virtual server", "real server", "address", "firewall mark", "timeouts".
    """

    action: str
    what: str
    name: str
    detail: str
    connections: int = 0


class RefusalInfo(Wire, frozen=True):
    """Something that could not be carried out: ``subject`` names the virtual server, real server or address."""

    subject: str
    reason: str


class PeerPlan(Wire, frozen=True):
    """What an lvs.cf would do on the other director; ``words`` says why that is not known (``""``: it is)."""

    node: str = ""
    steps: list[PlanStep] = []
    refusals: list[RefusalInfo] = []
    words: str = ""


class Receipt(Wire, frozen=True):
    """The answer to a PUT of lvs.cf.  With ``dry_run`` nothing was written and ``etag`` is that of the file as it stands."""

    etag: str
    serial: int
    dry_run: bool
    written: bool
    applied: bool
    steps: list[PlanStep]
    refusals: list[RefusalInfo]
    diagnostics: list[DiagnosticInfo]
    previous_etag: str = ""
    duration_s: float = 0.0
    revision: int = 0
    """The number of the revision this became; 0: none (a dry run, or nothing was written)."""
    peer: PeerReceipt | None = None
    """What became of it on the other director by now; ``None``: there is none, or nothing was written."""
    peer_plan: PeerPlan | None = None
    """With ``dry_run``: what it would do on the other director; ``None``: there is none."""
    plan: str = ""
    """Of a dry run: the fingerprint of the plan, for the PUT that follows (see ``lvsagent.core.plan_prints``)."""
    takes_out: TakeOutInfo | None = None
    """Of a dry run: what has to be confirmed because it takes much out of service at once."""


class Problem(Wire, frozen=True):
    """The body of every answer that is not 2xx.

    ``code``: stale, invalid, grown, unconfirmed, forbidden, unavailable, bad_request, too_large, not_found.  ``receipt``: with grown and
    unconfirmed, what a dry run would say now.
    """

    code: str
    message: str
    etag: str = ""
    diagnostics: list[DiagnosticInfo] = []
    receipt: Receipt | None = None


# --- the state -----------------------------------------------------------------------------------------------------------------


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


class CheckInfo(Wire, frozen=True):
    """A check and its last result.  ``state``: unknown, up, down, rising, falling.

    ``successes`` and ``failures`` are those in a row up to now: one of them is always 0.  ``warning`` takes nobody out of service.
    ``share_percent``: how much of its weight the server's agent asks for.  ``held_until``: out until then whatever it answers, since it
    failed so often.  ``kept_until``: it fails, and the mass-failure brake keeps it in until then.  Both 0: no.
    """

    key: str
    target: str
    what: str
    state: str
    reason: str = ""
    since: float = 0.0
    last_at: float = 0.0
    last_duration_s: float = 0.0
    next_in_s: float = 0.0
    successes: int = 0
    failures: int = 0
    warning: str = ""
    share_percent: int = 100
    held_until: float = 0.0
    kept_until: float = 0.0


class RealServerState(Wire, frozen=True):
    """``state``: up, down, rising, falling, inactive, unknown, failed (the data plane refused); where an operator has decided (``order``):
    draining, drained, cut, forced up, forced down.  ``weight`` is what is in force.
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


class ProcessInfo(Wire, frozen=True):
    """One of supervisor, lvsd, pulse, nanny.  ``state``: running, starting, stopped.  ``cpu`` is a share of one core (0 to 1)."""

    name: str
    state: str
    pid: int = 0
    since: float = 0.0
    restarts: int = 0
    cpu: float = 0.0
    memory_bytes: int = 0
    reason: str = ""


class AddressState(Wire, frozen=True):
    """An address pulse looks after.  ``state``: present, absent, refused."""

    address: str
    prefix: int
    interface: str
    label: str
    state: str
    reason: str = ""


class HeartbeatLinkInfo(Wire, frozen=True):
    """One way to the other director.  ``state``: up, silent (was heard once, is not any more) or never.

    ``lost`` and ``refused`` count datagrams since pulse started; ``refused_reasons`` says why each was not taken.
    """

    name: str
    local: str
    peer: str
    state: str
    heard_at: float = 0.0
    received: int = 0
    lost: int = 0
    refused: int = 0
    refused_reasons: dict[str, int] = {}


class RoleInfo(Wire, frozen=True):
    """``identity``: primary, backup, or unknown.  ``role``: active, standby, starting, stopped; with why and since when.

    ``takeover_s``: how long the other one would take to be active if this one died, from the numbers in lvs.cf.  ``late_s``: the worst
    wake-up of the last minute, with a ``late_warning`` in words when it is too late for the interval chosen.  ``key``: present, missing,
    or what is wrong with the key's file.  ``both_active_since``: 0, or since when both directors say that they are active.
    """

    identity: str
    role: str
    since: float
    reason: str
    addresses: list[AddressState] = []
    announced_at: float = 0.0
    maintenance: bool = False
    links: list[HeartbeatLinkInfo] = []
    takeover_s: float = 0.0
    late_s: float = 0.0
    late_warning: str = ""
    key: str = ""
    both_active_since: float = 0.0


class PeerInfo(Wire, frozen=True):
    """The other director as its heartbeats tell it.  ``state``: none (no backup enabled), waiting (never heard), alive, dead,
    unknown (pulse is not running).

    ``heard_at`` is 0 when it was never heard; ``up`` and ``total`` count its real servers; ``identity`` is its own.
    """

    state: str
    name: str = ""
    address: str = ""
    heard_at: float = 0.0
    serial: int = 0
    identity: str = ""
    role: str = ""
    version: str = ""
    up: int = 0
    total: int = 0
    maintenance: bool = False
    links_whole: bool = True


class DataPlaneState(Wire, frozen=True):
    """``state``: ready or unavailable (``reason`` says what is missing)."""

    kind: str
    state: str
    version: str = ""
    reason: str = ""
    connection_table_size: int = 0
    notes: list[str] = []
    tcp_timeout_s: int = 0
    tcpfin_timeout_s: int = 0
    udp_timeout_s: int = 0


class ConfigState(Wire, frozen=True):
    """lvs.cf as this agent sees it.  ``in_step``: what the file says is what the data plane has."""

    path: str
    etag: str
    serial: int
    exists: bool
    applied_etag: str
    applied_serial: int
    in_step: bool
    reason: str = ""
    errors: int = 0
    warnings: int = 0
    network: str = ""
    service: str = ""


class Alert(Wire, frozen=True):
    """A problem in words for the top of the page.

    ``severity``: error or warning; ``subject``: the virtual server's name, if it is about one.
    """

    severity: str
    code: str
    message: str
    subject: str = ""


class State(Wire, frozen=True):
    """The whole snapshot.  ``host`` is the host's name, ``at`` when it was taken."""

    at: float
    host: str
    version: str
    config: ConfigState
    role: RoleInfo
    peer: PeerInfo
    data_plane: DataPlaneState
    processes: list[ProcessInfo]
    virtual_servers: list[VirtualServerState]
    matching: int
    """How many virtual servers match the request's filter; ``virtual_servers`` holds one page of them."""
    virtual_total: int
    real_total: int
    counters: CountersInfo
    alerts: list[Alert]
    foreign: list[ForeignService] = []
    sync: SyncInfo = SyncInfo()
    guard: GuardInfo | None = None


class Event(Wire, frozen=True):
    """Something that happened.  ``kind``: server, role, config, repair, process, address, problem.  ``severity``: info, warning, error."""

    id: int
    at: float
    kind: str
    severity: str
    message: str
    subject: str = ""
    actor: str = ""


class Events(Wire, frozen=True):
    """A page of events, newest first."""

    events: list[Event]


class Checks(Wire, frozen=True):
    """A page of checks, and how many match."""

    checks: list[CheckInfo]
    matching: int


class Explanation(Wire, frozen=True):
    """A check as it stands and its last results, newest first."""

    check: CheckInfo
    results: list[CheckResult]


class TrialRequest(Wire, frozen=True):
    """TEST NOW: the check as typed, against every real server of ``virtual`` in the configuration given by ``etag``.

    Text fields as in lvs.cf (escapes not decoded), ``None`` for an absent one.  ``changes`` are other keywords of the check as lvs.cf would
    write them (``check``, ``check_port``, ``check_path`` …); those left out are as in the configuration.
    """

    etag: str
    virtual: str
    send: str | None
    expect: str | None
    use_regex: bool
    send_program: str | None
    changes: dict[str, str] = {}


class TrialResult(Wire, frozen=True):
    """One real server's answer to TEST NOW.  ``sent`` and ``received`` are shown as text with escapes, at most 1 KiB."""

    server: str
    target: str
    what: str
    ok: bool
    reason: str
    duration_s: float
    sent: str
    received: str
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    warning: str = ""


class TrialReport(Wire, frozen=True):
    """All answers, in the file's order."""

    results: list[TrialResult]


# --- two directors -------------------------------------------------------------------------------------------------------------


class FailoverRequest(Wire, frozen=True):
    """``action``: step_down, take_over, maintenance or resume; who asked and why are kept in an event."""

    action: str
    actor: str = ""
    reason: str = ""
