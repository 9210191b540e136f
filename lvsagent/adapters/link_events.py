"""Links as they break and come back, told by route netlink: the port ``LinkEvents``.

Owns one subscription.  What a broken link means for the role is ``lvsagent.core.failover``'s business.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Collection

from lvsagent.adapters.links import Link, link_in, read_links
from lvsagent.adapters.netlink import HEADER, NETLINK_ROUTE, NetlinkSocket
from lvsagent.ports import AdapterError, LinkChanged

_GROUP_LINK = 1
_NEWLINK, _DELLINK = 16, 17
_RECEIVE_BYTES = 1 << 16


class KernelLinkEvents:
    """The links of the network namespace in which ``watch`` is called, told in the running loop."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._changed: LinkChanged | None = None
        self._whole: dict[str, bool] = {}
        self._names: dict[int, str] = {}

    async def watch(self, interfaces: Collection[str], changed: LinkChanged) -> None:
        """Subscribe first, look then: nothing that happens in between is missed.  Raises AdapterError."""
        self.close()
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_ROUTE)
            self._socket.bind((0, _GROUP_LINK))
            links = _read_all()
        except OSError as error:
            self.close()
            raise AdapterError(f"the kernel does not tell of its links: {error.strerror or error}") from error
        self._changed = changed
        self._names = {link.index: name for name, link in links.items()}
        self._whole = {name: name in links and links[name].up for name in interfaces}
        asyncio.get_running_loop().add_reader(self._socket, self._listen)
        for name, whole in self._whole.items():
            changed(name, whole)

    def drain(self) -> None:
        """Tell now what has come already."""
        self._listen()

    def close(self) -> None:
        """Unsubscribe."""
        if self._socket is not None:
            if self._changed is not None:
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        self._socket, self._changed = None, None

    def _listen(self) -> None:
        """Everything that has come; more than the kernel would keep for us means looking for ourselves."""
        while self._socket is not None:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._look()
                continue
            self._read(data)

    def _read(self, data: bytes) -> None:
        position = 0
        while position + HEADER.size <= len(data):
            length, kind, _flags, _sequence, _port = HEADER.unpack_from(data, position)
            if kind in {_NEWLINK, _DELLINK}:
                name, link = link_in(data[position + HEADER.size : position + length])
                self._see(name, link if kind == _NEWLINK else None, link.index)
            position += (length + 3) & ~3

    def _see(self, name: str, link: Link | None, index: int) -> None:
        """``link`` is ``None`` when the interface has gone (or, like a bridge's port, only left its bridge: it is looked for)."""
        before = self._names.pop(index, name)
        if before != name:
            self._tell(before, whole=False)
        if link is None:
            self._look()
            return
        self._names[index] = name
        self._tell(name, whole=link.up)

    def _look(self) -> None:
        links = _read_all()
        self._names = {link.index: name for name, link in links.items()}
        for name in tuple(self._whole):
            self._tell(name, whole=name in links and links[name].up)

    def _tell(self, name: str, *, whole: bool) -> None:
        if self._changed is not None and self._whole.get(name, whole) is not whole:
            self._whole[name] = whole
            self._changed(name, whole)


def _read_all() -> dict[str, Link]:
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        return read_links(netlink)
