"""Interfaces and their addresses over route netlink: the port ``Links``.

Owns how an address is added (label, broadcast, scope as ifconfig would choose them) and removed.  Which addresses are wanted, and which
of those present are ours, is ``lvsagent.core.addresses``'s business.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lvsagent.adapters.netlink import CREATE, EXCL, NETLINK_ROUTE, NetlinkError, NetlinkSocket, attribute, attributes
from lvsagent.ports import AdapterError, Address

IFF_UP, IFF_BROADCAST, IFF_LOOPBACK, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x2, 0x8, 0x80, 0x10000

_GETLINK, _NEWADDR, _DELADDR, _GETADDR = 18, 20, 21, 22
_LINK_ADDRESS, _LINK_NAME = 1, 3
_ADDRESS, _LOCAL, _LABEL, _BROADCAST = 1, 2, 3, 4
_NO_DUPLICATE_DETECTION = 0x02
_SCOPE_UNIVERSE, _SCOPE_HOST = 0, 254
_NARROWEST_WITH_BROADCAST = 30
_LABEL_BYTES = 15

_LINK_HEADER = struct.Struct("=BxHiII")
_ADDRESS_HEADER = struct.Struct("=BBBBI")

Result = TypeVar("Result")
Refused = tuple[tuple[Address, str], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """An interface: its number, kind of hardware (ARPHRD), flags and hardware address."""

    index: int
    kind: int
    flags: int
    hardware: bytes

    @property
    def up(self) -> bool:
        """Up, and with a carrier."""
        return bool(self.flags & IFF_UP and self.flags & IFF_LOWER_UP)


def read_links(netlink: NetlinkSocket) -> dict[str, Link]:
    """Every interface by name."""
    return dict(link_in(body) for body in netlink.dump(_GETLINK, _LINK_HEADER.pack(0, 0, 0, 0, 0)))


def link_in(body: bytes) -> tuple[str, Link]:
    """The interface that a message is about, and its name."""
    _family, kind, index, flags, _change = _LINK_HEADER.unpack_from(body)
    found = {attr: body[start:end] for attr, start, end in attributes(body, _LINK_HEADER.size)}
    name = found[_LINK_NAME].rstrip(b"\0").decode(errors="surrogateescape")
    return name, Link(index, kind, flags, found.get(_LINK_ADDRESS, b""))


class KernelLinks:
    """The interfaces of the network namespace that this process is in.  Nothing is remembered between calls."""

    async def addresses(self) -> frozenset[Address]:
        """Every address on every interface.  Raises AdapterError."""
        return frozenset(await _in_thread(_present))

    async def add(self, addresses: Sequence[Address]) -> Refused:
        """Add in one pass; what is there already stays as it is."""
        return await _in_thread(lambda netlink: _add(netlink, addresses))

    async def remove(self, addresses: Sequence[Address]) -> Refused:
        """Remove exactly these: addresses that the kernel would drop along with them stay."""
        return await _in_thread(lambda netlink: _remove(netlink, addresses))

    async def up(self, interface: str) -> bool:
        """Whether it is there, up and has a carrier."""
        link = (await _in_thread(read_links)).get(interface)
        return link is not None and link.up


async def _in_thread(work: Callable[[NetlinkSocket], Result]) -> Result:
    def run() -> Result:
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            return work(netlink)

    try:
        return await asyncio.to_thread(run)
    except OSError as error:
        raise AdapterError(f"the kernel's interfaces do not answer: {error.strerror or error}") from error


def _present(netlink: NetlinkSocket) -> dict[Address, bytes]:
    """Every address, with the kernel's own message about it."""
    names = {link.index: name for name, link in read_links(netlink).items()}
    found = {}
    for body in netlink.dump(_GETADDR, _ADDRESS_HEADER.pack(0, 0, 0, 0, 0)):
        _family, prefix, _flags, _scope, index = _ADDRESS_HEADER.unpack_from(body)
        values = {kind: body[start:end] for kind, start, end in attributes(body, _ADDRESS_HEADER.size)}
        text = str(ipaddress.ip_address(values.get(_LOCAL) or values[_ADDRESS]))
        label = values.get(_LABEL, b"").rstrip(b"\0").decode(errors="surrogateescape")
        name = names.get(index)
        if name is not None:
            found[Address(text, prefix, name, label if label != name else "")] = body
    return found


def _add(netlink: NetlinkSocket, addresses: Sequence[Address]) -> Refused:
    links = read_links(netlink)
    refused = {address: why_not for address in addresses if (why_not := _unsayable(address, links))}
    asked = [address for address in addresses if address not in refused]
    requests = [(_NEWADDR, CREATE | EXCL, _message(address, links[address.interface])) for address in asked]
    for index, error in netlink.run(requests).items():
        if error.errno != errno.EEXIST:
            refused[asked[index]] = _words(error)
    return tuple(refused.items())


def _remove(netlink: NetlinkSocket, addresses: Sequence[Address]) -> Refused:
    """The kernel takes an IPv4 network's other addresses away with its first one (unless promote_secondaries is on): they are put back."""
    links = read_links(netlink)
    before = _present(netlink)
    asked = [address for address in addresses if address in before and address.interface in links]
    requests = [(_DELADDR, 0, _message(address, links[address.interface])) for address in asked]
    refused = {asked[index]: _words(error) for index, error in netlink.run(requests).items() if error.errno != errno.EADDRNOTAVAIL}
    if asked:
        after = _present(netlink)
        lost = [body for address, body in before.items() if address not in after and address not in asked]
        netlink.run([(_NEWADDR, CREATE, body) for body in lost])
    return tuple(refused.items())


def _unsayable(address: Address, links: dict[str, Link]) -> str:
    if address.interface not in links:
        return f"no interface {address.interface}"
    if address.label and address.label != address.interface and not address.label.startswith(address.interface + ":"):
        return f"label {address.label} does not belong to interface {address.interface}"
    if len(address.label.encode(errors="surrogateescape")) > _LABEL_BYTES:
        return f"label {address.label} is longer than {_LABEL_BYTES} bytes"
    return ""


def _message(address: Address, link: Link) -> bytes:
    """As ifconfig would set it: the network's broadcast address where there is one; IPv6 without waiting for duplicate detection."""
    interface = ipaddress.ip_interface(f"{address.address}/{address.prefix}")
    packed = interface.ip.packed
    scope = _SCOPE_HOST if interface.ip.is_loopback else _SCOPE_UNIVERSE
    parts = attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)
    if isinstance(interface, ipaddress.IPv6Interface):
        return _ADDRESS_HEADER.pack(socket.AF_INET6, address.prefix, _NO_DUPLICATE_DETECTION, scope, link.index) + parts
    if address.label:
        parts += attribute(_LABEL, address.label.encode(errors="surrogateescape") + b"\0")
    if link.flags & IFF_BROADCAST and address.prefix <= _NARROWEST_WITH_BROADCAST:
        parts += attribute(_BROADCAST, interface.network.broadcast_address.packed)
    return _ADDRESS_HEADER.pack(socket.AF_INET, address.prefix, 0, scope, link.index) + parts


def _words(error: NetlinkError) -> str:
    if error.errno == errno.EPERM:
        return "no privilege to change addresses (CAP_NET_ADMIN)"
    return f"{error.strerror} ({error.hint})" if error.hint else str(error.strerror)
