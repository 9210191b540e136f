"""The userspace data plane: an asyncio TCP balancer behind the Ipvs port, for machines without IPVS or root.

Owns the listening sockets and which connection goes where.  For demonstrations: every forwarding method is done as a proxy, and what a
proxy cannot do is refused in words.  As in the kernel by default, a client that is held to a server by persistence still gets there after
its weight became 0.  Removing a real server or a virtual server resets the connections it had: in the kernel they would be forwarded no
more, and a reset says so.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from lvsagent.adapters.userspace_connections import Connection, RealServer, reset
from lvsagent.adapters.userspace_listening import BACKLOG, check_place, listen
from lvsagent.adapters.userspace_virtuals import Refused, Template, Virtual, scheduler_for
from lvsagent.core.table import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    Operation,
    Refusal,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SetServer,
    SetService,
    SetTimeouts,
    Table,
    Timeouts,
)
from lvsagent.ports import DataPlaneInfo

KERNEL_TIMEOUTS = Timeouts(tcp_s=900, tcpfin_s=120, udp_s=300)
NOTES = (
    "demonstration data plane: TCP only, not for production",
    "nat, direct and tunnel are all done as proxy: real servers see this machine's address",
    "packets are not counted",
)
SWEEP_S = 5.0
ACCEPTS_AT_ONCE = 64
FILES_SHORT_PAUSE_S = 0.1
_SHORT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class UserspaceIpvs:
    """The Ipvs port without a kernel.  It listens on each virtual server's address and port + ``port_offset``."""

    def __init__(self, *, port_offset: int = 0) -> None:
        self._port_offset = port_offset
        self._virtuals: dict[ServiceKey, Virtual] = {}
        self._timeouts = KERNEL_TIMEOUTS
        self._sweep: asyncio.TimerHandle | None = None
        self._serving = True

    # --- the port ------------------------------------------------------------------------------------------------------------

    async def open(self) -> DataPlaneInfo:
        """Get ready: there is nothing that could be missing."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:  # two files a connection
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._plan_sweep()
        return DataPlaneInfo(kind="userspace", version="1", notes=NOTES)

    async def read(self) -> Table:
        """The whole table: nobody else can put anything into it."""
        now = asyncio.get_running_loop().time()
        return {key: virtual.entry(now) for key, virtual in self._virtuals.items()}

    async def read_timeouts(self) -> Timeouts:
        """The idle limits in force."""
        return self._timeouts

    async def apply(self, operations: Sequence[Operation]) -> tuple[Refusal, ...]:
        """Carry out what a proxy can."""
        refusals = []
        for operation in operations:
            try:
                self._carry_out(operation)
            except Refused as refused:
                refusals.append(Refusal(operation, str(refused)))
        return tuple(refusals)

    def serve(self, *, active: bool) -> tuple[ServiceKey, ...]:
        """Take new connections, or leave them to the other director; open ones go on.

        Returns the virtual servers that nobody can connect to: they have left the table, and adding them again tells why.
        """
        self._serving = active
        left_out = []
        for key, virtual in list(self._virtuals.items()):
            if not active:
                self._stop_listening(virtual)
            elif virtual.listener is None:
                try:
                    virtual.listener = listen(key, key.port + self._port_offset)
                except Refused:
                    self._delete_service(key)
                    left_out.append(key)
                else:
                    self._accept_from(virtual)
        return tuple(left_out)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for key in list(self._virtuals):
            self._delete_service(key)
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn of the loop

    def listens(self, key: ServiceKey) -> str:
        """Where a virtual server can really be reached (``127.0.0.100:8080``), ``""`` when it is not there."""
        virtual = self._virtuals.get(key)
        return "" if virtual is None else str(ServerKey(key.address, key.port + self._port_offset))

    # --- operations ----------------------------------------------------------------------------------------------------------

    def _carry_out(self, operation: Operation) -> None:
        match operation:
            case AddService(key=key, service=service):
                self._add_service(key, service)
            case SetService(key=key, service=service):
                self._set_service(key, service)
            case DeleteService(key=key):
                self._delete_service(key)
            case AddServer(service=of, key=server_key, server=server):
                self._add_server(self._find(of), server_key, server)
            case SetServer(service=of, key=server_key, server=server):
                self._set_server(self._find(of), server_key, server)
            case DeleteServer(service=of, key=server_key):
                self._delete_server(self._find(of), server_key)
            case SetTimeouts(timeouts=timeouts):
                wanted = {"tcp_s": timeouts.tcp_s, "tcpfin_s": timeouts.tcpfin_s, "udp_s": timeouts.udp_s}
                self._timeouts = replace(self._timeouts, **{name: value for name, value in wanted.items() if value})

    def _find(self, key: ServiceKey) -> Virtual:
        virtual = self._virtuals.get(key)
        if virtual is None:
            raise Refused(f"virtual server {key}: no such virtual server")
        return virtual

    def _add_service(self, key: ServiceKey, service: Service) -> None:
        if key in self._virtuals:
            raise Refused(f"virtual server {key}: exists already")
        choosing = scheduler_for(key, service)
        check_place(key, self._port_offset)
        virtual = Virtual(key, service, listen(key, key.port + self._port_offset) if self._serving else None, choosing)
        self._virtuals[key] = virtual
        self._accept_from(virtual)

    def _set_service(self, key: ServiceKey, service: Service) -> None:
        virtual = self._find(key)
        choosing = scheduler_for(key, service)
        before, virtual.service = virtual.service, service
        if (before.scheduler, before.scheduler_flags) != (service.scheduler, service.scheduler_flags):
            virtual.choosing = choosing
            choosing.changed(virtual.servers)
        if (before.persistence_timeout_s == 0) != (
            service.persistence_timeout_s == 0
        ) or before.persistence_prefix != service.persistence_prefix:
            virtual.templates.clear()

    def _delete_service(self, key: ServiceKey) -> None:
        virtual = self._find(key)
        del self._virtuals[key]
        self._close_listener(virtual)
        for server in virtual.servers:
            _cut_all(server)

    def _add_server(self, virtual: Virtual, key: ServerKey, settings: Server) -> None:
        if any(server.key == key for server in virtual.servers):
            raise Refused(f"real server {key} of {virtual.key}: exists already")
        self._check_server(virtual, key, settings)
        virtual.servers.append(RealServer(weight=settings.weight, key=key, settings=settings))
        virtual.choosing.changed(virtual.servers)

    def _set_server(self, virtual: Virtual, key: ServerKey, settings: Server) -> None:
        server = virtual.find(key)
        self._check_server(virtual, key, settings)
        server.apply(settings)
        virtual.choosing.changed(virtual.servers)

    def _delete_server(self, virtual: Virtual, key: ServerKey) -> None:
        server = virtual.find(key)
        place = virtual.servers.index(server)
        del virtual.servers[place]
        virtual.templates = {network: template for network, template in virtual.templates.items() if template.server is not server}
        virtual.choosing.changed(virtual.servers, removed=place)
        _cut_all(server)

    def _check_server(self, virtual: Virtual, key: ServerKey, settings: Server) -> None:
        subject = f"real server {key} of {virtual.key}"
        if settings.weight < 0 or settings.lower_threshold > settings.upper_threshold:
            raise Refused(f"{subject}: weight or thresholds out of range")
        if not 0 < key.port < 65536:
            raise Refused(f"{subject}: the demonstration data plane needs its port")
        if key == ServerKey(virtual.key.address, virtual.key.port + self._port_offset):
            raise Refused(f"{subject}: it is the virtual server itself")

    # --- listening -----------------------------------------------------------------------------------------------------------

    def _accept_from(self, virtual: Virtual) -> None:
        if virtual.listener is not None:
            asyncio.get_running_loop().add_reader(virtual.listener, self._accept, virtual, ACCEPTS_AT_ONCE)

    def _stop_listening(self, virtual: Virtual) -> None:
        """Whoever has connected by now is served: closing a listener resets those that still wait in its queue."""
        self._accept(virtual, BACKLOG)
        self._close_listener(virtual)

    def _close_listener(self, virtual: Virtual) -> None:
        if virtual.listener is not None:
            asyncio.get_running_loop().remove_reader(virtual.listener)
            virtual.listener.close()
            virtual.listener = None

    def _accept(self, virtual: Virtual, most: int) -> None:
        for _ in range(most):
            if virtual.listener is None:
                return
            try:
                client, address = virtual.listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _SHORT_OF_FILES:  # callers wait in the kernel's queue meanwhile
                    loop = asyncio.get_running_loop()
                    loop.remove_reader(virtual.listener)
                    loop.call_later(FILES_SHORT_PAUSE_S, self._accept_from, virtual)
                return
            client.setblocking(False)
            self._admit(virtual, client, address)

    def _admit(self, virtual: Virtual, client: socket.socket, address: tuple[str, int]) -> None:
        server, template = virtual.choose(address[0].partition("%")[0], address[1], asyncio.get_running_loop().time())
        if server is None:
            reset(client)
            return
        connection = Connection(client, server, virtual.totals, _let_go(template))
        if template is not None:
            template.connections.add(connection)

    # --- idle connections ----------------------------------------------------------------------------------------------------

    def _plan_sweep(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._end_idle)

    def _end_idle(self) -> None:
        """What the kernel would have forgotten by now: connections idle beyond the timeouts, and old templates."""
        now = asyncio.get_running_loop().time()
        for virtual in self._virtuals.values():
            virtual.forget_templates(now)
            for server in virtual.servers:
                for connection in list(server.connections):
                    limit_s = self._timeouts.tcp_s if connection.established else self._timeouts.tcpfin_s
                    if now - connection.last_activity > limit_s:
                        connection.cut()
        self._plan_sweep()


def _let_go(template: Template | None) -> Callable[[Connection], None]:
    return (lambda _connection: None) if template is None else template.connections.discard


def _cut_all(server: RealServer) -> None:
    for connection in list(server.connections):
        connection.cut()
