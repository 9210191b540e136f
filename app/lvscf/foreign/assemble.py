"""From the services that a reader found to a whole lvs.cf: names, interfaces, forwarding methods, ports, and the last check.

Owns what the three languages have in common once they are read.  It knows none of them.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.lvscf import load
from app.lvscf.foreign.report import Imported, Ledger, Source
from app.lvscf.foreign.values import Unusable, Values, as_line, mask_of
from app.lvscf.keywords import Level
from app.lvscf.literals import WELL_KNOWN_PORTS, ip_of
from app.lvscf.model import Config, Forwarding, GlobalSettings, HostDevice, Protocol, RealServer, VirtualServer
from app.lvscf.quoting import UnwritableValue
from app.lvscf.writer import render

NEW_GLOBALS = GlobalSettings(serial_no=1, rsh_command="ssh", heartbeat=True, keepalive=6, deadtime=18)
"""What a new file starts from: the screens' defaults."""
LARGEST_SERVICES = 5_000
LARGEST_SERVERS = 50_000
"""More than that, all virtual servers together, is refused: a range or a macro can stand for any number.  A source counts once."""
GUESSES_SHOWN = 6
MARK_PORT = 80
"""The port that the checks of a firewall mark use where the source has none: lvs.cf's default."""


@dataclass(slots=True)
class Server:
    """A real server as the source has it.  ``port`` 0: the source names none."""

    line: int
    host: str
    port: int
    method: Forwarding | None = None
    name: str = ""
    values: dict[str, object] = field(default_factory=dict)
    active: bool = True


@dataclass(slots=True)
class Service:
    """A virtual server as the source has it: an address and port, or a firewall mark.  ``values``: the other keywords, each checked."""

    line: int
    host: str = ""
    port: int = 0
    fwmark: int = 0
    ipv6: bool = False
    name: str = ""
    protocol: Protocol = Protocol.TCP
    values: dict[str, object] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others in the kernel's table."""
        return (self.fwmark, self.ipv6) if self.fwmark else (self.host, self.port, self.protocol)

    @property
    def title(self) -> str:
        """Its name in lvs.cf, made from what it is, so that the same source gives the same name."""
        if self.name:
            return self.name
        if self.fwmark:
            return f"fwmark-{self.fwmark}" + ("-ipv6" if self.ipv6 else "")
        known = WELL_KNOWN_PORTS.get(self.port, str(self.port))
        return f"{known}{'' if self.protocol is Protocol.TCP else f'-{self.protocol}'}-{self.host}"


@dataclass(slots=True)
class Place:
    """Where the source puts a virtual address up.  ``label`` is ``""`` where it has none; ``taken``: a virtual server has it."""

    line: int
    host: str
    length: int
    device: str
    label: str = ""
    taken: bool = False


@dataclass(slots=True)
class Found:
    """All that a reader found."""

    source: Source
    ledger: Ledger
    settings: Values
    services: list[Service] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    network: Forwarding | None = None
    """The method that the source gives most of its virtual servers, where it has such a word."""
    _keys: dict[tuple[object, ...], Service] = field(default_factory=dict)
    _servers: int = 0

    def add(self, service: Service) -> bool:
        """Take a virtual server.  False, and said, when it is there already or when there are too many."""
        first = self._keys.setdefault(service.key, service)
        if first is not service:
            self.ledger.error(service.line, f"the same virtual server as in line {first.line}; left out")
            return False
        self._servers += len(service.servers)
        if len(self.services) >= LARGEST_SERVICES or self._servers > LARGEST_SERVERS:
            self.ledger.error(service.line, f"more than {LARGEST_SERVICES:,} virtual or {LARGEST_SERVERS:,} real servers; left out")
            return False
        self.services.append(service)
        return True

    @property
    def full(self) -> bool:
        """No more can be taken."""
        return len(self.services) >= LARGEST_SERVICES or self._servers > LARGEST_SERVERS


def assemble(found: Found, device: str) -> Imported:
    """The whole of it.  ``device``: the interface of virtual addresses for which the source names none (``eth0``)."""
    return _Assembly(found, device).imported()


