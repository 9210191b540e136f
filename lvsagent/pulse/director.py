"""This director's role and addresses: a loop around the decisions of ``lvsagent.core``.

Owns what is on the interfaces and who is told.  It waits for nothing but its own interfaces: commands run beside it, and lvsd may be
away.  It never touches an address that it did not add.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import msgspec

from lvsagent.adapters.commands import CommandResult
from lvsagent.core.addresses import Address, AddressSteps, Announcements, next_steps
from lvsagent.core.identity import ACTIVE, STARTING, STOPPED, Role, role_without_peer
from lvsagent.core.root_commands import argv_permitted
from lvsagent.messages import PulseAnnounce, PulseConfigure, PulseEvent, PulseState, ToPulse
from lvsagent.ports import AdapterError, Announcer, Clock, Links
from lvsagent.pulse.record import Record, RecordFile
from lvsagent.wire import AddressState

LOOK_S = 1.0
"""How often the interfaces are looked at: what was removed by hand is back within this time."""
COMMAND_LIMIT_S = 10.0
KEPT_EVENTS = 200
"""Told to lvsd when it is back."""
PASSES = 3
"""Removing the first address of a subnet can take its neighbours away with it: look again at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """pulse's ports.  ``run_command`` and ``forwarding_problem`` are those of the adapters."""

    links: Links
    announcer: Announcer
    clock: Clock
    record: RecordFile
    run_command: Callable[[Sequence[str], float], Coroutine[None, None, CommandResult]]
    forwarding_problem: Callable[[str], str]
    root_commands: tuple[str, ...] = ()


