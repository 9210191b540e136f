"""FakeAgent: the agent as the console sees it, over an lvs.cf in memory.

It behaves: real ETags, stale and invalid writes refused, the previous text kept for UNDO, a state derived from the configuration.  A test
turns its knobs: ``down``, ``mark_down(…)``, ``connections(…)``, ``alert(…)``, ``event(…)``, ``passive``, ``userspace``, ``refusals``.
``travels()`` and ``parts()`` say how the other director's lvs.cf stands.
``edit_outside`` makes a hand edit a revision, ``many_revisions``, ``thin`` and ``outcome`` give the history its other looks.
``pair()`` makes it one of two directors: ``failover`` then moves the role, ``peer_dies()`` and ``both_active()`` do what they say.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from app.lvscf import Loaded, Severity, diff, load
from app.lvscf.model import Config, RealServer, VirtualServer
from lvsagent.client import AgentDown, AgentRefused, ConfigText, InvalidConfig, StaleConfig
from lvsagent.core.guard import Watch, returning_text
from lvsagent.core.operator import ACTIONS, Standing, why_not
from lvsagent.core.rehearsal import LONGEST_S, SHORTEST_S, Plane, target_of
from lvsagent.core.revisions import Revision, link
from lvsagent.wire import (
    AddressState,
    Alert,
    CheckInfo,
    CheckResult,
    Checks,
    ConfigState,
    ConflictInfo,
    ConflictText,
    CountersInfo,
    DataPlaneState,
    DiagnosticInfo,
    Difference,
    DoctorReport,
    Event,
    Events,
    Explanation,
    Fingerprints,
    ForeignService,
    GuardInfo,
    HeartbeatLinkInfo,
    Held,
    LoadInfo,
    OverrideRequest,
    OverridesInfo,
    PairingInfo,
    PairingRequest,
    PeerInfo,
    PeerPlan,
    PeerReceipt,
    PlanStep,
    ProcessInfo,
    RealServerState,
    Receipt,
    RefusalInfo,
    Rehearsal,
    RehearsalRequest,
    Rehearsals,
    Released,
    RevisionInfo,
    Revisions,
    RoleInfo,
    RunningRehearsal,
    State,
    SyncInfo,
    TakeOutInfo,
    TrialReport,
    TrialRequest,
    TrialResult,
    VirtualServerState,
)
from tests.fakes.doctor import FakeDoctor
from tests.fakes.overrides import FakeOverrides
from tests.fakes.pairing import FakePairing
from tests.fakes.safety import FakeSafety

NOW = 1_790_000_000.0
"""The wall clock of every test of the console."""

TUTORIAL = """\
serial_no = 7
primary = 192.0.2.1
service = lvs
network = nat
nat_router = 10.11.12.1 eth0:1
nat_nmask = 255.255.255.0
virtual http {
     active = 1
     address = 192.0.2.100 eth1:1
     vip_nmask = 255.255.255.0
     port = 80
     send = "GET / HTTP/1.0\\r\\n\\r\\n"
     expect = "HTTP"
     scheduler = rr
     protocol = tcp
     timeout = 6
     reentry = 15
     quiesce_server = 0
     server number1 {
         address = 10.11.12.21
         active = 1
         weight = 1
     }
     server number2 {
         address = 10.11.12.22
         active = 1
         weight = 1
     }
     server number3 {
         address = 10.11.12.23
         active = 1
         weight = 1
     }
}
virtual https {
     active = 0
     address = 192.0.2.100 eth1:1
     vip_nmask = 255.255.255.0
     port = 443
     persistent = 300
     scheduler = wlc
     protocol = tcp
     timeout = 6
     reentry = 15
     server number1 {
         address = 10.11.12.21
         active = 1
         weight = 3
     }
     server number3 {
         address = 10.11.12.23
         active = 0
         weight = 1
     }
}
"""


def etag_of(text: str) -> str:
    """The ETag that the real agent would give."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass
