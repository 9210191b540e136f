"""The doctor's look at a real server: a connection to the virtual address handed to it, and an ARP request for that address.

Owns the frames, which go out as IPVS would send them: past this host's own tables, to that server's hardware address or through a tunnel.
Needs root (CAP_NET_RAW).  It judges nothing (``lvsagent.core.doctor`` does) and leaves no connection behind.
"""

from __future__ import annotations

import fcntl
import secrets
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.lvscf.model import Forwarding
from lvsagent.core.doctor import Answer, Patient, Seen
from lvsagent.ports import AdapterError

T = TypeVar("T")

LIMIT_S = 1.0
TRIES = 3
_ETH_IP, _ETH_ARP = 0x0800, 0x0806
_IPIP, _TCP = 4, 6
_SYN, _RST, _ACK = 2, 4, 16
_EVERYBODY = b"\xff" * 6
_DISCARD = 9
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_RESOLVED = 2
_SIOCGIFMTU, _SIOCGIFHWADDR = 0x8921, 0x8927


def look(patient: Patient) -> Seen:
    """Look at one real server; takes three seconds at most.  Raises AdapterError without the privilege."""
    try:
        return _look(patient)
    except PermissionError as error:
        raise AdapterError("looking at real servers takes raw packets, which need root") from error
    except OSError as error:
        return Seen(reason=f"it cannot be looked at: {error.strerror or error}")


def _look(patient: Patient) -> Seen:
    ours = _own_address(patient.address)
    hardware, device = _neighbour(patient.address)
    if not hardware:
        if patient.forwarding is Forwarding.DIRECT:
            reason = "it has no hardware address on this director's networks, which direct routing needs: it is off, or behind a router"
            return Seen(reason=reason)
        return _connected(patient, ours, _through_ip(patient, ours), Seen())
    mtu = int.from_bytes(_of_interface(_SIOCGIFMTU, device)[16:20], sys.byteorder)
    seen = Seen(mtu=mtu, arp=hardware in _who_has(patient.vip, device, ours))
    own = _hardware_of(device)
    if patient.forwarding is Forwarding.TUNNEL:
        return _connected(patient, ours, _through_ip(patient, ours), seen)

    def send(packet: bytes) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((device, 0))
            wire.send(hardware + own + struct.pack("!H", _ETH_IP) + packet)

    return _connected(patient, ours, send, seen)


def _through_ip(patient: Patient, ours: str) -> Callable[[bytes], None]:
    def send(packet: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(ip_packet(ours, patient.address, _IPIP, packet), (patient.address, 0))

    return send


def _connected(patient: Patient, ours: str, send: Callable[[bytes], None], seen: Seen) -> Seen:
    """Ask for a connection; take it back as soon as it is there."""
    if not patient.tcp or not patient.port:
        return seen
    port, number = 32768 + secrets.randbelow(28000), secrets.randbits(32)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_IP)) as wire:
        for _ in range(TRIES):
            send(ip_packet(ours, patient.vip, _TCP, tcp_segment((ours, port), (patient.vip, patient.port), number, _SYN)))
            found = _first(wire, lambda packet: _answer(packet, ours, port))
            if found:
                send(
                    ip_packet(
                        ours, patient.vip, _TCP, tcp_segment((ours, port), (patient.vip, patient.port), number + 1 & 0xFFFFFFFF, _RST)
                    )
                )
                address, flags = found
                answer = Answer.REFUSED if flags & _RST else Answer.ACCEPTED
                return Seen(answer=answer, answered_from=address, arp=seen.arp, mtu=seen.mtu)
    return Seen(answer=Answer.SILENCE, arp=seen.arp, mtu=seen.mtu)


def _answer(packet: bytes, ours: str, port: int) -> tuple[str, int] | None:
    """Where an answer comes from, and its flags."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != _TCP or packet[16:20] != socket.inet_aton(ours):
        return None
    segment = packet[(packet[0] & 15) * 4 :]
    if len(segment) < 20 or int.from_bytes(segment[2:4], "big") != port or not segment[13] & (_ACK | _RST):
        return None
    return socket.inet_ntoa(packet[12:16]), segment[13]


def _first(wire: socket.socket, wanted: Callable[[bytes], T | None]) -> T | None:
    """The first packet that is wanted, within the limit."""
    until = time.monotonic() + LIMIT_S
    while (left := until - time.monotonic()) > 0 and select.select([wire], [], [], left)[0]:
        found = wanted(wire.recv(65536))
        if found is not None:
            return found
    return None


# --- neighbours ----------------------------------------------------------------------------------------------------------------


def _own_address(address: str) -> str:
    """Whence this host speaks to ``address``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((address, _DISCARD))
        own: str = asking.getsockname()[0]
        return own


def _neighbour(address: str) -> tuple[bytes, str]:
    """The hardware address of a neighbour and the interface to it; ``b""``: nobody answers on this host's networks."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_ARP)) as wire:
        for _ in range(TRIES):
            if found := _known(address):
                return found
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.sendto(b"", (address, _DISCARD))
            _first(wire, lambda packet: packet[14:18] == socket.inet_aton(address) or None)
        return _known(address) or (b"", "")


def _known(address: str) -> tuple[bytes, str] | None:
    for line in Path("/proc/thread-self/net/arp").read_text().splitlines()[1:]:
        host, _kind, flags, hardware, _mask, device = line.split()
        if host == address and int(flags, 16) & _RESOLVED:
            return bytes.fromhex(hardware.replace(":", "")), device
    return None


def _who_has(vip: str, device: str, ours: str) -> set[bytes]:
    """The hardware addresses that answer an ARP request for the virtual address; this host hears no answer of its own."""
    own, heard = _hardware_of(device), set[bytes]()
    question = _ARP.pack(1, _ETH_IP, 6, 4, 1, own, socket.inet_aton(ours), bytes(6), socket.inet_aton(vip))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_ARP)) as wire:
        wire.bind((device, _ETH_ARP))
        wire.send(_EVERYBODY + own + struct.pack("!H", _ETH_ARP) + question)

        def take(frame: bytes) -> None:
            if frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(vip):
                heard.add(frame[22:28])

        _first(wire, take)
    return heard


def _hardware_of(device: str) -> bytes:
    return _of_interface(_SIOCGIFHWADDR, device)[18:24]


def _of_interface(question: int, device: str) -> bytes:
    """The kernel's answer about an interface of this thread's network namespace, as a ``struct ifreq``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return fcntl.ioctl(asking, question, struct.pack("16s24x", device.encode()))


# --- packets -------------------------------------------------------------------------------------------------------------------


def ip_packet(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet around ``payload``."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target)
    )
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + payload


def tcp_segment(source: tuple[str, int], target: tuple[str, int], number: int, flags: int) -> bytes:
    """A TCP segment without data."""
    segment = struct.pack("!HHIIBBHHH", source[1], target[1], number, 0, 5 << 4, flags, 65535, 0, 0)
    pseudo = socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + struct.pack("!BBH", 0, _TCP, len(segment))
    return segment[:16] + struct.pack("!H", _checksum(pseudo + segment)) + segment[18:]


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
