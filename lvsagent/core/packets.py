"""Packets of the doctor's as bytes, IPv4 and IPv6: a connection asked for, a datagram, a ping, and what an answer to one of them says.

Pure.  What is parsed here comes from anybody on the network: every length is looked at before a byte is, and nothing raises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

ICMP, IPIP, TCP, UDP, IPV6_IN_IP, ICMP6 = 1, 4, 6, 17, 41, 58
SYN, RST, ACK = 2, 4, 16

_HOPS, _NEIGHBOUR_HOPS = 64, 255
_WHOLE = 0x4000
"""IPv4's bit that forbids routers to cut the packet."""
_HEAD4, _HEAD6 = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!IHBB16s16s")
_ECHO = struct.Struct("!BBHHH")
_ECHO_REQUEST, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_UNREACHABLE, _EXCEEDED = {4: 3, 6: 1}, {4: 11, 6: 3}
_NO_PORT = {4: 3, 6: 4}
_FORBIDDEN = {4: frozenset({9, 10, 13}), 6: frozenset({1, 5, 6})}
_SOLICITATION, _ADVERTISEMENT = 135, 136


class Answer(StrEnum):
    """What came of a question that was handed to a real server.

    REFUSED: nothing listens on that port.  FORBIDDEN: its firewall says no.  PASSED_ON: it sent the packet on, as a router does.
    """

    NOT_ASKED = "not asked"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    PASSED_ON = "passed on"
    SILENCE = "no answer"


@dataclass(frozen=True, slots=True)
class Question:
    """A packet from ``source`` to ``target``.

    ``protocol``: TCP, UDP or ICMP (ICMP for both families).  ``port`` is our own (of a ping: its identifier), ``target_port`` the other
    one; ``number`` is the sequence number of a SYN.
    """

    source: str
    target: str
    protocol: int
    port: int
    target_port: int = 0
    number: int = 0

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.target).version


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: what it says, the address that it came from, and of a ping which one it answers."""

    answer: Answer
    source: str
    sequence: int = 0


# --- what goes out -------------------------------------------------------------------------------------------------------------


def syn(question: Question) -> bytes:
    """The packet that asks for a connection."""
    return _segment(question, question.number, SYN)


def reset(question: Question) -> bytes:
    """The packet that takes the request for a connection back."""
    return _segment(question, question.number + 1, RST)


def datagram(question: Question, payload: bytes) -> bytes:
    """A UDP packet."""
    return _packet(question, UDP, _checked(question, UDP, struct.pack("!HHHH", *_ports(question), 8 + len(payload), 0) + payload, 6))


def echo(question: Question, sequence: int, size: int) -> bytes:
    """A ping whose packet has ``size`` bytes (at least its headers), all of it in one piece."""
    version = question.version
    body = _ECHO.pack(_ECHO_REQUEST[version], 0, 0, question.port, sequence)
    body += bytes(max(size - len(body) - (_HEAD4 if version == 4 else _HEAD6).size, 0))
    return _packet(question, ICMP, _checked(question, ICMP6, body, 2) if version == 6 else _filled(body, checksum(body), 2))


def solicitation(source: str, target: str, hardware: bytes) -> bytes:
    """The packet that asks IPv6 neighbours who has ``target``; it goes to ``solicited(target)``."""
    group = solicited(target)
    body = struct.pack("!BBHI16sBB6s", _SOLICITATION, 0, 0, 0, ip_address(target).packed, 1, 1, hardware)
    return _packet(Question(source, group, ICMP, 0), ICMP, _checked(Question(source, group, ICMP, 0), ICMP6, body, 2), _NEIGHBOUR_HOPS)


def solicited(target: str) -> str:
    """The group in which the holders of an IPv6 address listen for such questions."""
    return str(ip_address(bytes.fromhex("ff0200000000000000000001ff") + ip_address(target).packed[-3:]))


def checksum(data: bytes) -> int:
    """The internet's checksum: sixteen-bit words added in ones' complement."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _segment(question: Question, number: int, flags: int) -> bytes:
    segment = struct.pack("!HHIIBBHHH", *_ports(question), number & 0xFFFFFFFF, 0, 5 << 4, flags, 65535, 0, 0)
    return _packet(question, TCP, _checked(question, TCP, segment, 16))


