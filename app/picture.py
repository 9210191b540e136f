"""The picture of the cluster: clients → this director with its addresses → real servers, as shapes to draw and as rows to read.

Pure: it decides places, widths and words; the template draws them.  It grows gracefully: real servers of one address are one node, and what
does not fit is counted in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.presentation import DOWN, IDLE, UP, WARN, Badge, badge, duration, number, plural, rate, since
from lvsagent.wire import RealServerState, State, VirtualServerState

MOST_HOSTS = 8
MOST_ADDRESSES = 4
WIDTH = 860
_PITCH, _NODE = 60, 46
_TOP = 14


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its place, its kind (chooses shape and colour), a title and the lines below it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str
    lines: tuple[str, ...]
    full: str

    @property
    def middle(self) -> float:
        """Where lines arrive."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Flow:
    """A line from left to right; ``kind`` is flow, gone, faint or beat; ``width`` follows the traffic."""

    path: str
    kind: str
    width: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of the same picture in words."""

    name: str
    address: str
    badge: Badge
    detail: str
    connections: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a template needs; ``words`` is the whole in a sentence or two."""

    height: float
    nodes: tuple[Node, ...]
    flows: tuple[Flow, ...]
    words: str
    readings: tuple[Reading, ...]
    more: str


@dataclass(frozen=True, slots=True)
class Host:
    """The real servers of one address, over all virtual servers shown."""

    name: str
    address: str
    badge: Badge
    detail: str
    active: int
    rate: float


def picture(state: State, shown: Sequence[VirtualServerState], now: float) -> Picture:
    """The picture for ``shown``, which have their real servers; ``state`` says how many there are in all."""
    everyone = hosts(shown, now)
    drawn = everyone if len(everyone) <= MOST_HOSTS else sorted(everyone, key=_interest)[: MOST_HOSTS - 1]
    left_out = len(everyone) - len(drawn)
    count = len(drawn) + bool(left_out)
    director = _director(state, shown)
    height = max(_TOP * 2 + count * _PITCH - (_PITCH - _NODE), director.height + _TOP * 2, 150)
    peer = _peer(state, now)
    if peer is not None:
        height = max(height, director.height + 56 + peer.height + 2 * _TOP)
    director = _placed(director, (height - director.height - (56 + peer.height if peer else 0)) / 2)
    clients = Node(8, director.middle - 25, 106, 50, "plain", "Clients", (f"{rate(state.counters.connections_per_s)} conn/s",), "Clients")
    nodes = [clients, director]
    serving = any(one.state == "up" for one in shown)
    flows = [_flow(clients, director, "flow" if serving else "faint", 1.0)]
    first = (height - count * _PITCH + (_PITCH - _NODE)) / 2
    busiest = max((host.rate for host in drawn), default=0.0)
    for index, host in enumerate(drawn):
        node = _host_node(host, first + index * _PITCH)
        nodes.append(node)
        kind = {UP: "flow", WARN: "flow", DOWN: "gone"}.get(host.badge.kind, "faint")
        flows.append(_flow(director, node, kind, host.rate / busiest if busiest else 0.0))
    if left_out:
        nodes.append(_rest_node(everyone, drawn, first + len(drawn) * _PITCH))
        flows.append(_flow(director, nodes[-1], "faint", 0.0))
    if peer is not None:
        peer = _placed(peer, director.y + director.height + 56)
        nodes.append(peer)
        flows.append(Flow(f"M315 {director.y + director.height:.0f}V{peer.y:.0f}", "beat", 1))
    return Picture(round(height), tuple(nodes), tuple(flows), _words(state, everyone), _readings(everyone), _more(state, shown))


def hosts(shown: Sequence[VirtualServerState], now: float) -> list[Host]:
    """The real servers grouped by address, in the file's order."""
    groups: dict[str, list[tuple[VirtualServerState, RealServerState]]] = {}
    for virtual in shown:
        for server in virtual.real_servers:
            groups.setdefault(server.address, []).append((virtual, server))
    return [_host(address, members, now) for address, members in groups.items()]


def _host(address: str, members: list[tuple[VirtualServerState, RealServerState]], now: float) -> Host:
    names = list(dict.fromkeys(server.name for _, server in members))
    mark, detail = _condition(members, now)
    return Host(
        name=names[0] + (f" (+{len(names) - 1})" if len(names) > 1 else ""),
        address=address,
        badge=mark,
        detail=detail,
        active=sum(server.counters.active for _, server in members),
        rate=sum(server.counters.connections_per_s for _, server in members),
    )


