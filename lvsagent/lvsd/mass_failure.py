"""The mass-failure brake at work: what nannies say passes here before it reaches the health book.

Owns the brake (``core.brake``), which sees the checks of all nannies together, what is said about it, and until when it is on, which is
in brake.json in the runtime folder: it goes on when lvsd is restarted.  Who keeps a server in service is its nanny, which is told so; what
was said before it heard of that is put right here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from lvsagent.adapters.clock import this_boot
from lvsagent.core.brake import Brake, Seen
from lvsagent.core.health_types import HealthState
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.health_book import SIDES, HealthBook
from lvsagent.lvsd.runtime_file import RuntimeFile
from lvsagent.ports import Clock
from lvsagent.wire import CheckInfo

OUT = frozenset(state.value for state, up in SIDES.items() if not up)

log = logging.getLogger(__name__)


class KeptBrake(msgspec.Struct, frozen=True):
    """The file: until when the brake is on, on the monotonic clock of that boot."""

    boot: str
    until: float


class MassFailure:
    """The brake of this director."""

    def __init__(self, book: HealthBook, clock: Clock, events: EventLog, path: Path) -> None:
        self._book = book
        self._clock = clock
        self._events = events
        self._file = RuntimeFile(path, KeptBrake, "the state of the mass-failure brake")
        self._boot = this_boot()
        self._brake = Brake()
        kept = self._file.load()
        if kept is not None and kept.boot == self._boot:
            self._brake.until = kept.until

    def configure(self, hold_s: float) -> bool:
        """lvs.cf's ``mass_failure_hold``; true when the brake, which was on, is off by that: nannies have to be told."""
        off = hold_s <= 0 and self._brake.on(self._clock.now())
        self._brake.configure(hold_s)
        if off:
            self.discard()
        return off

    def left_s(self) -> float:
        """For how long it is still on (0: it is not)."""
        return max(0.0, self._brake.until - self._clock.now())

    def discard(self) -> None:
        """It is off, for the next lvsd too."""
        self._brake.release((), brake=True)
        self._file.discard()

    def release(self, keys: Collection[str], *, brake: bool) -> None:
        """An operator's word."""
        self._brake.release(keys, brake=brake)
        if brake:
            self.discard()

    def judge(self, infos: Sequence[CheckInfo]) -> tuple[list[CheckInfo], frozenset[str]]:
        """What was said, with those kept who are to be kept; and who is to be told of: their nannies do not know it yet."""
        if self._brake.hold_s <= 0:
            return list(infos), frozenset()
        now, was_on = self._clock.now(), self._brake.on(self._clock.now())
        keep = self._brake.look(self._seen(infos, now), self._book.sides, now)
        if not keep:
            return list(infos), keep
        if not was_on:
            self._say(len(keep))
            self._file.save(KeptBrake(self._boot, self._brake.until))
        said = {info.key: info for info in infos}
        until = self._clock.wall() + self._brake.until - now
        return [*(info for info in infos if info.key not in keep), *self._kept(keep, said, until)], keep

    def _seen(self, infos: Iterable[CheckInfo], now: float) -> Iterable[Seen]:
        offset = self._clock.wall() - now
        for info in infos:
            spec = self._book.spec(info.key)
            if spec is None or spec.target != info.target:
                continue
            since = min(now, info.since - offset) if info.since else now
            kept_until = info.kept_until - offset if info.kept_until else 0.0
            yield Seen(info.key, info.state in OUT, since, spec.interval_s, kept_until)

    def _kept(self, keep: Iterable[str], said: dict[str, CheckInfo], until: float) -> Iterable[CheckInfo]:
        for key in keep:
            info = said.get(key) or self._book.info(key)
            if info is not None:
                yield msgspec.structs.replace(info, state=HealthState.FALLING.value, since=self._clock.wall(), kept_until=until)

    def _say(self, count: int) -> None:
        words = f"mass-failure brake: {count} real servers failed at once: they are kept in service for {self._brake.hold_s:g} s"
        log.warning("%s", words)
        self._events.add("server", "error", words)
