"""One way between the two directors: a UDP socket that beats leave from and come in at.

Owns the socket and counts what it could not do.  It takes datagrams from the other director's address alone; what is in them is not its
business, and nothing that happens here is fatal: a link may be down, an address may not be there yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable

LARGEST_BYTES = 2048
"""More than any datagram of ours: what is larger is cut, and refused for its size."""
AT_ONCE = 64
"""As many are taken from the socket in one go: a flood must not keep our own beats from leaving."""
_PRIORITY = 6
_CLASS = 0xC0
"""Network control: routers and queues let it pass first."""
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78

OnDatagram = Callable[[bytes, bool], None]
"""Called with the bytes and whether they came from the other director's address."""


class HeartbeatSocket:
    """From ``local`` to ``peer``, both on ``port``.  It opens itself as soon as it can, at every attempt to send."""

    def __init__(self, local: str, peer: str, port: int, on_datagram: OnDatagram) -> None:
        self.local, self.peer, self.port = local, peer, port
        self.problem = ""
        self.unsent: dict[str, int] = {}
        self._on_datagram = on_datagram
        self._socket: socket.socket | None = None

    def send(self, data: bytes) -> bool:
        """Send, or count why not."""
        try:
            self._opened().sendto(data, (self.peer, self.port))
        except OSError as error:
            words = _words(error, self)
            self.problem = words
            self.unsent[words] = self.unsent.get(words, 0) + 1
            return False
        self.problem = ""
        return True

    def open(self) -> bool:
        """Listen, if that is possible now."""
        try:
            self._opened()
        except OSError as error:
            self.problem = _words(error, self)
        return self._socket is not None

    def drain(self) -> None:
        """Take what has come already, without waiting for the loop to notice."""
        if self._socket is not None:
            self._take()

    def close(self) -> None:
        """Nothing comes and goes any more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = _bound(self.local, self.port)
            asyncio.get_running_loop().add_reader(self._socket, self._take)
        return self._socket

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            if self._socket is None:  # a handler has closed us
                return
            try:
                data, source = self._socket.recvfrom(LARGEST_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an ICMP message about something sent earlier
                continue
            self._on_datagram(data, _same(source[0], self.peer))


def _bound(local: str, port: int) -> socket.socket:
    """Bound even before the address is there: then it works from the moment when it comes."""
    six = ":" in local
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    options = (
        (socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _CLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS, _CLASS),
        (socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1) if six else (socket.IPPROTO_IP, _IP_FREEBIND, 1),
    )
    try:
        for level, option, value in options:
            with contextlib.suppress(OSError):  # each is a help, none a need
                made.setsockopt(level, option, value)
        made.bind((local, port))
    except OSError:
        made.close()
        raise
    return made


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return ipaddress.ip_address(one.partition("%")[0]) == ipaddress.ip_address(other.partition("%")[0])
    except ValueError:
        return False


def _words(error: OSError, link: HeartbeatSocket) -> str:
    number = error.errno
    if number == errno.EADDRNOTAVAIL or (number == errno.EINVAL and link.local):
        return f"this host does not have the address {link.local}"
    if number == errno.EADDRINUSE:
        return f"port {link.port} of {link.local} is used by another program"
    if number == errno.EACCES:
        return f"no privilege to use port {link.port} (CAP_NET_BIND_SERVICE)"
    if number in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return f"there is no way to {link.peer}"
    if number == errno.EPERM:
        return f"a packet filter of this host refuses datagrams to {link.peer}"
    return (error.strerror or os.strerror(number or 0)).lower()