def _condition(members: list[tuple[VirtualServerState, RealServerState]], now: float) -> tuple[Badge, str]:
    """The state of one host over the virtual servers it works for, and the most useful thing to say about it."""
    working = [(virtual, server) for virtual, server in members if server.state != "inactive"]
    if not working:
        return Badge("inactive", IDLE), "inactive"
    bad = [(virtual, server) for virtual, server in working if badge(server.state).kind == DOWN]
    if bad:
        virtual, server = bad[0]
        reason = server.reason or server.state
        if len(bad) == len(working):
            age = since(server.since, now)
            return Badge(f"{server.state} {age}".strip(), DOWN, reason), reason
        more = f" (+{len(bad) - 1})" if len(bad) > 1 else ""
        return Badge(f"{server.state} in {virtual.name}{more}", WARN, reason), reason
    for virtual, server in working:
        if server.state != "up":
            return Badge(server.state, badge(server.state).kind, server.reason), server.reason or f"{server.state} in {virtual.name}"
    return Badge("up", UP), ""


def _interest(host: Host) -> tuple[int, float]:
    return {DOWN: 0, WARN: 1, UP: 2}.get(host.badge.kind, 3), -host.rate


def _director(state: State, shown: Sequence[VirtualServerState]) -> Node:
    addresses = [f"{one.address} on {one.label or one.interface}" for one in state.role.addresses if one.state == "present"]
    if not addresses:
        addresses = list(
            dict.fromkeys(
                one.listens or (f"{one.address} on {one.device}" if one.address else "") for one in shown if one.state != "inactive"
            )
        )
    addresses = [one for one in addresses if one]
    lines = addresses[:MOST_ADDRESSES]
    if len(addresses) > MOST_ADDRESSES:
        lines = [*addresses[: MOST_ADDRESSES - 1], f"and {plural(len(addresses) - MOST_ADDRESSES + 1, 'more address', 'more addresses')}"]
    lines = lines or ["no virtual address yet"]
    role = state.role.role
    kind = {"active": "active", "standby": "idle"}.get(role, "warn")
    title = f"{state.host} · {role}"
    return Node(210, 0, 210, 30 + 16 * len(lines), kind, _short(title, 27), tuple(_short(line, 32) for line in lines), title)


def _peer(state: State, now: float) -> Node | None:
    peer = state.peer
    if peer.state == "none":
        return None
    title = f"{peer.name or peer.address or 'the other router'} · {'not known' if peer.state == 'unknown' else peer.state}"
    heard = f"heard {since(peer.heard_at, now)} ago" if peer.heard_at else "not heard"
    return Node(210, 0, 210, 46, "idle", _short(title, 27), (heard,), title)


def _host_node(host: Host, y: float) -> Node:
    kind = {UP: "up", DOWN: "down", WARN: "warn"}.get(host.badge.kind, "idle")
    title = host.name if host.badge.kind == UP else f"{host.name} · {host.badge.word}"
    below = host.detail if host.badge.kind == DOWN else f"{host.address} · {plural(host.active, 'connection')}"
    return Node(
        600, y, 252, _NODE, kind, _short(title, 32), (_short(below, 40),), f"{host.name} {host.address}: {host.badge.word} {host.detail}"
    )


def _rest_node(everyone: list[Host], drawn: list[Host], y: float) -> Node:
    rest = [host for host in everyone if host not in drawn]
    kinds = [host.badge.kind for host in rest]
    up, down = kinds.count(UP), kinds.count(DOWN) + kinds.count(WARN)
    words = f"{number(up)} up" + (f", {number(down)} with problems" if down else "")
    title = f"and {plural(len(rest), 'more address', 'more addresses')}"
    return Node(600, y, 252, _NODE, "warn" if down else "idle", title, (words,), f"{title}: {words}")


def _placed(node: Node, y: float) -> Node:
    return Node(node.x, y, node.width, node.height, node.kind, node.title, node.lines, node.full)


def _flow(start: Node, end: Node, kind: str, share: float) -> Flow:
    x1, y1, x2, y2 = start.x + start.width, start.middle, end.x, end.middle
    bend = (x2 - x1) * 0.5
    width = 1.5 + 4.5 * math.sqrt(max(0.0, min(1.0, share))) if kind == "flow" else 1.5
    return Flow(f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}", kind, round(width, 1))


def _words(state: State, everyone: list[Host]) -> str:
    role = f"{state.host} is {state.role.role}"
    if not everyone:
        return f"{role} and has no real servers yet."
    kinds = [host.badge.kind for host in everyone]
    parts = [f"{kinds.count(UP)} of {plural(len(everyone), 'real server address', 'real server addresses')} up"]
    troubled = [f"{host.name} {host.badge.word}" for host in everyone if host.badge.kind in {DOWN, WARN}]
    return f"{role}; {parts[0]}" + (f"; {', '.join(troubled[:5])}" if troubled else "") + "."


def _readings(everyone: list[Host]) -> tuple[Reading, ...]:
    return tuple(Reading(host.name, host.address, host.badge, host.detail, number(host.active)) for host in everyone[:100])


def _more(state: State, shown: Sequence[VirtualServerState]) -> str:
    if len(shown) >= state.virtual_total:
        return ""
    return f"The {plural(len(shown), 'busiest virtual server')} of {number(state.virtual_total)}."


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def announced(at: float, now: float) -> str:
    """When the neighbours were told last."""
    return f"{duration(max(0.0, now - at))} ago" if at else "not yet"
