"""The doctor's sockets: the way to an address, who has an address on this host's networks, packets out as IPVS would send them, answers in.

Owns system calls and their filters, and judges nothing.  Everything happens in the network namespace of the thread that calls.  Needs
CAP_NET_RAW.
"""

from __future__ import annotations

import ctypes
import fcntl
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from lvsagent.adapters.netlink import NETLINK_ROUTE, NetlinkSocket, attribute, attributes
from lvsagent.core.packets import IPIP, IPV6_IN_IP, advertised, solicitation, solicited

T = TypeVar("T")

ETH_IP, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86DD
_EVERYBODY = b"\xff" * 6
_DISCARD = 9
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ANSWER = 2
_ETHERNET = 1
_SIOCGIFMTU, _SIOCGIFHWADDR = 0x8921, 0x8927
_RTM_GETROUTE, _RTN_LOCAL = 26, 2
_ROUTE = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_SO_ATTACH_FILTER = 26
_MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
_PROBE = 3
"""Of IP_MTU_DISCOVER: never cut a packet, whatever is believed about the way."""
_LONGEST_PACKET = 65536


@dataclass(frozen=True, slots=True)
class Way:
    """How packets leave for an address: interface, next hop (``""``: it is a neighbour), our own address there and the interface's MTU.

    ``local``: the address is this host's own; ``ethernet``: there are neighbours to ask on that interface.
    """

    device: str
    gateway: str
    own: str
    mtu: int
    local: bool
    ethernet: bool = True


def way_to(address: str, *, avoid: str = "") -> Way:
    """The way to ``address``.  ``avoid``: an address of this host that is not to be the source.  Raises OSError when there is no way."""
    kind = _family(address)
    packed = ip_address(address).packed
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        body = _ROUTE.pack(kind, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute(_RTA_DST, packed)
        found = netlink.ask(_RTM_GETROUTE, body)
    device, gateway = "", ""
    for number, start, end in attributes(found, _ROUTE.size):
        if number == _RTA_OIF:
            device = socket.if_indextoname(int.from_bytes(found[start:end], sys.byteorder))
        elif number == _RTA_GATEWAY:
            gateway = str(ip_address(found[start:end]))
    own = _own_address(kind, address)
    if own == avoid:
        own = _another(kind, device, avoid) or own
    mtu = int.from_bytes(_of_interface(_SIOCGIFMTU, device)[16:20], sys.byteorder)
    kind_of_link = int.from_bytes(_of_interface(_SIOCGIFHWADDR, device)[16:18], sys.byteorder)
    return Way(device, gateway, own, mtu, local=found[7] == _RTN_LOCAL, ethernet=kind_of_link == _ETHERNET)


def who_has(address: str, way: Way, limit_s: float, enough: Callable[[bytes], bool] = lambda _one: True) -> set[bytes]:
    """The hardware addresses that claim ``address`` on the way's network, within ``limit_s``; no more are waited for after ``enough``."""
    return (_neighbours_six if ":" in address else _neighbours_four)(address, way, limit_s, enough)


def _neighbours_four(address: str, way: Way, limit_s: float, enough: Callable[[bytes], bool]) -> set[bytes]:
    heard = set[bytes]()
    own, wanted = hardware_of(way.device), socket.inet_aton(address)
    question = _ARP.pack(1, ETH_IP, 6, 4, 1, own, socket.inet_aton(way.own), bytes(6), wanted)

    def take(packet: bytes, _hardware: bytes) -> bytes | None:
        if len(packet) < _ARP.size or packet[7] != _ARP_ANSWER or packet[14:18] != wanted:
            return None
        heard.add(packet[8:14])
        return packet[8:14] if enough(packet[8:14]) else None

    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as wire:
        wire.bind((way.device, ETH_ARP))
        wire.sendto(question, (way.device, ETH_ARP, 0, 0, _EVERYBODY))
        first(wire, take, limit_s)
    return heard


def _neighbours_six(address: str, way: Way, limit_s: float, enough: Callable[[bytes], bool]) -> set[bytes]:
    heard = set[bytes]()
    group = b"\x33\x33" + ip_address(solicited(address)).packed[-4:]

    def take(packet: bytes, hardware: bytes) -> bytes | None:
        if advertised(packet) != str(ip_address(address)):
            return None
        heard.add(hardware)
        return hardware if enough(hardware) else None

    with listening(way.own, 0) as wire:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as out:
            packet = solicitation(way.own, address, hardware_of(way.device))
            out.sendto(packet, (way.device, ETH_IPV6, 0, 0, group))
        first(wire, take, limit_s)
    return heard


def hardware_of(device: str) -> bytes:
    """The hardware address of an interface."""
    return _of_interface(_SIOCGIFHWADDR, device)[18:24]


# --- packets out ---------------------------------------------------------------------------------------------------------------


def to_neighbour(packet: bytes, way: Way, hardware: bytes) -> None:
    """Send a packet to that hardware address, past this host's own tables."""
    kind = ETH_IPV6 if packet[0] >> 4 == 6 else ETH_IP
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as out:
        out.sendto(packet, (way.device, kind, 0, 0, hardware))


def through_tunnel(packet: bytes, address: str) -> None:
    """Send a packet inside one to ``address``, which must arrive in one piece.  Raises OSError."""
    _raw(packet, address, IPV6_IN_IP if packet[0] >> 4 == 6 else IPIP)


def routed(packet: bytes, address: str) -> None:
    """Send a packet as it is, by way of this host's routes to ``address``.  Raises OSError."""
    _raw(packet, address, socket.IPPROTO_RAW)


def _raw(packet: bytes, address: str, protocol: int) -> None:
    kind = _family(address)
    with socket.socket(kind, socket.SOCK_RAW, protocol) as out:
        out.setsockopt(*_MTU_DISCOVER[kind], _PROBE)
        try:
            out.sendto(packet, (address, 0))
        except PermissionError as error:
            raise OSError("this director's own packet filter does not let the packet out") from error


# --- answers in ----------------------------------------------------------------------------------------------------------------


def listening(own: str, port: int) -> socket.socket:
    """A socket that hears what comes to our address ``own`` and ``port``, and ICMP; the kernel keeps all other packets away from it, but
    for a few that it may have got before it was told so.

    It hears on every interface: an answer may come another way.
    """
    six = ":" in own
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_IPV6 if six else ETH_IP))
    try:
        program = _filter_six(own, port) if six else _filter_four(own, port)
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
        wire.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))
    except BaseException:
        wire.close()
        raise
    return wire


