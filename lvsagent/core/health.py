"""nanny's machine: from the outcomes of checks to the state of a real server, and when to check next.

Pure: events in, commands out, time is an argument.  It owns the meaning of timeout, reentry, rise and fall; it opens no socket.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from lvsagent.core.check_spec import CheckSpec, Method, Outcome, describe
from lvsagent.core.health_types import (
    IN_SERVICE,
    Cancel,
    CheckStatus,
    Command,
    Configure,
    Event,
    Finished,
    HealthState,
    Keep,
    Log,
    Release,
    Report,
    Start,
    TimePassed,
)
from lvsagent.core.health_verdict import judged, keep, let_go, log_lines, remembered, same_question
from lvsagent.core.known import NOTHING_KNOWN, Known
from lvsagent.core.schedule import Schedule, first_start

SLEPT_S = 5.0
"""A check that could have started for so long, and did not: nobody was there to start it."""
FAST_AGAIN_S = 1.0
"""A server that has just failed, and may fail more often than once, is asked again this soon."""


@dataclass(slots=True)
class _Check:
    status: CheckStatus
    run: int = 0
    running: bool = False
    due: float = 0.0


class HealthMachine:
    """All checks of one nanny.

    ``max_running`` bounds how many run at the same time; what is due beyond it waits its turn and is never run twice at once.
    """

    def __init__(self, *, max_running: int = 4000) -> None:
        self.max_running = max_running
        self._checks: dict[str, _Check] = {}
        self._schedule = Schedule()
        self._running = 0
        self._runs = itertools.count(1)
        self._brake_until = 0.0

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from ``event`` at ``now`` (monotonic seconds)."""
        if (at := self.next_at) is not None and now - at >= SLEPT_S:
            self._spread(now)
        match event:
            case Configure():
                return self._configure(event, now)
            case TimePassed():
                return self._start_due(now)
            case Finished():
                return self._finish(event, now)
            case Keep():
                return self._keep(event, now)
            case Release():
                return self._release(event, now)

    @property
    def next_at(self) -> float | None:
        """When ``TimePassed`` is worth sending; None while nothing can start before something else happens."""
        return None if self._running >= self.max_running else self._schedule.next_at

    @property
    def running(self) -> int:
        """How many checks run now."""
        return self._running

    def keys(self) -> list[str]:
        """Every check there is."""
        return list(self._checks)

    def status(self, key: str) -> CheckStatus | None:
        """The check as it stands; None when there is none of that key."""
        check = self._checks.get(key)
        return None if check is None else replace(check.status, next_at=self._schedule.due_at(key))

    # --- configure -----------------------------------------------------------------------------------------------------------

    def _configure(self, event: Configure, now: float) -> list[Command]:
        wanted = {spec.key: spec for spec in event.checks}
        self._brake_until = now + event.brake_s
        commands: list[Command] = []
        for key in [key for key in self._checks if key not in wanted]:
            commands += self._drop(key)
        new = []
        for key, spec in wanted.items():
            check = self._checks.get(key)
            if check is not None and check.status.spec == spec:
                continue
            if check is not None and same_question(check.status.spec, spec):
                self._adjust(check, spec)
                continue
            known = NOTHING_KNOWN if check is not None else event.known.get(key, NOTHING_KNOWN)
            commands += self._drop(key)
            new.append((spec, known))
        for spec, known in new:
            commands += self._add(spec, known, now, len(new))
        return commands + self._start_due(now)

    def _adjust(self, check: _Check, spec: CheckSpec) -> None:
        """Other numbers for the same question: the state stays, the next run comes no later than the new interval allows."""
        check.status = replace(check.status, spec=spec)
        due = self._schedule.due_at(spec.key)
        if due is not None and check.status.last_at is not None:
            self._schedule.set(spec.key, check.due + spec.interval_s)

    def _add(self, spec: CheckSpec, known: Known, now: float, beside: int) -> list[Command]:
        if spec.method is Method.NONE:
            self._checks[spec.key] = _Check(CheckStatus(spec, HealthState.UP, now, reason=describe(spec)))
            return [Report(spec.key, urgent=True)]
        self._checks[spec.key] = _Check(remembered(spec, known, now))
        self._schedule.set(spec.key, first_start(spec.key, now, spec.interval_s, beside))
        return [Report(spec.key, urgent=True)]

    def _drop(self, key: str) -> list[Command]:
        check = self._checks.pop(key, None)
        self._schedule.remove(key)
        if check is None or not check.running:
            return []
        self._running -= 1
        return [Cancel(key, check.run)]

    # --- run -----------------------------------------------------------------------------------------------------------------

    def _spread(self, now: float) -> None:
        """Nobody ran (a suspended host, a stopped process): everything is due at once, and would stay so in every interval to come."""
        late = [key for key, _ in self._schedule.pop_due(now)]
        for key in late:
            self._schedule.set(key, first_start(key, now, self._checks[key].status.spec.interval_s, len(late)))

    def _start_due(self, now: float) -> list[Command]:
        commands: list[Command] = []
        if self._running >= self.max_running:
            return commands
        for key, due in self._schedule.pop_due(now):
            check = self._checks[key]
            check.run, check.running, check.due = next(self._runs), True, due
            self._running += 1
            commands.append(Start(check.status.spec, check.run))
            if self._running >= self.max_running:
                break
        return commands

    def _finish(self, event: Finished, now: float) -> list[Command]:
        check = self._checks.get(event.key)
        if check is None or not check.running or check.run != event.run:
            return []
        check.running = False
        self._running -= 1
        before, after = check.status, judged(check.status, event.outcome, now)
        if before.state in IN_SERVICE and after.state is HealthState.DOWN and now < self._brake_until:
            after = keep(after, self._brake_until, before.since if before.kept_until else now)
        check.status = after
        self._schedule.set(event.key, _next(check, event.outcome, now))
        lines = log_lines(before, after, event.outcome)
        return [*lines, Report(event.key, urgent=before.state is not after.state), *self._start_due(now)]

    def _keep(self, event: Keep, now: float) -> list[Command]:
        """Most servers of several services have failed at once, whoever checks the others: bring ours back."""
        self._brake_until = now + event.for_s
        commands: list[Command] = []
        for key in event.keys:
            check = self._checks.get(key)
            if check is not None and check.status.state in (HealthState.DOWN, HealthState.RISING):
                check.status = keep(check.status, self._brake_until, now)
                commands.append(Report(key, urgent=True))
        return commands

    def _release(self, event: Release, now: float) -> list[Command]:
        if event.brake:
            self._brake_until = 0.0
        commands: list[Command] = []
        for key in event.keys:
            check = self._checks.get(key)
            if check is None or (after := let_go(check.status, now)) == check.status:
                continue
            check.status = after
            commands += [Log(f"{after.spec.target} is released by hand: {after.state}"), Report(key, urgent=True)]
        return commands


def _next(check: _Check, outcome: Outcome, now: float) -> float:
    """When to ask again: sooner when the first of several failures is to be made sure of."""
    spec = check.status.spec
    again = max(check.due + spec.interval_s, now)
    unsure = check.status.state is HealthState.FALLING and not check.status.kept_until and outcome.conclusive
    return min(again, now + FAST_AGAIN_S) if unsure else again