class FakeAgent:
    """An ``lvsagent.client.Agent``."""

    text: str = TUTORIAL
    exists: bool = True
    wall: Callable[[], float] = lambda: NOW
    down: bool = False
    passive: bool = False
    """Standby: ``announce`` is refused."""
    userspace: bool = False
    host: str = "lefty"
    identity: str = "primary"
    peer: PeerInfo = field(default_factory=lambda: PeerInfo(state="none"))
    links: list[HeartbeatLinkInfo] = field(default_factory=list)
    maintenance: bool = False
    key: str = ""
    late_s: float = 0.0
    late_warning: str = ""
    both_active_since: float = 0.0
    version: str = "0.1.0"
    alerts: list[Alert] = field(default_factory=list)
    foreign: list[ForeignService] = field(default_factory=list)
    processes: list[ProcessInfo] = field(default_factory=list)
    refusals: list[RefusalInfo] = field(default_factory=list)
    """What the data plane refuses to do with the next accepted change."""
    trials: list[TrialRequest] = field(default_factory=list)
    results: dict[str, list[CheckResult]] = field(default_factory=dict)
    slow_starts: dict[str, str] = field(default_factory=dict)
    trial_results: list[TrialResult] | None = None
    loads: dict[str, LoadInfo] = field(default_factory=dict)
    holds: list[Held] = field(default_factory=list)
    """Servers that are held down or kept in service, until ``release``."""
    release_there: str = ""
    """What a release says of the other director (``""``: there is none)."""
    announced: int = 0
    failovers: list[tuple[str, str, str]] = field(default_factory=list)
    """Action, actor and reason of every accepted ``failover``."""
    measured: list[Rehearsal] = field(default_factory=list)
    """The rehearsals, oldest first."""
    rehearsing: RunningRehearsal | None = None
    rehearsal_failure: str = ""
    asked: list[str] = field(default_factory=list)
    """The names of the methods called, in order."""
    actors: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    sync_now: SyncInfo = field(default_factory=SyncInfo)
    """How the other director's lvs.cf stands to this one's; ``travels()`` and ``parts()`` make it so."""
    sync_asked: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    """What ``joins`` said in every accepted change that joined something."""
    foreign_blocks: str = ""
    conflict_now: ConflictInfo | None = None
    safety: FakeSafety = field(default_factory=FakeSafety)
    """Plans that grow, large changes, and the guard."""

    def __post_init__(self) -> None:
        self._previous: str | None = None
        self._health: dict[tuple[str, str], tuple[str, str]] = {}
        self._counters: dict[tuple[str, str], CountersInfo] = {}
        self._events: list[Event] = []
        self._loaded: tuple[str, Loaded] | None = None
        self._revisions: list[tuple[RevisionInfo, str]] = []
        self.desk = FakePairing(self.wall)
        self.orders = FakeOverrides(self.wall)
        self.room = FakeDoctor(self.wall)
        self.decided: list[OverrideRequest] = []
        if self.exists:
            self._remember(self.config_now.globals.serial_no, "", "start", "", [])
        if not self.processes:
            self.processes = [_process(name, index) for index, name in enumerate(("supervisor", "lvsd", "pulse", "nanny"))]
        self.event("role", f"{self.host} became active: no backup is configured")

    # --- knobs ---

    def mark(self, virtual: str, server: str, state: str, reason: str = "") -> None:
        """Put a real server into a state."""
        self._health[virtual, server] = (state, reason)

    def mark_down(self, virtual: str, server: str, reason: str = "connection refused") -> None:
        """A real server fails its checks."""
        self.mark(virtual, server, "down", reason)

    def count(self, virtual: str, server: str, counters: CountersInfo) -> None:
        """Give a real server (or, with ``""``, a virtual server) these counters."""
        self._counters[virtual, server] = counters

    def alert(self, message: str, subject: str = "", severity: str = "error", code: str = "test") -> None:
        """A problem for the top of the page."""
        self.alerts.append(Alert(severity=severity, code=code, message=message, subject=subject))

    def event(self, kind: str, message: str, *, severity: str = "info", subject: str = "", actor: str = "", at: float = 0.0) -> None:
        """Something happened."""
        number = len(self._events) + 1
        moment = at or self.wall() - 60
        self._events.append(Event(id=number, at=moment, kind=kind, severity=severity, message=message, subject=subject, actor=actor))

    def edit_by_hand(self, text: str) -> None:
        """Somebody edits lvs.cf on the router: no previous text, no event."""
        self.text = text

    def edit_outside(self, text: str) -> None:
        """A hand edit that the agent has found, checked and made a revision."""
        changes = [change.words for change in diff(self.config_now, self._load(text).config)]
        self._previous, self.text, self.exists = self.text, text, True
        self._remember(self.config_now.globals.serial_no, "", "outside", "", changes)

    def many_revisions(self, count: int) -> None:
        """So many more accepted changes, each of one weight and the serial."""
        for _ in range(count):
            serial = self.config_now.globals.serial_no
            weight = f"weight = {serial % 9 + 1}"
            text = self.text.replace(f"serial_no = {serial}\n", f"serial_no = {serial + 1}\n")
            self.text = text.replace(f"weight = {(serial - 1) % 9 + 1}", weight, 1)
            said = f"real server number1 of http: {weight}"
            self._remember(serial + 1, "piranha", "console", said, [said])

    def forget_history(self) -> None:
        """There is no revision (yet)."""
        self._revisions = []

    def thin(self, number: int) -> None:
        """Only the line about this revision is left, not its text."""
        self._alter(number, kept=False)

    def outcome(self, number: int, outcome: str, words: str = "") -> None:
        """What came of this revision."""
        self._alter(number, outcome=outcome, outcome_words=words)

    def _alter(self, number: int, **changes: object) -> None:
        self._revisions = [
            (msgspec.structs.replace(info, **changes), text) if info.number == number else (info, text) for info, text in self._revisions
        ]

    def pair(self, *, private: bool = True) -> None:
        """A backup is enabled, its heartbeats are heard, and it stands by (or is active, where this one is ``passive``)."""
        primary = self.identity == "primary"
        self.peer = PeerInfo(
            state="alive",
            name="righty" if primary else "lefty",
            address="192.0.2.2" if primary else "192.0.2.1",
            heard_at=self.wall(),
            serial=self.config_now.globals.serial_no,
            identity="backup" if primary else "primary",
            role="active" if self.passive else "standby",
            version=self.version,
            up=3,
            total=3,
        )
        networks = [("public", "192.0.2"), *([("private", "10.11.12")] if private else [])]
        ours, theirs = (1, 2) if primary else (2, 1)
        self.links = [
            HeartbeatLinkInfo(
                name=name, local=f"{network}.{ours}", peer=f"{network}.{theirs}", state="up", heard_at=self.wall(), received=17_280
            )
            for name, network in networks
        ]
        self.key = "present"

    def link_silent(self, name: str) -> None:
        """Nothing is heard on this link any more."""
        self.links = [
            msgspec.structs.replace(one, state="silent", heard_at=self.wall() - 40) if one.name == name else one for one in self.links
        ]

    def peer_dies(self) -> None:
        """No link carries its heartbeats any more; this director is active, if it may be."""
        self.peer = msgspec.structs.replace(self.peer, state="dead", heard_at=self.wall() - 5)
        for one in self.links:
            self.link_silent(one.name)
        self.passive = self.maintenance

    def both_active(self) -> None:
        """Each director says that it is active."""
        self.passive = False
        self.both_active_since = self.wall() - 3
        self.peer = msgspec.structs.replace(self.peer, role="active")

    def travels(self, state: str = "in_step", *, behind: int = 0, words: str = "", differences: tuple[Difference, ...] = ()) -> None:
        """The two are paired for lvs.cf, and this is how they stand."""
        etag = etag_of(self.text)
        here = Fingerprints(file=etag, applied=etag, serial=self.config_now.globals.serial_no, table="7" * 64, table_read="7" * 64)
        equal = state == "in_step" and not differences
        there = here if state == "in_step" else msgspec.structs.replace(here, file="8" * 64, applied="8" * 64, serial=here.serial - behind)
        self.sync_now = SyncInfo(
            state=state,
            words=words or f"righty: {state}",
            since=self.wall() - 90,
            reachable=state != "unknown",
            answered_at=self.wall() - 1,
            behind=behind,
            peer_node="righty",
            here=here,
            peer=None if state == "unknown" else there,
            equal=equal,
            equal_since=self.wall() - 90 if equal else 0.0,
            differences=list(differences),
        )

    def parts(self, base: str, there: str) -> None:
        """lvs.cf was edited here and on righty since it said ``base``."""
        words = "lvs.cf was edited here and on righty while they were apart: both are kept, and neither is overwritten"
        found = Difference(code="diverged", words="lvs.cf was edited on both directors while they were apart", since=self.wall() - 90)
        self.travels("diverged", words=words, differences=(found,))
        self.conflict_now = ConflictInfo(
            base=self._version(base, "", "lefty"), here=self._version(self.text, "a", self.host), there=self._version(there, "b", "righty")
        )

    def _version(self, text: str, letter: str, node: str) -> ConflictText:
        serial = self._load(text).config.globals.serial_no
        etag = etag_of(text)
        data = text.encode("utf-8", "surrogateescape")
        return ConflictText(head=(letter or "0") * 64, etag=etag, serial=serial, node=node, actor="ann", at=self.wall() - 300, text=data)

    @property
    def config_now(self) -> Config:
        """What lvs.cf means now."""
        return self._load(self.text).config

    # --- the Agent protocol ---

    def config(self) -> ConfigText:
        self._reach("config")
        return ConfigText(self.text, etag_of(self.text), self.exists)

    def previous_config(self) -> ConfigText | None:
        self._reach("previous_config")
        return None if self._previous is None else ConfigText(self._previous, etag_of(self._previous))

    def history(self, *, limit: int = 50, before: int = 0) -> Revisions:
        self._reach("history")
        newest = [info for info, _text in reversed(self._revisions)]
        found = [info for info in newest if not before or info.number < before][:limit]
        return Revisions(revisions=found, total=len(newest))

    def revision_text(self, number: int) -> ConfigText | None:
        self._reach("revision_text")
        found = next(((info, text) for info, text in self._revisions if info.number == number and info.kept), None)
        return None if found is None else ConfigText(found[1], etag_of(found[1]))

    def sync(self) -> SyncInfo:
        self._reach("sync")
        return self.sync_now

    def sync_action(self, action: str, *, actor: str = "") -> SyncInfo:
        self._reach("sync_action")
        if action not in {"now", "adopt", "restore", "reconcile"}:
            raise AgentRefused("bad_request", f"action is one of now, adopt, restore, reconcile, not {action}")
        self.sync_asked.append(action)
        return self.sync_now

    def conflict(self) -> ConflictInfo | None:
        self._reach("conflict")
        return self.conflict_now

    def foreign_text(self) -> str:
        self._reach("foreign_text")
        return self.foreign_blocks

    def put_config(
        self,
        text: str,
        *,
        if_match: str,
        comment: str = "",
        actor: str = "",
        dry_run: bool = False,
        origin: str = "",
        plan: str = "",
        confirm: str = "",
        guard_s: float = 0.0,
        joins: str = "",
    ) -> Receipt:
        self._reach("put_config")
        before = etag_of(self.text)
        if if_match != before:
            raise StaleConfig("lvs.cf has changed since it was read.", before)
        found = self._load(text)
        diagnostics = [_info(one) for one in found.diagnostics]
        errors = sum(one.severity is Severity.ERROR for one in found.diagnostics)
        if errors:
            raise InvalidConfig(f"lvs.cf would have {errors} errors.", diagnostics)
        if joins and (self.conflict_now is None or joins != self.conflict_now.there.head):
            raise AgentRefused("unavailable", "the other director's lvs.cf is another one by now: look at both again; nothing was written")
        steps = [*(_step(change.words) for change in diff(self.config_now, found.config)), *self.safety.grows]
        refusals, serial = list(self.refusals), found.config.globals.serial_no
        receipt = Receipt(
            etag=before if dry_run else etag_of(text),
            serial=serial,
            dry_run=dry_run,
            written=not dry_run,
            applied=not dry_run and not refusals,
            steps=steps,
            refusals=refusals,
            diagnostics=diagnostics,
            previous_etag=before,
            duration_s=0.012,
            peer_plan=PeerPlan(node="righty", steps=steps) if dry_run and self.sync_now.state == "in_step" else None,
        )
        shown = _shown(receipt, before, self.safety.show(steps), self.safety.takes_out(self.config_now, found.config))
        if dry_run:
            return shown
        if origin != "guard":
            self.safety.check(shown, plan, confirm)
            if guard_s:
                self._watch(text, actor, comment, guard_s)
        self.actors.append(actor)
        self.comments.append(comment)
        changes = [change.words for change in diff(self.config_now, found.config)]
        self._previous, self.text, self.exists = self.text, text, True
        self._remember(serial, actor, origin or "console", comment, changes)
        self.event("config", f"serial {serial} accepted: {comment}", actor=actor, at=self.wall())
        if joins:
            self.joined.append(joins)
            self.conflict_now = None
        if self.sync_now.state in {"in_step", "diverged"}:
            self.travels()
        return msgspec.structs.replace(receipt, revision=len(self._revisions), peer=self._peer_receipt())

    def _peer_receipt(self) -> PeerReceipt | None:
        now = self.sync_now
        if now.state == "none":
            return None
        if now.state == "in_step":
            words = f"applied on {now.peer_node}, serial {now.here.serial}"
            return PeerReceipt(state="applied", words=words, etag=now.here.applied, serial=now.here.serial, waited_s=0.02)
        return PeerReceipt(state=now.state, words=now.words, behind=now.behind)

    def state(
        self, *, virtual: str = "", search: str = "", page: int = 1, per_page: int = 50, servers: bool = False, sort: str = ""
    ) -> State:
        self._reach("state")
        self.safety.look(etag_of(self.text), self.wall(), self._go_back)
        loaded = self._load(self.text)
        everyone = [self._virtual(one, loaded.config) for one in loaded.config.virtual]
        found = [one for one in everyone if (not virtual or one.name == virtual) and _matches(one, search)]
        found.sort(key=_ORDERS.get(sort, lambda _one: 0))
        shown = found[(page - 1) * per_page : page * per_page]
        if not servers:
            shown = [_replace(one, real_servers=[]) for one in shown]
        return State(
            at=self.wall(),
            host=self.host,
            version=self.version,
            config=self._config_state(loaded),
            role=self._role(loaded.config),
            peer=self.peer,
            data_plane=self._data_plane(loaded.config),
            processes=list(self.processes),
            virtual_servers=shown,
            matching=len(found),
            virtual_total=len(everyone),
            real_total=sum(len(one.real_servers) for one in everyone),
            counters=_sum([one.counters for one in everyone]),
            alerts=list(self.alerts),
            foreign=list(self.foreign),
            sync=self.sync_now,
            guard=self.safety.info(self.wall()),
            decided=len(self.orders.infos().overrides),
        )

    def guard(self, action: str, *, actor: str = "", etag: str = "") -> GuardInfo:
        self._reach("guard")
        return self.safety.act(action, actor, etag, self.wall(), self._go_back)

    def events(self, *, limit: int = 20, before: int = 0) -> Events:
        self._reach("events")
        newest = sorted(self._events, key=lambda one: -one.id)
        return Events(events=[one for one in newest if not before or one.id < before][:limit])

    def checks(self, *, virtual: str = "", page: int = 1, per_page: int = 50) -> Checks:
        self._reach("checks")
        config = self.config_now
        found = [
            self._check(one, server)
            for one in config.virtual
            for server in one.servers
            if one.active and server.active and virtual in {"", one.name}
        ]
        return Checks(checks=found[(page - 1) * per_page : page * per_page], matching=len(found))

    def explain(self, key: str) -> Explanation:
        self._reach("explain")
        found = next((check for check in self.checks(per_page=1000).checks if check.key == key), None)
        if found is None:
            raise AgentRefused("not_found", f"there is no check {key}")
        slow_start, load = self.slow_starts.get(key, ""), self.loads.get(key)
        return Explanation(check=found, results=self.results.get(key, []), slow_start=slow_start, load=load)

    def release(self, key: str = "", *, actor: str = "") -> Released:
        self._reach("release")
        known = {f"{virtual.name}/{server.name}" for virtual in self.config_now.virtual for server in virtual.servers}
        if key and key not in known:
            raise AgentRefused("not_found", f"there is no check {key}")
        gone = [one for one in self.holds if key in {"", one.key}]
        self.holds = [one for one in self.holds if one not in gone]
        held, kept = ([one.key for one in gone if one.kept is so] for so in (False, True))
        return Released(held=held, kept=kept, there=[*held, *kept] if self.release_there else [], peer=self.release_there)

    def trial(self, request: TrialRequest) -> TrialReport:
        self._reach("trial")
        if request.etag != etag_of(self.text):
            raise StaleConfig("lvs.cf has changed since it was read.", etag_of(self.text))
        self.trials.append(request)
        if self.trial_results is not None:
            return TrialReport(results=self.trial_results)
        found = next((one for one in self.config_now.virtual if one.name == request.virtual), None)
        if found is None:
            raise AgentRefused("not_found", f"there is no virtual server {request.virtual}")
        return TrialReport(results=[self._trial_result(found, server, request) for server in found.servers])

    def doctor(self, virtual: str) -> DoctorReport:
        self._reach("doctor")
        return self.room.report(virtual, etag_of(self.text))

    def examine(self, virtual: str, *, actor: str = "") -> DoctorReport:
        self._reach("examine")
        if self.userspace:
            raise AgentRefused(
                "unavailable", "the demonstration data plane passes connections on by itself: real servers need nothing for it"
            )
        return self.room.examine(virtual, actor, self.config_now, etag_of(self.text))

    def pairing(self) -> PairingInfo:
        self._reach("pairing")
        return self.desk.now

    def change_pairing(self, request: PairingRequest) -> PairingInfo:
        self._reach("change_pairing")
        return self.desk.change(request)

    def announce(self) -> None:
        self._reach("announce")
        if self.passive:
            raise AgentRefused("unavailable", "This director is not active, so it has no addresses to announce.")
        self.announced += 1

    def failover(self, action: str, *, actor: str = "", reason: str = "") -> None:
        self._reach("failover")
        if action not in ACTIONS:
            raise AgentRefused("bad_request", f"action is one of {', '.join(ACTIONS)}, not {action}")
        standing = Standing(
            redundant=self.peer.state != "none",
            role="standby" if self.passive else "active",
            maintenance=self.maintenance,
            peer=self.peer.state,
            peer_maintenance=self.peer.maintenance,
        )
        if reason_against := why_not(action, standing):
            raise AgentRefused("unavailable", reason_against)
        self.failovers.append((action, actor, reason))
        self.event("role", f"{action} was asked for" + (f": {reason}" if reason else ""), actor=actor, at=self.wall())
        if action in {"maintenance", "resume"}:
            self.maintenance = action == "maintenance"
        if action in {"step_down", "take_over"} or self.maintenance:
            self.passive = action != "take_over"
            self.peer = msgspec.structs.replace(self.peer, role="active" if self.passive else "standby")

    def overrides(self) -> OverridesInfo:
        self._reach("overrides")
        return self.orders.infos()

    def override(self, request: OverrideRequest) -> OverridesInfo:
        self._reach("override")
        found = self.orders.act(request, self.config_now)
        self.decided.append(request)
        return found

    def rehearsals(self) -> Rehearsals:
        self._reach("rehearsals")
        return Rehearsals(rehearsals=self.measured[::-1], running=self.rehearsing, failure=self.rehearsal_failure)

    def add_rehearsal(self, rehearsal: Rehearsal) -> None:
        self._reach("add_rehearsal")
        self.measured.append(rehearsal)

    def rehearse(self, request: RehearsalRequest) -> None:
        self._reach("rehearse")
        if self.rehearsing is not None:
            raise AgentRefused("unavailable", f"{self.rehearsing.target} is being measured already")
        if not SHORTEST_S <= request.seconds <= LONGEST_S:
            raise AgentRefused("bad_request", f"seconds is from {SHORTEST_S:g} to {LONGEST_S:g}, not {request.seconds:g}")
        target, reason = target_of(self.config_now, request.virtual, Plane(self.userspace))
        if reason:
            raise AgentRefused("bad_request", reason)
        if request.trigger and not self.passive and not request.although_active:
            raise AgentRefused("unavailable", "this director is active: measure on the standby")
        if request.trigger:
            self.failover("take_over" if self.passive else "step_down", actor=request.actor, reason="rehearsal")
        self.rehearsing, self.rehearsal_failure = (
            RunningRehearsal(
                target=target, began_at=self.wall(), duration_s=request.seconds, triggered=request.trigger, actor=request.actor
            ),
            "",
        )

    def rehearsal_ends(self, gap_s: float = 0.14, failure: str = "") -> None:
        """The one that runs is measured, or came to nothing."""
        assert self.rehearsing is not None
        running, self.rehearsing, self.rehearsal_failure = self.rehearsing, None, failure
        if failure:
            return
        found = Rehearsal(
            target=running.target,
            began_at=running.began_at,
            duration_s=running.duration_s,
            interval_s=0.02,
            limit_s=0.1,
            requests=int(running.duration_s / 0.02),
            failed=0,
            longest_gap_s=gap_s,
            triggered=running.triggered,
            moved_from=self.host if self.passive else self.peer.name,
            actor=running.actor,
            host=self.host,
        )
        self.measured.append(found)

    def table_text(self, *, rules: bool = False) -> str:
        self._reach("table_text")
        if rules:
            lines = [f"-A -t {_where(one)} -s {one.scheduler}" for one in self.config_now.virtual if one.active]
        else:
            lines = ["IP Virtual Server version 1.2.1 (size=4096)", "Prot LocalAddress:Port Scheduler Flags"]
            lines += [f"TCP  {_where(one)} {one.scheduler}" for one in self.config_now.virtual if one.active]
        return "\n".join(lines) + "\n"

    def _watch(self, text: str, actor: str, comment: str, guard_s: float) -> None:
        now, before = self.wall(), self.config_now.globals.serial_no
        self.safety.watch(
            Watch(
                etag=etag_of(text),
                serial=before + 1,
                actor=actor,
                comment=comment,
                previous=self.text.encode("utf-8", "surrogateescape"),
                previous_etag=etag_of(self.text),
                previous_serial=before,
                began_at=now,
                guard_s=guard_s,
                deadline=now + guard_s,
                deadline_at=now + guard_s,
                boot="",
            )
        )

    def _go_back(self, reason: str) -> tuple[str, int]:
        assert self.safety.machine is not None
        watch = self.safety.machine.watch
        text = returning_text(watch.previous, watch.serial + 1).decode("utf-8", "surrogateescape")
        receipt = self.put_config(text, if_match=etag_of(self.text), comment=f"guard: {reason}", actor="guard", origin="guard")
        return receipt.etag, receipt.serial

    # --- how the state comes out of the configuration ---

    def _reach(self, method: str) -> None:
        self.asked.append(method)
        if self.down:
            raise AgentDown("No agent listens on /run/lvsagent/agent.sock.")

    def _remember(self, serial: int, actor: str, origin: str, comment: str, changes: list[str]) -> None:
        last = self._revisions[-1][0] if self._revisions else None
        revision = link(
            Revision(
                parent=last.id if last else "",
                etag=etag_of(self.text),
                serial=serial,
                at=self.wall() - 60,
                node=self.host,
                actor=actor,
                origin=origin,
                comment=comment,
            )
        )
        outcome = "failed" if self.refusals else "applied"
        info = RevisionInfo(number=len(self._revisions) + 1, changes=changes, outcome=outcome, **asdict(revision))
        self._revisions.append((info, self.text))

    def _load(self, text: str) -> Loaded:
        if self._loaded is None or self._loaded[0] != text:
            self._loaded = (text, load(text))
        return self._loaded[1]

    def _virtual(self, one: VirtualServer, config: Config) -> VirtualServerState:
        real = [self._real(one, server, config) for server in one.servers]
        real = [msgspec.structs.replace(server, **self.orders.shown(one.name, server)) for server in real]
        up = sum(server.state in {"up", "falling", "forced up"} for server in real)
        forced = self._health.get((one.name, ""))
        state = "inactive" if not one.active else "up" if up else "down"
        return VirtualServerState(
            name=one.name,
            address="" if one.fwmark else one.address.host if one.address else "0.0.0.0",
            port=0 if one.fwmark else one.port,
            protocol=one.protocol.value,
            fwmark=one.fwmark,
            scheduler=one.scheduler.value,
            device=one.address.device if one.address else "",
            netmask=one.vip_nmask,
            forwarding="proxy" if self.userspace else config.globals.network.value,
            persistent_s=one.persistent,
            state=forced[0] if forced else state,
            reason=forced[1] if forced else "",
            up=up,
            enabled=sum(server.active for server in one.servers),
            total=len(real),
            sorry=one.active and not up and bool(one.sorry_server),
            listens=f"127.0.0.100:{one.port + 8000}" if self.userspace and one.active else "",
            counters=self._counters.get((one.name, "")) or _sum([server.counters for server in real]),
            real_servers=real,
        )

    def _real(self, one: VirtualServer, server: RealServer, config: Config) -> RealServerState:
        on = one.active and server.active
        state, reason = self._health.get((one.name, server.name), ("up", "")) if on else ("inactive", "")
        in_force = server.weight if state in {"up", "falling"} else 0 if one.quiesce_server and on else None
        busy = state == "up"
        load = self.loads.get(f"{one.name}/{server.name}")
        if load is not None and load.share_percent < 100:
            in_force, reason = round((in_force or 0) * load.share_percent / 100), "; ".join(filter(None, (reason, load.words)))
        return RealServerState(
            name=server.name,
            address=server.address,
            port=server.port or one.port,
            state=state,
            weight=in_force,
            configured_weight=server.weight,
            forwarding="proxy" if self.userspace else config.globals.network.value,
            reason=reason,
            since=self.wall() - 120 if on else 0.0,
            counters=self._counters.get((one.name, server.name)) or (_traffic(f"{one.name}/{server.name}") if busy else CountersInfo()),
            held=next((hold for hold in self.holds if hold.key == f"{one.name}/{server.name}"), None),
            load=load,
        )

    def _check(self, one: VirtualServer, server: RealServer) -> CheckInfo:
        state, reason = self._health.get((one.name, server.name), ("up", ""))
        return CheckInfo(
            key=f"{one.name}/{server.name}",
            target=f"{server.address}:{server.port or one.port}",
            what="sends a request, expects HTTP" if one.send else "connects",
            state=state,
            reason=reason,
            since=self.wall() - 120,
            last_at=self.wall() - 2,
            last_duration_s=0.0031,
            next_in_s=4.0,
            successes=0 if state == "down" else 40,
            failures=40 if state == "down" else 0,
        )

    def _trial_result(self, one: VirtualServer, server: RealServer, request: TrialRequest) -> TrialResult:
        state, reason = self._health.get((one.name, server.name), ("up", ""))
        return TrialResult(
            server=server.name,
            target=f"{server.address}:{server.port or one.port}",
            what="sends a request" if request.send else "connects",
            ok=state != "down",
            reason=reason or "the answer begins as expected",
            duration_s=0.004,
            sent=request.send or "",
            received="" if state == "down" else "HTTP/1.0 200 OK\\r\\n",
        )

    def _config_state(self, loaded: Loaded) -> ConfigState:
        etag, settings = etag_of(self.text), loaded.config.globals
        return ConfigState(
            path="/etc/sysconfig/ha/lvs.cf",
            etag=etag,
            serial=settings.serial_no,
            exists=self.exists,
            applied_etag=etag,
            applied_serial=settings.serial_no,
            in_step=True,
            errors=sum(one.severity is Severity.ERROR for one in loaded.diagnostics),
            warnings=sum(one.severity is Severity.WARNING for one in loaded.diagnostics),
            network=settings.network.value,
            service=settings.service.value,
        )

    def _role(self, config: Config) -> RoleInfo:
        addresses = {
            one.address.host: AddressState(
                address=one.address.host, prefix=24, interface=one.address.interface, label=one.address.device, state="present"
            )
            for one in config.virtual
            if one.active and one.address
        }
        lone = self.peer.state == "none"
        role, reason = (
            ("standby", "the peer is active") if self.passive else ("active", "no backup is configured" if lone else "started first")
        )
        return RoleInfo(
            identity=self.identity,
            role=role,
            since=self.wall() - 17_280,
            reason=reason,
            addresses=[] if self.passive else list(addresses.values()),
            announced_at=self.wall() - 30,
            maintenance=self.maintenance,
            links=list(self.links),
            takeover_s=0.0 if lone else config.globals.deadtime + config.globals.keepalive,
            late_s=self.late_s,
            late_warning=self.late_warning,
            key=self.key,
            both_active_since=self.both_active_since,
        )

    def _data_plane(self, config: Config) -> DataPlaneState:
        return DataPlaneState(
            kind="userspace" if self.userspace else "kernel",
            state="ready",
            version="" if self.userspace else "1.2.1",
            connection_table_size=0 if self.userspace else 4096,
            tcp_timeout_s=config.globals.tcp_timeout or 900,
            tcpfin_timeout_s=config.globals.tcpfin_timeout or 120,
            udp_timeout_s=config.globals.udp_timeout or 300,
        )


