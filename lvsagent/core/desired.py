"""What the data plane should hold: from a configuration and the health of its real servers to the table that is wanted.

``expansion`` has read the configuration once; ``decide`` says which real servers of one virtual server are in, by their health and by
what the data plane has, so that a change of health costs as much as the one virtual server it concerns.  It touches nothing.

The rules of ``decide``: a server that is up has its weight; one that is down has weight 0 with ``quiesce_server`` and is left out
without; one whose health is not yet known keeps what the data plane has, so that nothing flaps when the agent comes back.  What an
operator has decided goes before: a drained server has weight 0 while it is healthy, one that was cut is out, one that is forced is up or
down whatever its check says, and another weight takes the place of lvs.cf's and of what its host's load makes of that.  The sorry server is
in when fewer servers than the quorum take new connections (Piranha's quorum is one); those that are left then get none, and keep the
connections that they have.  Whether a quorum is lost is read from the table: the sorry server is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lvsagent.core.overrides import Action, Override, Phase
from lvsagent.core.pools import Expansion, Member, Pool
from lvsagent.core.table import Entry, Server, ServerKey, ServiceKey, Table
from lvsagent.core.weights import Sides, part_of

NO_SIDES = Sides()
"""Of servers of which nothing is known but whether they are up."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many real servers of a virtual server take new connections (``up``), and how many wait for their first check."""

    up: int
    awaited: int


def decide(pool: Pool, health: Mapping[str, bool], have: Entry | None) -> Entry:
    """The entry wanted for ``pool``.

    ``health``: up or down by check key, absent when not known; ``Sides`` also say how much of its weight each has, and what operators
    have decided.  ``have``: what the data plane holds for it now, if anything.
    """
    servers, standing = _members(pool, health, have.servers if have else {})
    if pool.sorry and not pool.quorum.holds(standing.up, standing.awaited, held=not sorry_is_in(pool, have)):
        servers = {key: _weighing(server, 0) for key, server in servers.items()}
        servers[pool.sorry[0]] = pool.sorry[1]
    return Entry(pool.service, servers)


def standing(pool: Pool, health: Mapping[str, bool], have: Entry | None) -> Standing:
    """How ``pool`` stands, sorry server or not; parameters as for ``decide``."""
    return _members(pool, health, have.servers if have else {})[1]


def sorry_is_in(pool: Pool, have: Entry | None) -> bool:
    """Whether the table has the sorry server, and has it as such: its address may also be a real server's."""
    return bool(pool.sorry and have and pool.sorry[0] in have.servers and all(member.key != pool.sorry[0] for member in pool.members))


def _members(pool: Pool, health: Mapping[str, bool], present: Mapping[ServerKey, Server]) -> tuple[dict[ServerKey, Server], Standing]:
    """The real servers that are in, as if there were no quorum."""
    sides = health if isinstance(health, Sides) else NO_SIDES
    servers: dict[ServerKey, Server] = {}
    out: set[ServerKey] = set()
    waiting = 0
    for member in pool.members:
        now, order = present.get(member.key), sides.orders.of(member.check, member.key.address)
        weight, up = _ordered(member, order, health.get(member.check) if member.checked else True, sides)
        if order is not None and (order.phase is Phase.CUT or (order.action is Action.DOWN and not pool.quiesce)):
            out.add(member.key)
        elif up:
            servers[member.key] = _weighing(member.server, weight)
        elif up is False:
            if pool.quiesce:
                servers[member.key] = _weighing(member.server, 0)
        elif now is not None:
            servers[member.key] = _weighing(member.server, now.weight if order is None else min(now.weight, 1) * weight)
        elif order is None or weight:
            waiting += 1
    if not pool.complete:
        left_out = {*out, pool.sorry[0]} if pool.sorry else out
        servers = {**{key: server for key, server in present.items() if key not in left_out}, **servers}
    return servers, Standing(sum(server.weight > 0 for server in servers.values()), waiting)


def _weighing(server: Server, weight: int) -> Server:
    """``server`` with this weight: itself when it has it, since nearly all of thousands do."""
    return server if server.weight == weight else replace(server, weight=weight)


def _ordered(member: Member, order: Override | None, up: bool | None, sides: Sides) -> tuple[int, bool | None]:
    """A real server's weight while it is in, and whether it is, with what an operator has decided about it."""
    weight, share = member.server.weight, sides.share(member.check)
    match order.action if order is not None else Action.AUTO:
        case Action.UP:
            return weight, True
        case Action.DOWN:
            return 0, False
        case Action.DRAIN:
            return 0, up
        case Action.WEIGHT if order is not None:
            return part_of(order.weight, share), up
    if member.load:
        share *= sides.load_share(member.check, member.load)
    return part_of(weight, share), up


def decide_all(expansion: Expansion, health: Mapping[str, bool], have: Table) -> dict[ServiceKey, Entry]:
    """The whole table wanted, in the file's order."""
    return {key: decide(pool, health, have.get(key)) for key, pool in expansion.pools.items()}


def awaited(pool: Pool, health: Mapping[str, bool], have: Entry | None) -> tuple[Member, ...]:
    """The members that are not in yet because their first check is still to come."""
    present: Mapping[ServerKey, Server] = have.servers if have else {}
    return tuple(member for member in pool.members if member.checked and member.check not in health and member.key not in present)
