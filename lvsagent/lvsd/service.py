"""lvsd as the API sees it: the director's and the snapshot's answers under one roof."""

from __future__ import annotations

from lvsagent.adapters.doctor_room import DoctorRoom
from lvsagent.api.contract import NotFound, Question, Unavailable, Write
from lvsagent.core.ipvsadm_text import listing
from lvsagent.core.ipvsadm_text import rules as as_rules
from lvsagent.core.table import Table
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.doctor import Doctor
from lvsagent.lvsd.rehearsals import rehearsal_words
from lvsagent.lvsd.rehearser import Rehearser
from lvsagent.lvsd.release import release_on_both
from lvsagent.lvsd.snapshot import Snapshot
from lvsagent.lvsd.trial import run_trial
from lvsagent.ports import ConfigFile, Examiner
from lvsagent.wire import (
    Checks,
    ConflictInfo,
    DoctorReport,
    DoctorRequest,
    Events,
    Explanation,
    FailoverRequest,
    GuardInfo,
    GuardRequest,
    OverrideRequest,
    OverridesInfo,
    PairingInfo,
    PairingRequest,
    Receipt,
    Rehearsal,
    RehearsalRequest,
    Rehearsals,
    Released,
    ReleaseRequest,
    RevisionInfo,
    Revisions,
    State,
    SyncInfo,
    SyncRequest,
    TrialReport,
    TrialRequest,
)

OLDEST_TABLE_S = 0.5


class LvsdService:
    """Each method is one route of the API."""

    def __init__(self, director: Director, examiner: Examiner | None = None) -> None:
        """``examiner``: without one nobody can look at real servers."""
        self._director = director
        self._doctor = Doctor(director, examiner or DoctorRoom(None))
        self._snapshot = Snapshot(director)
        self._rehearser = Rehearser(director)
        self._printed: Table = {}
        self._texts: dict[bool, str] = {}

    def file(self) -> ConfigFile:
        """lvs.cf as it stands."""
        return self._director.file()

    def previous(self) -> ConfigFile:
        """What stood there before the last accepted change."""
        return self._director.previous()

    async def put(self, write: Write) -> Receipt:
        """Write and apply, or say what that would do."""
        if write.other_parent and write.other_parent != self._director.sync.joinable():
            raise Unavailable("the other director's lvs.cf is another one by now: look at both again; nothing was written")
        return await self._director.put(write)

    async def peer(self, line: bytes) -> bytes:
        """A request of the other director."""
        return await self._director.sync.answer(line)

    def sync(self) -> SyncInfo:
        """How the other director's lvs.cf stands to this one's."""
        return self._director.both.info()

    async def sync_action(self, request: SyncRequest) -> SyncInfo:
        """Compare, adopt, restore, reconcile."""
        return await self._director.both.act(request)

    def conflict(self) -> ConflictInfo:
        """The three texts of a conflict."""
        return self._director.both.conflict()

    def foreign_text(self) -> str:
        """What lvs.cf does not name, as blocks of an lvs.cf."""
        return self._director.both.foreign_text()

    async def history(self, limit: int, before: int) -> Revisions:
        """A page of revisions, newest first."""
        return await self._director.history.page(limit, before)

    async def revision(self, number: int) -> RevisionInfo:
        """One of them."""
        return await self._director.history.revision(number)

    async def revision_text(self, number: int) -> ConfigFile:
        """lvs.cf as it left it."""
        return await self._director.history.text(number)

    def state(self, question: Question) -> State:
        """The snapshot with one page of virtual servers."""
        return self._snapshot.state(question)

    def events(self, limit: int, before: int) -> Events:
        """The newest events, newest first."""
        return Events(events=self._director.events.page(limit, before))

    def checks(self, virtual: str, page: int, per_page: int) -> Checks:
        """A page of checks."""
        return self._snapshot.checks(virtual, page, per_page)

    async def explain(self, key: str) -> Explanation:
        """A check and its last results."""
        info = self._director.book.info(key)
        if info is None:
            raise NotFound(f"there is no check {key}")
        climbing, load = self._director.book.sides.slow_words(key), self._director.loads.info_of(key)
        return Explanation(check=info, results=await self._director.nanny.explain(key), slow_start=climbing, load=load)

    async def release(self, request: ReleaseRequest) -> Released:
        """Let go of servers that are held down, or kept by the brake."""
        return await release_on_both(request, self._director)

    async def trial(self, request: TrialRequest) -> TrialReport:
        """TEST NOW."""
        return await run_trial(self._director, request)

    async def examine(self, request: DoctorRequest) -> DoctorReport:
        """DOCTOR: begin to look at real servers."""
        return await self._doctor.begin(request)

    def doctor_report(self, virtual: str) -> DoctorReport:
        """What was found."""
        return self._doctor.report(virtual)

    def announce(self) -> None:
        """Gratuitous ARP, again."""
        self._director.pulse.announce()
        self._director.events.add("address", "info", "gratuitous ARP was asked for")

    def failover(self, request: FailoverRequest) -> None:
        """An operator's word about the role."""
        self._director.pair.failover(request)

    async def guard(self, request: GuardRequest) -> GuardInfo:
        """Confirm the change that is watched, or have it go back."""
        return await self._director.guard.act(request)

    def overrides(self) -> OverridesInfo:
        """What operators have decided about real servers."""
        return self._director.overrides.infos()

    async def override(self, request: OverrideRequest) -> OverridesInfo:
        """Drain, force, weigh, or take that back."""
        return await self._director.overrides.act(request)

    def rehearsals(self) -> Rehearsals:
        """The failovers that were measured, newest first, and the one that runs."""
        rehearser = self._rehearser
        kept = self._director.rehearsals.newest_first()
        return Rehearsals(rehearsals=kept, running=rehearser.running, failure=rehearser.failure)

    def add_rehearsal(self, rehearsal: Rehearsal) -> None:
        """Remember one, and say so."""
        self._director.rehearsals.add(rehearsal)
        self._director.events.add("role", "info", rehearsal_words(rehearsal), actor=rehearsal.actor)

    def pairing(self) -> PairingInfo:
        """Whom this director is paired with."""
        self._director.pairing.last_contact_at = self._director.sync.answered_at
        return self._director.pairing.info()

    async def pair(self, request: PairingRequest) -> PairingInfo:
        """Begin, stop or end a pairing."""
        return await self._director.pairing.act(request)

    def rehearse(self, request: RehearsalRequest) -> None:
        """REHEARSE: begin to measure a failover here."""
        self._rehearser.begin(request)

    async def close(self) -> None:
        """End what runs beside the requests."""
        await self._doctor.close()

    async def table(self, *, rules: bool) -> str:
        """The table as ipvsadm prints it, at most a moment old; made once for everyone who asks meanwhile."""
        director = self._director
        table = await director.keeper.look(oldest_s=OLDEST_TABLE_S)
        info = director.keeper.info
        if info is None:
            raise Unavailable(f"the data plane is not available: {director.keeper.reason}")
        if self._printed is not table:
            self._printed, self._texts = table, {}
        if rules not in self._texts:
            self._texts[rules] = as_rules(table) if rules else listing(table, version=info.version, size=info.connection_table_size)
        return self._texts[rules]
