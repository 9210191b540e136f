"""Two failover machines over a bad network: histories that follow from a seed, and the promises that each of them is held to.

``python -m tests.unit.lvsagent.simulation SEED`` prints one history.  A history first misbehaves (datagrams lost, late, doubled, out of
order; paths cut, also one way; processes stopped for a while, killed, restarted; hosts crashed; links, children and operators; settings
that change, first on one director and later on the other) and is then healed.  The promises are in ``promises.py``.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lvsagent.core.failover import (
    Action,
    Activate,
    Beat,
    ChildrenChanged,
    Command,
    Configured,
    Deactivate,
    Event,
    FeedReady,
    Heard,
    LinksChanged,
    Machine,
    Note,
    Operator,
    Remember,
    Send,
    Settings,
    Started,
    Stopping,
    Tick,
)
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY
from tests.unit.lvsagent.promises import Promises

KEEPALIVE_S = 1.0
PATHS = ("public", "private")
TROUBLE_S = 60.0
CALM_DEADTIMES = 4.0
"""How long a history goes on after it must have settled, to see that it stays so."""
INBOX = 40
"""Datagrams that wait for a process that is stopped; what comes later is lost."""

MachineFactory = Callable[[Settings, str], Machine]


@dataclass(slots=True)
class Lane:
    """One direction of a path."""

    cut: bool = False
    loss: float = 0.0
    doubled: float = 0.0
    low_s: float = 0.001
    high_s: float = 0.002

    @property
    def sound(self) -> bool:
        """Whether every datagram gets through within ``high_s``."""
        return not self.cut and not self.loss


@dataclass(slots=True)
class Node:
    """A host: its process (or none), and what outlives the process."""

    name: str
    settings: Settings
    origin: float
    machine: Machine | None = None
    boots: int = 0
    paused: bool = False
    holding: bool = False
    ended_at: float = 0.0
    maintenance: bool = False
    links_whole: bool = True
    fit: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that have changed, and that this one has not been told yet."""
    inbox: list[Heard] = field(default_factory=list)
    tick_at: float = float("inf")

    @property
    def running(self) -> bool:
        """Whether it has a process and that process is not stopped."""
        return self.machine is not None and not self.paused

    @property
    def paired(self) -> bool:
        """Whether its settings make it one of two."""
        return self.settings.redundant and self.settings.keyed

    @property
    def active(self) -> bool:
        """Whether a running process believes itself active."""
        return self.machine is not None and not self.paused and self.machine.role == ACTIVE


