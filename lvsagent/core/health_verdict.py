"""What a result makes of one check: its state, by ``rise``, ``fall`` and the hold-down, and the lines for the log.

Owns these rules for one check alone.  When it is asked again, and what happens to many at once, is ``health``'s.
"""

from __future__ import annotations

from dataclasses import replace

from lvsagent.core.check_spec import CheckSpec, Outcome
from lvsagent.core.flapping import GOOD, after_failure
from lvsagent.core.health_types import IN_SERVICE, CheckStatus, HealthState, Log
from lvsagent.core.known import Known, record_from


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


def judged(status: CheckStatus, outcome: Outcome, now: float) -> CheckStatus:
    """The check after this outcome; one that says nothing of the server leaves the state as it is."""
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
        kept_until=0.0 if outcome.ok or state is HealthState.DOWN else status.kept_until,
    )


def let_go(status: CheckStatus, now: float) -> CheckStatus:
    """Without its hold-down, or without the brake's hold: its last results alone decide."""
    if status.kept_until:
        return replace(status, state=HealthState.DOWN, since=now, kept_until=0.0)
    if not status.record.held_until:
        return status
    free = replace(status, record=GOOD)
    if status.state is HealthState.RISING and status.successes >= status.spec.rise:
        return replace(free, state=HealthState.UP, since=now, up_since=now, reason="answers, and is no longer held down")
    return free


def keep(status: CheckStatus, until: float, since: float) -> CheckStatus:
    """A server that has failed and stays in service all the same, which is not held against it."""
    return replace(status, state=HealthState.FALLING, since=since, kept_until=until, record=GOOD)


def remembered(spec: CheckSpec, known: Known, now: float) -> CheckStatus:
    """The check as it stood before a restart.  One on its way to the other side is only as far as its results in a row say."""
    states = {"up": HealthState.UP, "falling": HealthState.UP, "down": HealthState.DOWN, "rising": HealthState.DOWN}
    state = states.get(known.state, HealthState.UNKNOWN)
    if known.state == "falling" and 0 < known.failures < spec.fall:
        state = HealthState.FALLING
    elif known.state == "rising" and known.successes > 0:
        state = HealthState.RISING
    return CheckStatus(
        spec,
        state,
        now - known.for_s,
        reason="" if state is HealthState.UNKNOWN else "as before the restart",
        successes=known.successes if state in (HealthState.UP, HealthState.RISING) else 0,
        failures=known.failures if state in (HealthState.DOWN, HealthState.FALLING) else 0,
        up_since=now - known.relapses.up_s,
        record=record_from(known.relapses, now=now, first_s=spec.hold_down_s),
    )


def log_lines(before: CheckStatus, after: CheckStatus, outcome: Outcome) -> list[Log]:
    """What a result is worth saying of, in Piranha's phrases."""
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
