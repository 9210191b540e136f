"""nanny's machine: from the outcomes of checks to the state of a real server, and when to check next.

Pure: events in, commands out, time is an argument.  It owns the meaning of timeout, reentry, rise and fall; it opens no socket.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lvsagent.core.brake import Brake
from lvsagent.core.check_spec import CheckSpec, Details, Method, Outcome, describe, escaped, shown
from lvsagent.core.flapping import GOOD, Record, after_failure
from lvsagent.core.schedule import Schedule, first_start

__all__ = [
    "Cancel",
    "CheckSpec",
    "CheckStatus",
    "Command",
    "Configure",
    "Details",
    "Event",
    "Finished",
    "HealthMachine",
    "HealthState",
    "Log",
    "Method",
    "Outcome",
    "Report",
    "Start",
    "TimePassed",
    "describe",
    "escaped",
    "same_question",
    "settle",
    "shown",
]


class HealthState(StrEnum):
    """``rising`` and ``falling`` are on their way: not yet counted as the other side."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    RISING = "rising"
    FALLING = "falling"


SLEPT_S = 5.0
"""A check that could have started for so long, and did not: nobody was there to start it."""

# --- events and commands -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configure:
    """The whole set of checks wanted.  ``known`` is health remembered from before a restart: it counts for checks that are new here."""

    checks: tuple[CheckSpec, ...]
    known: Mapping[str, str] = field(default_factory=dict)
    brake_s: float = 0
    """How long the mass-failure brake holds (0: there is none)."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Look at what is due."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A check that was started has ended.  ``run`` is the one of its ``Start``: an answer to an older question is ignored."""

    key: str
    run: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Release:
    """Somebody has decided: these servers are held down, or kept by the brake, no longer.  ``brake``: it ends for all servers."""

    keys: tuple[str, ...]
    brake: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Run this check now."""

    spec: CheckSpec
    run: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants the answer of this run any more."""

    key: str
    run: int


@dataclass(frozen=True, slots=True)
class Report:
    """Something about this check is new.  ``urgent``: its state changed, tell at once."""

    key: str
    urgent: bool


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the log, in Piranha's phrases where it had one."""

    message: str
    warning: bool = False


Event = Configure | TimePassed | Finished | Release
Command = Start | Cancel | Report | Log


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """A check as it stands.  Times are on the clock the machine is driven with; ``last_at`` and ``next_at`` None: never, not planned.

    ``successes`` and ``failures`` are those in a row: one of them is always 0.  ``warning`` and ``share_percent`` are the last outcome's,
    ``up_since`` is when the server last came into service.  ``record`` tells how often it failed lately and until when it is held down.
    ``kept_until``: it has failed, and the mass-failure brake keeps it in service until then (0: no).
    """

    spec: CheckSpec
    state: HealthState
    since: float
    reason: str = ""
    last_at: float | None = None
    last_duration_s: float = 0.0
    next_at: float | None = None
    successes: int = 0
    failures: int = 0
    warning: str = ""
    share_percent: int = 100
    up_since: float = 0.0
    record: Record = GOOD
    kept_until: float = 0.0


# --- what ----------------------------------------------------------------------------------------------------------------------


def settle(state: HealthState, *, ok: bool, in_a_row: int, spec: CheckSpec) -> HealthState:
    """The state after a result, the ``in_a_row``th of its kind without one of the other kind in between."""
    if state is HealthState.UNKNOWN:
        return HealthState.UP if ok else HealthState.DOWN
    if state in (HealthState.UP, HealthState.FALLING):
        if ok:
            return HealthState.UP
        return HealthState.DOWN if in_a_row >= spec.fall else HealthState.FALLING
    if not ok:
        return HealthState.DOWN
    return HealthState.UP if in_a_row >= spec.rise else HealthState.RISING


def same_question(one: CheckSpec, other: CheckSpec) -> bool:
    """Whether two specs ask the same of the same server, whatever their intervals, limits and counts."""
    return one == replace(
        other,
        interval_s=one.interval_s,
        timeout_s=one.timeout_s,
        rise=one.rise,
        fall=one.fall,
        hold_down_s=one.hold_down_s,
        slow_start_s=one.slow_start_s,
    )


IN_SERVICE = (HealthState.UP, HealthState.FALLING)
FAST_AGAIN_S = 1.0
"""A server that has just failed, and may fail more often than once, is asked again this soon."""


@dataclass(slots=True)
class _Check:
    status: CheckStatus
    run: int = 0
    running: bool = False
    due: float = 0.0