class World:
    """One history."""

    def __init__(self, seed: int, make: MachineFactory = Machine, *, tell: Callable[[str], None] | None = None) -> None:
        self.dice = random.Random(seed)  # noqa: S311 -- histories are to be repeated, not guarded
        self.now = 0.0
        self._first_deadtime_s = KEEPALIVE_S * self.dice.choice((3, 3, 4, 6))
        self.late_s = self.dice.choice((0.0, 0.0, 0.05, 0.3)) * KEEPALIVE_S
        self.usual_delay_s = self.dice.choice((0.001, 0.05, 0.4)) * KEEPALIVE_S
        self.nodes = tuple(Node(name, self._settings(identity), self.dice.uniform(0, 1e5)) for name, identity in NAMES)
        self.lanes = {(sender, path): self._sound_lane() for sender in range(2) for path in PATHS}
        self.promises = Promises(self)
        self._healed = False
        self._make = make
        self._tell = tell
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    def _settings(self, identity: str) -> Settings:
        return Settings(
            identity=identity,
            redundant=True,
            keepalive_s=KEEPALIVE_S,
            deadtime_s=self._first_deadtime_s,
            preempt=self.dice.random() < 0.3,
            preempt_delay_s=self.dice.uniform(0, 10),
            monitor_links=self.dice.random() < 0.7,
            paths=PATHS,
        )

    @property
    def deadtime_s(self) -> float:
        """The longer of both dead times."""
        return max(node.settings.deadtime_s for node in self.nodes)

    @property
    def keepalive_s(self) -> float:
        """The longer of both intervals."""
        return max(node.settings.keepalive_s for node in self.nodes)

    def _sound_lane(self) -> Lane:
        return Lane(low_s=self.usual_delay_s / 2, high_s=self.usual_delay_s)

    # --- the run ---------------------------------------------------------------------------------------------------------------

    def run(self) -> list[str]:
        """The whole history; returns the promises that were broken."""
        for who in (0, 1):
            if self.dice.random() < 0.9:
                self.at(self.dice.choice((0.0, self.dice.uniform(0, 3 * self.deadtime_s))), partial(self.boot, who, "starts"))
        for _ in range(self.dice.randint(1, 9)):
            self.later(self.dice.uniform(0, TROUBLE_S), partial(self.dice.choices(TROUBLES, WEIGHTS)[0], self))
        healed_at = self.dice.uniform(0.3, 1.0) * TROUBLE_S
        self._play(healed_at)
        before_s = self.promises.limit_s()
        self._heal()
        settled_after_s = max(before_s, self.promises.limit_s())
        self.promises.healed(settled_after_s)
        self._play(healed_at + settled_after_s + CALM_DEADTIMES * self.deadtime_s)
        if not self.promises.broken:
            self.promises.look()
        return self.promises.broken

    def _play(self, until: float) -> None:
        queue, promises = self._queue, self.promises
        while queue and queue[0][0] <= until and not promises.broken:
            self.now, _, act = heapq.heappop(queue)
            promises.look()
            act()
            promises.note_state()
        self.now = until

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Plan something."""
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, act))

    def later(self, after_s: float, act: Callable[[], None]) -> None:
        """Plan trouble, or its end: it does not happen any more once all is healed."""
        self.at(self.now + after_s, partial(self._unless_healed, act))

    def _unless_healed(self, act: Callable[[], None]) -> None:
        if not self._healed:
            act()

    def say(self, who: int | None, words: str) -> None:
        """A line of the history."""
        if self._tell is not None:
            self._tell(f"{self.now:9.3f}  {'' if who is None else self.nodes[who].name:6}  {words}")

    # --- processes -------------------------------------------------------------------------------------------------------------

    def boot(self, who: int, words: str) -> None:
        """Start the process, if there is none."""
        node = self.nodes[who]
        if node.machine is not None:
            return
        node.boots += 1
        node.paused = False
        node.inbox.clear()
        node.machine = self._make(node.settings, f"{node.name}-{node.boots}")
        away_s = self.now - node.ended_at
        self.say(who, f"{words} (boot {node.boots}{f', holding the addresses for {away_s:.3f} s' if node.holding else ''})")
        self.promises.began(who)
        started = Started(holding=node.holding, away_s=away_s, maintenance=node.maintenance, links_whole=node.links_whole, fit=node.fit)
        node.holding = False
        self.give(who, started)

    def end(self, who: int, words: str, *, host: bool) -> None:
        """Kill the process, or the whole host with it."""
        node = self.nodes[who]
        if node.machine is not None:
            self.say(who, words)
            node.holding = node.machine.role == ACTIVE and not host
            node.machine, node.ended_at = None, self.now
            self.promises.ended(who)

    def give(self, who: int, event: Event) -> None:
        """Let the process handle an event and carry out what it says."""
        node = self.nodes[who]
        if node.machine is None or node.paused:
            return
        self.promises.before(who, event)
        commands = node.machine.handle(event, self.now + node.origin)
        for command in commands:
            self._carry_out(who, command)
        if node.machine is not None:
            self._plan_tick(who, node, node.machine)

    def _plan_tick(self, who: int, node: Node, machine: Machine) -> None:
        wanted = machine.next_at(self.now + node.origin) - node.origin
        if wanted != node.tick_at and wanted != float("inf"):
            node.tick_at = wanted
            late_s = self.dice.uniform(0, self.late_s) if self.late_s else 0.0
            self.at(max(self.now, wanted) + late_s, partial(self._tick, who, wanted, node.boots))

    def _tick(self, who: int, wanted: float, boot: int) -> None:
        node = self.nodes[who]
        if node.tick_at == wanted and node.boots == boot and not node.paused:
            node.tick_at = float("inf")
            self.give(who, TICK)

    def _carry_out(self, who: int, command: Command) -> None:
        match command:
            case Send(beat, paths, times):
                self.promises.sent(who, beat)
                for path in paths:
                    for _ in range(times):
                        self._datagram(who, path, beat)
            case Activate() | Deactivate():
                self.promises.changed(who, command)
                self.say(who, f"{'ACTIVE ' if isinstance(command, Activate) else 'gives up'}: {command.why} [{command.cause}]")
            case Remember(maintenance):
                self.nodes[who].maintenance = maintenance
            case Note(kind, severity, message):
                self.say(who, f"  {kind} {severity}: {message}")

    # --- the network -----------------------------------------------------------------------------------------------------------

    def _datagram(self, sender: int, path: str, beat: Beat) -> None:
        lane, dice = self.lanes[sender, path], self.dice
        if lane.cut:
            return
        for _ in range(1 + (lane.doubled > 0 and dice.random() < lane.doubled)):
            if not lane.loss or dice.random() >= lane.loss:
                delay_s = lane.low_s + (lane.high_s - lane.low_s) * dice.random()
                self.at(self.now + delay_s, partial(self._deliver, 1 - sender, path, beat))

    def _deliver(self, who: int, path: str, beat: Beat) -> None:
        node = self.nodes[who]
        if node.machine is None or not node.paired or path not in node.settings.paths:
            return
        if node.paused:
            if len(node.inbox) < INBOX:
                node.inbox.append(Heard(path, beat))
            return
        self.promises.delivered(who, path, beat)
        self.give(who, Heard(path, beat))

    # --- troubles --------------------------------------------------------------------------------------------------------------

    def _some_time(self) -> float:
        return self.dice.choice((0.3, 1.0, 3.0)) * self.dice.uniform(0.1, 2.0) * self.deadtime_s

    def _on_lanes(self, keys: list[tuple[int, str]], words: str, make: Callable[[], Lane]) -> None:
        names = ", ".join(f"{self.nodes[sender].name}→ on {path}" for sender, path in keys)
        self.say(None, f"network: {words}: {names}")
        for key in keys:
            self.lanes[key] = make()
        self.promises.network_changed()
        self.later(self._some_time(), partial(self._mend, keys, names))

    def _mend(self, keys: list[tuple[int, str]], names: str) -> None:
        self.say(None, f"network: sound: {names}")
        for key in keys:
            self.lanes[key] = self._sound_lane()
        self.promises.network_changed()

    def _some_lanes(self) -> list[tuple[int, str]]:
        paths = self.dice.choice((PATHS, PATHS, PATHS[:1], PATHS[1:]))
        senders = self.dice.choice(((0, 1), (0,), (1,)))
        return [(sender, path) for sender in senders for path in paths]

    def cut(self) -> None:
        self._on_lanes(self._some_lanes(), "cut", lambda: Lane(cut=True))

    def lossy(self) -> None:
        loss = self.dice.uniform(0.05, 0.95)
        doubled = self.dice.choice((0.0, 0.5))
        high_s = self.dice.choice((self.usual_delay_s, KEEPALIVE_S))
        self._on_lanes(
            self._some_lanes(), f"{loss:.0%} lost, {doubled:.0%} doubled", lambda: Lane(loss=loss, doubled=doubled, high_s=high_s)
        )

    def slow(self) -> None:
        high_s = self.dice.uniform(0.5, 3.0) * self.deadtime_s
        doubled = self.dice.choice((0.0, 0.3))
        self._on_lanes(
            self._some_lanes(), f"late by up to {high_s:.3f} s, {doubled:.0%} doubled", lambda: Lane(high_s=high_s, doubled=doubled)
        )

    def pause(self) -> None:
        who = self.dice.randrange(2)
        node = self.nodes[who]
        if node.machine is None or node.paused:
            return
        self.say(who, "is stopped (SIGSTOP)")
        node.paused = True
        self.promises.ended(who)
        node.ended_at = self.now
        self.later(self._some_time(), partial(self.wake, who, node.boots))

    def wake(self, who: int, boot: int) -> None:
        node = self.nodes[who]
        if not node.paused or node.boots != boot or node.machine is None:
            return
        slept_s = self.now - node.ended_at
        stood_still = self.dice.random() < 0.25
        self.say(who, f"goes on, {len(node.inbox)} datagrams waiting{', its clock stood still meanwhile' if stood_still else ''}")
        node.paused = False
        if stood_still:
            node.origin -= slept_s
        self.promises.began(who, slept_s=0.0 if stood_still else slept_s)
        self.give(who, LinksChanged(node.links_whole, "" if node.links_whole else "eth1 has no carrier"))
        self.give(who, ChildrenChanged(node.fit, "" if node.fit else "lvsd cannot be kept up"))
        self.reconfigure(who)
        waiting, node.inbox = node.inbox, []
        if self.dice.random() < 0.3:
            self.give(who, TICK)
        for heard in waiting:
            if node.paired and heard.path in node.settings.paths:
                self.promises.delivered(who, heard.path, heard.beat)
                self.give(who, heard)
        node.tick_at = float("inf")
        self.give(who, TICK)

    def crash(self) -> None:
        who = self.dice.randrange(2)
        self.end(who, "crashes", host=True)
        self.later(self._some_time(), partial(self.boot, who, "comes back"))

    def killed(self) -> None:
        who = self.dice.randrange(2)
        self.end(who, "its process is killed", host=False)
        self.later(self.dice.choice((0.05, 0.5, 1.5)) * self.deadtime_s, partial(self.boot, who, "its process is restarted"))

    def planned_stop(self) -> None:
        who = self.dice.randrange(2)
        self.give(who, Stopping())
        self.end(who, "is stopped as planned", host=True)
        self.later(self._some_time(), partial(self.boot, who, "is started"))

    def link_lost(self) -> None:
        self._links(self.dice.randrange(2), whole=False)

    def _links(self, who: int, *, whole: bool) -> None:
        node = self.nodes[who]
        if node.links_whole == whole:
            return
        self.say(who, "its links are whole" if whole else "loses a watched link")
        node.links_whole = whole
        self.promises.condition_changed(who)
        self.give(who, LinksChanged(whole, "" if whole else "eth1 has no carrier"))
        if not whole:
            self.later(self._some_time(), partial(self._links, who, whole=True))

    def child_lost(self) -> None:
        self._children(self.dice.randrange(2), fit=False)

    def _children(self, who: int, *, fit: bool) -> None:
        self.say(who, "its processes are there" if fit else "its processes cannot be kept up")
        self.nodes[who].fit = fit
        self.give(who, ChildrenChanged(fit, "" if fit else "lvsd cannot be kept up"))
        if not fit:
            self.later(self._some_time(), partial(self._children, who, fit=True))

    def operator(self) -> None:
        self._obey(self.dice.randrange(2), self.dice.choice(list(Action)))

    def _obey(self, who: int, action: Action) -> None:
        if not self.nodes[who].running:
            return
        self.say(who, f"operator: {action}")
        self.give(who, Operator(action, "somebody"))
        self.promises.condition_changed(who)
        if action is Action.MAINTENANCE:
            self.later(self._some_time(), partial(self._obey, who, Action.RESUME))

    def feed(self) -> None:
        who = self.dice.randrange(2)
        self.say(who, "has had the connection feed and every check")
        self.give(who, FeedReady())

    def settings(self) -> None:
        """lvs.cf or the key changes: one director is told at once, the other one some time later."""
        change = self.dice.choice(SETTINGS_CHANGES)(self.dice)
        self._change_settings(change)
        undone = {name: True for name in ("redundant", "keyed") if change.get(name) is False}
        if undone:
            self.later(self._some_time(), partial(self._change_settings, undone))

    def _change_settings(self, change: dict[str, Any]) -> None:
        first = self.dice.randrange(2)
        for node in self.nodes:
            node.changes |= change
        self.reconfigure(first)
        self.later(self.dice.choice((0.01, 1.0)) * self._some_time(), partial(self.reconfigure, 1 - first))

    def reconfigure(self, who: int) -> None:
        """It takes over what has changed; a process that is stopped does so when it goes on, one that is dead when it starts."""
        node = self.nodes[who]
        if (node.paused and node.machine is not None) or not node.changes:
            return
        words = ", ".join(f"{name} = {value}" for name, value in node.changes.items())
        self.say(who, f"is told: {words}")
        was_paired = node.paired
        node.settings = replace(node.settings, **node.changes)
        node.changes = {}
        self.promises.settings_changed(who, newly_paired=node.paired and not was_paired)
        self.give(who, Configured(node.settings))

    # --- healing ---------------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.say(None, "everything is healed")
        self._healed = True
        for key in self.lanes:
            self.lanes[key] = self._sound_lane()
        self.promises.network_changed()
        for who, node in enumerate(self.nodes):
            self.wake(who, node.boots)
            node.changes |= {"redundant": True, "keyed": True}  # what was to be undone later is undone now: one lvs.cf, one key
            self.reconfigure(who)
            self._links(who, whole=True)
            self._children(who, fit=True)
            node.maintenance = False
            if node.machine is not None and node.machine.maintenance:
                self._obey(who, Action.RESUME)
            self.give(who, FeedReady(ready=False))
            self.boot(who, "is started")


NAMES = (("lefty", PRIMARY), ("righty", BACKUP))
TICK = Tick()


def _timing(dice: random.Random) -> dict[str, Any]:
    keepalive_s = KEEPALIVE_S * dice.choice((0.5, 1, 2))
    return {"keepalive_s": keepalive_s, "deadtime_s": keepalive_s * dice.choice((3, 4, 6))}


SETTINGS_CHANGES: tuple[Callable[[random.Random], dict[str, Any]], ...] = (
    _timing,
    _timing,
    _timing,
    lambda dice: {"preempt": dice.random() < 0.5, "preempt_delay_s": dice.uniform(0, 10)},
    lambda dice: {"monitor_links": dice.random() < 0.5},
    lambda dice: {"paths": dice.choice((PATHS, PATHS, PATHS[:1], PATHS[1:]))},
    lambda _: {"redundant": False},
    lambda _: {"keyed": False},
)
TROUBLES: tuple[Callable[[World], None], ...] = (
    World.cut,
    World.lossy,
    World.slow,
    World.pause,
    World.crash,
    World.killed,
    World.planned_stop,
    World.link_lost,
    World.child_lost,
    World.operator,
    World.feed,
    World.settings,
)
WEIGHTS = (4, 2, 2, 3, 2, 3, 1, 2, 1, 4, 1, 5)


def broken_promises(seed: int, make: MachineFactory = Machine) -> list[str]:
    """What the history of this seed breaks; empty when all is well."""
    return World(seed, make).run()


def main(arguments: list[str]) -> int:
    """Print the history of each seed named."""
    status = 0
    for seed in arguments:
        print(f"history {seed}")
        broken = World(int(seed), tell=print).run()
        for words in broken or ["every promise kept"]:
            print(f"  => {words}")
        status |= bool(broken)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
