"""What an lvs.cf says that neither keepalived nor ipvsadm has a word for: the part of the list that both exports share.

Owns the wording and the choice of the virtual servers that can be written at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.lvscf.diagnostics import shown
from app.lvscf.literals import ip_of
from app.lvscf.model import NO_ADDRESS, Config, Forwarding, RealServer, ServiceKind, VirtualServer

_LONGEST_WORDS = 300


@dataclass(slots=True)
class Missing:
    """The list, each entry once, in the order in which it was found."""

    entries: dict[str, None] = field(default_factory=dict)

    def say(self, words: str) -> None:
        self.entries[shown(words, _LONGEST_WORDS)] = None

    def as_comments(self, title: str) -> str:
        """The list as comments for the top of the file."""
        lines = [title]
        if self.entries:
            lines += ["", "What lvs.cf says and this file does not:", *(f"- {words}" for words in self.entries)]
        return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "\n"


@dataclass(frozen=True, slots=True)
class Exportable:
    """A virtual server that can be written: ``host`` is its canonical address (``""``: a firewall mark), ``ipv6`` its family."""

    virtual: VirtualServer
    host: str
    ipv6: bool
    servers: tuple[RealServer, ...]


def exportable(config: Config, missing: Missing) -> Iterator[Exportable]:
    """The virtual servers that are active and whose addresses are literal; the others are said."""
    if config.globals.service is ServiceKind.FOS:
        missing.say("service = fos: failover services; this is for virtual servers only")
        return
    for service in config.failover:
        missing.say(f"failover {service.name}: this is for virtual servers only")
    seen: dict[tuple[object, ...], VirtualServer] = {}
    for virtual in config.virtual:
        one = _one(virtual, missing)
        if one is None:
            continue
        first = seen.setdefault((virtual.fwmark, one.ipv6) if virtual.fwmark else (one.host, virtual.port, virtual.protocol), virtual)
        if first is virtual:
            yield one
        else:
            missing.say(f"virtual {virtual.name}: the same service as {first.name}")


def server_port(virtual: VirtualServer, server: RealServer, method: Forwarding) -> int:
    """The real server's port in the kernel's table: only NAT can change it, and a firewall mark stands for any (0)."""
    own = checked_port(virtual, server)
    if virtual.fwmark:
        return own if method is Forwarding.NAT and own != virtual.port else 0
    return own if method is Forwarding.NAT else virtual.port


def checked_port(virtual: VirtualServer, server: RealServer) -> int:
    """The port that lvs.cf gives a real server."""
    if server.port is not None:
        return server.port
    return server.effective_port if server.key is not None else virtual.port


def _one(virtual: VirtualServer, missing: Missing) -> Exportable | None:
    if not virtual.active:
        missing.say(f"virtual {virtual.name}: it is not active")
        return None
    host = ip_of(virtual.address.host) if virtual.address else NO_ADDRESS
    if host is None or (host == NO_ADDRESS and not virtual.fwmark):
        missing.say(f"virtual {virtual.name}: it has no IP address" + (", but a host name" if virtual.address else ""))
        return None
    servers = _servers(virtual, missing)
    known = host if host != NO_ADDRESS else (ip_of(servers[0].address) if servers else "") or ""
    return Exportable(virtual, "" if host == NO_ADDRESS else host, ":" in known, tuple(servers))


def _servers(virtual: VirtualServer, missing: Missing) -> list[RealServer]:
    """The real servers that can be written, their addresses canonical."""
    servers: dict[tuple[str, int], RealServer] = {}
    for server in virtual.servers:
        address = ip_of(server.address)
        if not server.active:
            missing.say(f"server {server.name} of {virtual.name}: it is not active")
        elif address is None or address == NO_ADDRESS:
            missing.say(f"server {server.name} of {virtual.name}: it has no IP address")
        elif (address, checked_port(virtual, server)) in servers:
            missing.say(f"server {server.name} of {virtual.name}: another has its address and port")
        else:
            servers[address, checked_port(virtual, server)] = replace(server, address=address)
    return list(servers.values())