def _ports(question: Question) -> tuple[int, int]:
    return question.port, question.target_port


def _packet(question: Question, protocol: int, payload: bytes, hops: int = _HOPS) -> bytes:
    source, target = ip_address(question.source).packed, ip_address(question.target).packed
    if question.version == 6:
        return _HEAD6.pack(6 << 28, len(payload), ICMP6 if protocol == ICMP else protocol, hops, source, target) + payload
    head = _HEAD4.pack(0x45, 0, _HEAD4.size + len(payload), 0, _WHOLE, hops, protocol, 0, source, target)
    return _filled(head, checksum(head), 10) + payload


def _checked(question: Question, protocol: int, payload: bytes, place: int) -> bytes:
    """With the checksum that counts the addresses too."""
    source, target = ip_address(question.source).packed, ip_address(question.target).packed
    found = checksum(source + target + struct.pack("!IxxxB", len(payload), protocol) + payload)
    return _filled(payload, found or 0xFFFF, place)


def _filled(data: bytes, found: int, place: int) -> bytes:
    return data[:place] + struct.pack("!H", found) + data[place + 2 :]


# --- what comes back -----------------------------------------------------------------------------------------------------------


def reply_to(question: Question, packet: bytes) -> Reply | None:
    """What ``packet`` says to the question; ``None``: it has nothing to do with it."""
    found = _opened(packet)
    if found is None or found[1] != question.source or question.version != packet[0] >> 4:
        return None
    source, _target, protocol, body = found
    if protocol in {ICMP, ICMP6}:
        return _said_by_icmp(question, source, body)
    if protocol != question.protocol or len(body) < 8 or int.from_bytes(body[2:4], "big") != question.port:
        return None
    if protocol == UDP:
        return Reply(Answer.ACCEPTED, source)
    if len(body) < 20 or not body[13] & ACK or int.from_bytes(body[8:12], "big") != (question.number + 1) & 0xFFFFFFFF:
        return None
    return Reply(Answer.REFUSED if body[13] & RST else Answer.ACCEPTED, source)


def advertised(packet: bytes) -> str:
    """The address that a neighbour says it has; ``""``: the packet says no such thing."""
    found = _opened(packet)
    if found is None or found[2] != ICMP6 or len(found[3]) < 24 or found[3][0] != _ADVERTISEMENT:
        return ""
    return str(ip_address(found[3][8:24]))


def _opened(packet: bytes) -> tuple[str, str, int, bytes] | None:
    """Source, target, protocol and what is inside; extension headers of IPv6 are not followed."""
    if len(packet) >= _HEAD6.size and packet[0] >> 4 == 6:
        return str(ip_address(packet[8:24])), str(ip_address(packet[24:40])), packet[6], packet[40:]
    length = (packet[0] & 15) * 4 if packet else 0
    if len(packet) < _HEAD4.size or packet[0] >> 4 != 4 or length < _HEAD4.size:
        return None
    return str(ip_address(packet[12:16])), str(ip_address(packet[16:20])), packet[9], packet[length:]


def _said_by_icmp(question: Question, source: str, body: bytes) -> Reply | None:
    version = question.version
    if len(body) < _ECHO.size:
        return None
    kind, code, _, port, sequence = _ECHO.unpack_from(body)
    if kind == _ECHO_REPLY[version]:
        return Reply(Answer.ACCEPTED, source, sequence) if (question.protocol, question.port) == (ICMP, port) else None
    if not _is_about(question, body[_ECHO.size :]):
        return None
    if kind == _UNREACHABLE[version]:
        if code == _NO_PORT[version]:
            return Reply(Answer.REFUSED, source)
        return Reply(Answer.FORBIDDEN if code in _FORBIDDEN[version] else Answer.PASSED_ON, source)
    return Reply(Answer.PASSED_ON, source) if kind == _EXCEEDED[version] else None


def _is_about(question: Question, quoted: bytes) -> bool:
    """Whether the packet that an ICMP message quotes is our question."""
    found = _opened(quoted)
    if found is None or found[:2] != (question.source, question.target) or len(found[3]) < 8:
        return False
    protocol, body = (ICMP if found[2] == ICMP6 else found[2]), found[3]
    own = body[4:6] if protocol == ICMP else body[:2]
    return (protocol, int.from_bytes(own, "big")) == (question.protocol, question.port)