class HealthMachine:
    """All checks of this director.

    ``max_running`` bounds how many run at the same time; what is due beyond it waits its turn and is never run twice at once.
    """

    def __init__(self, *, max_running: int = 4000) -> None:
        self.max_running = max_running
        self._checks: dict[str, _Check] = {}
        self._schedule = Schedule()
        self._running = 0
        self._runs = itertools.count(1)
        self._brake = Brake()

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
        self._brake.hold_s = event.brake_s
        if event.brake_s <= 0:
            self._brake.release()
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
            known = HealthState.UNKNOWN if check is not None else _remembered(event.known.get(key, ""))
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

    def _add(self, spec: CheckSpec, known: HealthState, now: float, beside: int) -> list[Command]:
        if spec.method is Method.NONE:
            self._checks[spec.key] = _Check(CheckStatus(spec, HealthState.UP, now, reason=describe(spec)))
            self._brake.moved(spec.key, into=True)
            return [Report(spec.key, urgent=True)]
        reason = "" if known is HealthState.UNKNOWN else "as before the restart"
        self._checks[spec.key] = _Check(CheckStatus(spec, known, now, reason=reason))
        if known in IN_SERVICE:
            self._brake.moved(spec.key, into=True)
        self._schedule.set(spec.key, first_start(spec.key, now, spec.interval_s, beside))
        return [Report(spec.key, urgent=True)]

    def _drop(self, key: str) -> list[Command]:
        check = self._checks.pop(key, None)
        self._schedule.remove(key)
        if check is not None and check.status.state in IN_SERVICE:
            self._brake.moved(key, into=False)
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
        spec = check.status.spec
        before, after = check.status, _record(check.status, event.outcome, now)
        kept: list[Command] = []
        if before.state in IN_SERVICE and after.state is HealthState.DOWN and self._brake.on(now):
            after = _kept(after, self._brake.until, before.since if before.kept_until else now)
        check.status = after
        if (before.state in IN_SERVICE) is not (after.state in IN_SERVICE):
            self._brake.moved(event.key, into=after.state in IN_SERVICE)
            if before.state in IN_SERVICE and not before.kept_until:
                kept = self._keep(self._brake.failed(event.key, now, spec.interval_s), now)
        self._schedule.set(event.key, _next(check, event.outcome, now))
        changed = before.state is not after.state
        lines = _log_lines(before, check.status, event.outcome)
        return [*lines, *kept, Report(event.key, urgent=changed), *self._start_due(now)]

    def _keep(self, keys: tuple[str, ...], now: float) -> list[Command]:
        """Most servers of several services have failed at once: bring them back, and tell."""
        if not keys:
            return []
        words = f"{len(keys)} real servers failed at once: they are kept in service for {self._brake.hold_s:g} s"
        commands: list[Command] = [Log(f"mass-failure brake: {words}", warning=True)]
        for key in keys:
            check = self._checks.get(key)
            if check is not None and check.status.state not in IN_SERVICE:
                check.status = _kept(check.status, self._brake.until, now)
                self._brake.moved(key, into=True)
                commands.append(Report(key, urgent=True))
        return commands

    def _release(self, event: Release, now: float) -> list[Command]:
        if event.brake:
            self._brake.release()
        commands: list[Command] = []
        for key in event.keys:
            check = self._checks.get(key)
            if check is None or (after := _let_go(check.status, now)) == check.status:
                continue
            if (check.status.state in IN_SERVICE) is not (after.state in IN_SERVICE):
                self._brake.moved(key, into=after.state in IN_SERVICE)
            check.status = after
            commands += [Log(f"{after.spec.target} is released by hand: {after.state}"), Report(key, urgent=True)]
        return commands


def _let_go(status: CheckStatus, now: float) -> CheckStatus:
    """Without its hold-down, or without the brake's hold: its last results alone decide."""
    if status.kept_until:
        return replace(status, state=HealthState.DOWN, since=now, kept_until=0.0)
    if not status.record.held_until:
        return status
    free = replace(status, record=GOOD)
    if status.state is HealthState.RISING and status.successes >= status.spec.rise:
        return replace(free, state=HealthState.UP, since=now, up_since=now, reason="answers, and is no longer held down")
    return free


def _kept(status: CheckStatus, until: float, since: float) -> CheckStatus:
    """A server that has failed and stays in service all the same, which is not held against it."""
    return replace(status, state=HealthState.FALLING, since=since, kept_until=until, record=GOOD)


def _next(check: _Check, outcome: Outcome, now: float) -> float:
    """When to ask again: sooner when the first of several failures is to be made sure of."""
    spec = check.status.spec
    again = max(check.due + spec.interval_s, now)
    unsure = check.status.state is HealthState.FALLING and not check.status.kept_until and outcome.conclusive
    return min(again, now + FAST_AGAIN_S) if unsure else again


def _remembered(word: str) -> HealthState:
    return {"up": HealthState.UP, "falling": HealthState.UP, "down": HealthState.DOWN, "rising": HealthState.DOWN}.get(
        word, HealthState.UNKNOWN
    )


def _record(status: CheckStatus, outcome: Outcome, now: float) -> CheckStatus:
    if not outcome.conclusive:
        return replace(status, reason=outcome.reason, last_at=now, last_duration_s=outcome.duration_s)
    successes = status.successes + 1 if outcome.ok else 0
    failures = 0 if outcome.ok else status.failures + 1
    state = settle(status.state, ok=outcome.ok, in_a_row=successes or failures, spec=status.spec)
    record, reason = status.record, outcome.reason
    if state is HealthState.UP and now < record.held_until:
        state, reason = HealthState.RISING, "answers again, and is held down because it has failed so often"
    elif state is HealthState.DOWN and status.state in IN_SERVICE:
        record = after_failure(record, now=now, up_for_s=now - status.up_since, first_s=status.spec.hold_down_s)
    return replace(
        status,
        state=state,
        since=status.since if state is status.state else now,
        reason=reason,
        last_at=now,
        last_duration_s=outcome.duration_s,
        successes=successes,
        failures=failures,
        warning=outcome.warning,
        share_percent=outcome.share_percent if outcome.ok else status.share_percent,
        up_since=now if state in IN_SERVICE and status.state not in IN_SERVICE else status.up_since,
        record=record,
        kept_until=0.0 if outcome.ok else status.kept_until,
    )


def _log_lines(before: CheckStatus, after: CheckStatus, outcome: Outcome) -> list[Log]:
    lines = []
    target = after.spec.target
    if outcome.connect_timed_out and before.reason != after.reason:
        lines.append(Log(f"CONNECT to {target} timed out", warning=True))
    if after.state is before.state:
        return lines
    if after.state is HealthState.UP and before.state is not HealthState.FALLING:
        lines.append(Log(f"[ active ] making {target} available"))
    elif after.state is HealthState.DOWN and before.state is not HealthState.RISING:
        lines.append(Log(f"[inactive] shutting down {target} due to connection failure: {outcome.reason}", warning=True))
    return lines
