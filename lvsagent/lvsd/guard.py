"""The guard at work: looks at what it watches, keeps it over a crash, and goes back through the director's own accept path.

Owns guard.json in the state folder.  What is worse than before, and what follows, is ``core.guard``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import msgspec

from lvsagent.adapters.clock import this_boot
from lvsagent.adapters.config_files import SystemFiles, etag_of, replace_file
from lvsagent.api.contract import BadRequest, NotFound, Refused, Stale, Unavailable, Write
from lvsagent.core.clean_text import clean
from lvsagent.core.continuity import heirs, in_service
from lvsagent.core.guard import (
    HEARD,
    RETURNED,
    RETURNING,
    SUPERSEDED,
    WATCHING,
    Baseline,
    Changed,
    Command,
    Confirm,
    Event,
    Failed,
    GoBack,
    Guard,
    Look,
    Returned,
    Revert,
    Sample,
    Served,
    Tell,
    Watch,
    resumed,
    returning_text,
)
from lvsagent.core.identity import redundancy_wanted
from lvsagent.core.revisions import REVERTED
from lvsagent.lvsd.configuration import Configuration, read_configuration
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.guard_words import guard_info
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.history import History
from lvsagent.lvsd.names import Names
from lvsagent.lvsd.neighbours import Pulse
from lvsagent.lvsd.traffic import SAMPLE_S, Traffic
from lvsagent.ports import AdapterError, Clock, ConfigFile
from lvsagent.wire import GuardInfo, GuardRequest, Receipt

LOOK_S = 0.5
SAMPLES_BEFORE, LEAST_SAMPLES_BEFORE = 15, 3
NEWEST = 20
OVERTAKEN = "lvs.cf has been changed again since: that later change stays, and nothing goes back"
TOLD_S = 600.0
"""How long the end of a guard is shown."""

log = logging.getLogger(__name__)


class Guarded(Protocol):
    """What the guard needs of the director."""

    clock: Clock
    events: EventLog
    book: HealthBook
    pulse: Pulse
    traffic: Traffic
    running: Configuration
    names: Names
    history: History

    @property
    def etag(self) -> str:
        """Of lvs.cf as last seen on the disk."""
        ...

    async def put(self, write: Write) -> Receipt: ...

    async def look_at_disk(self) -> None: ...


class GuardKeeper:
    """At most one change is watched at a time."""

    def __init__(
        self,
        path: Path,
        director: Guarded,
        in_file_thread: Callable[[Callable[[bytes], None], bytes], Awaitable[None]],
    ) -> None:
        self._path = path
        self._director = director
        self._in_file_thread = in_file_thread
        self._machine: Guard | None = None
        self._kept: Watch | None = None
        self._sampled_at: float | None = None
        self._turn = asyncio.Lock()
        self._arming = False
        self.changed = asyncio.Event()

    # --- a change comes and is watched -----------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def over(self, candidate: Configuration, current: ConfigFile, write: Write) -> AsyncIterator[None]:
        """Around the accept of ``candidate`` in the place of ``current``: what is needed to go back is on the disk before lvs.cf is."""
        if not write.guard_s or candidate.file.etag == current.etag:
            yield
            return
        watch = self._watch(candidate, await self._worth_returning_to(current), write)
        before, self._arming = self._kept, True
        try:
            try:
                await self._keep(watch)
            except AdapterError as error:
                raise Unavailable(f"the change cannot be guarded: {error}; nothing was written") from error
            try:
                yield
            finally:
                if self._director.etag == watch.etag:  # also when something failed after it was written
                    self._begin(watch)
                else:
                    with contextlib.suppress(AdapterError):  # then the next start finds that it was never written
                        await self._keep(before)
        finally:
            self._arming = False
            self.changed.set()

    def _begin(self, watch: Watch) -> None:
        director, before = self._director, self._machine
        self._machine, self._sampled_at = Guard(watch), director.traffic.at
        for command in before.handle(Changed(), director.clock.now(), director.clock.wall()) if before else ():
            self._tell(command)
        words = f"serial {watch.serial} goes back by itself unless it is confirmed within {watch.guard_s:g} s"
        director.events.add("config", "info", words, actor=watch.actor)

    def resume(self) -> None:
        """At the start: what an earlier lvsd was watching.  The next look says what comes of it."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s cannot be read: %s", self._path, error.strerror)
            return
        try:
            watch = msgspec.json.decode(data, type=Watch)
        except msgspec.MsgspecError as error:
            self._director.events.add("problem", "error", f"the guard that was running is lost: {self._path} cannot be used: {error}")
            return
        if self._director.etag == watch.previous_etag:
            return  # the end came before lvs.cf was written
        clock = self._director.clock
        self._kept = resumed(watch, now=clock.now(), wall=clock.wall(), boot=this_boot())
        self._machine = Guard(self._kept)
        self.changed.set()

    # --- and comes to an end ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look, for as long as there is something to look at."""
        while True:
            await self.look()
            if self.watching:
                await asyncio.sleep(LOOK_S)
            else:
                await self.changed.wait()
                self.changed.clear()

    @property
    def watching(self) -> bool:
        """Whether a change may still go back."""
        return self._machine is not None and not self._machine.over

    async def look(self) -> None:
        """See how things are, and do what follows."""
        if self._arming or not self.watching:
            return
        async with self._turn:
            if self._machine is not None:
                await self._handle(self._machine, self._seen(self._machine.watch))

    async def act(self, request: GuardRequest) -> GuardInfo:
        """An operator's word.  Raises BadRequest, NotFound, Unavailable."""
        if request.action not in {"confirm", "revert"}:
            raise BadRequest(f"action is confirm or revert, not {request.action}")
        async with self._turn:
            machine = self._machine
            if machine is None or machine.over or (request.etag and request.etag != machine.watch.etag):
                raise NotFound("no such change is being watched: it was confirmed, has gone back, or a later one took its place")
            if isinstance(seen := self._seen(machine.watch), Changed):
                await self._handle(machine, seen)
                raise NotFound(OVERTAKEN)
            if machine.watch.phase == RETURNING and request.action == "confirm":
                raise Unavailable(f"it is going back already: {machine.watch.reason}")
            await self._handle(machine, Confirm(request.actor) if request.action == "confirm" else Revert(request.actor))
            if request.action == "confirm" and machine.watch.phase in {RETURNING, RETURNED}:
                raise Unavailable(f"too late, it goes back: {machine.watch.reason}")
            if machine.watch.phase == RETURNING:
                raise Unavailable("it cannot go back yet, and is tried again; the events say why")
            if machine.watch.phase == SUPERSEDED:
                raise NotFound(OVERTAKEN)
            return guard_info(machine.watch, self._director.clock.now())

    def info(self) -> GuardInfo | None:
        """For the state: what is watched, or what came of it a moment ago."""
        if self._machine is None:
            return None
        watch = self._machine.watch
        if self._machine.over:
            stands = watch.result_etag if watch.phase == RETURNED else self._director.etag
            if self._director.etag != stands or not 0 <= self._director.clock.wall() - watch.ended_at < TOLD_S:
                return None
        return guard_info(watch, self._director.clock.now())

    # --- inside ----------------------------------------------------------------------------------------------------------------

    async def _handle(self, machine: Guard, event: Event) -> None:
        clock, before = self._director.clock, machine.watch
        commands = machine.handle(event, clock.now(), clock.wall())
        if machine.watch is not before:
            try:
                await self._keep_of(machine)
            except AdapterError as error:
                if machine.over:
                    machine.watch = before
                    raise Unavailable(f"{error}: the guard goes on") from error
                log.warning("%s", error)  # what is on the disk leads to the same end
        for command in commands:
            await self._carry_out(machine, command)
        if machine.watch.phase == RETURNED:
            await self._note_in_history(machine.watch)

    async def _note_in_history(self, watch: Watch) -> None:
        """The revision that went back says so; a history that cannot be written loses this word and nothing else."""
        with contextlib.suppress(Unavailable):
            newest = await self._director.history.ask(lambda store: store.newest(NEWEST, 0))
            for one in newest:
                if one.revision.etag == watch.etag:
                    await self._director.history.note(one.revision.id, REVERTED, watch.reason)
                    return

    async def _carry_out(self, machine: Guard, command: Command) -> None:
        if isinstance(command, GoBack):
            await self._handle(machine, await self._go_back(machine, command.reason))
        else:
            self._tell(command)

    def _tell(self, command: Command) -> None:
        if isinstance(command, Tell):
            self._director.events.add("config", command.severity, command.message, actor=command.actor or "guard")

    async def _go_back(self, machine: Guard, reason: str) -> Event:
        data = returning_text(machine.watch.previous, machine.watch.serial + 1)
        machine.watch = replace(machine.watch, result_etag=etag_of(data))
        with contextlib.suppress(AdapterError):
            await self._keep_of(machine)
        stands = self._director.etag if self._in_force(machine.watch) else machine.watch.etag
        write = Write(data, stands, comment=f"guard: {reason}", actor="guard", origin="guard")
        try:
            receipt = await self._director.put(write)
        except Stale:
            await self._director.look_at_disk()
            return self._seen(machine.watch)
        except (Refused, AdapterError, OSError) as error:
            return Failed(str(error))
        return Returned(receipt.etag, receipt.serial)

    def _seen(self, watch: Watch) -> Event:
        director = self._director
        if director.etag != watch.etag and not self._in_force(watch):
            if watch.phase == RETURNING and director.etag == watch.result_etag:  # an earlier lvsd had got so far
                return Returned(director.etag, director.running.serial)
            return Changed()
        checks = {check for one in watch.baseline.served for check in one.checks}
        state = director.pulse.state
        return Look(
            down=frozenset(check for check in checks if director.book.sides.get(check) is False),
            peer=state.peer.state if state else "unknown",
            role=state.role if state else "",
            sample=self._sample(watch),
        )

    def _in_force(self, watch: Watch) -> bool:
        """Whether the change still runs, also when lvs.cf has been spoilt or removed since: that puts nothing else in force."""
        return self._director.running.file.etag == watch.etag

    def _sample(self, watch: Watch) -> Sample | None:
        traffic = self._director.traffic
        if traffic.at is None or traffic.at == self._sampled_at:
            return None
        seconds = traffic.at - self._sampled_at if self._sampled_at is not None else SAMPLE_S
        self._sampled_at = traffic.at
        services = frozenset(watch.baseline.services)
        rate = sum(traffic.rate(key) for key in self._director.running.expansion.pools if str(key) in services)
        return Sample(rate * seconds, seconds)

    async def _worth_returning_to(self, current: ConfigFile) -> Configuration:
        """lvs.cf as it stands; where that cannot be served, what is being served.  Raises BadRequest when neither will do."""
        running = self._director.running
        if current.exists and current.etag != running.file.etag:  # edited by hand, and nobody has looked yet
            found = await read_configuration(current, self._director.names)
            running = running if found.errors else found
        if not running.file.exists or running.errors:
            why = "has errors" if running.errors else "is not there"
            raise BadRequest(f"the lvs.cf to go back to {why}, so this change cannot be guarded; nothing was written")
        return running

    def _watch(self, candidate: Configuration, before: Configuration, write: Write) -> Watch:
        director, clock = self._director, self._director.clock
        now, wall = clock.now(), clock.wall()
        return Watch(
            etag=candidate.file.etag,
            serial=candidate.serial,
            actor=write.actor,
            comment=write.comment,
            previous=before.file.data,
            previous_etag=before.file.etag,
            previous_serial=before.serial,
            began_at=wall,
            guard_s=write.guard_s,
            deadline=now + write.guard_s,
            deadline_at=wall + write.guard_s,
            boot=this_boot(),
            baseline=self._baseline(director.running, candidate),
        )

    def _baseline(self, before: Configuration, after: Configuration) -> Baseline:
        director, kept = self._director, heirs(before.expansion, after.expansion)
        served = []
        for key, pool in before.expansion.pools.items():
            up = [one for one in in_service(pool) if one.checked and director.book.sides.get(one.check) is True]
            found = [kept.servers[key, one.key] for one in up if (key, one.key) in kept.servers]
            served.append(Served(clean(pool.name), tuple(heir.check for heir in found if heir.checked)))
        state = director.pulse.state
        return Baseline(
            served=tuple(one for one in served if one.checks),
            services=tuple(str(key) for key in kept.services.values()),
            rate=sum(_usual(director.traffic.service(key).history) for key in kept.services),
            role=state.role if state else "",
            heartbeat=bool(state and state.peer.state == HEARD) and redundancy_wanted(after.config.globals),
            deadtime_s=float(after.config.globals.deadtime),
        )

    async def _keep_of(self, machine: Guard) -> None:
        """One whose place another is taking, or has taken, must not write over it.  Raises AdapterError."""
        if machine is self._machine and not self._arming:
            await self._keep(machine.watch)

    async def _keep(self, watch: Watch | None) -> None:
        """Raises AdapterError.  A guard that is over may be forgotten where it cannot be written."""
        try:
            if watch is None:
                self._path.unlink(missing_ok=True)
            else:
                await self._in_file_thread(self._replace, msgspec.json.encode(watch))
        except (AdapterError, OSError):
            if watch is None or watch.phase in {WATCHING, RETURNING}:
                raise
            self._forget()
        self._kept = watch

    def _replace(self, data: bytes) -> None:
        replace_file(self._path, data, SystemFiles())

    def _forget(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise AdapterError(f"{self._path} cannot be written: {error.strerror}") from error


def _usual(history: list[float]) -> float:
    """A virtual server's new connections a second over the last half minute; 0 when it was not counted long enough."""
    newest = history[-SAMPLES_BEFORE:]
    return sum(newest) / len(newest) if len(newest) >= LEAST_SAMPLES_BEFORE else 0.0
