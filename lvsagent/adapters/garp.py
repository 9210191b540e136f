"""Tells the neighbours where an address lives now: the port ``Announcer``, gratuitous ARP and unsolicited neighbour advertisements.

Owns the frames and sends each once.  When to announce, and how often, is pulse's business.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lvsagent.adapters.links import IFF_LOOPBACK, IFF_NOARP, IFF_UP, Link, read_links
from lvsagent.adapters.netlink import NETLINK_ROUTE, NetlinkSocket
from lvsagent.ports import AdapterError, Address

_ETHERNET = 1
_ETHERTYPE_ARP, _ETHERTYPE_IPV6 = b"\x08\x06", b"\x86\xdd"
_EVERYBODY = b"\xff" * 6
_ALL_NODES = ipaddress.IPv6Address("ff02::1")
_ALL_NODES_HARDWARE = bytes.fromhex("333300000001")
_REQUEST, _REPLY = 1, 2
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_ADVERTISEMENT = struct.Struct("!BBHI16sBB6s")
_NEIGHBOUR_ADVERTISEMENT, _ICMPV6, _HOP_LIMIT = 136, 58, 255
_ROUTER, _OVERRIDE = 1 << 31, 1 << 29
_TARGET_HARDWARE = 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Part(ctypes.Structure):
    """The C library's iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """Its msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """Its mmsghdr."""

    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


class PacketAnnouncer:
    """Sends from the network namespace that this process is in.  Interfaces without neighbours (loopback, tunnels) are passed over."""

    async def announce(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Announce each address once; those that could not be, with the reason.  Raises AdapterError without the privilege."""
        return await asyncio.to_thread(_announce, addresses)


@lru_cache(maxsize=4096)
def frames(address: str, hardware: bytes, *, router: bool = False) -> tuple[bytes, ...]:
    """The Ethernet frames that announce an address at a hardware address; ``router``: whether the host forwards IPv6."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return (_ALL_NODES_HARDWARE + hardware + _ETHERTYPE_IPV6 + _advertisement(ip, hardware, router=router),)
    start = _EVERYBODY + hardware + _ETHERTYPE_ARP
    # Some neighbours learn from requests only, some from replies only.
    return (
        start + _ARP.pack(_ETHERNET, 0x0800, 6, 4, _REQUEST, hardware, ip.packed, bytes(6), ip.packed),
        start + _ARP.pack(_ETHERNET, 0x0800, 6, 4, _REPLY, hardware, ip.packed, hardware, ip.packed),
    )


def _advertisement(ip: ipaddress.IPv6Address, hardware: bytes, *, router: bool) -> bytes:
    flags = _OVERRIDE | (_ROUTER if router else 0)

    def body(checksum: int) -> bytes:
        return _ADVERTISEMENT.pack(_NEIGHBOUR_ADVERTISEMENT, 0, checksum, flags, ip.packed, _TARGET_HARDWARE, 1, hardware)

    pseudo = ip.packed + _ALL_NODES.packed + struct.pack("!IxxxB", _ADVERTISEMENT.size, _ICMPV6)
    header = _IPV6.pack(6 << 28, _ADVERTISEMENT.size, _ICMPV6, _HOP_LIMIT, ip.packed, _ALL_NODES.packed)
    return header + body(_checksum(pseudo + body(0)))


def _checksum(data: bytes) -> int:
    """The internet's checksum: sixteen-bit words added in ones' complement."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _announce(addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
    """Interface by interface, each one's frames in one go."""
    by_interface: dict[str, list[Address]] = {}
    for address in addresses:
        by_interface.setdefault(address.interface, []).append(address)
    try:
        with NetlinkSocket(NETLINK_ROUTE) as netlink:
            links = read_links(netlink)
        reasons = {name: _announce_on(name, links.get(name), found) for name, found in by_interface.items()}
    except PermissionError as error:
        raise AdapterError("no privilege to announce addresses (CAP_NET_RAW)") from error
    except OSError as error:
        raise AdapterError(f"addresses cannot be announced: {error.strerror or error}") from error
    return tuple((address, reasons[address.interface]) for address in addresses if reasons[address.interface])


def _announce_on(interface: str, link: Link | None, addresses: Sequence[Address]) -> str:
    """The reason why an interface's addresses could not be announced; ``""``: done, or there is nobody to tell."""
    if link is None:
        return f"no interface {interface}"
    if not link.flags & IFF_UP:
        return f"interface {interface} is down"
    if link.flags & (IFF_LOOPBACK | IFF_NOARP):
        return ""
    if link.kind != _ETHERNET:
        return f"interface {interface} is not Ethernet"
    router = any(":" in address.address for address in addresses) and _forwards_ipv6(interface)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as packet:
        try:
            packet.bind((interface, 0))
            send_many(packet, [frame for address in addresses for frame in frames(address.address, link.hardware, router=router)])
        except PermissionError:
            raise
        except OSError as error:
            return f"interface {interface} is down" if error.errno == errno.ENETDOWN else os.strerror(error.errno or 0)
    return ""


def send_many(packet: socket.socket, datagrams: Sequence[bytes]) -> None:
    """Send each as a datagram of its own, hundreds to a system call.  Raises OSError."""
    data = ctypes.create_string_buffer(b"".join(datagrams))
    parts, messages = (_Part * len(datagrams))(), (_Message * len(datagrams))()
    place, part, size = ctypes.addressof(data), ctypes.addressof(parts), ctypes.sizeof(_Part)
    for number, datagram in enumerate(datagrams):
        parts[number] = _Part(place, len(datagram))
        messages[number] = _Message(_Header(None, 0, part, 1))
        place, part = place + len(datagram), part + size
    sent = 0
    while sent < len(datagrams):
        done = _libc.sendmmsg(packet.fileno(), ctypes.byref(messages, sent * ctypes.sizeof(_Message)), len(datagrams) - sent, 0)
        if done < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        sent += done


def _forwards_ipv6(interface: str) -> bool:
    """Neighbours drop a router that says it is none."""
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{interface}/forwarding").read_text().strip() != "0"
    except OSError:
        return False
