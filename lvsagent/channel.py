"""The sockets between the agent's own processes: one JSON object a line, decoded and type-checked by msgspec.

Owns connecting, reconnecting, framing and the check of who is calling.  It knows nothing of what the messages mean.  Handlers are
plain functions called in the event loop; one that has work to do starts a task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

LINE_LIMIT_BYTES = 64 * 1024 * 1024
"""A configuration of forty thousand checks fits several times over."""
FIRST_RETRY_S = 0.02
LONGEST_RETRY_S = 0.5

log = logging.getLogger(__name__)

_prepared: dict[Path, socket.socket] = {}


class Connection:
    """One open connection, either side of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decode: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._decode = decode
        self._decoder = msgspec.json.Decoder(decode)

    def send(self, message: msgspec.Struct) -> bool:
        """Queue a message; false when the connection is gone.  A peer that stops reading is cut off: it reconnects to the whole state."""
        if self._writer.is_closing():
            return False
        if self._writer.transport.get_write_buffer_size() > LINE_LIMIT_BYTES:
            log.warning("a peer has stopped reading; its connection is closed")
            self._writer.transport.abort()
            return False
        self._writer.write(encode_line(message))
        return True

    def close(self) -> None:
        """Send what is queued and close."""
        self._writer.close()

    async def drain(self) -> None:
        """Wait until what was sent has left (for a last message before the end)."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def read(self, on_message: Callable[[Any], None]) -> None:
        """Hand over every message until the peer closes or says something that is not one."""
        while line := await self._next_line():
            try:
                message = self._decoded(line)
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("a message that is none: %s; the connection is closed", error)
                return
            try:
                on_message(message)
            except Exception:
                log.exception("a message could not be handled: %s", type(message).__name__)

    async def _next_line(self) -> bytes:
        try:
            line = await self._reader.readline()
            return line if line.endswith(b"\n") else b""  # a line cut short says nothing
        except ValueError:
            log.warning("a message longer than %d bytes; the connection is closed", LINE_LIMIT_BYTES)
        except ConnectionError:
            pass
        return b""

    def _decoded(self, line: bytes) -> Any:
        try:
            return self._decoder.decode(line)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # text that is not UTF-8 travels as lone surrogates, which only json takes
            return msgspec.convert(json.loads(line), self._decode)

    @property
    def socket(self) -> Any:
        """The socket below, for its peer's identity."""
        return self._writer.get_extra_info("socket")


def encode_line(message: msgspec.Struct) -> bytes:
    """A message as its line."""
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:  # names out of an lvs.cf that is not UTF-8
        return json.dumps(msgspec.to_builtins(message)).encode() + b"\n"


class OnConnect(Protocol):
    """Called with each new connection: the place to say the whole state."""

    def __call__(self, connection: Connection, /) -> None: ...


class OnMessage(Protocol):
    """Called by a server with each message and the connection it came on."""

    def __call__(self, connection: Connection, message: Any, /) -> None: ...


class ChannelServer:
    """A listening socket and its open connections."""

    def __init__(self, path: Path, listener: socket.socket, *, decode: Any, on_connect: OnConnect, on_message: OnMessage) -> None:
        self._path = path
        self._inode = path.stat().st_ino
        self._listener = listener
        self._decode = decode
        self._on_connect = on_connect
        self._on_message = on_message
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listener, limit=LINE_LIMIT_BYTES)

    def broadcast(self, message: msgspec.Struct) -> bool:
        """Send to everyone connected; false when nobody is there to hear it."""
        return sum(connection.send(message) for connection in tuple(self._connections)) > 0

    @property
    def attended(self) -> bool:
        """Whether anyone is connected."""
        return bool(self._connections)

    async def drain(self) -> None:
        """Wait until everything said has left (before the process ends)."""
        for connection in tuple(self._connections):
            await connection.drain()

    def close(self) -> None:
        """Stop listening and close every connection; the socket's file goes, unless it is already a successor's."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        for connection in tuple(self._connections):
            connection.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._decode)
        uid = peer_uid(connection.socket)
        if uid not in (0, os.geteuid()):
            log.warning("%s: a connection from user id %d is refused", self._path, uid)
            connection.close()
            return
        self._connections.add(connection)
        try:
            self._on_connect(connection)
            await connection.read(lambda message: self._on_message(connection, message))
        finally:
            self._connections.discard(connection)
            connection.close()


def peer_uid(connected: socket.socket) -> int:
    """The user id of whoever is at the other end of a Unix socket, as the kernel knows it."""
    _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def prepare(path: Path, *, mode: int = 0o600) -> None:
    """Bind ``path`` now, for a ``serve`` that comes after privileges were dropped.  A file left by an earlier process is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        listener.bind(os.fspath(fresh))
        fresh.chmod(mode)
        listener.listen(64)
        fresh.replace(path)  # from one moment to the next: never a path that nobody listens on
    except OSError:
        listener.close()
        fresh.unlink(missing_ok=True)
        raise
    _prepared[path] = listener


async def serve(path: Path, *, decode: Any, on_connect: OnConnect, on_message: OnMessage) -> ChannelServer:
    """Listen on ``path`` (mode 0600).  ``decode`` is the type, or union of types, that callers may send.

    ``on_connect(connection)`` comes first, ``on_message(connection, message)`` for each message.  Only root and the same user are served.
    """
    if path not in _prepared:
        prepare(path)
    server = ChannelServer(path, _prepared.pop(path), decode=decode, on_connect=on_connect, on_message=on_message)
    await server.start()
    return server


class ChannelClient:
    """A connection that is made again whenever it ends.

    ``on_connect()`` and ``on_disconnect()`` take nothing, ``on_message(message)`` each message.  ``connected`` says how it is now.
    """

    def __init__(
        self,
        path: Path,
        *,
        decode: Any,
        on_message: Callable[[Any], None],
        on_connect: Callable[[], None] = lambda: None,
        on_disconnect: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._decode = decode
        self._on_message = on_message
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._connection: Connection | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    def send(self, message: msgspec.Struct) -> bool:
        """Queue a message; false when not connected (``on_connect`` is the place to say it again)."""
        return self._connection is not None and self._connection.send(message)

    async def drain(self) -> None:
        """Wait until everything said has left."""
        if self._connection is not None:
            await self._connection.drain()

    async def run(self) -> None:
        """Connect, hand over messages, connect again: until cancelled."""
        wait_s = FIRST_RETRY_S
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(os.fspath(self._path), limit=LINE_LIMIT_BYTES)
            except OSError:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, LONGEST_RETRY_S)
                continue
            heard = await self._converse(Connection(reader, writer, self._decode))
            wait_s = FIRST_RETRY_S if heard else min(wait_s * 2, LONGEST_RETRY_S)
            await asyncio.sleep(wait_s)

    async def _converse(self, connection: Connection) -> bool:
        """One connection from beginning to end; says whether the other side ever spoke."""
        heard = False

        def on_message(message: Any) -> None:
            nonlocal heard
            heard = True
            self._on_message(message)

        self._connection = connection
        try:
            self._on_connect()
            await connection.read(on_message)
        finally:
            self._connection = None
            connection.close()
            self._on_disconnect()
        return heard
