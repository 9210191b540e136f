"""The picture of the cluster: clients → the directors, the active one with its addresses → real servers, as shapes and as rows to read.

Pure: it decides places, widths and words; the template draws them.  It grows gracefully: real servers of one address are one node, and what
does not fit is counted in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.presentation import DOWN, IDLE, UP, WARN, Badge, badge, duration, number, peer_badge, plural, rate, role_badge, since
from lvsagent.wire import RealServerState, State, VirtualServerState

MOST_HOSTS = 8
MOST_ADDRESSES = 4
_PITCH, _GAP, _APART, _MARGIN = 60, 14, 56, 12
MOST_LINKS = 2
"""Heartbeat links that are drawn: the public and the private one."""


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
class Label:
    """Words beside a line; they begin at ``x``."""

    x: float
    y: float
    words: str
    kind: str


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
    labels: tuple[Label, ...] = ()


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
        directors=_directors(state, shown, now),
        beats=_beats(state, now),
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
    active: bool = False
    """A director that says that it is active."""

    @property
    def height(self) -> float:
        return 30 + 16 * len(self.lines)

    def at(self, x: float, y: float, width: float) -> Node:
        most = int((width - 40) // 7.2)
        lines = tuple(_short(line, int((width - 28) // 5.8)) for line in self.lines)
        return Node(x, round(y, 1), width, self.height, self.kind, _short(self.title, most), lines, self.full)


@dataclass(frozen=True, slots=True)
class _Beat:
    """A heartbeat link: its name, and its age or what else is to be said."""

    name: str
    words: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Boxes:
    """``directors``: the primary first, where there are two."""

    clients: _Box
    directors: tuple[_Box, ...]
    beats: tuple[_Beat, ...]
    servers: tuple[_Box, ...]
    serving: bool
    busy: bool

    @property
    def arrival(self) -> tuple[str, float]:
        """The kind and the share of the line on which clients arrive."""
        return "flow" if self.serving else "faint", float(self.busy)

    @property
    def at_work(self) -> tuple[int, ...]:
        """Which of the directors clients reach; the first when none says that it is active."""
        return tuple(index for index, box in enumerate(self.directors) if box.active) or (0,)


def _wide(boxes: _Boxes) -> Drawing:
    """From left to right, for screens that have the room."""
    count, directors = len(boxes.servers), boxes.directors
    middle_column = sum(box.height for box in directors) + _APART * (len(directors) - 1)
    height = max(count * _PITCH - _GAP, middle_column, 120) + 2 * _MARGIN
    routers, y = [], (height - middle_column) / 2
    for box in directors:
        routers.append(box.at(210, y, 210))
        y += box.height + _APART
    at_work = [routers[index] for index in boxes.at_work]
    middle = sum(router.middle for router in at_work) / len(at_work)
    clients = boxes.clients.at(8, middle - boxes.clients.height / 2, 124)
    nodes, flows = [clients, *routers], [_across(clients, router, *boxes.arrival) for router in at_work]
    first = (height - count * _PITCH + _GAP) / 2
    for index, box in enumerate(boxes.servers):
        nodes.append(box.at(600, first + index * _PITCH, 252))
        flows += [_across(router, nodes[-1], box.flow, box.share) for router in at_work]
    labels: list[Label] = []
    if len(routers) == 2:
        above, below = routers[0].y + routers[0].height, routers[1].y
        for index, beat in enumerate(boxes.beats):
            x = 226.0 + 104 * index
            flows.append(Flow(f"M{x:.0f} {above:.0f}V{below:.0f}", beat.kind, 1.5))
            labels += [Label(x + 8, above + 25, beat.name, beat.kind), Label(x + 8, above + 40, beat.words, beat.kind)]
    return Drawing(860, round(height), tuple(nodes), tuple(flows), tuple(labels))


def _tall(boxes: _Boxes) -> Drawing:
    """From top to bottom, for a telephone: whoever stands by comes last."""
    clients = boxes.clients.at(4, _MARGIN, 332)
    working, *others = sorted(boxes.directors, key=lambda box: not box.active)
    router = working.at(4, clients.y + clients.height + 32, 332)
    kind, share = boxes.arrival
    trunk = f"M170 {clients.y + clients.height:.0f}V{router.y:.0f}"
    nodes, flows = [clients, router], [Flow(trunk, kind, _thickness(share, kind))]
    foot = y = router.y + router.height
    for box in boxes.servers:
        node = box.at(40, y + _GAP, 260 if others else 296)
        nodes.append(node)
        flows.append(Flow(f"M20 {foot:.0f}V{node.middle - 10:.0f}q0 10 10 10H40", box.flow, _thickness(box.share, box.flow)))
        y = node.y + node.height
    labels: list[Label] = []
    for box in others:
        other = box.at(4, y + _GAP + 20 + 16 * len(boxes.beats), 332)
        for index, beat in enumerate(boxes.beats):
            flows.append(Flow(f"M{312 + 12 * index} {foot:.0f}V{other.y:.0f}", beat.kind, 1.5))
            labels.append(Label(20, other.y - 12 - 16 * (len(boxes.beats) - 1 - index), f"{beat.name}: {beat.words}", beat.kind))
        nodes.append(other)
        y = other.y + other.height
    return Drawing(340, round(y + _MARGIN), tuple(nodes), tuple(flows), tuple(labels))


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


def _directors(state: State, shown: Sequence[VirtualServerState], now: float) -> tuple[_Box, ...]:
    """This director, and the other one where there is one; the primary first, so that both consoles draw the same."""
    here, there = _director(state, shown), _peer(state, now)
    if there is None:
        return (here,)
    return (there, here) if state.role.identity == "backup" else (here, there)


def _director(state: State, shown: Sequence[VirtualServerState]) -> _Box:
    role, active = role_badge(state.role), state.role.role == "active"
    lines = _serves(state, shown) if active or state.peer.state == "none" else ["stands by, checks go on"]
    title = f"{state.host} · {state.role.role if role.kind == DOWN else role.word}"
    kind = {DOWN: DOWN, WARN: WARN}.get(role.kind, {"active": "active", "standby": IDLE}.get(state.role.role, WARN))
    return _Box(kind, title, tuple(lines), f"{title} (this director)", active=active)


def _serves(state: State, shown: Sequence[VirtualServerState]) -> list[str]:
    """The virtual addresses, as many as there is room for."""
    addresses = [f"{one.address} on {one.label or one.interface}" for one in state.role.addresses if one.state == "present"]
    listening = [one.listens or (f"{one.address} on {one.device}" if one.address else "") for one in shown if one.state != "inactive"]
    addresses = addresses or [one for one in dict.fromkeys(listening) if one]
    if len(addresses) > MOST_ADDRESSES:
        more = plural(len(addresses) - MOST_ADDRESSES + 1, "more address", "more addresses")
        return [*addresses[: MOST_ADDRESSES - 1], f"and {more}"]
    return addresses or ["no virtual address yet"]


def _peer(state: State, now: float) -> _Box | None:
    peer = state.peer
    if peer.state == "none":
        return None
    mark = peer_badge(peer, both_active=bool(state.role.both_active_since))
    active = peer.state == "alive" and peer.role == "active"
    title = f"{peer.name or peer.address or 'the other router'} · {mark.word}"
    heard = f"heard {since(peer.heard_at, now)} ago" if peer.heard_at else "not heard"
    below = (
        f"serial {number(peer.serial)} · {number(peer.up)} of {number(peer.total)} up" if peer.state == "alive" and peer.total else heard
    )
    kind = ("active" if active else IDLE) if mark.kind == UP else mark.kind
    return _Box(kind, title, (below,), f"{title}, {heard}", active=active)


def _beats(state: State, now: float) -> tuple[_Beat, ...]:
    """A line for each heartbeat link; one without words where nothing is known of links."""
    if not state.role.links:
        return (_Beat("", "", "beat"),) if state.peer.state != "none" else ()
    found = []
    for one in state.role.links[:MOST_LINKS]:
        age = since(one.heard_at, now)
        words = {"up": f"{age} ago", "silent": f"silent {age}"}.get(one.state, "never heard")
        found.append(_Beat(one.name, words, "beat-up" if one.state == "up" else "gone"))
    return tuple(found)


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
    role = f"{state.host} is {state.role.role}" + _peer_words(state)
    if not everyone:
        return f"{role} and has no real servers yet."
    kinds = [host.badge.kind for host in everyone]
    parts = [f"{kinds.count(UP)} of {plural(len(everyone), 'real server address', 'real server addresses')} up"]
    troubled = [f"{host.name} {host.badge.word}" for host in everyone if host.badge.kind in {DOWN, WARN}]
    return f"{role}; {parts[0]}" + (f"; {', '.join(troubled[:5])}" if troubled else "") + "."


def _peer_words(state: State) -> str:
    peer = state.peer
    return "" if peer.state == "none" else f", the peer {peer.name or peer.address} {peer_badge(peer).word}"


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
