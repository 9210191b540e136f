"""One director: a loop around the failover machine, and everything that follows the role.

Owns the order of things.  A beat waits for nothing: what takes time (interfaces, commands, a disk) is done beside it.  Which role this
director has is decided in ``lvsagent.core.failover``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec

from lvsagent.core.failover import (
    Action,
    Activate,
    Command,
    Configured,
    Deactivate,
    Event,
    Heard,
    Machine,
    Note,
    Operator,
    Remember,
    Send,
    Settings,
    Started,
    Stopping,
    Tick,
)
from lvsagent.core.identity import ACTIVE, STANDBY, STARTING, STOPPED, UNKNOWN
from lvsagent.core.lateness import Lateness
from lvsagent.messages import PulseAnnounce, PulseCommand, PulseConfigure, PulseEvent, PulseHealth, PulseState, ToPulse
from lvsagent.ports import AdapterError
from lvsagent.pulse.beats import Beats
from lvsagent.pulse.beside import Beside, wait
from lvsagent.pulse.configured import UNKEYED, keepalive_s, machine_settings
from lvsagent.pulse.errands import Errands, on_becoming_active, on_ceasing_to_be
from lvsagent.pulse.follower import Follower, Goal
from lvsagent.pulse.journal import Journal
from lvsagent.pulse.record import Record, RecordKeeper
from lvsagent.pulse.report import PeerView, glance_at, peer_info
from lvsagent.pulse.split import SplitWatch
from lvsagent.pulse.surroundings import Surroundings
from lvsagent.pulse.watch import Watch

LOOK_S = 1.0
"""How often the interfaces are looked at: what was removed by hand is back within this time."""
TIDY_S = 10.0

_EVENT_KINDS = {"peer": "role", "split": "role"}


class Director:
    """``say`` sends a message to whoever listens and tells whether anyone does."""

    def __init__(self, around: Surroundings, say: Callable[[msgspec.Struct], bool]) -> None:
        self._around = around
        self._say = say
        self._journal = Journal(around.clock, say)
        self._keeper = RecordKeeper(around.record, self._tell)
        last = around.record.load()
        self._configure = last.configure
        self._role = last.role if last.configure else STARTING
        self._reason = "as before the restart" if last.configure else "waiting for lvsd to read lvs.cf"
        self._since = last.since if last.configure else around.clock.wall()
        self._serving = last.role == ACTIVE and last.configure is not None
        """The addresses are there, or are being put there."""
        self._machine = Machine(Settings(), around.boot_id)
        self._begun = False
        self._beats = Beats(
            around.key_file, around.clock, around.boot_id, around.open_socket, lambda path, beat: self._drive(Heard(path, beat)), self._tell
        )
        self._beats.version, self._beats.name = around.version, around.name
        self._follower = Follower(around, last, self._save, self._tell)
        self._errands = Errands(around.run_command, around.root_commands, self._tell)
        self._lateness = Lateness()
        self._tidied_at = float("-inf")
        self._watch = Watch(around, self._drive)
        self._trouble_words = ""
        self._unkeyed_said = False
        self._split = SplitWatch(around.clock.now(), self._tell)
        self._glanced: tuple[object, ...] = ()
        self._last_said: PulseState | None = None
        self._wake = asyncio.Event()
        self._beat_wake = asyncio.Event()
        self._awaited = float("inf")
        self._working: asyncio.Future[None] | None = None
        self._beside = Beside(self._tell)

    # --- what comes in ---------------------------------------------------------------------------------------------------------

    def handle(self, message: ToPulse) -> None:
        """A message from lvsd."""
        if isinstance(message, PulseConfigure):
            self._configured(message)
        elif isinstance(message, PulseHealth):
            self._watch.health = message
            self._watch.children()
        elif isinstance(message, PulseCommand):
            self._commanded(message)
        elif isinstance(message, PulseAnnounce):
            self._follower.holder.announce_again(self._follower.wanted(self._goal()))
        self._wake.set()

    def state(self) -> PulseState:
        """The whole state, for someone who has just connected."""
        configure, machine, holder = self._configure, self._machine, self._follower.holder
        both = machine.both_active_since
        return PulseState(
            etag=configure.etag if configure else "",
            role=self._role,
            since=self._since,
            reason=self._reason,
            addresses=list(holder.states),
            announced_at=holder.announced_at,
            problems=[self._trouble_words] if self._trouble_words else [*self._follower.problems, *self._own_problems()],
            maintenance=machine.maintenance,
            links=self._beats.infos(self._silent_after_s()),
            takeover_s=self._silent_after_s() if machine.paired else 0.0,
            late_s=self._lateness.worst_s,
            late_warning=self._lateness.warning(self._keepalive_s()) if machine.paired else "",
            key=self._beats.key_words,
            both_active_since=self._wall(both) if both is not None else 0.0,
            peer=peer_info(PeerView(machine.peer_state, self._beats.last, self._beats.heard_wall)),
        )

    def unsaid(self) -> list[PulseEvent]:
        """Events that nobody was there to hear; they are told once."""
        return self._journal.unsaid()

    def note(self, message: str) -> None:
        """Something about this host that is worth knowing, said once."""
        self._tell("problem", "info", message)

    # --- the loops -------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        self._begin()
        beating = asyncio.ensure_future(self._beat())
        try:
            while True:
                self._wake.clear()
                self._working = asyncio.ensure_future(self._step_safely())
                await asyncio.wait([asyncio.shield(self._working), beating], return_when=asyncio.FIRST_COMPLETED)
                if beating.done():
                    beating.result()
                await self._working
                await self._pause()
        finally:
            beating.cancel()

    async def step(self) -> None:
        """Look, decide, act, say."""
        self._begin()
        if self._beats.look_at_key() and self._configure:
            self._apply_settings()
        self._watch.children()
        self._tick()
        await self._watch.links(self._configure)
        await self._follower.step(self._goal())
        synced = not (self._configure and self._configure.sync_enabled) or self._follower.sync_role == "backup"
        self._watch.feed(synced=synced, peer_alive=self._machine.peer_state == "alive")
        if self._keeper.problem:
            self._save()
        self._trouble_words = ""
        self._say_state()

    async def stop(self) -> None:
        """A planned stop: the other director is told first, then the addresses go, then the commands run."""
        was_serving, configure = self._serving, self._configure
        if self._begun:
            self._drive(Stopping())
        else:
            self._role, self._reason, self._since = STOPPED, "planned stop", self._around.clock.wall()
        if self._working is not None:
            await asyncio.wait([self._working])
        try:
            await self._follower.step(Goal(STOPPED, configure))
        except AdapterError as error:
            self._trouble(str(error))
        self._say_state()
        await self._beside.end()
        await self._errands.finish(on_ceasing_to_be(configure) if configure and was_serving else [])
        self._beats.close()
        self._around.link_events.close()
        if not self._follower.holder.owned:
            self._around.record.forget()

    async def _step_safely(self) -> None:
        try:
            await self.step()
        except AdapterError as error:
            self._trouble(str(error))

    async def _pause(self) -> None:
        announce_at = self._follower.holder.next_at()
        wait_s = LOOK_S if announce_at is None else max(0.0, min(LOOK_S, announce_at - self._around.clock.now()))
        await wait(self._wake, wait_s)

    async def _beat(self) -> None:
        """The one thing that has to be in time."""
        clock = self._around.clock
        while True:
            self._beat_wake.clear()
            due = self._awaited = self._machine.next_at(clock.now())
            woken = await wait(self._beat_wake, due - clock.now())
            if woken:
                continue
            if complaint := self._lateness.complaint(due, clock.now(), self._keepalive_s()):
                self._tell("problem", "warning", complaint)
            self._tick()
            self._after_beat()

    def _after_beat(self) -> None:
        """Nothing is due for a while: the moment for what may take one."""
        now = self._around.clock.now()
        if now - self._tidied_at >= TIDY_S:
            self._tidied_at = now
            self._around.tidy()

    # --- the machine -----------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Once, as soon as it is known what this director is."""
        if self._begun or self._configure is None:
            return
        self._begun = True
        before, since = self._role, self._since
        now, last_alive = self._around.clock.now(), self._around.record.last_alive()
        self._beats.look_at_key()
        self._machine = Machine(machine_settings(self._configure, keyed=self._beats.keyed), self._around.boot_id)
        self._open_links(self._configure)
        started = Started(
            holding=self._serving,
            away_s=now - last_alive if last_alive is not None else float("inf"),
            maintenance=self._around.maintenance.read(),
            fit=self._watch.fit,
        )
        commands = self._machine.handle(started, now)
        if self._machine.role == before:  # nothing has changed for anybody
            commands = [command for command in commands if not (isinstance(command, Note) and command.kind == "role")]
        for command in commands:
            self._obey(command)
        self._follow_machine()
        if self._role == before:
            self._since = since

    def _drive(self, event: Event) -> None:
        """Ask the machine and do what it says; what takes time is only begun."""
        if not self._begun:
            return
        self._split.before(self._machine)
        for command in self._machine.handle(event, self._around.clock.now()):
            self._obey(command)
        self._follow_machine()

    def _tick(self) -> None:
        """What waits on the sockets comes first: a link that broke, or a beat that came, just before is known when the role is decided."""
        self._around.link_events.drain()
        self._beats.drain()
        self._drive(Tick())

    def _obey(self, command: Command) -> None:
        match command:
            case Send(beat, paths, times):
                facts = self._watch.health or self._configure
                if facts is not None:
                    beat = replace(beat, serial=facts.serial, up=facts.up, total=facts.total)
                self._beats.send(beat, paths, times)
                self._around.record.alive(self._around.clock.now())
            case Note(kind, severity, message):
                if kind == "split":
                    self._split.told()
                self._tell(_EVENT_KINDS.get(kind, kind), severity, message)
            case Remember(maintenance):
                self._beside.begin(lambda: self._around.maintenance.write(maintenance=maintenance))
            case Activate() | Deactivate():
                self._wake.set()

    def _follow_machine(self) -> None:
        machine = self._machine
        changed = machine.role != self._role
        glance, self._reason = glance_at(machine), machine.reason
        if changed:
            self._split.role_changed(machine, self._role, self._around.clock.now())
            self._beats.yielded_s = self._split.yielded_s
            self._role, self._since = machine.role, self._around.clock.wall()
            self._change_service()
            self._save()
            self._wake.set()
        if machine.next_at(self._around.clock.now()) < self._awaited:
            self._beat_wake.set()
        if self._split.look(machine, self._beats.last, self._around.clock.now(), self._since):
            self._follower.holder.announce_again(self._follower.wanted(self._goal()))
            self._wake.set()
        if glance != self._glanced:
            self._glanced = glance
            self._wake.set()  # announcements wait for certainty, the shared connections for the other director
            self._say_state()

    def _change_service(self) -> None:
        """The commands of lvs.cf, when this director begins or ceases to serve (a restart in between is neither)."""
        if self._configure is None:
            return
        if self._role == ACTIVE and not self._serving:
            self._serving = True
            self._errands.begin(on_becoming_active(self._configure))
        elif self._role in {STANDBY, STOPPED} and self._serving:
            self._serving = False
            if self._role == STANDBY:
                self._errands.begin(on_ceasing_to_be(self._configure))

    # --- what lvsd says --------------------------------------------------------------------------------------------------------

    def _configured(self, message: PulseConfigure) -> None:
        before, self._configure = self._configure, message
        self._save()
        if self._begun and message != before:
            self._apply_settings()
        elif not self._begun:
            self._begin()

    def _apply_settings(self) -> None:
        if self._configure is None or not self._begun:
            return
        self._open_links(self._configure)
        self._drive(Configured(machine_settings(self._configure, keyed=self._beats.keyed)))

    def _open_links(self, configure: PulseConfigure) -> None:
        settings = machine_settings(configure, keyed=self._beats.keyed)
        wanted = configure.paths if configure.redundant and configure.identity != UNKNOWN else []
        self._beats.configure(wanted, configure.heartbeat_port, settings.keepalive_s, settings.deadtime_s)
        if configure.redundant and not settings.keyed and not self._unkeyed_said:
            self._unkeyed_said = True
            self._tell("problem", "error", UNKEYED)

    def _commanded(self, message: PulseCommand) -> None:
        if message.action not in tuple(Action):
            self._tell("problem", "warning", f"an operator asked for {message.action}, which is not known here")
            return
        by = ": ".join(words for words in (message.actor, message.reason) if words)
        self._drive(Operator(Action(message.action), by))

    # --- what is around --------------------------------------------------------------------------------------------------------

    def _own_problems(self) -> list[str]:
        problems = self._beats.problems() if self._machine.paired else []
        return [*problems, *(words for words in (self._watch.problem, self._keeper.problem) if words)]

    # --- what goes out ---------------------------------------------------------------------------------------------------------

    def _goal(self) -> Goal:
        return Goal(
            self._role,
            self._configure,
            undecided=self._role == STARTING and (self._serving or not self._begun),
            announce=self._machine.confirmed,
        )

    def _say_state(self) -> None:
        state = self.state()
        if state != self._last_said:
            self._say(state)
            self._last_said = state

    def _tell(self, kind: str, severity: str, message: str, subject: str = "") -> None:
        self._journal.tell(kind, severity, message, subject)

    def _trouble(self, message: str) -> None:
        if message != self._trouble_words:
            self._trouble_words = message
            self._tell("problem", "error", message)
        self._say_state()

    def _save(self) -> None:
        follower = self._follower
        self._keeper.save(
            Record(
                role=self._role,
                since=self._since,
                owned=tuple(sorted(follower.holder.owned)),
                configure=self._configure,
                sync=follower.sync,
                virtual_mac=follower.virtual_mac,
            )
        )

    def _keepalive_s(self) -> float:
        return keepalive_s(self._configure)

    def _silent_after_s(self) -> float:
        return self._machine.peer.deadtime_s(self._machine.settings.deadtime_s)

    def _wall(self, moment: float) -> float:
        return self._around.clock.wall() - (self._around.clock.now() - moment)
