"""What the failover machines promise, measured from outside: from what really happened, not from what a machine believes.

1. While both processes run and some path is sound (each datagram gets through, both ways), two are active for no longer than one keepalive
   interval plus that path's delay.
2. When exactly one process runs, its links are whole and it is not in maintenance, it is active within deadtime + 2 × keepalive of the last
   datagram that it got from the other.
3. No role changes without its cause having happened.
4. After everything is healed, one is active within deadtime + 2 × keepalive, and it stays the same one.
5. A director that has run and been active for a dead time does not make way for one that slept through one and has just woken.

Where two directors have different intervals or dead times because settings are just being changed, the longer ones count; where one of them
is not paired at all (no backup enabled, no key), nothing is promised of two.  A machine runs when it is told the time; how late it may be
told is added to each limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvsagent.core.failover import Action, Activate, Beat, Cause, Deactivate, Event, Operator, Stopping
from lvsagent.core.identity import ACTIVE, PRIMARY

if TYPE_CHECKING:
    from tests.unit.lvsagent.simulation import World

ROUNDING_S = 1e-5


class Promises:
    """The promises of one history.  ``broken`` says which were not kept, when and how."""

    def __init__(self, world: World) -> None:
        self.broken: list[str] = []
        self._world = world
        self._double_since: float | None = None
        self._sound_since: dict[str, float | None] = {}
        self._lonely_since: float | None = None
        self._lonely = -1
        self._heard_at = [float("-inf"), float("-inf")]
        self._began_at = [0.0, 0.0]
        self._ran_since = [0.0, 0.0]
        self._slept_until = [float("-inf"), float("-inf")]
        self._active_since = [0.0, 0.0]
        self._newest: list[dict[tuple[str, str], int]] = [{}, {}]
        self._said: list[dict[tuple[str, int], Beat]] = [{}, {}]
        self._leaving_said = [False, False]
        self._role_wanted = [False, False]
        self._event: list[Event | None] = [None, None]
        self._settled_by = float("inf")
        self._settled: str | None = None
        self._settled_after_s = 0.0
        self.network_changed()

    # --- what is seen ----------------------------------------------------------------------------------------------------------

    def network_changed(self) -> None:
        """Some lane, or who uses it, is not what it was: which paths are sound, since when."""
        world = self._world
        for path in sorted({path for _, path in world.lanes}):
            used = all(node.paired and path in node.settings.paths for node in world.nodes)
            sound = used and world.lanes[0, path].sound and world.lanes[1, path].sound
            self._sound_since[path] = world.now if sound else None

    def began(self, who: int, *, slept_s: float = float("inf")) -> None:
        """A process runs (again).  One that slept shorter than the dead time has only lost that time.  One that was alone missed none."""
        self._ran_since[who] = self._world.now
        if self._world.deadtime_s <= slept_s < float("inf") and self._world.nodes[who].paired:
            self._slept_until[who] = self._world.now
        if slept_s >= self._world.nodes[who].settings.deadtime_s:
            self._began_at[who] = self._world.now
            self._newest[who].clear()
        self._double_since = None
        self._lonely = -1

    def ended(self, who: int) -> None:
        """A process does not run."""
        self._double_since = None
        self._lonely = -1

    def condition_changed(self, who: int) -> None:
        """Its links or its maintenance changed: whoever is lonely has its time anew."""
        if self._lonely == who:
            self._lonely_since = self._world.now

    def settings_changed(self, who: int, *, newly_paired: bool) -> None:
        """It goes by other settings from now on; one that has just become one of two begins to listen."""
        if newly_paired:
            self._began_at[who] = self._world.now
            self._slept_until[who] = float("-inf")
        self.network_changed()
        self.condition_changed(who)

    def before(self, who: int, event: Event) -> None:
        """It is about to be given this."""
        self._event[who] = event
        if isinstance(event, Operator) and event.action is Action.TAKE_OVER:
            self._role_wanted[who] = True
        if isinstance(event, Stopping):
            self._leaving_said[who] = True

    def sent(self, who: int, beat: Beat) -> None:
        """It sends a beat."""
        self._said[who][beat.boot_id, beat.number] = beat
        self._leaving_said[who] |= beat.stepping_down
        self._role_wanted[who] |= beat.wants_role and self._world.nodes[who].settings.preempt and beat.identity == PRIMARY

    def delivered(self, who: int, path: str, beat: Beat) -> None:
        """A beat gets to a running process.  Doubles and late ones say nothing new."""
        newest = self._newest[who]
        if beat.number > newest.get((path, beat.boot_id), 0):
            newest[path, beat.boot_id] = beat.number
            machine = self._world.nodes[who].machine
            known = machine.peer.beat if machine is not None else None
            if known is None or known.boot_id == beat.boot_id:
                self._heard_at[who] = self._world.now
        if self._lonely == who:
            self._lonely_since = self._world.now

    def healed(self, settled_after_s: float) -> None:
        """From now on nothing bad happens."""
        self._settled_after_s = settled_after_s
        self._settled_by = self._world.now + settled_after_s

    # --- 1, 2 and 4: looked at before each thing that happens ------------------------------------------------------------------

    def look(self) -> None:
        """Whether a limit has been passed up to now."""
        world = self._world
        if self._double_since is not None:
            self._check_double(self._double_since)
        if self._lonely >= 0 and self._lonely_since is not None and not world.nodes[self._lonely].active:
            waited_s = world.now - self._lonely_since
            if waited_s > self.limit_s(self._lonely):
                self._break(f"2: {world.nodes[self._lonely].name} alone and whole, and not active after {waited_s:.3f} s")
        if world.now > self._settled_by:
            self._check_settled()

    def note_state(self) -> None:
        """Take note of what is true after something has happened."""
        first, second = self._world.nodes
        if not (first.active and second.active):
            self._double_since = None
        elif self._double_since is None:
            self._double_since = self._world.now
        lonely = -1
        if first.running != second.running:
            who = 0 if first.running else 1
            node = self._world.nodes[who]
            whole = node.links_whole or not node.settings.monitor_links
            stays_standby = not node.paired and node.settings.identity != PRIMARY
            if whole and not node.maintenance and not stays_standby:
                lonely = who
        if lonely != self._lonely:
            self._lonely, self._lonely_since = lonely, self._world.now

    def _check_double(self, since: float) -> None:
        world = self._world
        for path, sound_since in self._sound_since.items():
            if sound_since is None:
                continue
            delay_s = max(world.lanes[0, path].high_s, world.lanes[1, path].high_s)
            lasted_s = world.now - max(since, sound_since)
            if lasted_s > world.keepalive_s + delay_s + world.late_s + ROUNDING_S:
                self._break(f"1: both active for {lasted_s:.3f} s while {path} delivers both ways within {delay_s:.3f} s")

    def _check_settled(self) -> None:
        active = [node.name for node in self._world.nodes if node.active]
        if len(active) != 1:
            self._break(
                f"4: {len(active)} active, {self._world.now - self._settled_by + self._settled_after_s:.3f} s after everything was healed"
            )
        elif self._settled is None:
            self._settled = active[0]
        elif self._settled != active[0]:
            self._break(f"4: {active[0]} is active and was not when all had settled")

    def limit_s(self, who: int | None = None) -> float:
        """deadtime + 2 × keepalive, by its own dead time or the one it last heard of, the longer; of both: the longest of all."""
        concerned = (0, 1) if who is None else (who,)
        settings = [self._world.nodes[one].settings for one in concerned]
        heard = [word.deadtime_s for one in concerned if (word := self._newest_word(one)) is not None]
        deadtime_s = max(*(one.deadtime_s for one in settings), *heard, 0.0)
        return deadtime_s + 2 * max(one.keepalive_s for one in settings) + self._world.late_s + ROUNDING_S

    # --- 3 ---------------------------------------------------------------------------------------------------------------------

    def changed(self, who: int, command: Activate | Deactivate) -> None:
        """A role changes: its cause must have happened."""
        if self._world.now > self._settled_by:
            self._break(f"4: a role changed after all had settled: {command.why}")
        if isinstance(command, Deactivate) and command.cause in {
            Cause.LINKS,
            Cause.CHILDREN,
            Cause.OPERATOR,
            Cause.ASKED,
            Cause.MAINTENANCE,
        }:
            self._leaving_said[who] = True
        if isinstance(command, Activate):
            self._active_since[who] = self._world.now
            happened = self._may_activate(who, command.cause)
        else:
            happened = self._may_give_up(who, command.cause)
            if command.cause is Cause.BOTH_ACTIVE:
                self._check_sleeper(who)
        if not happened:
            self._break(f"3: {self._world.nodes[who].name} {type(command).__name__} without cause: {command.cause}, {command.why}")

    def _may_activate(self, who: int, cause: Cause) -> bool:
        node, peer = self._world.nodes[who], self._newest_word(who)
        nobody_active = peer is not None and peer.role != ACTIVE
        return {
            Cause.PEER_SILENT: self._silence_lasted(who, peer) and (node.links_whole or not node.settings.monitor_links),
            Cause.ALONE: not node.paired and node.settings.identity == PRIMARY,
            Cause.UNKEYED: not node.paired and node.settings.identity == PRIMARY,
            Cause.PEER_LEFT: self._leaving_said[1 - who] and nobody_active,
            Cause.NOBODY_ACTIVE: nobody_active and peer is not None and bool(peer.heard_boot_id),
            Cause.PEER_DEAF: nobody_active and peer is not None and not peer.hears,
            Cause.ADOPTED: self._world.now - node.ended_at < node.settings.deadtime_s,
        }.get(cause, False)

    def _silence_lasted(self, who: int, peer: Beat | None) -> bool:
        """For the longer of both dead times, in which this one listened."""
        deadtime_s = max(self._world.nodes[who].settings.deadtime_s, peer.deadtime_s if peer is not None else 0.0)
        return self._world.now - max(self._heard_at[who], self._began_at[who]) >= deadtime_s - ROUNDING_S

    def _may_give_up(self, who: int, cause: Cause) -> bool:
        node, peer = self._world.nodes[who], self._newest_word(who)
        event = self._event[who]
        action = event.action if isinstance(event, Operator) else None
        peer_active = peer is not None and peer.role == ACTIVE
        return {
            Cause.BOTH_ACTIVE: peer_active,
            Cause.PEER_DEAF: peer_active and peer is not None and not peer.hears,
            Cause.LINKS: not node.links_whole and node.settings.monitor_links,
            Cause.CHILDREN: not node.fit,
            Cause.OPERATOR: action is Action.STEP_DOWN,
            Cause.MAINTENANCE: action is Action.MAINTENANCE,
            Cause.ASKED: self._role_wanted[1 - who],
            Cause.STOPPED: isinstance(event, Stopping),
            Cause.CONFIGURED: not node.settings.redundant and node.settings.identity != PRIMARY,
            Cause.UNKEYED: not node.paired and node.settings.identity != PRIMARY,
        }.get(cause, False)

    def _check_sleeper(self, who: int) -> None:
        woke_at, now = self._slept_until[1 - who], self._world.now
        watching_since = max(self._ran_since[who], self._active_since[who])
        if (
            watching_since < woke_at - self._world.deadtime_s
            and woke_at == self._ran_since[1 - who]
            and now - woke_at < self._world.deadtime_s
        ):
            names = [node.name for node in self._world.nodes]
            self._break(f"5: {names[who]} was active and made way for {names[1 - who]}, which had slept until {woke_at:.3f}")

    def _newest_word(self, who: int) -> Beat | None:
        """What the other really said, of what this one goes by."""
        machine = self._world.nodes[who].machine
        known = machine.peer.beat if machine is not None else None
        return self._said[1 - who].get((known.boot_id, known.number)) if known is not None else None

    def _break(self, words: str) -> None:
        self.broken.append(f"at {self._world.now:.3f}: {words}")
