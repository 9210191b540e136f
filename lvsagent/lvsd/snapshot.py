"""What callers see: the state of everything, put together from the director's parts for one request.

Owns selection, paging and the words for states.  It only reads; a page costs what is on it, however many virtual servers there are.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

from app.lvscf.model import Config, VirtualServer
from lvsagent.api.contract import BadRequest, Question
from lvsagent.core.clean_text import clean
from lvsagent.core.desired import sorry_is_in
from lvsagent.core.health_types import HealthState
from lvsagent.core.pools import Member, Pool
from lvsagent.core.table import Entry, ServiceKey
from lvsagent.lvsd.alerts import alerts
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.override_words import shown_state
from lvsagent.lvsd.pairing import peer_info
from lvsagent.lvsd.processes import Processes
from lvsagent.lvsd.release import held
from lvsagent.lvsd.traffic import NO_TRAFFIC
from lvsagent.wire import (
    Checks,
    ConfigState,
    DataPlaneState,
    ForeignService,
    RealServerState,
    RoleInfo,
    State,
    VirtualServerState,
)

MOST_PER_PAGE = 1000
SORTS = ("", "name", "state", "connections", "rate")
STATE_ORDER = {"failed": 0, "down": 1, "up": 2, "inactive": 3}
MOST_FOREIGN = 200

T = TypeVar("T")

try:
    VERSION = version("piranha")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "unknown"


class Snapshot:
    """Answers from the director's parts."""

    def __init__(self, director: Director) -> None:
        self._director = director
        self._processes = Processes(director.clock, director.supervisor, director.pulse, director.nanny)
        self._searched: Config | None = None
        self._words: list[str] = []
        self._pools_of: object = None
        self._pools: dict[int, Pool] = {}

    def state(self, question: Question) -> State:
        """The whole snapshot with one page of virtual servers.  Raises BadRequest."""
        if question.sort not in SORTS:
            raise BadRequest(f"sort is one of {', '.join(SORTS[1:])}, not {question.sort}")
        director = self._director
        config = director.running.config
        places = self._sorted(self._matching(question), question.sort)
        return State(
            at=director.clock.wall(),
            host=director.settings.name or socket.gethostname(),
            version=VERSION,
            config=self._config_state(),
            role=self._role(),
            peer=peer_info(config.globals, director.identity, director.pulse.state, director.resolved()),
            data_plane=self._data_plane(),
            processes=self._processes.infos(),
            virtual_servers=[self._virtual(place, servers=question.servers) for place in _page(places, question.page, question.per_page)],
            matching=len(places),
            virtual_total=len(config.virtual),
            real_total=sum(len(virtual.servers) for virtual in config.virtual),
            counters=director.traffic.total(),
            alerts=list(alerts(director)),
            foreign=[
                ForeignService(service=str(key), scheduler=entry.service.scheduler, servers=len(entry.servers))
                for key, entry in director.keeper.foreign()[:MOST_FOREIGN]
            ],
            sync=director.both.info(),
            guard=director.guard.info(),
            decided=len(director.book.sides.orders.by_target),
        )

    def checks(self, virtual: str, page: int, per_page: int) -> Checks:
        """A page of checks, of one virtual server when it is named."""
        infos = self._director.book.infos()
        if virtual:
            name = clean(virtual)
            keys = {
                member.check
                for pool in self._director.running.expansion.pools.values()
                if clean(pool.name) == name
                for member in pool.members
            }
            infos = [info for info in infos if info.key in keys]
        return Checks(checks=_page(infos, page, per_page), matching=len(infos))

    # --- selection -----------------------------------------------------------------------------------------------------------

    def _matching(self, question: Question) -> list[int]:
        config = self._director.running.config
        places = list(range(len(config.virtual)))
        if question.virtual:
            name = clean(question.virtual)
            places = [place for place in places if clean(config.virtual[place].name) == name]
        if question.search:
            wanted = clean(question.search).lower()
            words = self._search_words(config)
            places = [place for place in places if wanted in words[place]]
        return places

    def _search_words(self, config: Config) -> list[str]:
        """Names and addresses of each virtual server and its real servers, made once for every configuration."""
        if self._searched is not config:
            self._searched = config
            self._words = [_words_of(virtual) for virtual in config.virtual]
        return self._words

    def _sorted(self, places: list[int], sort: str) -> list[int]:
        config, traffic = self._director.running.config, self._director.traffic
        keys = self._keys()
        if sort == "name":
            return sorted(places, key=lambda place: config.virtual[place].name.lower())
        if sort == "state":
            return sorted(places, key=lambda place: STATE_ORDER[self._state_of(place)[0]])
        if sort == "connections":
            return sorted(places, key=lambda place: -traffic.open_connections(keys[place]) if place in keys else 0)
        if sort == "rate":
            return sorted(places, key=lambda place: -traffic.rate(keys[place]) if place in keys else 0.0)
        return places

    def _keys(self) -> dict[int, ServiceKey]:
        return {pool.place: key for key, pool in self._director.running.expansion.pools.items()}

    # --- one virtual server --------------------------------------------------------------------------------------------------

    def _pool(self, place: int) -> Pool | None:
        pools = self._director.running.expansion.pools
        if self._pools_of is not pools:
            self._pools_of = pools
            self._pools = {pool.place: pool for pool in pools.values()}
        return self._pools.get(place)

    def _up(self, member: Member) -> bool:
        order = self._director.overrides.of(member)
        if order is not None and order.action != "weight":
            return order.action == "up"
        return not member.checked or self._director.book.sides.get(member.check) is True

    def _state_of(self, place: int) -> tuple[str, str]:
        """A virtual server's state and the reason."""
        running, keeper = self._director.running, self._director.keeper
        if not running.config.virtual[place].active:
            return "inactive", ""
        if place in running.expansion.failed:
            return "failed", running.expansion.failed[place]
        pool = self._pool(place)
        if pool is None:
            return "inactive", f"service = {running.config.globals.service}: virtual servers are not in use"
        unavailable = f"the data plane is not available: {keeper.reason}" if keeper.reason else ""
        if reason := unavailable or keeper.failures.get((pool.key, None), ""):
            return "failed", reason
        return self._health_of(pool)

    def _health_of(self, pool: Pool) -> tuple[str, str]:
        """State and reason of a virtual server that the data plane serves."""
        if short := self._director.quorums.short(pool.key):
            return "down", short
        if any(self._up(member) for member in pool.members):
            return "up", ""
        return "down", self._why_down(pool)

    def _why_down(self, pool: Pool) -> str:
        if any(self._director.overrides.of(member) for member in pool.members):
            return "no real server takes new connections, also by an operator's decision"
        return "no real server is up" if pool.members else "no real server is enabled"

    def _virtual(self, place: int, *, servers: bool) -> VirtualServerState:
        director = self._director
        config = director.running.config
        virtual = config.virtual[place]
        pool = self._pool(place)
        state, reason = self._state_of(place)
        present = director.keeper.have.get(pool.key) if pool else None
        address = pool.key.address if pool and pool.key.address else clean(virtual.address.host) if virtual.address else ""
        return VirtualServerState(
            name=clean(virtual.name),
            address=address,
            port=virtual.port,
            protocol=virtual.protocol.value,
            fwmark=virtual.fwmark,
            scheduler=virtual.scheduler.value,
            device=clean(virtual.address.device) if virtual.address else "",
            netmask=virtual.vip_nmask,
            forwarding=self._forwarding(config.globals.network.value),
            persistent_s=virtual.persistent,
            state=state,
            reason=reason,
            up=sum(self._up(member) for member in pool.members) if pool else 0,
            enabled=sum(server.active for server in virtual.servers),
            total=len(virtual.servers),
            sorry=bool(pool and pool.sorry and present and pool.sorry[0] in present.servers and self._only_sorry(pool, present)),
            listens=self._listens(pool) if state in {"up", "down"} else "",
            counters=director.traffic.service(pool.key) if pool else NO_TRAFFIC,
            real_servers=list(self._real_servers(virtual, pool, reason if state == "failed" else "")) if servers else [],
        )

    def _only_sorry(self, pool: Pool, present: Entry) -> bool:
        """Whether the sorry server is there as such: its address may also be a real server's."""
        return sorry_is_in(pool, present) or not any(self._up(member) and member.server.weight for member in pool.members)

    def _listens(self, pool: Pool | None) -> str:
        settings = self._director.settings
        if pool is None or settings.dataplane != "userspace" or not pool.key.address:
            return ""
        host = f"[{pool.key.address}]" if ":" in pool.key.address else pool.key.address
        return f"{host}:{pool.key.port + settings.userspace_port_offset}"

    def _forwarding(self, configured: str) -> str:
        return "proxy" if self._director.settings.dataplane == "userspace" else configured

    def _real_servers(self, virtual: VirtualServer, pool: Pool | None, failed: str) -> Iterator[RealServerState]:
        members = {member.place: member for member in pool.members} if pool else {}
        network = self._director.running.config.globals.network
        for place, server in enumerate(virtual.servers):
            forwarding = self._forwarding((server.forward or network).value)
            member = members.get(place)
            if pool is None or member is None:
                left_out = "" if not server.active or not virtual.active else failed or "left out: see the warnings"
                state = "failed" if left_out else "inactive"
                yield RealServerState(
                    name=clean(server.name),
                    address=clean(server.address),
                    port=server.effective_port,
                    state=state,
                    weight=None,
                    configured_weight=server.weight,
                    forwarding=forwarding,
                    reason=left_out,
                )
            else:
                yield self._member(pool, member, forwarding, server.effective_port)

    def _member(self, pool: Pool, member: Member, forwarding: str, port: int) -> RealServerState:
        director = self._director
        present = director.keeper.have.get(pool.key)
        now = present.servers.get(member.key) if present else None
        refused = director.keeper.failures.get((pool.key, member.key), "")
        info = director.book.info(member.check) if member.checked else None
        state = info.state if info else HealthState.UP.value
        reason = info.reason if info else "there is nothing to check: it counts as up"
        order = director.overrides.of(member)
        if order is not None:
            reason = "; ".join(filter(None, (order.words, f"its check: {state}" if info else "", reason if info else "")))
            state = shown_state(order, state)
        in_parts = order is None or order.action == "weight"  # what else is decided knows no parts of a weight
        share = director.book.sides.words(member.check) if in_parts else ""
        load = director.loads.info(member)
        lessened = load.words if in_parts and load is not None and load.share_percent < 100 else ""
        reason = "; ".join(filter(None, (reason, share, lessened, info.warning if info else "")))
        return RealServerState(
            name=clean(member.name),
            address=member.key.address,
            port=port,
            state="failed" if refused else state,
            weight=now.weight if now else None,
            configured_weight=member.server.weight,
            forwarding=forwarding,
            reason=refused or reason,
            since=info.since if info else 0.0,
            counters=director.traffic.server(pool.key, member.key),
            held=held(info, director.clock.wall()) if info else None,
            order=order,
            load=load,
        )

    # --- the whole -----------------------------------------------------------------------------------------------------------

    def _config_state(self) -> ConfigState:
        director = self._director
        disk, running = director.disk, director.running
        reason = disk.reason or ("" if not director.keeper.failures else "the data plane refused a part of it")
        reason = reason or (f"the data plane is not available: {director.keeper.reason}" if director.keeper.reason else "")
        return ConfigState(
            path=str(director.files.path),
            etag=disk.etag,
            serial=disk.serial,
            exists=disk.exists,
            applied_etag=running.file.etag,
            applied_serial=running.serial,
            in_step=not reason,
            reason=reason,
            errors=disk.errors,
            warnings=disk.warnings,
            network=running.config.globals.network.value,
            service=running.config.globals.service.value,
        )

    def _role(self) -> RoleInfo:
        director = self._director
        state = director.pulse.state
        if state is None:
            return RoleInfo(identity=director.identity, role="stopped", since=director.started_at, reason="pulse is not running")
        return RoleInfo(
            identity=director.identity,
            role=state.role,
            since=state.since,
            reason=state.reason,
            addresses=state.addresses,
            announced_at=state.announced_at,
            maintenance=state.maintenance,
            links=state.links,
            takeover_s=state.takeover_s,
            late_s=state.late_s,
            late_warning=state.late_warning,
            key=state.key,
            both_active_since=state.both_active_since,
        )

    def _data_plane(self) -> DataPlaneState:
        keeper = self._director.keeper
        if keeper.info is None:
            return DataPlaneState(kind=self._director.settings.dataplane, state="unavailable", reason=keeper.reason)
        return DataPlaneState(
            kind=self._director.settings.dataplane,
            state="ready",
            version=keeper.info.version,
            connection_table_size=keeper.info.connection_table_size,
            notes=list(keeper.info.notes),
            tcp_timeout_s=keeper.timeouts.tcp_s,
            tcpfin_timeout_s=keeper.timeouts.tcpfin_s,
            udp_timeout_s=keeper.timeouts.udp_s,
        )


def _words_of(virtual: VirtualServer) -> str:
    """What a search looks at; a line feed keeps one word from running into the next."""
    words = [virtual.name, virtual.address.host if virtual.address else "", str(virtual.fwmark or "")]
    for server in virtual.servers:
        words += [server.name, server.address]
    return clean("\n".join(words)).lower()


def _page(items: list[T], page: int, per_page: int) -> list[T]:
    if page < 1 or not 1 <= per_page <= MOST_PER_PAGE:
        raise BadRequest(f"page counts from 1, and per_page is at most {MOST_PER_PAGE}")
    return items[(page - 1) * per_page : page * per_page]
