"""What goes wrong in the simulation, and how each trouble ends: the network, processes, hosts, links, operators, settings.

Every choice is taken from the world's dice, so that a history follows from its seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lvsagent.core.failover import Action, ChildrenChanged, Configured, FeedReady, LinksChanged, Operator, Stopping, Tick
from tests.unit.lvsagent.simulated_hosts import KEEPALIVE_S, PATHS, Lane

if TYPE_CHECKING:
    from tests.unit.lvsagent.simulation import World

TICK = Tick()


def _some_time(world: World) -> float:
    return world.dice.choice((0.3, 1.0, 3.0)) * world.dice.uniform(0.1, 2.0) * world.deadtime_s


def _on_lanes(world: World, keys: list[tuple[int, str]], words: str, make: Callable[[], Lane]) -> None:
    names = ", ".join(f"{world.nodes[sender].name}→ on {path}" for sender, path in keys)
    world.say(None, f"network: {words}: {names}")
    for key in keys:
        world.lanes[key] = make()
    world.promises.network_changed()
    world.later(_some_time(world), partial(_mend, world, keys, names))


def _mend(world: World, keys: list[tuple[int, str]], names: str) -> None:
    world.say(None, f"network: sound: {names}")
    for key in keys:
        world.lanes[key] = world.sound_lane()
    world.promises.network_changed()


def _some_lanes(world: World) -> list[tuple[int, str]]:
    paths = world.dice.choice((PATHS, PATHS, PATHS[:1], PATHS[1:]))
    senders = world.dice.choice(((0, 1), (0,), (1,)))
    return [(sender, path) for sender in senders for path in paths]


def cut(world: World) -> None:
    _on_lanes(world, _some_lanes(world), "cut", lambda: Lane(cut=True))


def lossy(world: World) -> None:
    loss = world.dice.uniform(0.05, 0.95)
    doubled = world.dice.choice((0.0, 0.5))
    high_s = world.dice.choice((world.usual_delay_s, KEEPALIVE_S))
    _on_lanes(world, _some_lanes(world), f"{loss:.0%} lost, {doubled:.0%} doubled", lambda: Lane(loss=loss, doubled=doubled, high_s=high_s))


def slow(world: World) -> None:
    high_s = world.dice.uniform(0.5, 3.0) * world.deadtime_s
    doubled = world.dice.choice((0.0, 0.3))
    _on_lanes(
        world, _some_lanes(world), f"late by up to {high_s:.3f} s, {doubled:.0%} doubled", lambda: Lane(high_s=high_s, doubled=doubled)
    )


def pause(world: World) -> None:
    who = world.dice.randrange(2)
    node = world.nodes[who]
    if node.machine is None or node.paused:
        return
    world.say(who, "is stopped (SIGSTOP)")
    node.paused = True
    world.promises.ended(who)
    node.ended_at = world.now
    world.later(_some_time(world), partial(wake, world, who, node.boots))


def wake(world: World, who: int, boot: int) -> None:
    node = world.nodes[who]
    if not node.paused or node.boots != boot or node.machine is None:
        return
    slept_s = world.now - node.ended_at
    stood_still = world.dice.random() < 0.25
    world.say(who, f"goes on, {len(node.inbox)} datagrams waiting{', its clock stood still meanwhile' if stood_still else ''}")
    node.paused = False
    if stood_still:
        node.origin -= slept_s
    world.promises.began(who, slept_s=0.0 if stood_still else slept_s)
    world.give(who, LinksChanged(node.links_whole, "" if node.links_whole else "eth1 has no carrier"))
    world.give(who, ChildrenChanged(node.fit, "" if node.fit else "lvsd cannot be kept up"))
    reconfigure(world, who)
    waiting, node.inbox = node.inbox, []
    if world.dice.random() < 0.3:
        world.give(who, TICK)
    for heard in waiting:
        if node.paired and heard.path in node.settings.paths:
            world.promises.delivered(who, heard.path, heard.beat)
            world.give(who, heard)
    node.tick_at = float("inf")
    world.give(who, TICK)


def crash(world: World) -> None:
    who = world.dice.randrange(2)
    world.end(who, "crashes", host=True)
    world.later(_some_time(world), partial(world.boot, who, "comes back"))


def killed(world: World) -> None:
    who = world.dice.randrange(2)
    world.end(who, "its process is killed", host=False)
    world.later(world.dice.choice((0.05, 0.5, 1.5)) * world.deadtime_s, partial(world.boot, who, "its process is restarted"))


def planned_stop(world: World) -> None:
    who = world.dice.randrange(2)
    world.give(who, Stopping())
    world.end(who, "is stopped as planned", host=True)
    world.later(_some_time(world), partial(world.boot, who, "is started"))


def link_lost(world: World) -> None:
    set_links(world, world.dice.randrange(2), whole=False)


def set_links(world: World, who: int, *, whole: bool) -> None:
    node = world.nodes[who]
    if node.links_whole == whole:
        return
    world.say(who, "its links are whole" if whole else "loses a watched link")
    node.links_whole = whole
    world.promises.condition_changed(who)
    world.give(who, LinksChanged(whole, "" if whole else "eth1 has no carrier"))
    if not whole:
        world.later(_some_time(world), partial(set_links, world, who, whole=True))


def child_lost(world: World) -> None:
    set_children(world, world.dice.randrange(2), fit=False)


def set_children(world: World, who: int, *, fit: bool) -> None:
    world.say(who, "its processes are there" if fit else "its processes cannot be kept up")
    world.nodes[who].fit = fit
    world.give(who, ChildrenChanged(fit, "" if fit else "lvsd cannot be kept up"))
    if not fit:
        world.later(_some_time(world), partial(set_children, world, who, fit=True))


def operator(world: World) -> None:
    obey(world, world.dice.randrange(2), world.dice.choice(list(Action)))


def obey(world: World, who: int, action: Action) -> None:
    if not world.nodes[who].running:
        return
    world.say(who, f"operator: {action}")
    world.give(who, Operator(action, "somebody"))
    world.promises.condition_changed(who)
    if action is Action.MAINTENANCE:
        world.later(_some_time(world), partial(obey, world, who, Action.RESUME))


def feed(world: World) -> None:
    who = world.dice.randrange(2)
    world.say(who, "has had the connection feed and every check")
    world.give(who, FeedReady())


def settings(world: World) -> None:
    """lvs.cf or the key changes: one director is told at once, the other one some time later."""
    change = world.dice.choice(SETTINGS_CHANGES)(world.dice)
    _change_settings(world, change)
    undone = {name: True for name in ("redundant", "keyed") if change.get(name) is False}
    if undone:
        world.later(_some_time(world), partial(_change_settings, world, undone))


def _change_settings(world: World, change: dict[str, Any]) -> None:
    first = world.dice.randrange(2)
    for node in world.nodes:
        node.changes |= change
    reconfigure(world, first)
    world.later(world.dice.choice((0.01, 1.0)) * _some_time(world), partial(reconfigure, world, 1 - first))


def reconfigure(world: World, who: int) -> None:
    """It takes over what has changed; a process that is stopped does so when it goes on, one that is dead when it starts."""
    node = world.nodes[who]
    if (node.paused and node.machine is not None) or not node.changes:
        return
    words = ", ".join(f"{name} = {value}" for name, value in node.changes.items())
    world.say(who, f"is told: {words}")
    was_paired = node.paired
    node.settings = replace(node.settings, **node.changes)
    node.changes = {}
    world.promises.settings_changed(who, newly_paired=node.paired and not was_paired)
    world.give(who, Configured(node.settings))


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
    cut,
    lossy,
    slow,
    pause,
    crash,
    killed,
    planned_stop,
    link_lost,
    child_lost,
    operator,
    feed,
    settings,
)
WEIGHTS = (4, 2, 2, 3, 2, 3, 1, 2, 1, 4, 1, 5)
