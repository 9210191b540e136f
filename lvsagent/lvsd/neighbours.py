"""lvsd's side of the sockets to supervisor, pulse and a nanny: what each last said, and what each is to be told.

Owns the connections and the newest state of each neighbour.  What follows from it is the director's business; which nanny is told what
is ``nannies``'s.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lvsagent.api.contract import Unavailable
from lvsagent.channel import ChannelClient
from lvsagent.core.check_spec import CheckSpec
from lvsagent.core.load_plan import LoadReading, LoadSpec
from lvsagent.messages import (
    FromNanny,
    FromPulse,
    FromSupervisor,
    NannyConfigure,
    NannyExplain,
    NannyExplained,
    NannyLoads,
    NannyReadLoads,
    NannyReport,
    NannyTrial,
    NannyTrialDone,
    PulseAnnounce,
    PulseCommand,
    PulseConfigure,
    PulseEvent,
    PulseHealth,
    PulseState,
    SupervisorState,
    TrialOutcome,
)
from lvsagent.settings import AgentSettings
from lvsagent.wire import CheckResult, ProcessInfo

ANSWER_LIMIT_S = 3.0

Answer = NannyTrialDone | NannyExplained


class Supervisor:
    """What the supervisor says of the processes; empty when lvsd runs without one."""

    def __init__(self, settings: AgentSettings) -> None:
        self.processes: list[ProcessInfo] = []
        self.channel = ChannelClient(settings.supervisor_socket, decode=FromSupervisor, on_message=self._heard, on_disconnect=self._lost)

    def _heard(self, message: SupervisorState) -> None:
        self.processes = message.processes

    def _lost(self) -> None:
        self.processes = []


class Pulse:
    """pulse: told the addresses, the pair and the health; heard about the role.

    ``on_state`` is called when it has spoken.  ``last_role`` is what it said last, also while it is away: a pulse that is being restarted
    has not changed its role.
    """

    def __init__(self, settings: AgentSettings, on_event: Callable[[PulseEvent], None]) -> None:
        self.state: PulseState | None = None
        self.last_role = ""
        self._configure: PulseConfigure | None = None
        self._health: PulseHealth | None = None
        self._on_event = on_event
        self.on_state: Callable[[], None] = lambda: None
        self.channel = ChannelClient(
            settings.pulse_socket, decode=FromPulse, on_message=self._heard, on_connect=self._tell, on_disconnect=self._lost
        )

    def configure(self, message: PulseConfigure) -> None:
        """Say what is wanted, now and at every new connection.

        An lvs.cf that differs in nothing that matters to pulse does not disturb it; its serial goes with the health.
        """
        before, self._configure = self._configure, message
        if before is None or msgspec.structs.replace(before, etag=message.etag, serial=message.serial) != message:
            self.channel.send(message)

    def healthy(self, message: PulseHealth) -> None:
        """Say what the peer is to be told of this director's work, when it is another than before."""
        if message != self._health:
            self._health = message
            self.channel.send(message)

    def announce(self) -> None:
        """Ask for gratuitous ARP.  Raises Unavailable when pulse is not there or this director is not active."""
        if self.state is None:
            raise Unavailable("pulse is not running: nothing can be announced")
        if self.state.role != "active":
            raise Unavailable(f"this director is {self.state.role}: only the active one announces the addresses")
        self.channel.send(PulseAnnounce())

    def command(self, message: PulseCommand) -> None:
        """Pass on an operator's word.  Raises Unavailable when pulse is not there."""
        if not self.channel.send(message):
            raise Unavailable("pulse is not running: the role cannot be changed")

    def _tell(self) -> None:
        for message in (self._configure, self._health):
            if message is not None:
                self.channel.send(message)

    def _heard(self, message: PulseState | PulseEvent) -> None:
        if isinstance(message, PulseState):
            self.state, self.last_role = message, message.role
            self.on_state()
        else:
            self._on_event(message)

    def _lost(self) -> None:
        self.state = None


class Nanny:
    """One nanny: told its checks and whose load to read, heard about what comes of them; runs trials.

    ``configuration`` is asked, at every new connection, what it is to be told (None: nothing yet).
    """

    def __init__(
        self,
        path: Path,
        name: str,
        on_report: Callable[[NannyReport], None],
        on_loads: Callable[[list[LoadReading]], None],
        configuration: Callable[[], NannyConfigure | None],
    ) -> None:
        self.name = name
        self._on_report = on_report
        self._on_loads = on_loads
        self._configuration = configuration
        self._loads: list[LoadSpec] | None = None
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.count(1)
        self.channel = ChannelClient(path, decode=FromNanny, on_message=self._heard, on_connect=self._connected, on_disconnect=self._lost)

    def configure(self) -> None:
        """Say which checks are wanted of it, and how it stands with the brake."""
        message = self._configuration()
        if message is not None:
            self.channel.send(message)

    def read_loads(self, specs: Sequence[LoadSpec]) -> None:
        """Say whose load is wanted of it, now and at every new connection."""
        if list(specs) != self._loads:
            self._loads = list(specs)
            self.channel.send(NannyReadLoads(specs=self._loads))

    async def trial(self, checks: Sequence[CheckSpec]) -> list[TrialOutcome]:
        """Run these checks once.  Raises Unavailable when nanny is not there, goes, or does not answer."""
        limit_s = max(check.timeout_s for check in checks) + ANSWER_LIMIT_S
        done = await self._ask(lambda number: NannyTrial(id=number, checks=list(checks)), limit_s, "nothing can be checked")
        return done.outcomes if isinstance(done, NannyTrialDone) else []

    async def explain(self, key: str) -> list[CheckResult]:
        """The last results of this check, newest first.  Raises Unavailable."""
        told = await self._ask(lambda number: NannyExplain(id=number, key=key), ANSWER_LIMIT_S, "nobody knows the last results")
        return told.results if isinstance(told, NannyExplained) else []

    async def _ask(self, question: Callable[[int], NannyTrial | NannyExplain], limit_s: float, without: str) -> Answer:
        number = next(self._ids)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            if not self.channel.send(question(number)):
                raise Unavailable(f"{self.name} is not running: {without}")
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            raise Unavailable(f"{self.name} did not answer in time") from None
        finally:
            del self._asked[number]

    def _connected(self) -> None:
        self.configure()
        if self._loads is not None:
            self.channel.send(NannyReadLoads(specs=self._loads))

    def _heard(self, message: NannyReport | NannyLoads | Answer) -> None:
        if isinstance(message, NannyReport):
            self._on_report(message)
            return
        if isinstance(message, NannyLoads):
            self._on_loads(message.readings)
            return
        answer = self._asked.get(message.id)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _lost(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Unavailable(f"{self.name} has ended before it answered"))
