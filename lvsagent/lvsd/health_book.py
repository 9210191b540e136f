"""What is known of the real servers' health: nanny's reports, remembered over restarts of nanny and of lvsd.

Owns which side (up, down, not known) each checked server is on.  It decides nothing about the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lvsagent.core.check_spec import CheckSpec, describe
from lvsagent.core.health_types import HealthState
from lvsagent.core.weights import Sides
from lvsagent.lvsd.runtime_file import RuntimeFile
from lvsagent.wire import CheckInfo

SIDES = {
    HealthState.UP: True,
    HealthState.FALLING: True,
    HealthState.DOWN: False,
    HealthState.RISING: False,
}


class Remembered(msgspec.Struct, frozen=True):
    """A server's side as kept in the file.  It holds for this address and port alone.

    ``began``: when the slow start that is under way began, on the monotonic clock, which nobody sets and which outlives a process.
    ``share_percent``: how much of its weight its agent wants.
    """

    address: str
    port: int
    up: bool
    since: float = 0.0
    began: float | None = None
    share_percent: int = 100


@dataclass(frozen=True, slots=True)
class Change:
    """A server changed sides.  ``first``: nothing was known of it before."""

    spec: CheckSpec
    up: bool
    first: bool
    reason: str
    last_duration_s: float


class HealthBook:
    """Health by check key, for the checks of the running configuration."""

    def __init__(self, path: Path) -> None:
        self._file = RuntimeFile(path, dict[str, Remembered], "health")
        self._specs: dict[str, CheckSpec] = {}
        self._infos: dict[str, CheckInfo] = {}
        self._remembered: Mapping[str, Remembered] = self._file.load() or {}
        self._since: dict[str, float] = {}
        self._changed = False
        self._notable: dict[str, None] = {}
        self.sides = Sides()

    def configure(self, checks: Sequence[CheckSpec]) -> None:
        """Take over a new set of checks.  A server that moved to another address or port is a new one: nothing is known of it."""
        before = self._specs
        self._specs = {spec.key: spec for spec in checks}
        for key, spec in self._specs.items():
            old = before.get(key)
            if old is None:
                self._recall(spec)
            elif (old.address, old.port) != (spec.address, spec.port):
                self._forget(key)
            elif old.slow_start_s != spec.slow_start_s:
                self.sides.stretch(key, spec.slow_start_s)
        for key in before.keys() - self._specs.keys():
            self._forget(key)
        self._remembered = {}

    def report(self, checks: Iterable[CheckInfo]) -> list[Change]:
        """Take over what nanny says; returns who changed sides.  What it does not know yet changes nothing."""
        changes = []
        for info in checks:
            spec = self._specs.get(info.key)
            if spec is None or info.target != spec.target:
                continue  # said before nanny heard of the newest configuration
            self._infos[info.key] = info
            if info.last_at:  # a nanny that has just been started has not asked anybody's agent yet
                self._changed = self._changed or info.share_percent != self.sides.wanted_percent(info.key)
                self.sides.want(info.key, info.share_percent)
            if info.warning or info.kept_until:
                self._notable[info.key] = None
            else:
                self._notable.pop(info.key, None)
            side = SIDES.get(HealthState(info.state)) if info.state in set(HealthState) else None
            if side is None or self.sides.get(info.key) is side:
                continue
            if side and info.key in self.sides:
                self.sides.start_slowly(info.key, spec.slow_start_s)
            elif not side:
                self.sides.forget(info.key)
            changes.append(Change(spec, side, info.key not in self.sides, info.reason, info.last_duration_s))
            self.sides[info.key] = side
            self._changed = True
        return changes

    def let_in(self, key: str, ago_s: float) -> None:
        """An operator had taken the server of this check out, and lets it in again since ``ago_s``: if it is up, it starts slowly."""
        spec = self._specs.get(key)
        if spec is not None and self.sides.get(key):
            self.sides.start_slowly(key, spec.slow_start_s, ago_s)

    def assume_up(self) -> None:
        """Nothing is checked for now: servers of which nothing is known count as up, so that the table is ready for traffic."""
        for key in self._specs:
            self.sides.setdefault(key, True)

    def all_checked(self) -> bool:
        """Whether every check has run at least once since lvsd started."""
        return all(key in self._infos and self._infos[key].last_at for key in self._specs)

    def sides_for(self, checks: Iterable[CheckSpec]) -> Sides:
        """What would be known after ``configure(checks)``: the sides of servers that stay where they are."""
        known = ((spec, self._specs.get(spec.key)) for spec in checks if spec.key in self.sides)
        return self.sides.part(new.key for new, old in known if old and (old.address, old.port) == (new.address, new.port))

    def info(self, key: str) -> CheckInfo | None:
        """The last report of a check, or what is remembered of it; ``None`` when there is no such check."""
        spec = self._specs.get(key)
        if spec is None:
            return None
        return self._infos.get(key) or self._silent(spec)

    def infos(self) -> list[CheckInfo]:
        """Every check, in the file's order."""
        return [self._infos.get(key) or self._silent(spec) for key, spec in self._specs.items()]

    def notable(self) -> list[CheckInfo]:
        """The checks with something to look after besides being up or down: looking at all of them would take too long for every page."""
        return [self._infos[key] for key in self._notable]

    @property
    def specs(self) -> Mapping[str, CheckSpec]:
        """The checks of the running configuration."""
        return self._specs

    def spec(self, key: str) -> CheckSpec | None:
        """One of them."""
        return self._specs.get(key)

    def known_state(self, key: str) -> str:
        """The state that a restarted nanny starts from (``""``: it is not known)."""
        side, info = self.sides.get(key), self._infos.get(key)
        if side is None:
            return ""
        if info is not None and any(info.state == state and up is side for state, up in SIDES.items()):
            return info.state
        return (HealthState.UP if side else HealthState.DOWN).value

    def save(self) -> None:
        """Write what is known to the file, if it changed since.  Like the table it is gone after a reboot, so it need not reach a disk."""
        if not self._changed and not self.sides.unkept:
            return
        kept = {key: self._entry(self._specs[key], up) for key, up in self.sides.items()}
        if self._file.save(kept):
            self._changed = self.sides.unkept = False

    def discard(self) -> None:
        """Forget the file: after a planned stop everything is checked afresh."""
        self._file.discard()

    def _entry(self, spec: CheckSpec, up: bool) -> Remembered:
        info, sides = self._infos.get(spec.key), self.sides
        since = info.since if info else self._since.get(spec.key, 0.0)
        return Remembered(spec.address, spec.port, up, since, sides.began(spec.key), sides.wanted_percent(spec.key))

    def _silent(self, spec: CheckSpec) -> CheckInfo:
        """A check that nanny has not reported yet."""
        known = self.sides.get(spec.key)
        state = HealthState.UNKNOWN if known is None else HealthState.UP if known else HealthState.DOWN
        since = self._since.get(spec.key, 0.0) if known is not None else 0.0
        return CheckInfo(key=spec.key, target=spec.target, what=describe(spec), state=state.value, since=since)

    def _recall(self, spec: CheckSpec) -> None:
        kept = self._remembered.get(spec.key)
        if kept and (kept.address, kept.port) == (spec.address, spec.port):
            self.sides[spec.key] = kept.up
            self._since[spec.key] = kept.since
            self.sides.want(spec.key, kept.share_percent)
            self.sides.resume_slowly(spec.key, spec.slow_start_s, kept.began)
            self._changed = True

    def _forget(self, key: str) -> None:
        self._infos.pop(key, None)
        self._since.pop(key, None)
        self._notable.pop(key, None)
        self.sides.forget(key)
        if self.sides.pop(key, None) is not None:
            self._changed = True
