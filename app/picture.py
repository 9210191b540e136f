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
_PITCH, _GAP, _APART, _MARGIN = 60, 14, 56, 12


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
class Drawing:
    """One way to lay the same picture out."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    flows: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a template needs; ``words`` is the whole in a sentence or two, ``more`` says what was left out."""

    wide: Drawing
    tall: Drawing
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
    serving: bool


def picture(state: State, shown: Sequence[VirtualServerState], now: float) -> Picture:
    """The picture for ``shown``, which have their real servers; ``state`` says how many there are in all."""
    everyone = hosts(shown, now)
    boxes = _Boxes(
        clients=_Box("plain", "Clients", (f"{rate(state.counters.connections_per_s)} conn/s",), "Clients"),
        director=_director(state, shown),
        peer=_peer(state, now),
        servers=_servers(everyone),
        serving=any(one.state == "up" for one in shown),
        busy=state.counters.connections_per_s > 0,
    )
    return Picture(_wide(boxes), _tall(boxes), _words(state, everyone), _readings(everyone), _more(state, shown))


@dataclass(frozen=True, slots=True)
class _Box:
    """A node that has no place yet."""

    kind: str
    title: str
    lines: tuple[str, ...]
    full: str
    share: float = 0.0
    flow: str = "flow"

    @property
    def height(self) -> float:
        return 30 + 16 * len(self.lines)

    def at(self, x: float, y: float, width: float) -> Node:
        most = int((width - 40) // 7.2)
        lines = tuple(_short(line, int((width - 28) // 5.8)) for line in self.lines)
        return Node(x, round(y, 1), width, self.height, self.kind, _short(self.title, most), lines, self.full)


@dataclass(frozen=True, slots=True)
class _Boxes:
    clients: _Box
    director: _Box
    peer: _Box | None
    servers: tuple[_Box, ...]
    serving: bool
    busy: bool

    @property
    def arrival(self) -> tuple[str, float]:
        """The kind and the share of the line on which clients arrive."""
        return "flow" if self.serving else "faint", float(self.busy)


def _wide(boxes: _Boxes) -> Drawing:
    """From left to right, for screens that have the room."""
    count, director, peer = len(boxes.servers), boxes.director, boxes.peer
    middle_column = director.height + (_APART + peer.height if peer else 0)
    height = max(count * _PITCH - _GAP, middle_column, 120) + 2 * _MARGIN
    router = director.at(210, (height - middle_column) / 2, 210)
    clients = boxes.clients.at(8, router.middle - boxes.clients.height / 2, 124)
    nodes, flows = [clients, router], [_across(clients, router, *boxes.arrival)]
    first = (height - count * _PITCH + _GAP) / 2
    for index, box in enumerate(boxes.servers):
        nodes.append(box.at(600, first + index * _PITCH, 252))
        flows.append(_across(router, nodes[-1], box.flow, box.share))
    if peer is not None:
        nodes.append(peer.at(210, router.y + router.height + _APART, 210))
        flows.append(Flow(f"M315 {router.y + router.height:.0f}V{nodes[-1].y:.0f}", "beat", 1.5))
    return Drawing(860, round(height), tuple(nodes), tuple(flows))


def _tall(boxes: _Boxes) -> Drawing:
    """From top to bottom, for a telephone."""
    clients = boxes.clients.at(4, _MARGIN, 332)
    router = boxes.director.at(4, clients.y + clients.height + 32, 332)
    kind, share = boxes.arrival
    trunk = f"M170 {clients.y + clients.height:.0f}V{router.y:.0f}"
    nodes, flows = [clients, router], [Flow(trunk, kind, _thickness(share, kind))]
    y = router.y + router.height
    for box in boxes.servers:
        node = box.at(40, y + _GAP, 296)
        nodes.append(node)
        flows.append(
            Flow(f"M20 {router.y + router.height:.0f}V{node.middle - 10:.0f}q0 10 10 10H40", box.flow, _thickness(box.share, box.flow))
        )
        y = node.y + node.height
    if boxes.peer is not None:
        nodes.append(boxes.peer.at(4, y + 2 * _GAP, 332))
        y = nodes[-1].y + nodes[-1].height
    return Drawing(340, round(y + _MARGIN), tuple(nodes), tuple(flows))


def _across(start: Node, end: Node, kind: str, share: float) -> Flow:
    x1, y1, x2, y2 = start.x + start.width, start.middle, end.x, end.middle
    bend = (x2 - x1) / 2
    path = f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    return Flow(path, kind, _thickness(share, kind))


def _thickness(share: float, kind: str) -> float:
    return round(1.5 + 4.5 * math.sqrt(max(0.0, min(1.0, share))), 1) if kind == "flow" else 1.5


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
        serving=any(virtual.state == "up" for virtual, _ in members),
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


def _director(state: State, shown: Sequence[VirtualServerState]) -> _Box:
    addresses = [f"{one.address} on {one.label or one.interface}" for one in state.role.addresses if one.state == "present"]
    listening = [one.listens or (f"{one.address} on {one.device}" if one.address else "") for one in shown if one.state != "inactive"]
    addresses = addresses or [one for one in dict.fromkeys(listening) if one]
    lines = addresses[:MOST_ADDRESSES]
    if len(addresses) > MOST_ADDRESSES:
        lines = [*addresses[: MOST_ADDRESSES - 1], f"and {plural(len(addresses) - MOST_ADDRESSES + 1, 'more address', 'more addresses')}"]
    role = state.role.role
    title = f"{state.host} · {role}"
    return _Box({"active": "active", "standby": "idle"}.get(role, "warn"), title, tuple(lines or ["no virtual address yet"]), title)


def _peer(state: State, now: float) -> _Box | None:
    peer = state.peer
    if peer.state == "none":
        return None
    title = f"{peer.name or peer.address or 'the other router'} · {'not known' if peer.state == 'unknown' else peer.state}"
    heard = f"heard {since(peer.heard_at, now)} ago" if peer.heard_at else "not heard"
    return _Box("idle", title, (heard,), title)


def _servers(everyone: list[Host]) -> tuple[_Box, ...]:
    """One box a host; of many, those with problems and the busiest, and one box that counts the rest."""
    drawn = everyone if len(everyone) <= MOST_HOSTS else sorted(everyone, key=_interest)[: MOST_HOSTS - 1]
    busiest = max((host.rate for host in drawn), default=0.0)
    boxes = [_host_box(host, host.rate / busiest if busiest else 0.0) for host in drawn]
    rest = [host for host in everyone if host not in drawn]
    return (*boxes, _rest_box(rest)) if rest else tuple(boxes)


def _host_box(host: Host, share: float) -> _Box:
    mark = host.badge.kind
    title = host.name if mark == UP else f"{host.name} · {host.badge.word}"
    below = host.detail if mark == DOWN else f"{host.address} · {plural(host.active, 'connection')}"
    flow = {UP: "flow", WARN: "flow", DOWN: "gone"}.get(mark, "faint") if host.serving or mark == DOWN else "faint"
    return _Box(mark, title, (below,), f"{host.name} {host.address}: {host.badge.word} {host.detail}".strip(), share, flow)


def _rest_box(rest: list[Host]) -> _Box:
    kinds = [host.badge.kind for host in rest]
    up, down = kinds.count(UP), kinds.count(DOWN) + kinds.count(WARN)
    words = f"{number(up)} up" + (f", {number(down)} with problems" if down else "")
    title = f"and {plural(len(rest), 'more address', 'more addresses')}"
    return _Box("warn" if down else "idle", title, (words,), f"{title}: {words}", flow="faint")


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
