"""What the data plane should hold: from a configuration and the health of its real servers to the table that is wanted.

Two steps, so that a change of health costs as much as the one virtual server it concerns.  ``expand`` reads a configuration once: the
virtual servers that can be served, their checks, their addresses, and what is wrong with those that cannot.  ``decide`` then says which
real servers of one virtual server are in, by their health and by what the data plane has.  Neither touches anything.

The rules of ``decide``: a server that is up has its weight; one that is down has weight 0 with ``quiesce_server`` and is left out
without; one whose health is not yet known keeps what the data plane has, so that nothing flaps when the agent comes back.  What an
operator has decided goes before: a drained server has weight 0 while it is healthy, one that was cut is out, one that is forced is up or
down whatever its check says, and another weight takes the place of lvs.cf's and of what its host's load makes of that.  The sorry server is
in when fewer servers than the quorum take new connections (Piranha's quorum is one); those that are left then get none, and keep the
connections that they have.  Whether a quorum is lost is read from the table: the sorry server is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from app.lvscf import ip_of
from app.lvscf.model import (
    NO_ADDRESS,
    Config,
    FailoverService,
    Forwarding,
    HostDevice,
    Protocol,
    RealServer,
    ServiceKind,
    VirtualServer,
)
from lvsagent.core.addresses import Address
from lvsagent.core.check_plan import check_spec, unchecked
from lvsagent.core.health import CheckSpec, Method
from lvsagent.core.hosts import family, host_prefix, prefix
from lvsagent.core.load_plan import LoadSpec, load_spec
from lvsagent.core.marks import MarkRule, marks_of
from lvsagent.core.overrides import Action, Override, Phase
from lvsagent.core.quorum import ONE, Quorum
from lvsagent.core.table import Entry, Family, Server, ServerKey, Service, ServiceKey, Table, Timeouts
from lvsagent.core.weights import Sides, part_of

NO_TIMEOUTS = Timeouts()
"""lvs.cf leaves them to the kernel."""

NO_SIDES = Sides()

FOS_KEY = "failover service/"
"""Begins the key of the check of a failover service."""

Resolve = Callable[[str], str | None]
"""From a host name to its canonical address, ``None`` when there is none (yet).  Literal addresses are never asked for."""

SCHEDULER_FLAGS = {
    **{f"flag-{number}": f"flag-{number}" for number in (1, 2, 3)},
    **{f"{scheduler}-fallback": "flag-1" for scheduler in ("sh", "mh")},
    **{f"{scheduler}-port": "flag-2" for scheduler in ("sh", "mh")},
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in lvs.cf that cannot be done as written.  ``virtual`` is a place in ``config.virtual`` (-1: none of them)."""

    severity: str
    code: str
    message: str
    virtual: int = -1


@dataclass(frozen=True, slots=True)
class Member:
    """An enabled real server.  ``place`` is its index in the virtual server; not ``checked``: nothing can be, it counts as up.

    ``load`` is the key of its host's load (``""``: load_monitor asks for none).
    """

    name: str
    place: int
    check: str
    key: ServerKey
    server: Server
    checked: bool
    load: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """A virtual server that is to be served.  ``complete`` is false while the name of one of its servers cannot be resolved."""

    name: str
    place: int
    key: ServiceKey
    service: Service
    members: tuple[Member, ...]
    quiesce: bool
    sorry: tuple[ServerKey, Server] | None
    complete: bool
    quorum: Quorum = ONE


@dataclass(frozen=True, slots=True)
class Standing:
    """How many real servers of a virtual server take new connections (``up``), and how many wait for their first check."""

    up: int
    awaited: int


@dataclass(frozen=True, slots=True)
class Expansion:
    """A configuration, read for the data plane, nanny and pulse.

    ``named`` is every service that lvs.cf names, active or not: these are ours.  ``failed`` tells, by place in ``config.virtual``, why an
    active virtual server is not served.  ``resolved`` is false while any virtual server's own name cannot be resolved.
    """

    pools: Mapping[ServiceKey, Pool] = field(default_factory=dict)
    checks: tuple[CheckSpec, ...] = ()
    check_pool: Mapping[str, ServiceKey] = field(default_factory=dict)
    named: frozenset[ServiceKey] = frozenset()
    failed: Mapping[int, str] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    forwarding_needed: tuple[str, ...] = ()
    timeouts: Timeouts = NO_TIMEOUTS
    problems: tuple[Problem, ...] = ()
    resolved: bool = True
    marks: tuple[MarkRule, ...] = ()
    loads: tuple[LoadSpec, ...] = ()


