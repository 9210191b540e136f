"""What is known of the load of real servers' hosts, and what it does to their weights; remembered over restarts of lvsd.

Owns the newest load of each host and the share of each real server.  The rule is ``lvsagent.core.load_share``'s; the weights follow through
``Sides``, which the keeper of the table looks at in every round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from lvsagent.core.load_plan import LoadReading, LoadSpec
from lvsagent.core.load_share import STALE_S, Carrier, HostLoad, LoadShare, damp, shares
from lvsagent.core.overrides import Action
from lvsagent.core.pools import Expansion, Member, Pool
from lvsagent.core.weights import Sides
from lvsagent.lvsd.load_words import Heard, answered_again, load_alerts, load_info
from lvsagent.lvsd.runtime_file import RuntimeFile
from lvsagent.ports import Clock
from lvsagent.wire import Alert, LoadInfo

ASKED_S = 2 * STALE_S
"""A host that was not tried for so long is not asked any more."""
OUT = frozenset({Action.DOWN, Action.DRAIN})


class Kept(msgspec.Struct, frozen=True):
    """The file: loads by their key, shares by check key.  The clock is one that goes on over a restart of lvsd, and nobody can set."""

    hosts: dict[str, HostLoad]
    shares: dict[str, LoadShare]


class LoadBook:
    """Loads and shares for the running configuration.

    ``sides`` is the health book's; ``tell`` makes an event (kind, severity, message).
    """

    def __init__(self, path: Path, sides: Sides, clock: Clock, tell: Callable[[str, str, str], object]) -> None:
        self._file = RuntimeFile(path, Kept, "loads")
        self._sides = sides
        self._clock = clock
        self._tell = tell
        self._silent: frozenset[str] = frozenset()
        self._pools: tuple[Pool, ...] = ()
        self._changed = False
        self._hosts: dict[str, HostLoad] = {}
        self._heard: dict[str, Heard] = {}
        self._recall()
        self.specs: tuple[LoadSpec, ...] = ()

    def configure(self, expansion: Expansion) -> None:
        """Take over another configuration: what is known of hosts that it still asks stays."""
        self.specs = expansion.loads
        self._pools = tuple(pool for pool in expansion.pools.values() if any(member.load for member in pool.members))
        wanted = {spec.key for spec in self.specs}
        self._hosts = {key: host for key, host in self._hosts.items() if key in wanted}
        self._heard = {key: heard for key, heard in self._heard.items() if key in wanted}
        self._silent &= wanted
        self.look()

    def report(self, readings: Iterable[LoadReading]) -> None:
        """Take over what nanny has read.  One that is older than what is known says nothing new."""
        now = self._clock.now()
        wanted = {spec.key for spec in self.specs}
        for reading in readings:
            at, before = now - max(reading.age_s, 0.0), self._hosts.get(reading.key)
            heard = self._heard.get(reading.key)
            if reading.key not in wanted or (heard is not None and at <= heard.at):
                continue
            self._heard[reading.key] = Heard(at, reading.reason, reading.received)
            if reading.load is not None and (before is None or at > before.at):
                self._hosts[reading.key] = damp(before, reading.load, at)
                self._changed = True

    def look(self) -> None:
        """Work the shares out again: loads have come, or have grown old."""
        if not self._pools and not self._sides.loads:
            return
        now, before = self._clock.now(), self._sides.loads
        found: dict[str, LoadShare] = {}
        for pool in self._pools:
            found.update(shares([self._carrier(member) for member in pool.members if member.load], self._hosts, before, now))
        for check in found.keys() | before.keys():
            old, new = before.get(check), found.get(check)
            if (old.share if old else 1.0, old.load if old else "") != (new.share if new else 1.0, new.load if new else ""):
                self._sides.moved.add(check)
                self._changed = True
        self._sides.loads = found
        self._tell_silence(now)

    def info(self, member: Member) -> LoadInfo | None:
        """What is known of the load of a real server's host; None when load_monitor does not ask for it."""
        if not member.load:
            return None
        order = self._sides.orders.of(member.check, member.key.address)
        return load_info(
            member.load,
            self._hosts.get(member.load),
            self._heard.get(member.load),
            self._sides.loads.get(member.check),
            (self._clock.now(), self._clock.wall()),
            overruled=order is not None,
        )

    def info_of(self, check: str) -> LoadInfo | None:
        """The same by check key."""
        member = next((member for pool in self._pools for member in pool.members if member.check == check), None)
        return self.info(member) if member else None

    def alerts(self) -> Sequence[Alert]:
        """Hosts whose load cannot be read."""
        return load_alerts(self._failed(self._clock.now()))

    def save(self) -> None:
        """Write what is known to the file, if it changed since.  Like the table it is gone after a reboot, so it need not reach a disk."""
        if not self._changed:
            return
        if self._file.save(Kept(self._hosts, dict(self._sides.loads))):
            self._changed = False

    def discard(self) -> None:
        """Forget the file: after a planned stop every load is read afresh."""
        self._file.discard()

    def _carrier(self, member: Member) -> Carrier:
        """What a server is meant to carry: less when its agent wants less.  One that starts slowly is no measure for the others yet."""
        order = self._sides.orders.of(member.check, member.key.address)
        up = not member.checked or self._sides.get(member.check) is True
        wanted = self._sides.wanted_percent(member.check) / 100
        serves = up and (order is None or order.action not in OUT) and self._sides.share(member.check) >= wanted
        return Carrier(member.check, member.load, member.server.weight * wanted, serves)

    def _failed(self, now: float) -> dict[str, Heard]:
        """The hosts whose load cannot be read, and is not known any more; one that nobody asks any more is none of them."""
        lately = now - ASKED_S
        return {key: heard for key, heard in self._heard.items() if heard.reason and heard.at > lately and not self._known(key, now)}

    def _tell_silence(self, now: float) -> None:
        """An event when hosts fall silent, and when they answer again."""
        failed = self._failed(now)
        for alert in load_alerts({key: heard for key, heard in failed.items() if key not in self._silent}):
            self._tell("problem", "warning", alert.message)
        back = [key for key in self._silent if key not in failed and self._known(key, now)]
        if back:
            self._tell("problem", "info", answered_again(back))
        self._silent = frozenset(failed)

    def _known(self, key: str, now: float) -> bool:
        host = self._hosts.get(key)
        return host is not None and host.known(now)

    def _recall(self) -> None:
        """What an earlier lvsd knew: a load that has grown old since counts as such, one from before a reboot not at all."""
        kept = self._file.load()
        if kept is None:
            return
        now = self._clock.now()
        self._hosts = {key: host for key, host in kept.hosts.items() if host.at <= now}
        self._sides.loads = kept.shares
