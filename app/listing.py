"""Rows of the tables of virtual servers, real servers and failover services: what lvs.cf says beside what is true now.

Pure.  The configuration gives the rows, so that the tables can be read while the agent is down; the snapshot gives states and connections.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.forms.values import legible
from app.lvscf.model import NO_ADDRESS, Block, Config, FailoverService, RealServer, VirtualServer
from app.presentation import Badge, badge, host_port, real_badge, virtual_badge
from app.refs import Ref, refs
from lvsagent.wire import OverrideInfo, RealServerState, VirtualServerState

PER_PAGE = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VirtualRow:
    """One virtual server.  ``connections`` are open ones; ``None`` while they are not known."""

    ref: Ref
    active: bool
    status: Badge
    vip: str
    netmask: str
    port: str
    protocol: str
    device: str
    up: int | None
    total: int
    connections: int | None


@dataclass(frozen=True, slots=True)
class RealRow:
    """One real server.  ``weight`` is the configured one, ``weight_now`` what is in force (``None``: not in the table).

    ``host`` is its address as the agent has it (``""``: not known), ``order`` what an operator has decided about it.
    """

    ref: Ref
    active: bool
    status: Badge
    address: str
    port: int
    own_port: bool
    weight: int
    weight_now: int | None
    connections: int | None
    since: float
    release: str = ""
    """The check whose server is held down or kept in service (``""``: its checks alone decide)."""
    host: str = ""
    order: OverrideInfo | None = None
    load: str = ""
    """What load_monitor reads of its host, where that leaves the weight whole (else ``status`` says it)."""


@dataclass(frozen=True, slots=True)
class FailoverRow:
    """One failover service; its run-time half comes with the heartbeat."""

    ref: Ref
    active: bool
    vip: str
    netmask: str
    port: int
    device: str
    start_cmd: str
    stop_cmd: str


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what a search found."""

    page: int
    pages: int
    matching: int
    total: int
    servers: tuple[tuple[Ref, VirtualServer], ...]


def find(config: Config, search: str, page: int, per_page: int = PER_PAGE) -> Found:
    """The virtual servers whose name, address, mark or real servers hold ``search`` (any case), one page of them; as the agent searches."""
    wanted = search.strip().lower()
    everyone = list(zip(refs(config.virtual), config.virtual, strict=True))
    found = [pair for pair in everyone if _matches(pair[1], wanted)] if wanted else everyone
    pages = max(1, -(-len(found) // per_page))
    page = min(max(1, page), pages)
    return Found(page, pages, len(found), len(everyone), tuple(found[(page - 1) * per_page : page * per_page]))


def _matches(one: VirtualServer, wanted: str) -> bool:
    words = [one.name, one.address.host if one.address else "", str(one.fwmark or "")]
    for server in one.servers:
        words += [server.name, server.address]
    return wanted in legible("\n".join(words)).lower()


def virtual_rows(servers: Sequence[tuple[Ref, VirtualServer]], states: Iterable[VirtualServerState]) -> list[VirtualRow]:
    """The rows of one page; a virtual server that ``states`` does not know has no status yet."""
    known: dict[str, list[VirtualServerState]] = defaultdict(list)
    for state in states:
        known[state.name].append(state)
    return [_virtual_row(ref, one, _first(known[legible(one.name)])) for ref, one in servers]


def _first(states: list[T]) -> T | None:
    return states.pop(0) if states else None


def virtual_state(ref: Ref, states: Iterable[VirtualServerState]) -> VirtualServerState | None:
    """The state of that virtual server among those of its name."""
    named = [state for state in states if state.name == legible(ref.name)]
    return named[ref.ordinal - 1] if ref.ordinal <= len(named) else None


def _virtual_row(ref: Ref, one: VirtualServer, state: VirtualServerState | None) -> VirtualRow:
    return VirtualRow(
        ref=ref,
        active=one.active,
        status=virtual_status(one, state),
        vip=_vip(one),
        netmask="" if one.vip_nmask == NO_ADDRESS else one.vip_nmask,
        port=f"mark {one.fwmark}" if one.fwmark else str(one.port),
        protocol=one.protocol.value,
        device=one.address.device if one.address else "",
        up=state.up if state else None,
        total=len(one.servers),
        connections=state.counters.active + state.counters.inactive if state else None,
    )


def virtual_status(one: VirtualServer, state: VirtualServerState | None) -> Badge:
    """up, down, inactive or failed in a word, with why; what lvs.cf says alone while nothing is known."""
    if state is None:
        return badge("unknown", "The agent has not said yet.") if one.active else badge("inactive")
    if state.state == "up":
        full = virtual_badge(state)
        return Badge("up", full.kind, state.reason or full.word)
    return virtual_badge(state)


def _vip(one: Block) -> str:
    return one.address.host if one.address and one.address.host != NO_ADDRESS else ""


def real_rows(servers: Sequence[RealServer], states: Sequence[RealServerState]) -> list[RealRow]:
    """The rows of one virtual server's real servers."""
    known: dict[str, list[RealServerState]] = defaultdict(list)
    for each in states:
        known[each.name].append(each)
    rows = []
    for ref, one in zip(refs(servers), servers, strict=True):
        state = _first(known[legible(one.name)])
        rows.append(
            RealRow(
                ref=ref,
                active=one.active,
                status=real_status(one, state),
                address=one.address,
                port=one.port or one.effective_port,
                own_port=one.port is not None,
                weight=one.weight,
                weight_now=state.weight if state else None,
                connections=state.counters.active + state.counters.inactive if state else None,
                since=state.since if state else 0.0,
                release=state.held.key if state and state.held else "",
                host=state.address if state else "",
                order=state.order if state else None,
                load=state.load.words if state and state.load and state.load.share_percent == 100 else "",
            )
        )
    return rows


def real_status(one: RealServer, state: RealServerState | None) -> Badge:
    """The state in a word with why; what lvs.cf says alone while nothing is known."""
    if state is None:
        return badge("unknown", "The agent has not said yet.") if one.active else badge("inactive")
    return real_badge(state)


def failover_rows(services: Sequence[FailoverService]) -> list[FailoverRow]:
    """The rows of the failover services."""
    return [
        FailoverRow(
            ref,
            one.active,
            _vip(one),
            "" if one.vip_nmask == NO_ADDRESS else one.vip_nmask,
            one.port,
            one.address.device if one.address else "",
            one.start_cmd or "",
            one.stop_cmd or "",
        )
        for ref, one in zip(refs(services), services, strict=True)
    ]


def described(one: Block) -> str:
    """Where clients arrive: ``192.0.2.100:80 tcp`` or ``firewall mark 80``."""
    if one.fwmark:
        return f"firewall mark {one.fwmark}"
    return f"{host_port(_vip(one) or 'no address', one.port)} {one.protocol.value}"
