"""The director: lvs.cf taken over, kept, and followed by the table, nanny and pulse.

Owns the order of things: what is written before what is applied, who is told when, and what is an event.  Decisions about the table are
in ``core``; the table itself is the keeper's; what callers see is put together in ``snapshot``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from app.lvscf import ip_of
from lvsagent.adapters.config_files import ConfigFilesOnDisk, Stamp, etag_of
from lvsagent.adapters.pairing_side import addresses_of
from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from lvsagent.api.contract import Invalid, NotFound, Refused, Stale, Unavailable, Write
from lvsagent.core.desired import FOS_KEY, host_names
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY, identify, redundancy_wanted
from lvsagent.core.revisions import KeptRevision
from lvsagent.core.root_commands import permitted
from lvsagent.lvsd.configuration import Configuration, expanded, nothing, read_configuration
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.gate import TrafficGate
from lvsagent.lvsd.guard import GuardKeeper
from lvsagent.lvsd.health_book import Change, HealthBook
from lvsagent.lvsd.history import UNREADABLE, History, OnTheDisk, changes_of
from lvsagent.lvsd.keeper import Outcome, TableKeeper
from lvsagent.lvsd.names import Names, is_local
from lvsagent.lvsd.neighbours import Nanny, Pulse, Supervisor
from lvsagent.lvsd.one_of_two import OneOfTwo
from lvsagent.lvsd.overrides import OverrideKeeper
from lvsagent.lvsd.pairing import pulse_configuration
from lvsagent.lvsd.pairing_desk import PairingDesk
from lvsagent.lvsd.receipts import plan_steps, refusals, repair_words
from lvsagent.lvsd.rehearsals import RehearsalBook
from lvsagent.lvsd.safety import Safety
from lvsagent.lvsd.sync import Sync, Way
from lvsagent.lvsd.sync_home import SyncHome
from lvsagent.lvsd.traffic import Traffic
from lvsagent.lvsd.way import PeerWay
from lvsagent.messages import PulseEvent
from lvsagent.ports import AdapterError, Clock, ConfigFile, Ipvs, Switched
from lvsagent.settings import AgentSettings
from lvsagent.wire import CheckInfo, Receipt

T = TypeVar("T")

log = logging.getLogger(__name__)

CHANGES_TOLD = 5
SAVED_AT_ONCE = 500
"""The health of more real servers than this is saved with the next round: it takes a while, and the table must not wait."""
SERVERS_TOLD = 20
"""More real servers than this changing sides in one report are told in one event."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """lvs.cf as last seen on the disk.  ``reason``: why what it says is not what is running (``""``: it is)."""

    etag: str
    exists: bool
    serial: int = 0
    errors: int = 0
    warnings: int = 0
    reason: str = ""


class Director:
    """One director's lvs.cf at work."""

    def __init__(
        self, settings: AgentSettings, plane: Ipvs, clock: Clock, files: ConfigFilesOnDisk | None = None, way: Way | None = None
    ) -> None:
        """``way`` to the other director: the one that the settings and the pairing lead to, unless it is given."""
        self.settings = settings
        self.clock = clock
        self.files = files or ConfigFilesOnDisk(settings.lvs_cf, settings.state_dir)
        self.events = EventLog(settings.state_dir / "events.jsonl", clock)
        self.node = settings.name or socket.gethostname()
        store = SqliteRevisions(settings.state_dir / "history.db")
        self.history = History(store, self.events, clock, self.node)
        self.both = SyncHome(self)
        self.book = HealthBook(settings.runtime_dir / "health.json")
        self.keeper = TableKeeper(plane, self.book.sides, settings.runtime_dir / "owned.json")
        self.gate = TrafficGate(plane if isinstance(plane, Switched) else None, self.keeper.touch)
        self.rehearsals = RehearsalBook(settings.state_dir / "rehearsals.jsonl")
        self.traffic = Traffic()
        self.supervisor = Supervisor(settings)
        self.pulse = Pulse(settings, self._pulse_said)
        self.nanny = Nanny(settings, self._nanny_said, self.book.known)
        self.pair = OneOfTwo(settings, self.events, self.book, self.gate, self.pulse, self.nanny)
        self.pulse.on_state = self._pulse_spoke
        self.pairing = PairingDesk(settings, clock, self.events, lambda: addresses_of(self.identity, self.running.config.globals))
        self.way = PeerWay(settings, self.pairing.keys)
        self.sync = Sync(self.both, store, clock, self.events, settings.state_dir / "peer-standing.json", way or self.way)
        self.started_at = clock.wall()
        self.running: Configuration = nothing(ConfigFile(b"", "", exists=False))
        self.disk = OnDisk("", exists=False)
        self.identity = "unknown"
        self.health_changed = asyncio.Event()
        self.names = Names(clock)
        self._stamp = Stamp()
        self._plane_reason = ""
        self._failure = ""
        self._writing = asyncio.Lock()
        self._keeping = asyncio.Lock()
        self._file_thread = ThreadPoolExecutor(1, "files")
        self._background: set[asyncio.Task[None]] = set()
        self.safety = Safety(self.keeper, self.book, settings.confirm_share)
        self.guard = GuardKeeper(settings.state_dir / "guard.json", self, self._in_file_thread)
        self.overrides = OverrideKeeper(settings.state_dir / "overrides.json", self, self._in_file_thread)

    # --- life ----------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read lvs.cf and take it over; whatever is wrong with it, something is served and the reason is said."""
        self._stamp = self.files.stamp()
        configuration = await self._first_configuration()
        if self.disk.reason:
            self.events.add("config", "error" if self.disk.errors or self.disk.exists else "warning", self.disk.reason)
        outcome = await self._take_over(configuration)
        made = await self._keep_history()
        if made is not None and made.revision.origin == "outside":
            message = f"lvs.cf was edited while the agent did not run, which is revision {made.number} now: {_line(made.changes)}"
            self.events.add("config", "info", message)
        self.guard.resume()
        self.events.add(
            "process", "info", f"lvsd has started, serial {configuration.serial}, {len(outcome.operations)} changes to the table"
        )

    async def step(self) -> None:
        """One round: has anybody edited lvs.cf, is the table still right, what has it counted."""
        await self.look_at_disk()
        if self.history.behind:
            async with self._writing:
                await self._keep_history()
        self._note(await self.keeper.reconcile())
        await self.overrides.look()
        self.pair.tell_health(fit=self.keeper.info is not None)
        self.pair.watch_services(self.clock.wall())
        now = self.clock.now()
        if self.traffic.due(now):
            self.traffic.sample(self.keeper.have, now)
        self.book.save()

    async def settle(self) -> None:
        """Let the table follow the health that has changed."""
        self._note(await self.keeper.settle())
        self.pair.tell_health(fit=self.keeper.info is not None)
        if len(self.book.sides) <= SAVED_AT_ONCE:
            self.book.save()

    async def follow_names(self) -> None:
        """Ask for the host names in lvs.cf again; a new address is taken over at once."""
        names = host_names(self.running.config)
        if names and await self.names.look_up(names):
            async with self._writing:
                await self._take_over(expanded(self.running, self.names))
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
            await self.keeper.withdraw()
            self.book.discard()
        else:
            self.book.save()
        await self.keeper.close()
        if self._background:
            await asyncio.wait(self._background)
        await self.history.close()
        self._file_thread.shutdown()

    # --- lvs.cf --------------------------------------------------------------------------------------------------------------

    @property
    def etag(self) -> str:
        """Of lvs.cf as last seen on the disk."""
        return self.disk.etag

    def file(self) -> ConfigFile:
        """lvs.cf as it stands.  Raises Unavailable when it cannot be read."""
        try:
            return self.files.read()
        except AdapterError as error:
            raise Unavailable(str(error)) from error

    def previous(self) -> ConfigFile:
        """What stood there before the last accepted change.  Raises NotFound."""
        try:
            found = self.files.previous(self.file().etag)
        except AdapterError as error:
            raise Unavailable(str(error)) from error
        if found is None:
            raise NotFound("there is no earlier lvs.cf to go back to")
        return found

    async def put(self, write: Write) -> Receipt:
        """Write lvs.cf and apply it, or with ``dry_run`` say what that would do.  Raises Stale, Invalid, Unavailable."""
        began = self.clock.now()
        async with self._writing:
            current = self.file()
            if current.etag != write.if_match:
                raise Stale(current.etag)
            candidate = await read_configuration(_as_file(write.data), self.names)
            if candidate.errors:
                raise Invalid(candidate.diagnostics)
            if write.dry_run:
                receipt = await self._preview(candidate, current.etag)
            else:
                await self.safety.check(candidate, self.running, write, self._preview)
                async with self.guard.over(candidate, current, write):
                    receipt = await self._accept(candidate, current, write)
        if write.dry_run and write.origin != "peer":
            receipt = msgspec.structs.replace(receipt, peer_plan=await self.both.peer_plan(write.data))
        return _timed(receipt, self.clock.now() - began)

    async def reconcile(self) -> None:
        """Put the table right, now."""
        self._note(await self.keeper.reconcile())

    async def look_at_disk(self, *, again: bool = False) -> None:
        """Take over an edit that somebody made to the file itself, if it has no errors.  ``again``: even if it looks unchanged."""
        async with self._writing:
            stamp = self.files.stamp()
            if stamp == self._stamp and not again:
                return
            self._stamp = stamp
            try:
                file = self.files.read()
            except AdapterError as error:
                self._out_of_step(replace(self.disk, reason=f"{error}; still serving serial {self.running.serial}"))
                return
            if not file.exists:
                if self.running.file.exists:
                    reason = f"{self.files.path} is gone; still serving serial {self.running.serial}"
                    self._out_of_step(OnDisk(file.etag, exists=False, reason=reason))
            elif file == self.running.file and not self.running.errors:
                self.disk = _on_disk(self.running)
            elif file.etag != self.disk.etag or again:
                await self._edited_outside(file)

    async def _first_configuration(self) -> Configuration:
        try:
            file = self.files.read()
        except AdapterError as error:
            self.disk = OnDisk("", exists=True, reason=f"{error}; serving what was applied last")
            return await self._last_good() or nothing(ConfigFile(b"", ""))
        if not file.exists:
            return await self._without_file(file)
        configuration = await read_configuration(file, self.names)
        self.disk = _on_disk(configuration)
        if not configuration.errors:
            return configuration
        good = await self._last_good()
        served = f"serial {good.serial}, applied last" if good else "the virtual servers without errors"
        self.disk = replace(self.disk, reason=f"{self.files.path} has errors ({_first_error(configuration)}); serving {served}")
        return good or configuration

    async def _without_file(self, file: ConfigFile) -> Configuration:
        """No lvs.cf: nothing is served.  But one that vanished while we ran takes nothing down, not even over a restart."""
        good = await self._last_good() if self.keeper.adopts else None
        served = f"still serving serial {good.serial}" if good else "an empty configuration is served"
        self.disk = OnDisk(file.etag, exists=False, reason=f"there is no {self.files.path}: {served}")
        return good or nothing(file)

    async def _last_good(self) -> Configuration | None:
        try:
            file = self.files.applied()
        except AdapterError as error:
            log.warning("%s", error)
            return None
        return await read_configuration(file, self.names) if file else None

    async def _edited_outside(self, file: ConfigFile) -> None:
        configuration = await read_configuration(file, self.names)
        disk = _on_disk(configuration)
        if configuration.errors:
            words = f"{self.files.path} was edited by hand and has errors ({_first_error(configuration)})"
            self._out_of_step(replace(disk, reason=f"{words}; still serving serial {self.running.serial}"))
            return
        before = self.running
        if before.file.exists:
            with contextlib.suppress(AdapterError):  # then there is no undo for this edit, and that is all
                self.files.keep_previous(before.file.data, replaced_by=file.etag)
        self.disk = disk
        await self._take_over(configuration)
        made = await self._keep_history()
        self.sync.moved()
        ours = made is None and not self.history.behind  # accepted, and then it was not known whether it was written
        how = "written after all" if ours else "edited outside the console"
        changes = await asyncio.to_thread(changes_of, before.config, configuration.config)
        self.events.add("config", "info", f"lvs.cf was {how} and applied: {_line(changes)}")

    async def _keep_history(self) -> KeptRevision | None:
        """What is on the disk becomes history, if it is not; a file with errors does not, and one that is gone neither."""
        now = self.running
        known = now.file.exists and not now.errors and now.file.etag == self.disk.etag
        etag = (self.disk.etag or UNREADABLE) if self.disk.exists else ""
        disk = OnTheDisk(etag, now if known else None, self.files.owner())
        return await self.history.follow(disk, refusals(self.keeper.failures, now, now, self.keeper.reason))

    async def _keep_what_stands(self, file: ConfigFile) -> None:
        """An edit by hand that nobody has looked at yet, and that is about to be replaced."""
        if not file.exists or file.etag == self.history.head_etag:
            return
        if file == self.running.file:
            await self._keep_history()
        else:
            found = await read_configuration(file, self.names)
            if not found.errors:
                await self.history.overtaken(OnTheDisk(file.etag, found, self.files.owner()))

    def _out_of_step(self, disk: OnDisk) -> None:
        if disk != self.disk:
            self.disk = disk
            self.events.add("config", "error", disk.reason)

    async def _preview(self, candidate: Configuration, etag: str) -> Receipt:
        sides = self.book.sides_for(candidate.expansion.checks)
        try:
            operations, have = await self.keeper.preview(candidate.expansion, sides)
        except (AdapterError, OSError) as error:
            raise Unavailable(f"the data plane cannot be read: {error}") from error
        return Receipt(
            etag=etag,
            serial=candidate.serial,
            dry_run=True,
            written=False,
            applied=False,
            steps=plan_steps(operations, have, self.running, candidate, sides),
            refusals=refusals({}, candidate, self.running, self.keeper.reason),
            diagnostics=list(candidate.diagnostics),
            plan=self.safety.show(operations, have, self.running, candidate),
            takes_out=self.safety.takes_out(self.running, candidate),
        )

    async def _accept(self, candidate: Configuration, current: ConfigFile, write: Write) -> Receipt:
        before = self.running
        written = not current.exists or candidate.file.etag != current.etag
        made = await self._replace(candidate, current, write) if written or write.revision or write.other_parent else None
        self.way.use(candidate)
        peer = await self.sync.accepted(wait=self.pulse.last_role == ACTIVE) if made else None
        self._stamp = self.files.stamp()
        self.disk = _on_disk(candidate)
        outcome = await self._take_over(candidate)
        refused = refusals(self.keeper.failures, candidate, before, self.keeper.reason)
        if made is None:
            await self._keep_history()
        else:
            self._in_background(self.history.ended(made, refused))
            comment = f" ({write.comment})" if write.comment else ""
            how = f"taken from the other director, where it was accepted on {write.revision.node}" if write.revision else "accepted"
            message = f"lvs.cf {how}, serial {candidate.serial}: {_line(made.changes)}{comment}"
            self.events.add("config", "info", message, actor=write.actor)
        return Receipt(
            etag=candidate.file.etag,
            serial=candidate.serial,
            dry_run=False,
            written=written,
            applied=not refused,
            steps=plan_steps(outcome.operations, outcome.before, before, candidate, self.book.sides),
            refusals=refused,
            diagnostics=list(candidate.diagnostics),
            previous_etag=current.etag if written and current.exists else "",
            revision=made.number if made else 0,
            peer=self.sync.receipt(peer.waited_s) if peer else None,
        )

    async def _replace(self, candidate: Configuration, current: ConfigFile, write: Write) -> KeptRevision:
        """The revision first, then the file: see ``lvsagent.lvsd.history``."""
        await self._keep_what_stands(current)
        changes = await asyncio.to_thread(changes_of, self.running.config, candidate.config)
        made = await self.history.begin(candidate, changes, write)
        try:
            await self._in_file_thread(self._write, write)
        except Refused as error:
            with contextlib.suppress(Unavailable):  # it cannot even be read: the next round sees what is there
                if self.file().etag != candidate.file.etag:
                    await self.history.never_written(str(error))
            raise
        return made

    def _write(self, write: Write) -> None:
        """In a thread.  The file is looked at once more: reading a large text takes time, and an editor may have been quicker."""
        try:
            etag = self.files.read().etag
            if etag != write.if_match:
                raise Stale(etag)
            self.files.write(write.data)
        except AdapterError as error:
            raise Unavailable(str(error)) from error

    async def _take_over(self, configuration: Configuration) -> Outcome:
        self.running = configuration
        expansion = configuration.expansion
        self.identity = self._whoami()
        self.pairing.follow(addresses_of({PRIMARY: BACKUP, BACKUP: PRIMARY}.get(self.identity, ""), configuration.config.globals))
        self.book.configure(expansion.checks)
        self.pair.configure(configuration, self.identity)
        self.sync.redundant = redundancy_wanted(configuration.config.globals)
        self.way.use(configuration)
        await self.overrides.follow()
        outcome = await self.keeper.adopt(expansion)
        wanted = pulse_configuration(configuration.config, expansion, self.settings, self.identity, self.resolved())
        self.pulse.configure(msgspec.structs.replace(wanted, etag=configuration.file.etag))
        self.pair.tell_health(fit=self.keeper.info is not None)
        self._note(outcome)
        if configuration.file.exists and not configuration.errors:
            self._in_background(self._keep_applied(configuration.file))
        return outcome

    async def _keep_applied(self, file: ConfigFile) -> None:
        async with self._keeping:
            if file != self.running.file:
                return  # a newer one is on its way
            try:
                await self._in_file_thread(self.files.keep_applied, file)
            except AdapterError as error:
                log.warning("%s", error)

    # --- pulse, nanny --------------------------------------------------------------------------------------------------------

    def root_command(self, line: str | None) -> tuple[str, ...]:
        """The argv of a command that lvs.cf wants run as root: only when agent.toml lists exactly this line."""
        return permitted(line, self.settings.root_commands) or () if line else ()

    def resolved(self) -> dict[str, str]:
        """The addresses of the directors' names."""
        settings = self.running.config.globals
        hosts = (settings.primary, settings.primary_private, settings.backup, settings.backup_private)
        return {host: address for host in hosts if host and (address := self.names.address(host))}

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
        if outcome.repaired:
            self.events.add("repair", "warning", repair_words(outcome.repaired, self.running))

    async def _in_file_thread(self, work: Callable[[T], None], argument: T) -> None:
        """Off the loop, and never behind a name server that is slow to answer."""
        await asyncio.get_running_loop().run_in_executor(self._file_thread, work, argument)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _timed(receipt: Receipt, duration_s: float) -> Receipt:
    """The receipt with the time the whole request took."""
    return msgspec.structs.replace(receipt, duration_s=duration_s)


def _as_file(data: bytes) -> ConfigFile:
    return ConfigFile(data, etag_of(data))


def _on_disk(configuration: Configuration) -> OnDisk:
    file = configuration.file
    return OnDisk(file.etag, file.exists, configuration.serial, configuration.errors, configuration.warnings)


def _first_error(configuration: Configuration) -> str:
    first = next((one for one in configuration.diagnostics if one.severity == "error"), None)
    more = f" and {configuration.errors - 1} more" if configuration.errors > 1 else ""
    return f"line {first.line}: {first.message}{more}" if first else ""


def _line(changes: Sequence[str]) -> str:
    """What changed, in a line."""
    told = "; ".join(changes[:CHANGES_TOLD])
    return (
        f"{told} and {len(changes) - CHANGES_TOLD} more" if len(changes) > CHANGES_TOLD else told or "nothing that matters to the daemons"
    )
