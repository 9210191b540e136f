"""The director: lvs.cf at work, followed by the table, nanny and pulse.

Owns what an lvs.cf sets in motion and in which order, who is told when, and what is an event.  How a change becomes lvs.cf is ``lvs_cf``'s;
decisions about the table are in ``core``; the table itself is the keeper's; what callers see is put together in ``snapshot``.
"""

from __future__ import annotations

import asyncio
import socket

import msgspec

from app.lvscf import ip_of
from lvsagent.adapters.config_files import ConfigFilesOnDisk
from lvsagent.adapters.mark_rules import KernelMarks
from lvsagent.adapters.pairing_side import addresses_of
from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from lvsagent.api.contract import Write
from lvsagent.core.expansion import host_names
from lvsagent.core.identity import BACKUP, PRIMARY, identify, redundancy_wanted
from lvsagent.core.pools import FOS_KEY
from lvsagent.core.root_commands import permitted
from lvsagent.garbage import settled
from lvsagent.lvsd.configuration import Configuration, nothing
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.gate import TrafficGate
from lvsagent.lvsd.guard import GuardKeeper
from lvsagent.lvsd.health_book import Change, HealthBook
from lvsagent.lvsd.history import History
from lvsagent.lvsd.keeper import Outcome, TableKeeper
from lvsagent.lvsd.load_book import LoadBook
from lvsagent.lvsd.lvs_cf import LvsCf, OnDisk
from lvsagent.lvsd.marks import MarkKeeper
from lvsagent.lvsd.names import Names, is_local
from lvsagent.lvsd.nannies import Nannies
from lvsagent.lvsd.neighbours import Pulse, Supervisor
from lvsagent.lvsd.one_of_two import OneOfTwo
from lvsagent.lvsd.overrides import OverrideKeeper
from lvsagent.lvsd.pairing import pulse_configuration
from lvsagent.lvsd.pairing_desk import PairingDesk
from lvsagent.lvsd.quorums import QuorumWatch
from lvsagent.lvsd.receipts import refusals, repair_words
from lvsagent.lvsd.rehearsals import RehearsalBook
from lvsagent.lvsd.safety import Safety
from lvsagent.lvsd.sync import Sync, Way
from lvsagent.lvsd.sync_home import SyncHome
from lvsagent.lvsd.traffic import Traffic
from lvsagent.lvsd.way import PeerWay
from lvsagent.messages import PulseEvent
from lvsagent.ports import Clock, ConfigFile, Ipvs, Switched
from lvsagent.settings import AgentSettings
from lvsagent.wire import CheckInfo, Receipt

CHANGES_TOLD = 5
SAVED_AT_ONCE = 500
"""The health of more real servers than this is saved with the next round: it takes a while, and the table must not wait."""
SETTLED_FROM = 500
"""Collections of garbage that look through the configuration of more real servers than this are felt."""
SERVERS_TOLD = 20
"""More real servers than this changing sides in one report are told in one event."""