def clean(text: str) -> str:
    """Text for the wire and for people: bytes that were not UTF-8 (lone surrogates) become ``\\xNN``."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def host_names(config: Config) -> frozenset[str]:
    """The names in ``config`` that have to be resolved before ``expand`` (literal addresses left out)."""
    settings = config.globals
    directors = (settings.primary, settings.primary_private, settings.backup, settings.backup_private)
    names = {host for host in directors if host}
    if settings.nat_router:
        names.add(settings.nat_router.host)
    names.update(service.address.host for service in config.failover if service.address)
    for virtual in config.virtual:
        if virtual.address:
            names.add(virtual.address.host)
        names.update(server.address for server in virtual.servers)
        if virtual.sorry_server:
            names.add(virtual.sorry_server)
    return frozenset(name for name in names if ip_of(name) is None)


def expand(config: Config, resolve: Resolve) -> Expansion:
    """Read ``config`` for the data plane, nanny and pulse.  What cannot be served is left out and said in ``problems``; the rest lives."""
    return _Reading(config, resolve).expansion()


def decide(pool: Pool, health: Mapping[str, bool], have: Entry | None) -> Entry:
    """The entry wanted for ``pool``.

    ``health``: up or down by check key, absent when not known; ``Sides`` also say how much of its weight each has, and what operators
    have decided.  ``have``: what the data plane holds for it now, if anything.
    """
    servers, standing = _members(pool, health, have.servers if have else {})
    if pool.sorry and not pool.quorum.holds(standing.up, standing.awaited, held=not sorry_is_in(pool, have)):
        servers = {key: server if server.weight == 0 else replace(server, weight=0) for key, server in servers.items()}
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
            servers[member.key] = replace(member.server, weight=weight)
        elif up is False:
            if pool.quiesce:
                servers[member.key] = replace(member.server, weight=0)
        elif now is not None:
            servers[member.key] = replace(member.server, weight=now.weight if order is None else min(now.weight, 1) * weight)
        elif order is None or weight:
            waiting += 1
    if not pool.complete:
        left_out = {*out, pool.sorry[0]} if pool.sorry else out
        servers = {**{key: server for key, server in present.items() if key not in left_out}, **servers}
    return servers, Standing(sum(server.weight > 0 for server in servers.values()), waiting)


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
    return part_of(weight, share * sides.load_share(member.check, member.load)), up


def decide_all(expansion: Expansion, health: Mapping[str, bool], have: Table) -> dict[ServiceKey, Entry]:
    """The whole table wanted, in the file's order."""
    return {key: decide(pool, health, have.get(key)) for key, pool in expansion.pools.items()}


def awaited(pool: Pool, health: Mapping[str, bool], have: Entry | None) -> tuple[Member, ...]:
    """The members that are not in yet because their first check is still to come."""
    present: Mapping[ServerKey, Server] = have.servers if have else {}
    return tuple(member for member in pool.members if member.checked and member.check not in health and member.key not in present)


def _engine(virtual: VirtualServer) -> str:
    """The persistence engine in force: it reads UDP packets, and says who a client is, which only persistence asks."""
    return virtual.pe.value if virtual.pe and virtual.persistent > 0 and virtual.protocol is Protocol.UDP else ""