class Director:
    """One director.  ``say`` sends a message to whoever listens and tells whether anyone does."""

    def __init__(self, around: Surroundings, say: Callable[[msgspec.Struct], bool]) -> None:
        self._around = around
        self._say = say
        last = around.record.load()
        self._configure = last.configure
        self._owned = frozenset(last.owned)
        self._role = Role(last.role, "as before the restart") if last.configure else Role(STARTING, "waiting for lvsd to read lvs.cf")
        self._since = last.since if last.configure else around.clock.wall()
        self._announcements = Announcements()
        self._announced_at = 0.0
        self._unannounced = ""
        self._states: tuple[AddressState, ...] = ()
        self._problems: tuple[str, ...] = ()
        self._refused: dict[str, str] = {}
        self._unsaid: deque[PulseEvent] = deque(maxlen=KEPT_EVENTS)
        self._last_said: PulseState | None = None
        self._wake = asyncio.Event()
        self._commands: set[asyncio.Task[None]] = set()
        self._command_turn = asyncio.Lock()

    # --- what comes in ---------------------------------------------------------------------------------------------------------

    def handle(self, message: ToPulse) -> None:
        """A message from lvsd."""
        if isinstance(message, PulseConfigure):
            self._configure = message
            self._save()
        elif isinstance(message, PulseAnnounce):
            self._announcements.again(self._wanted(), self._around.clock.now())
        self._wake.set()

    def state(self) -> PulseState:
        """The whole state, for someone who has just connected."""
        return PulseState(
            etag=self._configure.etag if self._configure else "",
            role=self._role.role,
            since=self._since,
            reason=self._role.reason,
            addresses=list(self._states),
            announced_at=self._announced_at,
            problems=list(self._problems),
        )

    def unsaid(self) -> list[PulseEvent]:
        """Events that nobody was there to hear; they are told once."""
        events = list(self._unsaid)
        self._unsaid.clear()
        return events

    # --- the loop --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self.step()
            except AdapterError as error:
                self._trouble("interfaces", str(error))
            await self._pause()

    async def step(self) -> None:
        """Look, decide, act, say."""
        self._decide_role()
        present, foreign = await self._put_in_place(self._wanted())
        await self._announce(present)
        await self._look_at_surroundings()
        self._states = tuple(self._state_of(address, present, foreign) for address in self._wanted())
        self._say_state()

    async def stop(self) -> None:
        """A planned stop: addresses first, so that the peer can have them, then the command."""
        was_active = self._role.role == ACTIVE
        self._set_role(Role(STOPPED, "planned stop"))
        try:
            await self._put_in_place(())
        except AdapterError as error:
            self._trouble("interfaces", str(error))
        self._states = ()
        self._say_state()
        for task in tuple(self._commands):
            task.cancel()
        if was_active and self._configure and self._configure.inactive_command:
            await self._run_command(self._configure.inactive_command, "inactive_cmd")
        if not self._owned:
            self._around.record.forget()

    async def _pause(self) -> None:
        now = self._around.clock.now()
        announce_at = self._announcements.next_at()
        wait_s = LOOK_S if announce_at is None else max(0.0, min(LOOK_S, announce_at - now))
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    # --- role ------------------------------------------------------------------------------------------------------------------

    def _decide_role(self) -> None:
        if self._configure is None:
            return
        role = role_without_peer(self._configure.identity, redundant=self._configure.redundant)
        before = self._role.role
        if role.role == before:
            self._role = role
            return
        self._set_role(role)
        if role.role == ACTIVE:
            self._begin_command(self._configure.active_command, "active_cmd")
        elif before == ACTIVE:
            self._begin_command(self._configure.inactive_command, "inactive_cmd")

    def _set_role(self, role: Role) -> None:
        before, self._role = self._role.role, role
        self._since = self._around.clock.wall()
        self._save()
        self._event("role", "info", f"role {before} → {role.role}: {role.reason}")

    def _begin_command(self, argv: list[str], keyword: str) -> None:
        if argv:
            task = asyncio.ensure_future(self._run_command(argv, keyword))
            self._commands.add(task)
            task.add_done_callback(self._commands.discard)

    async def _run_command(self, argv: list[str], keyword: str) -> None:
        """Only what this host's own agent.toml lists, whatever lvs.cf or lvsd say."""
        line = " ".join(argv)
        if not argv_permitted(argv, self._around.root_commands):
            self._event("problem", "error", f"{keyword} is not run: agent.toml's root_commands does not list {line}", keyword)
            return
        async with self._command_turn:
            result = await self._around.run_command(argv, COMMAND_LIMIT_S)
        output = f": {result.output}" if result.output else ""
        self._event("role", "info" if result.ok else "error", f"{keyword} {line}: {result.words}{output}", keyword)

    # --- addresses -------------------------------------------------------------------------------------------------------------

    def _wanted(self) -> tuple[Address, ...]:
        if self._configure is None or self._role.role != ACTIVE:
            return ()
        specs = (Address(spec.address, spec.prefix, spec.interface, spec.label) for spec in self._configure.addresses)
        return tuple(dict.fromkeys(specs))

    async def _put_in_place(self, wanted: Sequence[Address]) -> tuple[frozenset[Address], frozenset[Address]]:
        """Act until nothing is left to do or it does not help.  Returns what interfaces have now, and which of it was never ours."""
        refused: dict[str, str] = {}
        present = await self._around.links.addresses()
        for _ in range(PASSES):
            steps = next_steps(wanted, self._owned, present)
            if steps.idle or refused:
                break
            self._own(steps.owned)
            refused = await self._carry_out(steps)
            present = await self._around.links.addresses()
        self._own(self._owned & present)
        self._report_refusals(refused)
        return present, next_steps(wanted, self._owned, present).foreign

    async def _carry_out(self, steps: AddressSteps) -> dict[str, str]:
        """Returns what was refused and why."""
        links = self._around.links
        refused = list(await links.remove(steps.relabel)) if steps.relabel else []
        failed_to_add = await links.add(steps.add) if steps.add else ()
        failed_to_remove = await links.remove(steps.remove) if steps.remove else ()
        refused += [*failed_to_add, *failed_to_remove]
        no_longer = {address for address, _ in failed_to_add}
        for address in steps.add:
            if address not in no_longer:
                put_back = address in steps.restored
                words = "had disappeared and is back" if put_back else "added"
                self._event("address", "warning" if put_back else "info", f"{_words(address)} {words}", address.address)
        self._announcements.again(steps.restored, self._around.clock.now())
        stuck = {address for address, _ in failed_to_remove}
        for address in steps.remove:
            if address not in stuck:
                self._event("address", "info", f"{_words(address)} removed", address.address)
        return {_words(address): reason for address, reason in refused}

    def _own(self, owned: frozenset[Address]) -> None:
        """Write down what is ours, before it is."""
        if owned != self._owned:
            self._owned = owned
            self._save()

    def _report_refusals(self, refused: dict[str, str]) -> None:
        for address, reason in refused.items():
            if self._refused.get(address) != reason:
                self._event("problem", "error", f"{address}: {reason}", address)
        self._refused = refused

    def _state_of(self, address: Address, present: frozenset[Address], foreign: frozenset[Address]) -> AddressState:
        reason = self._refused.get(_words(address), "")
        if address in present:
            state = "present"
            reason = "was there before the agent came; it is used and never removed" if address in foreign else ""
        else:
            state = "refused" if reason else "absent"
        return AddressState(
            address=address.address, prefix=address.prefix, interface=address.interface, label=address.label, state=state, reason=reason
        )

    async def _announce(self, present: frozenset[Address]) -> None:
        now = self._around.clock.now()
        self._announcements.carry([address for address in self._wanted() if address in present], now)
        due = self._announcements.due(now)
        if not due:
            return
        try:
            refused = await self._around.announcer.announce(due)
        except AdapterError as error:
            self._unannounced = f"nothing can be announced: {error}"
            return
        self._unannounced = "; ".join(f"{_words(address)} could not be announced: {reason}" for address, reason in refused)
        if len(refused) < len(due):
            self._announced_at = self._around.clock.wall()

    # --- what goes out ---------------------------------------------------------------------------------------------------------

    async def _look_at_surroundings(self) -> None:
        problems = [self._unannounced] if self._unannounced else []
        if self._configure is not None:
            problems += [text for family in self._configure.forwarding_needed if (text := self._around.forwarding_problem(family))]
        for interface in sorted({address.interface for address in self._wanted()}):
            if not await self._around.links.up(interface):
                problems.append(f"interface {interface} is missing, down or without a link")
        for problem in problems:
            if problem not in self._problems:
                self._event("problem", "error", problem)
        self._problems = tuple(problems)

    def _trouble(self, subject: str, message: str) -> None:
        if self._refused.get(subject) != message:
            self._refused[subject] = message
            self._event("problem", "error", message, subject)
        self._problems = (message,)
        self._say_state()

    def _say_state(self) -> None:
        state = self.state()
        if state != self._last_said:
            self._say(state)
            self._last_said = state

    def _event(self, kind: str, severity: str, message: str, subject: str = "") -> None:
        log.log({"error": logging.ERROR, "warning": logging.WARNING}.get(severity, logging.INFO), "%s", message)
        event = PulseEvent(at=self._around.clock.wall(), kind=kind, severity=severity, message=message, subject=subject)
        if not self._say(event):
            self._unsaid.append(event)

    def _save(self) -> None:
        record = Record(role=self._role.role, since=self._since, owned=tuple(sorted(self._owned)), configure=self._configure)
        try:
            self._around.record.save(record)
        except OSError as error:
            raise AdapterError(f"the record of addresses cannot be written: {error.strerror}") from error


def _words(address: Address) -> str:
    label = f" {address.label}" if address.label and address.label != address.interface else ""
    return f"{address.address}/{address.prefix} on {address.interface}{label}"
