"""Which real servers have failed lately, and are held down for it: remembered over restarts of nanny, of lvsd and of the whole agent.

Owns hold-downs.json in the state folder, written soon after something in it has changed.  What follows from it is nanny's.  Whether a
server is up or down is the health book's, which forgets that with a planned stop: then every server waits for its first check.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lvsagent.adapters.clock import this_boot
from lvsagent.adapters.config_files import SystemFiles, replace_file
from lvsagent.core.check_spec import CheckSpec
from lvsagent.core.flapping import forgiven
from lvsagent.core.instants import Instant, passed_s
from lvsagent.core.known import NO_RELAPSES, Relapses
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.messages import NannyReport
from lvsagent.ports import AdapterError, Clock

MOST_FAILURES = 1000
"""More in a row than that make no difference."""

log = logging.getLogger(__name__)


class KeptServer(msgspec.Struct, frozen=True):
    """A server as kept in the file: lengths, as they were when it was written."""

    target: str
    count: int
    held_s: float = 0.0
    up_s: float = 0.0


class KeptServers(msgspec.Struct, frozen=True):
    """The file; the first three say when it was written."""

    boot: str
    monotonic: float
    wall: float
    servers: dict[str, KeptServer]


@dataclass(frozen=True, slots=True)
class _Server:
    """As dates on the monotonic clock; ``up_since`` None: it is out of service."""

    target: str
    count: int
    held_until: float
    up_since: float | None

    def relapses(self, now: float) -> Relapses:
        up_s = 0.0 if self.up_since is None else max(0.0, now - self.up_since)
        return Relapses(self.count, max(0.0, self.held_until - now), up_s)

    def matters(self, spec: CheckSpec, now: float) -> bool:
        """Whether the next failure would be anything but a first one."""
        if spec.target != self.target or spec.hold_down_s <= 0:
            return False
        return self.held_until > now or not forgiven(self.relapses(now).up_s, spec.hold_down_s)


class HealthMemory:
    """What nanny has said of servers that failed, and what is left of it by now."""

    def __init__(self, path: Path, clock: Clock, boot: str | None = None) -> None:
        self._path = path
        self._clock = clock
        self._boot = this_boot() if boot is None else boot
        self._servers = self._load()
        self._changed = False
        self._complaint = ""

    def note(self, report: NannyReport, book: HealthBook) -> None:
        """Take over what nanny says; it knows best of the checks that it has."""
        if not report.relapses and not self._servers:
            return
        now = self._clock.now()
        for info in report.checks:
            spec, relapses = book.spec(info.key), report.relapses.get(info.key)
            if spec is None or spec.target != info.target:
                continue  # said before nanny heard of the newest configuration
            before = self._servers.pop(info.key, None)
            if relapses is not None:
                after = _Server(info.target, relapses.count, now + relapses.held_s, now - relapses.up_s if relapses.up_s else None)
                self._servers[info.key] = after
                self._changed = self._changed or before is None or _news(before, after)
            elif before is not None:
                self._changed = True

    def relapses(self, spec: CheckSpec) -> Relapses:
        """What is left by now for the server of this check."""
        found, now = self._servers.get(spec.key), self._clock.now()
        return found.relapses(now) if found is not None and found.matters(spec, now) else NO_RELAPSES

    def to_write(self, specs: Mapping[str, CheckSpec]) -> bytes:
        """The file's new content when it is to be written (``b""``: it is not).  What no longer matters, or is no longer checked, goes."""
        if not self._changed:
            return b""
        self._changed = False
        now = self._clock.now()
        self._servers = {key: one for key, one in self._servers.items() if (spec := specs.get(key)) is not None and one.matters(spec, now)}
        kept = {}
        for key, one in self._servers.items():
            left = one.relapses(now)
            kept[key] = KeptServer(one.target, left.count, left.held_s, left.up_s)
        return msgspec.json.encode(KeptServers(self._boot, now, self._clock.wall(), kept))

    def write(self, data: bytes) -> None:
        """Make it the file's content; what cannot be written is said once, and tried again with the next change."""
        try:
            replace_file(self._path, data, SystemFiles())
            self._complaint = ""
        except AdapterError as error:
            self._changed = True
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("hold-downs cannot be kept: %s", error)

    def _load(self) -> dict[str, _Server]:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=KeptServers)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("hold-downs kept in %s cannot be used: %s", self._path, error)
            return {}
        now = self._clock.now()
        ago_s = passed_s(Instant(kept.boot, kept.monotonic, kept.wall), Instant(self._boot, now, self._clock.wall()))
        return {
            key: _Server(
                one.target,
                one.count,
                now + max(0.0, one.held_s - ago_s),
                now - ago_s - one.up_s if one.up_s > 0 else None,
            )
            for key, one in kept.servers.items()
            if 0 < one.count <= MOST_FAILURES and one.held_s >= 0 and one.up_s >= 0
        }


def _news(before: _Server, after: _Server) -> bool:
    """Whether the file has to say it: dates that were worked out anew differ a little."""
    moved = abs(before.held_until - after.held_until) > 1 and max(before.held_until, after.held_until) > 0
    return before.count != after.count or before.target != after.target or (before.up_since is None) != (after.up_since is None) or moved
