"""A watched change as callers see it.

Owns the words; it decides nothing.
"""

from __future__ import annotations

from lvsagent.core.guard import ENOUGH_CONNECTIONS, MOST_SAMPLES, WATCHING, Baseline, Watch
from lvsagent.lvsd.traffic import SAMPLE_S
from lvsagent.wire import GuardInfo


def guard_info(watch: Watch, now: float) -> GuardInfo:
    """``now`` is the monotonic clock's."""
    left_s = watch.deadline - now if watch.phase == WATCHING else 0.0
    return GuardInfo(
        etag=watch.etag,
        serial=watch.serial,
        state=watch.phase,
        began_at=watch.began_at,
        deadline_at=watch.deadline_at,
        left_s=max(left_s, 0.0),
        guard_s=watch.guard_s,
        previous_serial=watch.previous_serial,
        actor=watch.actor,
        comment=watch.comment,
        reason=watch.reason,
        ended_at=watch.ended_at,
        watched=watched_words(watch.baseline),
    )


def watched_words(baseline: Baseline) -> list[str]:
    """What is watched besides the time."""
    words = []
    if count := sum(len(one.checks) for one in baseline.served):
        words.append("1 healthy real server" if count == 1 else f"{count} healthy real servers")
    if baseline.rate * MOST_SAMPLES * SAMPLE_S >= ENOUGH_CONNECTIONS:
        words.append(f"{baseline.rate:.1f} new connections a second")
    if baseline.heartbeat:
        words.append("the other director’s heartbeat")
    return words
