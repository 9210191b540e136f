"""Hold-down: a server that keeps failing stays out longer each time.

Pure; time is an argument.  The first failure costs nothing extra.  Each further one within the time that forgives doubles how long the
server stays out whatever its checks say.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_TIMES = 64
"""A hold-down grows to this many times its first length."""
FORGIVEN_AFTER_TIMES = 10
"""A server that has been up for this many times the first length is a good one again."""


@dataclass(frozen=True, slots=True)
class Record:
    """How often a server has failed lately, and until when it is held down (0: it is not)."""

    failures: int = 0
    held_until: float = 0.0


GOOD = Record()


def after_failure(record: Record, *, now: float, up_for_s: float, first_s: float) -> Record:
    """The server has left the service at ``now`` after ``up_for_s`` seconds in it.  ``first_s``: the first hold-down (0: there is none)."""
    if first_s <= 0:
        return GOOD
    failures = 1 if forgiven(up_for_s, first_s) else record.failures + 1
    if failures < 2:
        return Record(failures)
    return Record(failures, now + first_s * min(2 ** min(failures - 2, 16), LONGEST_TIMES))


def forgiven(up_for_s: float, first_s: float) -> bool:
    """Whether a server that has been in service for so long is a good one again."""
    return up_for_s >= FORGIVEN_AFTER_TIMES * first_s
