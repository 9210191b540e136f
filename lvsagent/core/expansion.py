"""From a configuration to what the data plane, nanny and pulse are to know of it.

Reads a configuration once: the virtual servers that can be served, their checks, their addresses, and what is wrong with those that
cannot.  It knows nothing of health, and touches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
from lvsagent.core.check_spec import CheckSpec, Method
from lvsagent.core.clean_text import clean
from lvsagent.core.hosts import family, host_prefix, prefix
from lvsagent.core.load_plan import LoadSpec, load_spec
from lvsagent.core.marks import MarkRule, marks_of
from lvsagent.core.pools import FOS_KEY, Expansion, Member, Pool, Problem
from lvsagent.core.quorum import Quorum
from lvsagent.core.table import Family, Server, ServerKey, Service, ServiceKey, Timeouts

Resolve = Callable[[str], str | None]
"""From a host name to its canonical address, ``None`` when there is none (yet).  Literal addresses are never asked for."""

SCHEDULER_FLAGS = {
    **{f"flag-{number}": f"flag-{number}" for number in (1, 2, 3)},
    **{f"{scheduler}-fallback": "flag-1" for scheduler in ("sh", "mh")},
    **{f"{scheduler}-port": "flag-2" for scheduler in ("sh", "mh")},
}


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


def _engine(virtual: VirtualServer) -> str:
    """The persistence engine in force: it reads UDP packets, and says who a client is, which only persistence asks."""
    return virtual.pe.value if virtual.pe and virtual.persistent > 0 and virtual.protocol is Protocol.UDP else ""