def first(wire: socket.socket, wanted: Callable[[bytes, bytes], T | None], limit_s: float) -> T | None:
    """The first packet that is wanted (it and the hardware address that sent it), within the limit."""
    until = time.monotonic() + limit_s
    while (left := until - time.monotonic()) > 0 and select.select([wire], [], [], left)[0]:
        packet, sender = wire.recvfrom(_LONGEST_PACKET)
        found = wanted(packet, bytes(sender[4]))
        if found is not None:
            return found
    return None


_Line = tuple[int, int, int, int]
_WORD, _HALF, _BYTE, _HALF_AT_X, _HEADER_TO_X, _IS, _RETURN = 0x20, 0x28, 0x30, 0x48, 0xB1, 0x15, 0x06


def _filter_four(own: str, port: int) -> list[_Line]:
    """The kernel's packet filter: to our address, and ICMP, or TCP or UDP to our port.  Jumps are counted in lines."""
    return [
        (_WORD, 0, 0, 16),
        (_IS, 0, 8, int(ip_address(own))),
        (_BYTE, 0, 0, 9),
        (_IS, 5, 0, 1),
        (_IS, 1, 0, 6),
        (_IS, 0, 4, 17),
        (_HEADER_TO_X, 0, 0, 0),
        (_HALF_AT_X, 0, 0, 2),
        (_IS, 0, 1, port),
        (_RETURN, 0, 0, _LONGEST_PACKET),
        (_RETURN, 0, 0, 0),
    ]


def _filter_six(own: str, port: int) -> list[_Line]:
    packed = ip_address(own).packed
    words = [int.from_bytes(packed[place : place + 4], "big") for place in range(0, 16, 4)]
    lines: list[_Line] = []
    for place, word in enumerate(words):
        lines += [(_WORD, 0, 0, 24 + 4 * place), (_IS, 0, 13 - 2 * place, word)]
    return [
        *lines,
        (_BYTE, 0, 0, 6),
        (_IS, 4, 0, 58),
        (_IS, 1, 0, 6),
        (_IS, 0, 3, 17),
        (_HALF, 0, 0, 42),
        (_IS, 0, 1, port),
        (_RETURN, 0, 0, _LONGEST_PACKET),
        (_RETURN, 0, 0, 0),
    ]


# --- this host -----------------------------------------------------------------------------------------------------------------


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _own_address(kind: socket.AddressFamily, address: str) -> str:
    """Whence this host speaks to ``address``."""
    with socket.socket(kind, socket.SOCK_DGRAM) as asking:
        asking.connect((address, _DISCARD))
        return str(ip_address(asking.getsockname()[0].partition("%")[0]))


def _another(kind: socket.AddressFamily, device: str, avoid: str) -> str:
    """Another address of an interface (IPv6); ``""``: there is none."""
    if kind is not socket.AF_INET6:
        return ""
    for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
        packed, _index, _length, scope, _flags, name = line.split()
        found = str(ip_address(bytes.fromhex(packed)))
        if name == device and scope == "00" and found != avoid:
            return found
    return ""


def _of_interface(question: int, device: str) -> bytes:
    """The kernel's answer about an interface of this thread's network namespace, as a ``struct ifreq``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return fcntl.ioctl(asking, question, struct.pack("16s24x", device.encode()))
