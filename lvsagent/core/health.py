"""nanny's machine: from the outcomes of checks to the state of a real server, and when to check next.

Pure: events in, commands out, time is an argument.  It owns the meaning of timeout, reentry, rise and fall; it opens no socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HealthState(StrEnum):
    """``rising`` and ``falling`` are on their way: not yet counted as the other side."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    RISING = "rising"
    FALLING = "falling"


class Method(StrEnum):
    """What a check really does; Piranha's own four."""

    CONNECT = "connect"
    SEND_EXPECT = "send_expect"
    PROGRAM = "program"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check of one real server.

    ``key`` is ``VIRTUAL/SERVER`` (made unique where names repeat).  ``send`` is the decoded bytes, ``expect`` those of the prefix
    (``*`` matches any byte) or, with ``use_regex``, of a POSIX extended regex.  ``program`` is the argv after ``%h`` and ``%p``.
    All durations are seconds.  ``rise``: successes needed to come back; ``fall``: failures needed to leave.
    """

    key: str
    address: str
    port: int
    protocol: str
    method: Method
    send: bytes = b""
    expect: bytes | None = None
    use_regex: bool = False
    program: tuple[str, ...] = ()
    interval_s: float = 10
    timeout_s: float = 10
    rise: int = 18
    fall: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a check found.  ``reason`` is in words ("connection refused"); ``reply`` at most 1 KiB of what came back."""

    ok: bool
    duration_s: float
    reason: str = ""
    reply: bytes = b""
