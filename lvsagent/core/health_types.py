"""The words of nanny's machine: the states of a check, what it is told, what it answers, and a check as it stands.

Shapes only; what they mean is ``health``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lvsagent.core.check_spec import CheckSpec, Outcome
from lvsagent.core.flapping import GOOD, Record
from lvsagent.core.known import Known


class HealthState(StrEnum):
    """``rising`` and ``falling`` are on their way: not yet counted as the other side."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"
    RISING = "rising"
    FALLING = "falling"


IN_SERVICE = (HealthState.UP, HealthState.FALLING)


@dataclass(frozen=True, slots=True)
class Configure:
    """The whole set of checks wanted.  ``known`` is health remembered from before a restart: it counts for checks that are new here.

    ``brake_s``: for how long from now the mass-failure brake is on (0: it is not).
    """

    checks: tuple[CheckSpec, ...]
    known: Mapping[str, Known] = field(default_factory=dict)
    brake_s: float = 0.0


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
class Keep:
    """The mass-failure brake is on for so many seconds from now: these servers come back, and whoever fails meanwhile stays in service."""

    keys: tuple[str, ...]
    for_s: float


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


Event = Configure | TimePassed | Finished | Keep | Release
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