class _Assembly:
    def __init__(self, found: Found, device: str) -> None:
        self._found = found
        self._ledger = found.ledger
        self._device = device
        self._places = {place.host: place for place in reversed(found.places)}
        self._labels = {place.label for place in found.places if place.label}
        self._made: dict[str, HostDevice] = {}
        self._next_label: dict[str, int] = {}
        self._names: set[str] = set()
        self._guessed: list[str] = []
        """Addresses whose interface the source does not name, and the one that was taken."""
        self._networks = dict.fromkeys(
            (ipaddress.ip_network((place.host, place.length), strict=False), place.device)
            for place in found.places
            if place.length < (128 if ":" in place.host else 32)
        )

    def imported(self) -> Imported:
        services = self._found.services
        network = self._network(services)
        marks = [self._virtual(service, network) for service in services]
        if self._guessed:
            shown = ", ".join(self._guessed[:GUESSES_SHOWN]) + (
                f" and {len(self._guessed) - GUESSES_SHOWN} more" if len(self._guessed) > GUESSES_SHOWN else ""
            )
            self._ledger.remark(f"the source names no interface for {shown}: correct it where it is another")
        self._nat_router(services, network)
        self._left_over(services, marks)
        settings = replace(NEW_GLOBALS, **self._found.settings.found)  # type: ignore[arg-type]
        config, text = self._sound(Config(globals=settings, virtual=tuple(marks)), services)
        return Imported(
            source=self._found.source,
            lines=self._ledger.report(),
            remarks=tuple(self._ledger.remarks),
            config=config,
            found=frozenset(self._found.settings.found),
            text=text,
            diagnostics=load(text).diagnostics,
        )

    def _network(self, services: Sequence[Service]) -> Forwarding:
        """The method of most real servers; the others say their own."""
        used = Counter(server.method for service in services for server in service.servers if server.method)
        network = self._found.network or (used.most_common(1)[0][0] if used else Forwarding.NAT)
        if services:
            self._found.settings.found["network"] = network
        if set(used) - {network}:
            self._ledger.remark(f"network = {network}, the usual method here; other real servers have a `forward` of their own")
        return network

    # --- one virtual server ------------------------------------------------------------------------------------------------------

    def _virtual(self, service: Service, network: Forwarding) -> VirtualServer:
        values = {"active": True, "protocol": service.protocol, **service.values}
        if service.fwmark:
            values["fwmark"] = service.fwmark
        else:
            values |= self._address(service)
        port = self._port(service, values)
        name = self._name(service)
        servers = self._servers(service, port, network)
        said = f"virtual {name}" + (f", fwmark = {service.fwmark}" if service.fwmark else f", address = {values['address']}, port = {port}")
        self._ledger.became(service.line, said)
        return VirtualServer(**(values | {"name": name, "port": port, "servers": servers}))  # type: ignore[arg-type]

    def _name(self, service: Service) -> str:
        """A name that no other has; what lvs.cf cannot write in a name is replaced."""
        wanted = "".join(c for c in service.title if c.isprintable() and c not in "\"'").strip() or "virtual"
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}-{number}"
        self._names.add(name)
        return name

    def _address(self, service: Service) -> dict[str, object]:
        place = self._places.get(service.host)
        if place is not None:
            place.taken = True
            return self._put_up(place)
        known = self._made.get(service.host)
        if known is None:
            known = self._made[service.host] = HostDevice(service.host, self._alias(service.host, self._near(service.host)))
            self._guessed.append(f"{service.host} on {known.device}")
        return {"address": known}

    def _near(self, host: str) -> str:
        """The interface of an address that the source puts up in the same network; else the one that was told."""
        address = ip_of(host)
        for network, device in self._networks:
            if address and (":" in address) is (network.version == 6) and ipaddress.ip_address(address) in network:
                return device
        return self._device

    def _put_up(self, place: Place) -> dict[str, object]:
        """``address`` and ``vip_nmask`` of an address that the source puts up."""
        if place.host not in self._made:
            label = place.label or self._alias(place.host, place.device)
            self._made[place.host] = HostDevice(place.host, label)
            self._ledger.became(place.line, f"address = {place.host} {label}")
        mask = mask_of(place.length, ipv6=":" in place.host)
        return {"address": self._made[place.host], "vip_nmask": mask}

    def _alias(self, host: str, device: str) -> str:
        """``eth0:1``: a label that is still free; IPv6 addresses have none."""
        if ":" in host or ":" in device:
            return device
        number = self._next_label.get(device, 1)
        while f"{device}:{number}" in self._labels:
            number += 1
        self._next_label[device] = number + 1
        label = f"{device}:{number}"
        try:
            as_line(Level.BLOCK, "address", HostDevice(host, label))
        except Unusable:
            return device
        self._labels.add(label)
        return label

    def _port(self, service: Service, values: dict[str, object]) -> int:
        """A firewall mark stands for any ports: the port is then the checks' alone, and must differ from real servers' that translate."""
        if not service.fwmark:
            return service.port
        ports = sorted({server.port for server in service.servers if server.port})
        own = any("port" in server.values for server in service.servers)
        if not ports:
            if "check_port" not in values and not own:
                self._ledger.remark(f"fwmark {service.fwmark}: the source names no port, so port = {MARK_PORT} is what is checked")
            return MARK_PORT
        if not own:
            values.setdefault("check_port", ports[0])
        return 0

    def _servers(self, service: Service, port: int, network: Forwarding) -> tuple[RealServer, ...]:
        made: dict[tuple[str, int], RealServer] = {}
        names: set[str] = set()
        for server in service.servers:
            at = (server.host, server.port or port)
            if at in made:
                self._ledger.error(server.line, f"the same real server as {made[at].name}; left out")
                continue
            wanted = "".join(c for c in server.name if c.isprintable() and c not in "\"'").strip() or server.host
            name = wanted if wanted not in names else f"{wanted}-{server.port}"
            while name in names:
                name += "-2"
            names.add(name)
            method = server.method if server.method is not network else None
            if method:
                self._ledger.became(server.line, f"forward = {method}")
            values = {"port": at[1], "effective_port": at[1], "forward": method, "active": server.active, **server.values}
            made[at] = RealServer(name=name, address=server.host, **values)  # type: ignore[arg-type]
            self._ledger.became(server.line, f"server {name}, address = {server.host}, port = {values['port']}")
        return tuple(made.values())

    # --- addresses without a virtual server --------------------------------------------------------------------------------------

    def _nat_router(self, services: Sequence[Service], network: Forwarding) -> None:
        """The real servers' gateway: an address in their network that no virtual server has."""
        if network is not Forwarding.NAT:
            return
        hosts = {ipaddress.ip_address(host) for service in services for server in service.servers if (host := ip_of(server.host))}
        for place in self._found.places:
            if place.taken or ":" in place.host or place.length == 32:
                continue
            inside = ipaddress.ip_network((place.host, place.length), strict=False)
            if any(host in inside for host in hosts):
                place.taken = True
                label = place.label or self._alias(place.host, place.device)
                router = HostDevice(place.host, label)
                if self._found.settings.put(place.line, "nat_router", router, "it is in the real servers' network"):
                    self._found.settings.put(place.line, "nat_nmask", mask_of(place.length, ipv6=False))
                return

    def _left_over(self, services: Sequence[Service], virtual: list[VirtualServer]) -> None:
        """Firewall marks take the addresses that are left, one each, so that they come up with the role."""
        free = [place for place in self._found.places if not place.taken]
        for index, service in enumerate(services):
            place = next((one for one in free if (":" in one.host) is service.ipv6), None) if service.fwmark else None
            if place is not None:
                free.remove(place)
                virtual[index] = replace(virtual[index], **self._put_up(place))  # type: ignore[arg-type]
        for place in free:
            self._ledger.lost(
                place.line, f"{place.host}: lvs.cf puts an address up with a virtual server (or as nat_router), and none has this one"
            )

    # --- the last check ----------------------------------------------------------------------------------------------------------

    def _sound(self, config: Config, services: Sequence[Service]) -> tuple[Config, str]:
        """The configuration without the virtual servers that would be in error, and its text."""
        try:
            text = render(config)
            if load(text).ok:
                return config, text
        except UnwritableValue:
            pass
        lines = {virtual.name: service.line for virtual, service in zip(config.virtual, services, strict=True)}
        good = []
        for virtual in config.virtual:
            reason = _why_not(virtual)
            if reason:
                self._ledger.error(lines[virtual.name], f"{virtual.name} is left out: {reason}")
            else:
                good.append(virtual)
        sound = replace(config, virtual=tuple(good))
        return sound, render(sound)


def _why_not(virtual: VirtualServer) -> str:
    """Why lvs.cf would be in error with it."""
    try:
        loaded = load(render(Config(virtual=(virtual,))))
    except UnwritableValue as error:
        return str(error)
    return "; ".join(found.message for found in loaded.diagnostics if found.severity == "error")
