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
from functools import partial

from lvsagent.core.failover import (
    Action,
    Activate,
    Beat,
    Command,
    Deactivate,
    Event,
    FeedReady,
    Heard,
    Machine,
    Note,
    Remember,
    Send,
    Settings,
    Started,
)
from lvsagent.core.identity import ACTIVE
from tests.unit.lvsagent.promises import Promises
from tests.unit.lvsagent.simulated_hosts import KEEPALIVE_S, NAMES, PATHS, Lane, Node
from tests.unit.lvsagent.troubles import TICK, TROUBLES, WEIGHTS, obey, reconfigure, set_children, set_links, wake

TROUBLE_S = 60.0
CALM_DEADTIMES = 4.0
"""How long a history goes on after it must have settled, to see that it stays so."""
INBOX = 40
"""Datagrams that wait for a process that is stopped; what comes later is lost."""

MachineFactory = Callable[[Settings, str], Machine]


class World:
    """One history."""

    def __init__(self, seed: int, make: MachineFactory = Machine, *, tell: Callable[[str], None] | None = None) -> None:
        self.dice = random.Random(seed)  # noqa: S311 -- histories are to be repeated, not guarded
        self.now = 0.0
        self._first_deadtime_s = KEEPALIVE_S * self.dice.choice((3, 3, 4, 6))
        self.late_s = self.dice.choice((0.0, 0.0, 0.05, 0.3)) * KEEPALIVE_S
        self.usual_delay_s = self.dice.choice((0.001, 0.05, 0.4)) * KEEPALIVE_S
        self.nodes = tuple(Node(name, self._settings(identity), self.dice.uniform(0, 1e5)) for name, identity in NAMES)
        self.lanes = {(sender, path): self.sound_lane() for sender in range(2) for path in PATHS}
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

    def sound_lane(self) -> Lane:
        """A way on which everything gets through, as usual here."""
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

    # --- healing ---------------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.say(None, "everything is healed")
        self._healed = True
        for key in self.lanes:
            self.lanes[key] = self.sound_lane()
        self.promises.network_changed()
        for who, node in enumerate(self.nodes):
            wake(self, who, node.boots)
            node.changes |= {"redundant": True, "keyed": True}  # what was to be undone later is undone now: one lvs.cf, one key
            reconfigure(self, who)
            set_links(self, who, whole=True)
            set_children(self, who, fit=True)
            node.maintenance = False
            if node.machine is not None and node.machine.maintenance:
                obey(self, who, Action.RESUME)
            self.give(who, FeedReady(ready=False))
            self.boot(who, "is started")


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
