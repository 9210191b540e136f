"""The loop around nanny's machine: starts the checks it asks for, hands it their outcomes, tells lvsd.

Owns tasks and timers.  It decides nothing about a server's state (``lvsagent.core.health`` does), and opens no socket.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator

import msgspec

from lvsagent.core.check_history import REPLIES_BYTES, CheckHistory, Result
from lvsagent.core.check_spec import CheckSpec, Outcome, describe, escaped
from lvsagent.core.health import HealthMachine
from lvsagent.core.health_types import (
    IN_SERVICE,
    Cancel,
    CheckStatus,
    Command,
    Configure,
    Event,
    Finished,
    Keep,
    Log,
    Release,
    Report,
    Start,
    TimePassed,
)
from lvsagent.core.known import relapses_from
from lvsagent.core.spread import share_of
from lvsagent.messages import (
    NannyExplain,
    NannyExplained,
    NannyKeep,
    NannyRelease,
    NannyReport,
    NannyTrial,
    NannyTrialDone,
    ToWarden,
    TrialOutcome,
)
from lvsagent.ports import Checker, Clock, QuickChecker
from lvsagent.wire import CheckInfo, CheckResult

REPORT_PAUSE_S = 0.5
URGENT_PAUSE_S = 0.1
"""A change is told at once, unless another one was just now: thousands of servers that fail within seconds are some dozen messages."""
CHECKS_A_MESSAGE = 1000
TRIALS_AT_ONCE = 500
TOGETHER_S = 0.01
"""Checks that are due within so short a time are started together: waking up costs more than a check."""

log = logging.getLogger(__name__)


class Warden:
    """All checks of this process, running.  ``say`` sends a message to lvsd, if it is there.  ``nannies`` share what a director may use."""

    def __init__(
        self, checker: Checker, clock: Clock, say: Callable[[msgspec.Struct], object], *, max_running: int, nannies: int = 1
    ) -> None:
        self._checker = checker
        self._clock = clock
        self._say = say
        self._machine = HealthMachine(max_running=max_running)
        self._history = CheckHistory(share_of(REPLIES_BYTES, nannies))
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._quick = checker.quick(self._ended) if isinstance(checker, QuickChecker) else None
        self._quick_runs: dict[int, str] = {}
        self._trials: set[asyncio.Task[None]] = set()
        self._trial_places = asyncio.Semaphore(share_of(TRIALS_AT_ONCE, nannies))
        self._unsaid: dict[str, None] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at: float | None = None
        self._report: asyncio.Handle | None = None
        self._report_at_once = False
        self._urgent_at = float("-inf")

    def handle(self, message: ToWarden) -> None:
        """What lvsd says."""
        if isinstance(message, NannyRelease):
            self._step(Release(tuple(message.keys), message.brake))
            return
        if isinstance(message, NannyKeep):
            self._step(Keep(tuple(message.keys), message.for_s))
            return
        if isinstance(message, NannyExplain):
            self._say(NannyExplained(id=message.id, results=[check_result(one) for one in self._history.of(message.key)]))
            return
        if isinstance(message, NannyTrial):
            task = asyncio.get_running_loop().create_task(self._try(message))
            self._trials.add(task)
            task.add_done_callback(self._trials.discard)
            return
        self._step(Configure(tuple(message.checks), message.known, message.brake_s))
        self._history.keep_only(self._machine.keys())

    def reports(self) -> Iterator[NannyReport]:
        """The whole state, for somebody who has just connected; at least one message."""
        yield from self._messages(self._machine.keys()) if self._machine.keys() else [NannyReport(checks=[])]

    async def close(self) -> None:
        """End every check.  Nothing is reported any more."""
        for handle in (self._wake, self._report):
            if handle is not None:
                handle.cancel()
        if self._quick is not None:
            self._quick.close()
        tasks = [*self._tasks.values(), *self._trials]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the machine ---------------------------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        for command in self._machine.handle(event, self._clock.now()):
            self._obey(command)
        self._set_timer()

    def _obey(self, command: Command) -> None:
        match command:
            case Start(spec=spec, run=run) if self._quick is not None and self._quick.takes(spec):
                self._quick_runs[run] = spec.key
                self._quick.begin(spec, run)
            case Start(spec=spec, run=run):
                self._tasks[run] = asyncio.get_running_loop().create_task(self._check(spec, run))
            case Cancel(run=run) if run in self._quick_runs:
                del self._quick_runs[run]
                if self._quick is not None:
                    self._quick.cancel(run)
            case Cancel(run=run):
                self._tasks.pop(run).cancel()
            case Report(key=key, urgent=urgent):
                self._unsaid[key] = None
                self._plan_report(at_once=urgent)
            case Log(message=message, warning=warning):
                log.log(logging.WARNING if warning else logging.INFO, "%s", message)

    def _set_timer(self) -> None:
        at = self._machine.next_at
        if at == self._wake_at:
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at, self._wake = at, None
        if at is not None:
            together = math.ceil(at / TOGETHER_S) * TOGETHER_S
            self._wake = asyncio.get_running_loop().call_later(max(0.0, together - self._clock.now()), self._on_time)

    def _on_time(self) -> None:
        self._wake = self._wake_at = None
        self._step(TimePassed())

    # --- checks --------------------------------------------------------------------------------------------------------------

    async def _check(self, spec: CheckSpec, run: int) -> None:
        outcome = await self._outcome(spec)
        self._tasks.pop(run, None)
        self._history.add(spec.key, self._clock.wall(), outcome)
        self._step(Finished(spec.key, run, outcome))

    def _ended(self, outcomes: list[tuple[int, Outcome]]) -> None:
        """Quick checks have ended."""
        now, wall = self._clock.now(), self._clock.wall()
        for run, outcome in outcomes:
            key = self._quick_runs.pop(run, None)
            if key is None:
                continue
            self._history.add(key, wall, outcome)
            for command in self._machine.handle(Finished(key, run, outcome), now):
                self._obey(command)
        self._set_timer()

    async def _outcome(self, spec: CheckSpec) -> Outcome:
        try:
            return await self._checker.check(spec)
        except Exception:
            log.exception("the check of %s failed by a fault of its own", spec.key)
            return Outcome(ok=False, duration_s=0.0, reason="the check failed by a fault of its own: see nanny's log", conclusive=False)

    async def _try(self, trial: NannyTrial) -> None:
        outcomes = await asyncio.gather(*(self._try_one(spec) for spec in trial.checks))
        self._say(NannyTrialDone(id=trial.id, outcomes=list(outcomes)))

    async def _try_one(self, spec: CheckSpec) -> TrialOutcome:
        async with self._trial_places:
            outcome = await self._outcome(spec)
        return TrialOutcome(
            key=spec.key,
            ok=outcome.ok,
            duration_s=outcome.duration_s,
            reason=outcome.reason,
            reply=outcome.reply,
            connect_s=outcome.connect_s,
            tls_s=outcome.tls_s,
            first_byte_s=outcome.first_byte_s,
            warning=outcome.warning,
        )

    # --- reports -------------------------------------------------------------------------------------------------------------

    def _plan_report(self, *, at_once: bool) -> None:
        """At once means after everything that happens in this turn of the loop, and not again for a moment."""
        if self._report is not None:
            if self._report_at_once or not at_once:
                return
            self._report.cancel()
        loop = asyncio.get_running_loop()
        self._report_at_once = at_once
        pause_s = max(0.0, self._urgent_at + URGENT_PAUSE_S - loop.time()) if at_once else REPORT_PAUSE_S
        self._report = loop.call_later(pause_s, self._send_report) if pause_s else loop.call_soon(self._send_report)

    def _send_report(self) -> None:
        self._report = None
        if self._report_at_once:
            self._urgent_at = asyncio.get_running_loop().time()
        unsaid, self._unsaid = list(self._unsaid), {}
        for message in self._messages(unsaid):
            self._say(message)

    def _messages(self, keys: list[str]) -> Iterator[NannyReport]:
        now = self._clock.now()
        wall = self._clock.wall() - now
        found = [status for key in keys if (status := self._machine.status(key)) is not None]
        for start in range(0, len(found), CHECKS_A_MESSAGE):
            part = found[start : start + CHECKS_A_MESSAGE]
            relapsed = {
                status.spec.key: relapses_from(status.record, now=now, up_since=status.up_since if status.state in IN_SERVICE else None)
                for status in part
                if status.record.failures
            }
            yield NannyReport(checks=[check_info(status, now, wall) for status in part], relapses=relapsed)


def check_info(status: CheckStatus, now: float, wall: float) -> CheckInfo:
    """A check for the screens; ``wall`` is what turns the machine's clock into seconds since the epoch."""
    return CheckInfo(
        key=status.spec.key,
        target=status.spec.target,
        what=describe(status.spec),
        state=status.state.value,
        reason=status.reason,
        since=status.since + wall,
        last_at=0.0 if status.last_at is None else status.last_at + wall,
        last_duration_s=status.last_duration_s,
        next_in_s=0.0 if status.next_at is None else max(0.0, status.next_at - now),
        successes=status.successes,
        failures=status.failures,
        warning=status.warning,
        share_percent=status.share_percent,
        held_until=status.record.held_until + wall if status.record.held_until > now else 0.0,
        kept_until=status.kept_until + wall if status.kept_until else 0.0,
    )


def check_result(result: Result) -> CheckResult:
    """A result for the screens; what came from the server as harmless text."""
    outcome = result.outcome
    return CheckResult(
        at=result.at,
        ok=outcome.ok,
        duration_s=outcome.duration_s,
        reason=outcome.reason,
        received=escaped(outcome.reply),
        conclusive=outcome.conclusive,
        connect_s=outcome.connect_s,
        tls_s=outcome.tls_s,
        first_byte_s=outcome.first_byte_s,
        warning=outcome.warning,
        share_percent=outcome.share_percent,
    )
