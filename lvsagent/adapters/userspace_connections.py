"""One client's connection through the userspace data plane: two sockets and what passes between them.

Owns half-closing, backpressure, resets and counting for one connection.  Which server it goes to was decided before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from lvsagent.core.schedulers import Load
from lvsagent.core.table import Counters, Server, ServerKey

CONNECT_LIMIT_S = 30.0
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class Totals:
    """Counters since the entry was made."""

    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class RealServer(Load):
    """A real server with its settings, counters and open connections."""

    key: ServerKey
    settings: Server
    totals: Totals = field(default_factory=Totals)
    connections: set[Connection] = field(default_factory=set)

    def counters(self, persistent: int) -> Counters:
        """For the table.  Packets are not seen here."""
        return Counters(
            connections=self.totals.connections,
            bytes_in=self.totals.bytes_in,
            bytes_out=self.totals.bytes_out,
            active=self.active,
            inactive=self.inactive,
            persistent=persistent,
        )

    def apply(self, settings: Server) -> None:
        """Take over new settings; open connections are not touched."""
        self.settings = settings
        self.weight = settings.weight
        self.overloaded = False
        self.count(0, 0)

    def count(self, active: int, inactive: int) -> None:
        """Connections came or went; reaching the upper threshold closes the server, falling below the lower one opens it again."""
        self.active += active
        self.inactive += inactive
        upper, lower = self.settings.upper_threshold, self.settings.lower_threshold
        total = self.active + self.inactive
        if not upper:
            self.overloaded = False
        elif total >= upper:
            self.overloaded = True
        elif total < lower or (not lower and total * 4 < upper * 3):
            self.overloaded = False


def reset(sock: socket.socket) -> None:
    """Close a socket so that the other side sees a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    sock.close()


class Connection:
    """From the accepted client to the end.  ``ended`` is called once."""

    def __init__(self, client: socket.socket, server: RealServer, totals: Totals, ended: Callable[[Connection], None]) -> None:
        self.server = server
        self.totals = totals
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._established = False
        self._over = False
        self._client: socket.socket | None = client
        self._halves: tuple[_Half, _Half] | None = None
        self.last_activity = self._loop.time()
        server.connections.add(self)
        server.count(0, 1)
        for counted in (server.totals, totals):
            counted.connections += 1
        self._task = self._loop.create_task(self._begin())

    @property
    def established(self) -> bool:
        """Open in both directions (else opening or half closed)."""
        return self._established

    def cut(self) -> None:
        """End it now: both sides see a reset."""
        self._task.cancel()
        self._drop()

    def end(self) -> None:
        """Count it out; calling it again does nothing."""
        if self._over:
            return
        self._over = True
        self.server.count(-1 if self._established else 0, 0 if self._established else -1)
        self.server.connections.discard(self)
        self._ended(self)

    def closing(self) -> None:
        """One side has said all it had to say."""
        if self._established and not self._over:
            self._established = False
            self.server.count(-1, 1)

    async def _begin(self) -> None:
        backend: socket.socket | None = None
        try:
            family = socket.AF_INET6 if ":" in self.server.key.address else socket.AF_INET
            backend = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self._loop.sock_connect(backend, (self.server.key.address, self.server.key.port))
            self._established = True
            self.server.count(1, -1)
            connected, backend = backend, None
            await self._join(connected)
        except (OSError, asyncio.CancelledError):  # refused, unreachable, cut: the client is told, and tries again itself
            if backend is not None:
                backend.close()
            self._drop()

    async def _join(self, backend: socket.socket) -> None:
        """Hand both sockets over to their halves; from here on those close them."""
        near, far = self._halves = _Half(self, incoming=True), _Half(self, incoming=False)
        near.peer, far.peer = far, near
        await self._loop.create_connection(lambda: far, sock=backend)
        client, self._client = self._client, None
        if client is not None:
            await self._loop.connect_accepted_socket(lambda: near, client)
        near.start()
        far.start()

    def _drop(self) -> None:
        for half in self._halves or ():
            half.reset()
        if self._client is not None:
            reset(self._client)
            self._client = None
        self.end()


class _Half(asyncio.Protocol):
    """One side of a connection; what it reads, the other side writes.  It reads nothing before both are there."""

    peer: _Half

    def __init__(self, connection: Connection, *, incoming: bool) -> None:
        self._connection = connection
        self._incoming = incoming
        self._transport: asyncio.Transport | None = None
        self._at_end = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport is an asyncio.Transport
        self.pause()

    def start(self) -> None:
        self.resume()

    def pause(self) -> None:
        if self._transport is not None and not self._at_end:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._at_end:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        connection = self._connection
        connection.last_activity = connection._loop.time()  # noqa: SLF001 -- two halves of one thing
        for totals in (connection.totals, connection.server.totals):
            if self._incoming:
                totals.bytes_in += len(data)
            else:
                totals.bytes_out += len(data)
        self.peer.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def eof_received(self) -> bool:
        """Pass the end on and stay open for the other direction."""
        if not self._at_end:
            self._at_end = True
            self._connection.closing()
            self.peer.write_end()
            if self.peer.at_end:
                self.close()
                self.peer.close()
        return True

    @property
    def at_end(self) -> bool:
        return self._at_end

    def write_end(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def pause_writing(self) -> None:
        self.peer.pause()

    def resume_writing(self) -> None:
        self.peer.resume()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is None or self._lost:
            return
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if exc is not None:
            self.peer.reset()
        else:
            self.peer.close()
        self._connection.end()
