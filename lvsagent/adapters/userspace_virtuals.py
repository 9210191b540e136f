"""A virtual server of the userspace data plane: its real servers, its scheduler, and which client is held to which server.

Owns the choice of a server for a client, and what cannot be chosen that way.  The sockets are others'.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field

from app.lvscf.model import Protocol, Scheduler
from lvsagent.adapters.userspace_connections import Connection, RealServer, Totals
from lvsagent.core.schedulers import Choosing, Client, fold, scheduler
from lvsagent.core.table import Counters, Entry, Family, ServerKey, Service, ServiceKey


class Refused(Exception):
    """An operation that is not carried out; the message is the reason in words."""


@dataclass(slots=True)
class Template:
    """Persistence: this client (or network of clients) belongs to that server."""

    server: RealServer
    until: float
    connections: set[Connection] = field(default_factory=set)

    def holds(self, now: float) -> bool:
        """Whether the client is still held to it."""
        return now < self.until or bool(self.connections)


@dataclass(slots=True, eq=False)
class Virtual:
    """A virtual server: its listener, its real servers in the order they were added, its clients' templates."""

    key: ServiceKey
    service: Service
    listener: socket.socket | None
    choosing: Choosing
    servers: list[RealServer] = field(default_factory=list)
    templates: dict[int, Template] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)

    def find(self, key: ServerKey) -> RealServer:
        """The real server of that key.  Raises Refused."""
        for server in self.servers:
            if server.key == key:
                return server
        raise Refused(f"real server {key} of {self.key}: no such real server")

    def choose(self, address: str, port: int, now: float) -> tuple[RealServer | None, Template | None]:
        """The server for a new client, with the template that holds it there (None without persistence)."""
        number = int(ipaddress.ip_address(address))
        timeout_s = self.service.persistence_timeout_s
        if not timeout_s:
            return self._schedule(number, port), None
        bits = 128 if self.key.family is Family.IPV6 else 32
        network = number >> (bits - self.service.persistence_prefix)
        template = self.templates.get(network)
        if template is None or not template.holds(now):
            server = self._schedule(number, port)
            if server is None:
                return None, None
            template = self.templates[network] = Template(server, now)
        template.until = now + timeout_s
        return template.server, template

    def _schedule(self, number: int, port: int) -> RealServer | None:
        place = self.choosing.choose(self.servers, Client(fold(number), port))
        return None if place is None else self.servers[place]

    def forget_templates(self, now: float) -> None:
        """Let go of clients that have been away for too long."""
        self.templates = {network: template for network, template in self.templates.items() if template.holds(now)}

    def entry(self, now: float) -> Entry:
        """As the table shows it."""
        self.forget_templates(now)
        held = [template.server for template in self.templates.values()]
        counters = {server.key: server.counters(held.count(server)) for server in self.servers}
        return Entry(
            service=self.service,
            servers={server.key: server.settings for server in self.servers},
            counters=Counters(
                connections=self.totals.connections,
                bytes_in=self.totals.bytes_in,
                bytes_out=self.totals.bytes_out,
                active=sum(each.active for each in counters.values()),
                inactive=sum(each.inactive for each in counters.values()),
                persistent=len(held),
            ),
            server_counters=counters,
        )


def scheduler_for(key: ServiceKey, service: Service) -> Choosing:
    """The scheduler of a virtual server that can be served.  Raises Refused for one that cannot."""
    if key.fwmark:
        raise Refused(f"virtual server {key}: the demonstration data plane sees no firewall marks")
    if key.protocol is not Protocol.TCP:
        raise Refused(f"virtual server {key}: the demonstration data plane carries tcp only, not {key.protocol}")
    unable = {"one-packet scheduling": service.one_packet, f"persistence engine {service.persistence_engine}": service.persistence_engine}
    for what in [what for what, asked in unable.items() if asked]:
        raise Refused(f"virtual server {key}: the demonstration data plane has no {what}")
    if not 0 <= service.persistence_prefix <= (128 if key.family is Family.IPV6 else 32):
        raise Refused(f"virtual server {key}: persistence netmask /{service.persistence_prefix} out of range")
    choosing = scheduler(service.scheduler, service.scheduler_flags)
    if choosing is None:
        known = service.scheduler in set(Scheduler)
        lacking = "the demonstration data plane has rr, wrr, lc, wlc and sh only" if known else "module missing"
        raise Refused(f"scheduler {service.scheduler}: {lacking}")
    return choosing