class Director:
    """One director's lvs.cf at work."""

    def __init__(
        self, settings: AgentSettings, plane: Ipvs, clock: Clock, files: ConfigFilesOnDisk | None = None, way: Way | None = None
    ) -> None:
        """``way`` to the other director: the one that the settings and the pairing lead to, unless it is given."""
        self.settings = settings
        self.clock = clock
        self.events = EventLog(settings.state_dir / "events.jsonl", clock)
        self.node = settings.name or socket.gethostname()
        store = SqliteRevisions(settings.state_dir / "history.db")
        self.history = History(store, self.events, clock, self.node)
        self.both = SyncHome(self)
        self.book = HealthBook(settings.runtime_dir / "health.json")
        self.loads = LoadBook(settings.runtime_dir / "loads.json", self.book.sides, clock, self.events.add)
        self.keeper = TableKeeper(plane, self.book.sides, settings.runtime_dir / "owned.json")
        self.gate = TrafficGate(plane if isinstance(plane, Switched) else None, self.keeper.touch)
        self.quorums = QuorumWatch()
        filter_ = KernelMarks(settings.mark_rules) if settings.dataplane == "kernel" else None
        self.marks = MarkKeeper(filter_, settings.runtime_dir / "marks", self.events.add)
        self.rehearsals = RehearsalBook(settings.state_dir / "rehearsals.jsonl")
        self.traffic = Traffic()
        self.supervisor = Supervisor(settings)
        self.pulse = Pulse(settings, self._pulse_said)
        self.nanny = Nannies(settings, clock, self.events, self.book, self._nanny_said)
        self.nanny.on_loads = self.loads.report
        self.pair = OneOfTwo(settings, self.events, self.book, self.gate, self.pulse, self.nanny)
        self.pulse.on_state = self._pulse_spoke
        self.pairing = PairingDesk(settings, clock, self.events, lambda: addresses_of(self.identity, self.running.config.globals))
        self.way = PeerWay(settings, self.pairing.keys)
        self.sync = Sync(self.both, store, clock, self.events, settings.state_dir / "peer-standing.json", way or self.way)
        self.started_at = clock.wall()
        self.running: Configuration = nothing(ConfigFile(b"", "", exists=False))
        self.identity = "unknown"
        self.health_changed = asyncio.Event()
        self.names = Names(clock)
        self._followed: dict[str, str | None] = {}
        self._plane_reason = ""
        self._failure = ""
        self.safety = Safety(self.keeper, self.book, settings.confirm_share)
        self.lvs_cf = LvsCf(self, files or ConfigFilesOnDisk(settings.lvs_cf, settings.state_dir))
        self.guard = GuardKeeper(settings.state_dir / "guard.json", self, self.lvs_cf.in_file_thread)
        self.overrides = OverrideKeeper(settings.state_dir / "overrides.json", self, self.lvs_cf.in_file_thread)

    # --- life ----------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read lvs.cf and take it over; whatever is wrong with it, something is served and the reason is said."""
        outcome = await self.lvs_cf.begin()
        self.guard.resume()
        self.events.add(
            "process", "info", f"lvsd has started, serial {self.running.serial}, {len(outcome.operations)} changes to the table"
        )

    async def step(self) -> None:
        """One round: has anybody edited lvs.cf, is the table still right, what has it counted."""
        await self.lvs_cf.follow()
        self.both.look()
        self.loads.look()
        self._note(await self.keeper.reconcile())
        await self.overrides.look()
        await self.marks.look(self.clock.now())
        self.pair.tell_health(fit=self.keeper.info is not None)
        self.pair.watch_services(self.clock.wall())
        now = self.clock.now()
        if self.traffic.due(now):
            self.traffic.sample(self.keeper.have, now)
        self.book.save()
        self.loads.save()
        await self.nanny.remember(self.lvs_cf.in_file_thread)

    async def settle(self) -> None:
        """Let the table follow the health that has changed."""
        self._note(await self.keeper.settle())
        self.pair.tell_health(fit=self.keeper.info is not None)
        if len(self.book.sides) <= SAVED_AT_ONCE:
            self.book.save()

    async def follow_names(self) -> None:
        """Ask for the host names in lvs.cf again; a new address is taken over at once."""
        await self.names.look_up(host_names(self.running.config))
        if self._addresses() != self._followed:  # whoever asked: a REVIEW may have been told the new address before
            await self.lvs_cf.expand_again()
            self.events.add("config", "info", "a host name in lvs.cf has another address now; the table follows it")

    def failed(self, error: Exception) -> None:
        """A round ended in the middle; said once for each reason, however often it comes back."""
        message = f"lvsd could not finish a round: {type(error).__name__}: {error}"
        if message != self._failure:
            self._failure = message
            self.events.add("problem", "error", message)

    async def stop(self, *, planned: bool) -> None:
        """The end: planned, what is ours leaves the table; else everything stays as it is for the next lvsd."""
        await self.pairing.close()
        await self.way.close()
        if planned:
            await self.gate.finish(self.keeper.open_connections)
            await self.marks.withdraw()
            await self.keeper.withdraw()
            self.book.discard()
            self.loads.discard()
            self.nanny.discard()
        else:
            self.book.save()
            self.loads.save()
        await self.nanny.remember(self.lvs_cf.in_file_thread)
        await self.keeper.close()
        await self.lvs_cf.close()

    # --- lvs.cf --------------------------------------------------------------------------------------------------------------

    @property
    def files(self) -> ConfigFilesOnDisk:
        """lvs.cf and its copies on the disk."""
        return self.lvs_cf.files

    @property
    def disk(self) -> OnDisk:
        """lvs.cf as last seen on the disk."""
        return self.lvs_cf.disk

    @property
    def etag(self) -> str:
        """Of lvs.cf as last seen on the disk."""
        return self.lvs_cf.disk.etag

    def file(self) -> ConfigFile:
        """lvs.cf as it stands.  Raises Unavailable when it cannot be read."""
        return self.lvs_cf.file()

    def previous(self) -> ConfigFile:
        """What stood there before the last accepted change.  Raises NotFound."""
        return self.lvs_cf.previous()

    async def put(self, write: Write) -> Receipt:
        """Write lvs.cf and apply it, or with ``dry_run`` say what that would do.  Raises Stale, Invalid, Unavailable."""
        return await self.lvs_cf.put(write)

    async def look_at_disk(self, *, again: bool = False) -> None:
        """Take over an edit that somebody made to the file itself, if it has no errors.  ``again``: even if it looks unchanged."""
        await self.lvs_cf.look_at_disk(again=again)

    async def reconcile(self) -> None:
        """Put the table right, now."""
        self._note(await self.keeper.reconcile())

    async def take_over(self, configuration: Configuration) -> Outcome:
        """The table, nanny and pulse follow ``configuration`` from now on."""
        self.running = configuration
        self._followed = self._addresses()
        expansion = configuration.expansion
        self.identity = self._whoami()
        self.pairing.follow(addresses_of({PRIMARY: BACKUP, BACKUP: PRIMARY}.get(self.identity, ""), configuration.config.globals))
        self.book.configure(expansion.checks)
        self.loads.configure(expansion)
        self.pair.configure(configuration, self.identity)
        self.sync.redundant = redundancy_wanted(configuration.config.globals)
        self.way.use(configuration)
        await self.overrides.follow()
        outcome = await self.keeper.adopt(expansion)
        await self.marks.follow(expansion.marks, self.clock.now())
        wanted = pulse_configuration(configuration.config, expansion, self.settings, self.identity, self.resolved())
        self.pulse.configure(msgspec.structs.replace(wanted, etag=configuration.file.etag))
        self.pair.tell_health(fit=self.keeper.info is not None)
        self._note(outcome)
        if configuration.file.exists and not configuration.errors:
            self.lvs_cf.keep_applied(configuration.file)
        if len(expansion.checks) > SETTLED_FROM:
            settled()
        return outcome

    # --- pulse, nanny --------------------------------------------------------------------------------------------------------

    def root_command(self, line: str | None) -> tuple[str, ...]:
        """The argv of a command that lvs.cf wants run as root: only when agent.toml lists exactly this line."""
        return permitted(line, self.settings.root_commands) or () if line else ()

    def resolved(self) -> dict[str, str]:
        """The addresses of the directors' names."""
        settings = self.running.config.globals
        hosts = (settings.primary, settings.primary_private, settings.backup, settings.backup_private)
        return {host: address for host in hosts if host and (address := self.names.address(host))}

    def _addresses(self) -> dict[str, str | None]:
        """Of every name in the lvs.cf that runs."""
        return {name: self.names.address(name) for name in host_names(self.running.config)}

    def _whoami(self) -> str:
        settings = self.running.config.globals
        resolved = self.resolved()
        hosts = (settings.primary, settings.primary_private, settings.backup, settings.backup_private)
        addresses = [address for host in hosts if host and (address := resolved.get(host) or ip_of(host))]
        return identify(self.settings.node, settings, [address for address in addresses if is_local(address)], resolved)

    def _pulse_spoke(self) -> None:
        self.pair.follow_role()
        if self.pulse.state is not None:
            self.sync.heard(alive=self.pulse.state.peer.state == "alive", serial=self.pulse.state.peer.serial)

    def _pulse_said(self, event: PulseEvent) -> None:
        self.events.add(event.kind, event.severity, event.message, subject=event.subject, at=event.at)

    def _nanny_said(self, checks: list[CheckInfo]) -> None:
        changes = self.book.report(checks)
        if not changes:
            return
        pools = self.running.expansion.check_pool
        self.keeper.touch(pools[change.spec.key] for change in changes if change.spec.key in pools)
        self.health_changed.set()
        for up in (True, False):
            self._tell_changes([change for change in changes if change.up is up], up=up)

    def _tell_changes(self, changes: list[Change], *, up: bool) -> None:
        severity, word = ("info", "up") if up else ("warning", "down")
        if len(changes) > SERVERS_TOLD:
            names = ", ".join(change.spec.key for change in changes[:CHANGES_TOLD])
            self.events.add("server", severity, f"{len(changes)} real servers are {word}: {names} and {len(changes) - CHANGES_TOLD} more")
            return
        for change in changes:
            virtual, _, server = change.spec.key.partition("/")
            reason = f": {change.reason}" if change.reason else ""
            service = change.spec.key.startswith(FOS_KEY)
            what = f"failover service {server}" if service else f"real server {server} of {virtual}"
            self.events.add("server", severity, f"{what} ({change.spec.target}) is {word}{reason}", subject=server if service else virtual)

    # --- what happened -------------------------------------------------------------------------------------------------------

    def _note(self, outcome: Outcome) -> None:
        """Events for what a pass over the table found."""
        if self.keeper.reason != self._plane_reason:
            self._plane_reason = self.keeper.reason
            if self.keeper.reason:
                self.events.add("problem", "error", f"the data plane is not available: {self.keeper.reason}")
            else:
                self.events.add("problem", "info", "the data plane is ready")
        for info in refusals(outcome.newly_failed, None, self.running, ""):
            self.events.add("problem", "error", f"{info.subject}: {info.reason}")
        for turn in self.quorums.look(self.running.expansion, self.book.sides, self.keeper.have):
            self.events.add("server", "info" if turn.held else "warning", f"{turn.name}: {turn.words}", subject=turn.name)
        if outcome.repaired:
            self.events.add("repair", "warning", repair_words(outcome.repaired, self.running))
