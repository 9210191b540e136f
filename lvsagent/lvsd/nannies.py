"""All nannies as one: which of them checks what, and everything that concerns them together.

Owns the spread of the checks over the processes and the way of each message to the one that it concerns.  The mass-failure brake
(``MassFailure``) looks at what all of them say, before anybody else hears it; what a nanny starts from when it is started again comes
from the health book and from ``HealthMemory``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from lvsagent.api.contract import Unavailable
from lvsagent.core.check_spec import CheckSpec
from lvsagent.core.known import Known
from lvsagent.core.load_plan import LoadReading, LoadSpec
from lvsagent.core.spread import nanny_of
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.health_memory import HealthMemory
from lvsagent.lvsd.mass_failure import MassFailure
from lvsagent.lvsd.neighbours import Nanny
from lvsagent.messages import NannyConfigure, NannyKeep, NannyRelease, NannyReport, TrialOutcome
from lvsagent.ports import Clock
from lvsagent.settings import AgentSettings
from lvsagent.wire import Alert, CheckInfo, CheckResult


class Nannies:
    """Every nanny of this director.

    ``on_report`` hears what they say, the brake's decision included; ``on_loads`` what loads they have read.
    """

    def __init__(
        self, settings: AgentSettings, clock: Clock, events: EventLog, book: HealthBook, on_report: Callable[[list[CheckInfo]], None]
    ) -> None:
        self._book = book
        self._clock = clock
        self._on_report = on_report
        self.on_loads: Callable[[list[LoadReading]], None] = lambda _readings: None
        self._brake = MassFailure(book, clock, events, settings.runtime_dir / "brake.json")
        self.memory = HealthMemory(settings.state_dir / "hold-downs.json", clock)
        self._checks: Sequence[CheckSpec] | None = None
        self._shares: list[list[CheckSpec]] = []
        self._place: dict[str, int] = {}
        self._all = [self._nanny(settings, place, name) for place, name in enumerate(settings.nanny_names)]

    async def run(self) -> None:
        """Keep all connections, until cancelled."""
        await asyncio.gather(*(nanny.channel.run() for nanny in self._all))

    def standing(self) -> list[tuple[str, bool]]:
        """Each by name, and whether it is there."""
        return [(nanny.name, nanny.channel.connected) for nanny in self._all]

    def alerts(self) -> Iterator[Alert]:
        """Those that are not there."""
        for name, there in self.standing():
            if not there:
                whose = "real servers" if len(self._all) == 1 else "the real servers that it checks"
                yield Alert(severity="error", code="process", message=f"{name} is not running: {whose} keep the health last known")

    def configure(self, checks: Sequence[CheckSpec], hold_s: float = 0.0) -> None:
        """Say which checks are wanted and how long the mass-failure brake holds, now and at every new connection."""
        off = self._brake.configure(hold_s)
        before, self._shares = self._shares, [[] for _ in self._all]
        self._checks, first = checks, self._checks is None
        for spec in checks:
            self._shares[nanny_of(spec.address, len(self._all))].append(spec)
        self._place = {spec.key: place for place, share in enumerate(self._shares) for spec in share}
        for place, nanny in enumerate(self._all):
            if first or off or before[place] != self._shares[place]:
                nanny.configure()

    def read_loads(self, specs: Sequence[LoadSpec]) -> None:
        """Say whose load is wanted, now and at every new connection; what one run of a program tells is one nanny's."""
        shares: list[list[LoadSpec]] = [[] for _ in self._all]
        for spec in specs:
            shares[nanny_of(spec.job, len(self._all))].append(spec)
        for nanny, share in zip(self._all, shares, strict=True):
            nanny.read_loads(share)

    async def trial(self, checks: Sequence[CheckSpec]) -> list[TrialOutcome]:
        """Run these checks once, by those nannies that are there.  Raises Unavailable when none answers."""
        there = [nanny for nanny in self._all if nanny.channel.connected] or self._all[:1]
        shares: list[list[CheckSpec]] = [[] for _ in there]
        for spec in checks:
            shares[nanny_of(spec.address, len(there))].append(spec)
        trials = [nanny.trial(share) for nanny, share in zip(there, shares, strict=True) if share]
        answers = await asyncio.gather(*trials, return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(failed) == len(answers) and failed:
            raise failed[0]
        return [outcome for answer in answers if not isinstance(answer, BaseException) for outcome in answer]

    async def explain(self, key: str) -> list[CheckResult]:
        """The last results of this check, newest first.  Raises Unavailable."""
        return await self._all[self._place.get(key, 0)].explain(key)

    def release(self, keys: Sequence[str], *, brake: bool) -> None:
        """End hold-downs and the brake.  Raises Unavailable when a nanny that it concerns is not there; then nothing has changed."""
        shares = self._by_nanny(keys)
        concerned = [nanny for nanny, share in zip(self._all, shares, strict=True) if share] or self._all
        missing = [nanny.name for nanny in concerned if not nanny.channel.connected]
        if missing and (keys or len(missing) == len(self._all)):
            raise Unavailable(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not running: try again in a moment")
        self._brake.release(keys, brake=brake)
        for nanny, share in zip(self._all, shares, strict=True):
            if share or brake:
                nanny.channel.send(NannyRelease(keys=share, brake=brake))

    async def remember(self, in_file_thread: Callable[[Callable[[bytes], None], bytes], Awaitable[None]]) -> None:
        """Write which servers have failed lately to the file, if that has changed."""
        if data := self.memory.to_write(self._book.specs):
            await in_file_thread(self.memory.write, data)

    def discard(self) -> None:
        """A planned stop: a mass failure is over, since nobody is in service any more."""
        self._brake.discard()

    # --- inside ----------------------------------------------------------------------------------------------------------------

    def _nanny(self, settings: AgentSettings, place: int, name: str) -> Nanny:
        return Nanny(settings.nanny_socket(name), name, self._heard, self._heard_loads, lambda: self._configuration(place))

    def _configuration(self, place: int) -> NannyConfigure | None:
        if self._checks is None:
            return None
        share = self._shares[place]
        return NannyConfigure(checks=share, known=dict(self._known(share)), brake_s=self._brake.left_s())

    def _known(self, share: Iterable[CheckSpec]) -> Iterator[tuple[str, Known]]:
        for spec in share:
            state, info = self._book.known_state(spec.key), self._book.info(spec.key)
            relapses = self.memory.relapses(spec)
            if state or relapses.count:
                counts = (info.successes, info.failures) if info is not None else (0, 0)
                for_s = max(0.0, self._clock.wall() - info.since) if state and info is not None and info.since else 0.0
                yield spec.key, Known(state, *counts, relapses, for_s)

    def _heard(self, report: NannyReport) -> None:
        self.memory.note(report, self._book)
        infos, keep = self._brake.judge(report.checks)
        for nanny, share in zip(self._all, self._by_nanny(keep), strict=True):
            if keep:
                nanny.channel.send(NannyKeep(keys=share, for_s=self._brake.left_s()))
        self._on_report(infos)

    def _heard_loads(self, readings: list[LoadReading]) -> None:
        self.on_loads(readings)

    def _by_nanny(self, keys: Iterable[str]) -> list[list[str]]:
        shares: list[list[str]] = [[] for _ in self._all]
        for key in keys:
            shares[self._place.get(key, 0)].append(key)
        return shares