class _Reading:
    """One pass over a configuration, collecting what ``Expansion`` holds."""

    def __init__(self, config: Config, resolve: Resolve) -> None:
        self._config = config
        self._resolve = resolve
        self._pools: dict[ServiceKey, Pool] = {}
        self._checks: list[CheckSpec] = []
        self._check_pool: dict[str, ServiceKey] = {}
        self._named: set[ServiceKey] = set()
        self._failed: dict[int, str] = {}
        self._addresses: dict[str, Address] = {}
        self._problems: list[Problem] = []
        self._resolved = True
        self._marks: list[MarkRule] = []
        self._loads: dict[str, LoadSpec] = {}

    def expansion(self) -> Expansion:
        settings = self._config.globals
        if settings.service is ServiceKind.LVS:
            for place, virtual in enumerate(self._config.virtual):
                self._virtual(place, virtual)
        else:
            self._named.update(key for virtual in self._config.virtual if (key := self._service_key(virtual)))
            for service in self._config.failover:
                self._failover_service(service)
        nat = self._nat_pools()
        if settings.service is ServiceKind.LVS and settings.network is Forwarding.NAT and settings.nat_router:
            self._address(settings.nat_router, settings.nat_nmask, place=-1)
        return Expansion(
            pools=self._pools,
            checks=tuple(self._checks),
            check_pool=self._check_pool,
            named=frozenset(self._named),
            failed=self._failed,
            addresses=tuple(self._addresses.values()),
            forwarding_needed=tuple(kind.value for kind in Family if kind in nat),
            timeouts=Timeouts(max(settings.tcp_timeout, 0), max(settings.tcpfin_timeout, 0), max(settings.udp_timeout, 0)),
            problems=tuple(self._problems),
            resolved=self._resolved,
            marks=tuple(sorted(set(self._marks))),
            loads=tuple(self._loads.values()),
        )

    def _virtual(self, place: int, virtual: VirtualServer) -> None:
        key = self._service_key(virtual)
        if key:
            self._named.add(key)
        if not virtual.active:
            return
        if key is None:
            self._refuse(place, virtual, self._why_no_key(virtual))
            return
        if virtual.address and virtual.address.host != NO_ADDRESS:
            self._address(virtual.address, virtual.vip_nmask, place)
        if key in self._pools:
            self._refuse(
                place,
                virtual,
                f"{key} is served by {clean(self._pools[key].name)} already: the first in the file wins",
                "duplicate-service",
            )
            return
        self._pools[key] = self._pool(place, virtual, key)
        address = self._address_of(virtual.address.host) if virtual.address else None
        if address and address != NO_ADDRESS:
            self._marks.extend(marks_of(virtual, address))

    def _failover_service(self, service: FailoverService) -> None:
        """A local service of the active director: its address follows the role, and it is checked there (``FOS_KEY``)."""
        if not service.active or service.address is None:
            return
        self._address(service.address, service.vip_nmask, place=-1)
        address = self._address_of(service.address.host)
        if address is None or address == NO_ADDRESS:
            return
        key = f"{FOS_KEY}{clean(service.name)}"
        spec = check_spec(service, key=key, address=address, port=service.port)
        if spec.method is not Method.NONE and key not in {each.key for each in self._checks}:
            self._checks.append(spec)

    def _pool(self, place: int, virtual: VirtualServer, key: ServiceKey) -> Pool:
        members, complete = self._members(place, virtual, key)
        if virtual.servers and (reason := unchecked(virtual)):
            self._warn(place, virtual, "not-checked", reason)
        return Pool(
            name=virtual.name,
            place=place,
            key=key,
            service=self._service(place, virtual, key),
            members=members,
            quiesce=virtual.quiesce_server,
            sorry=self._sorry(place, virtual),
            complete=complete,
            quorum=Quorum(max(virtual.quorum, 1), max(virtual.hysteresis, 0), sum(member.server.weight > 0 for member in members)),
        )

    def _service(self, place: int, virtual: VirtualServer, key: ServiceKey) -> Service:
        length = prefix(virtual.pmask, key.family)
        if length is None:
            self._warn(place, virtual, "pmask", f"pmask {virtual.pmask} is no netmask: each client is taken for itself")
        flags = [flag.strip() for flag in (virtual.scheduler_flags or "").split(",") if flag.strip()]
        for flag in flags:
            if flag not in SCHEDULER_FLAGS:
                self._warn(place, virtual, "scheduler-flag", f"no scheduler has the flag {flag}")
        return Service(
            scheduler=virtual.scheduler.value,
            persistence_timeout_s=max(virtual.persistent, 0),
            persistence_prefix=host_prefix(key.family) if length is None or not virtual.persistent else length,
            one_packet=virtual.one_packet and virtual.protocol is Protocol.UDP,
            scheduler_flags=frozenset(SCHEDULER_FLAGS[flag] for flag in flags if flag in SCHEDULER_FLAGS),
            persistence_engine=_engine(virtual),
        )

    def _members(self, place: int, virtual: VirtualServer, key: ServiceKey) -> tuple[tuple[Member, ...], bool]:
        members: dict[ServerKey, Member] = {}
        complete = True
        for index, server in enumerate(virtual.servers):
            if not server.active:
                continue
            address = self._address_of(server.address)
            if address is None or address == NO_ADDRESS:
                complete = complete and address is not None
                reason = "its name cannot be resolved" if address is None else "it has no address"
                self._warn(
                    place, virtual, "server-address", f"real server {clean(server.name)} ({clean(server.address)}) is left out: {reason}"
                )
                continue
            server_key = ServerKey(address, self._server_port(virtual, server))
            if server_key in members:
                first = clean(members[server_key].name)
                self._warn(
                    place, virtual, "duplicate-server", f"real server {clean(server.name)} is left out: {first} is at {server_key} already"
                )
                continue
            members[server_key] = self._member(virtual, key, index, server_key)
        return tuple(members.values()), complete

    def _member(self, virtual: VirtualServer, service: ServiceKey, index: int, key: ServerKey) -> Member:
        server = virtual.servers[index]
        spec = check_spec(virtual, key=self._check_key(virtual, server), address=key.address, port=server.effective_port)
        self._check_pool[spec.key] = service
        if spec.method is not Method.NONE:
            self._checks.append(spec)
        forwarding = self._forwarding(server)
        entry = Server(max(server.weight, 0), forwarding, max(server.upper_threshold, 0), max(server.lower_threshold, 0))
        return Member(server.name, index, spec.key, key, entry, spec.method is not Method.NONE, self._load(virtual, server, key))

    def _load(self, virtual: VirtualServer, server: RealServer, key: ServerKey) -> str:
        spec = load_spec(virtual.load_monitor, address=key.address, written=server.address, name=clean(server.name))
        if spec is None:
            return ""
        self._loads[spec.key] = spec
        return spec.key

    def _check_key(self, virtual: VirtualServer, server: RealServer) -> str:
        key = wanted = f"{clean(virtual.name)}/{clean(server.name)}"
        number = 1
        while key in self._check_pool:
            number += 1
            key = f"{wanted}#{number}"
        return key

    def _forwarding(self, server: RealServer) -> Forwarding:
        return server.forward or self._config.globals.network

    def _server_port(self, virtual: VirtualServer, server: RealServer) -> int:
        """The port in the table.

        Direct routing and tunnelling hand the packet on as it is, so the port is the virtual server's whatever lvs.cf says.  A firewall
        mark stands for any ports: they are kept (0), unless NAT is to change them to another one than the virtual server's.
        """
        translates = self._forwarding(server) is Forwarding.NAT
        if virtual.fwmark:
            return server.effective_port if translates and server.effective_port != virtual.port else 0
        return server.effective_port if translates else virtual.port

    def _sorry(self, place: int, virtual: VirtualServer) -> tuple[ServerKey, Server] | None:
        if not virtual.sorry_server or virtual.sorry_server == NO_ADDRESS:
            return None
        address = self._address_of(virtual.sorry_server)
        if address is None:
            self._warn(
                place, virtual, "sorry-server", f"sorry server {clean(virtual.sorry_server)} is left out: its name cannot be resolved"
            )
            return None
        network = self._config.globals.network
        port = virtual.sorry_port if virtual.sorry_port and network is Forwarding.NAT else virtual.port
        return ServerKey(address, 0 if virtual.fwmark and port == virtual.port else port), Server(1, network)

    def _service_key(self, virtual: VirtualServer) -> ServiceKey | None:
        address = self._address_of(virtual.address.host) if virtual.address else None
        if virtual.fwmark:
            return ServiceKey(family(address) if address else self._servers_family(virtual), fwmark=virtual.fwmark)
        if address is None or address == NO_ADDRESS:
            return None
        return ServiceKey(family(address), virtual.protocol, address, virtual.port)

    def _servers_family(self, virtual: VirtualServer) -> Family:
        addresses = [address for server in virtual.servers if (address := ip_of(server.address))]
        return family(addresses[0]) if addresses else Family.IPV4

    def _why_no_key(self, virtual: VirtualServer) -> str:
        if virtual.address and virtual.address.host != NO_ADDRESS:
            self._resolved = False
            return f"the name {clean(virtual.address.host)} cannot be resolved"
        return "it has no address"

    def _address(self, place_of: HostDevice, mask: str, place: int) -> None:
        """Note an address for pulse; the first mention of it in the file wins."""
        address = self._address_of(place_of.host)
        if address is None or address == NO_ADDRESS:
            return
        length = prefix(mask, family(address))
        if length is None:
            length = host_prefix(family(address))
            self._problems.append(Problem("warning", "netmask", f"{clean(mask)} is no netmask: {address} is put up as /{length}", place))
        wanted = Address(address, length, clean(place_of.interface), clean(place_of.device))
        first = self._addresses.setdefault(address, wanted)
        if (first, first.label) != (wanted, wanted.label):
            used, unused = (f"{address}/{way.prefix} on {way.label}" for way in (first, wanted))
            message = f"{address} is asked for twice in different ways: {used} is put up, {unused} is not"
            self._problems.append(Problem("warning", "address-twice", message, place))

    def _address_of(self, host: str) -> str | None:
        return ip_of(host) or self._resolve(host)

    def _nat_pools(self) -> set[Family]:
        return {pool.key.family for pool, member in self._all_members() if member.server.forwarding is Forwarding.NAT}

    def _all_members(self) -> Iterator[tuple[Pool, Member]]:
        return ((pool, member) for pool in self._pools.values() for member in pool.members)

    def _refuse(self, place: int, virtual: VirtualServer, reason: str, code: str = "not-served") -> None:
        self._failed[place] = reason
        self._problems.append(Problem("error", code, f"virtual server {clean(virtual.name)} is not served: {reason}", place))

    def _warn(self, place: int, virtual: VirtualServer, code: str, reason: str) -> None:
        self._problems.append(Problem("warning", code, f"virtual server {clean(virtual.name)}: {reason}", place))