_ORDERS: dict[str, Callable[[VirtualServerState], Any]] = {
    "name": lambda one: one.name,
    "state": lambda one: ("failed", "down", "up", "inactive").index(one.state) if one.state in {"failed", "down", "up", "inactive"} else 9,
    "connections": lambda one: -one.counters.active,
    "rate": lambda one: -one.counters.connections_per_s,
}


def _process(name: str, index: int) -> ProcessInfo:
    return ProcessInfo(name=name, state="running", pid=800 + index, since=NOW - 17_280, cpu=0.001 * index, memory_bytes=(20 + index) << 20)


def _traffic(key: str) -> CountersInfo:
    """Believable numbers, the same for the same name each time."""
    seed = zlib.crc32(key.encode("utf-8", "surrogateescape")) % 97
    history = [float((seed * step) % 37 + seed) for step in range(60)]
    return CountersInfo(
        connections=seed * 1000,
        packets_in=seed * 9000,
        packets_out=seed * 8000,
        bytes_in=seed * 900_000,
        bytes_out=seed * 8_000_000,
        active=seed,
        inactive=seed * 3,
        connections_per_s=history[-1],
        packets_per_s=history[-1] * 9,
        bytes_per_s=history[-1] * 9000,
        history=history,
    )


def _sum(parts: list[CountersInfo]) -> CountersInfo:
    names = [name for name in CountersInfo.__struct_fields__ if name != "history"]
    totals = {name: sum(getattr(part, name) for part in parts) for name in names}
    history = [sum(values) for values in zip(*(part.history for part in parts if part.history), strict=False)]
    return CountersInfo(**totals, history=history)


def _matches(one: VirtualServerState, search: str) -> bool:
    wanted = search.casefold()
    words = [one.name, one.address, *(word for server in one.real_servers for word in (server.name, server.address))]
    return any(wanted in word.casefold() for word in words)


def _replace(one: VirtualServerState, **changes: object) -> VirtualServerState:
    values = {name: getattr(one, name) for name in one.__struct_fields__}
    return VirtualServerState(**{**values, **changes})


def _info(one: object) -> DiagnosticInfo:
    severity = str(one.severity.value)  # type: ignore[attr-defined]
    return DiagnosticInfo(severity=severity, code=one.code, line=one.line, message=one.message)  # type: ignore[attr-defined]


def _step(words: str) -> PlanStep:
    return PlanStep(action="change", what="virtual server", name="", detail=words)


def _shown(receipt: Receipt, etag: str, plan: str, takes_out: TakeOutInfo | None) -> Receipt:
    """What a dry run says of a change."""
    return msgspec.structs.replace(receipt, etag=etag, dry_run=True, written=False, applied=False, plan=plan, takes_out=takes_out)


def _where(one: VirtualServer) -> str:
    return f"{one.address.host if one.address else '0.0.0.0'}:{one.port}"
