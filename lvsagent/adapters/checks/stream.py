"""A connection of one check, plain or TLS: bounded by its waiter in time and by its callers in size.

Owns the socket from opening to closing, the TLS engine between it and the check, and how long each stage took.  It knows no protocol
above TLS.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from lvsagent.adapters.checks.waiter import Waiter
from lvsagent.core.check_spec import shown_text

T = TypeVar("T")

CHUNK_BYTES = 16 * 1024
TLS_MOST_BYTES = 512 * 1024
"""All that is read of a TLS connection, what the engine keeps to itself (tickets, key updates) included."""


class FailedError(Exception):
    """The check has failed; the message is the reason in words."""


class Stream:
    """A connected socket.  ``first_byte_s`` is 0 until something of the answer has come."""

    def __init__(self, sock: socket.socket, waiter: Waiter) -> None:
        self.waiter = waiter
        self.connect_s = waiter.elapsed
        self.tls_s = 0.0
        self.first_byte_s = 0.0
        self._sock = sock
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls_bytes = 0
        self._asked_at = waiter.elapsed

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Shake hands, asking for ``host``.  Raises FailedError, OutOfTimeError, OSError."""
        began = self.waiter.elapsed
        try:
            engine = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        except ValueError as error:
            raise FailedError(f"{shown_text(host)} cannot be asked for in TLS: {error}") from None
        self._tls = engine
        await self._through(engine.do_handshake)
        self._asked_at = self.waiter.elapsed
        self.tls_s = self._asked_at - began

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate (DER)."""
        return self._tls.getpeercert(binary_form=True) if self._tls else None

    @property
    def tls_words(self) -> str:
        """Which TLS was agreed on."""
        cipher = self._tls.cipher() if self._tls else None
        return f"{self._tls.version()}, {cipher[0]}" if self._tls and cipher else ""

    async def send(self, data: bytes) -> None:
        """Send all of it.  Raises FailedError, OutOfTimeError, OSError."""
        engine = self._tls
        if engine is None:
            await self._send(data)
        elif data:
            await self._through(lambda: engine.write(data))

    async def receive(self, most: int) -> bytes:
        """What comes next, at most ``most`` bytes; ``b""`` is the end.  Raises FailedError, OutOfTimeError, OSError."""
        engine = self._tls
        if engine is None:
            data = await self._receive(most)
        else:
            try:
                data = await self._through(lambda: engine.read(most))
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                data = b""
        if data and not self.first_byte_s:
            self.first_byte_s = max(self.waiter.elapsed - self._asked_at, 1e-6)
        return data

    async def _through(self, action: Callable[[], T]) -> T:
        """Do something with the TLS engine, carrying bytes between it and the socket."""
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                await self._send(self._outgoing.read())
                await self._fill()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise
            except ssl.SSLError as error:
                raise FailedError(_tls_words(error)) from None
            else:
                await self._send(self._outgoing.read())
                return result

    async def _fill(self) -> None:
        data = await self._receive(CHUNK_BYTES)
        self._tls_bytes += len(data)
        if self._tls_bytes > TLS_MOST_BYTES:
            raise FailedError(f"more than {TLS_MOST_BYTES // 1024} KiB of TLS and no answer in it")
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._sock.send(data) :]
            except BlockingIOError:
                await self.waiter.writable(self._sock)

    async def _receive(self, most: int) -> bytes:
        while True:
            try:
                return self._sock.recv(most)
            except BlockingIOError:
                await self.waiter.readable(self._sock)


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    return f"TLS failed: {(error.reason or 'unknown error').lower().replace('_', ' ')}"


async def connect(sock: socket.socket, address: tuple[str, int], waiter: Waiter) -> None:
    """Connect.  Raises OutOfTimeError, OSError."""
    number = sock.connect_ex(address)
    if number == errno.EINPROGRESS:
        await waiter.writable(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number == errno.EAGAIN:  # connect's word for "no free local port"
        number = errno.EADDRNOTAVAIL
    if number:
        raise OSError(number, "connect")
