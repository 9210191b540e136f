"""The doctor's packets: right on the wire, and never deceived by what comes back."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core import packets
from lvsagent.core.packets import ICMP, TCP, UDP, Answer, Question, Reply, advertised, checksum, reply_to

FOUR = Question("10.11.12.11", "192.0.2.100", TCP, 40000, 80, 0xFFFFFFFF)
SIX = Question("2001:db8:2::11", "2001:db8:1::100", TCP, 40000, 80, 7)
BOTH = pytest.mark.parametrize("question", [FOUR, SIX], ids=["ipv4", "ipv6"])


def inside(packet: bytes) -> bytes:
    return packet[40:] if packet[0] >> 4 == 6 else packet[20:]


def is_whole(packet: bytes, protocol: int) -> bool:
    """Whether its checksums are right, the addresses counted in."""
    body = inside(packet)
    if packet[0] >> 4 == 6:
        return checksum(packet[8:40] + struct.pack("!IxxxB", len(body), protocol) + body) == 0
    pseudo = packet[12:20] + struct.pack("!BBH", 0, protocol, len(body)) if protocol != ICMP else b""
    return checksum(packet[:20]) == 0 and checksum(pseudo + body) == 0 and int.from_bytes(packet[2:4], "big") == len(packet)


def answering(question: Question, source: str, protocol: int, body: bytes) -> bytes:
    back = Question(source, question.source, protocol, 0)
    return packets._packet(back, protocol, body)


def segment(question: Question, flags: int, acknowledged: int) -> bytes:
    return struct.pack("!HHIIBBHHH", question.target_port, question.port, 1, acknowledged & 0xFFFFFFFF, 5 << 4, flags, 0, 0, 0)


@BOTH
def test_every_packet_has_right_checksums(question: Question) -> None:
    icmp = 58 if question.version == 6 else ICMP
    assert is_whole(packets.syn(question), TCP)
    assert is_whole(packets.reset(question), TCP)
    assert is_whole(packets.datagram(question, b"who"), UDP)
    assert is_whole(packets.echo(replace(question, protocol=ICMP), 3, 1281), icmp)
    assert len(packets.echo(question, 0, 1500)) == 1500
    assert is_whole(packets.solicitation(SIX.source, SIX.target, bytes(6)), 58)


def test_a_neighbour_is_asked_in_its_group() -> None:
    packet = packets.solicitation(SIX.source, SIX.target, b"\2\0\0\0\0\1")
    assert packets.solicited(SIX.target) == "ff02::1:ff00:100"
    assert str(ip_address(packet[24:40])) == "ff02::1:ff00:100"
    assert packet[7] == 255, "neighbours believe nothing that has passed a router"
    assert packet.endswith(b"\1\1\2\0\0\0\0\1")


@BOTH
def test_what_a_connection_is_answered(question: Question) -> None:
    after = question.number + 1
    assert reply_to(question, answering(question, question.target, TCP, segment(question, 0x12, after))) == Reply(
        Answer.ACCEPTED, question.target
    )
    refused = answering(question, question.target, TCP, segment(question, 0x14, after))
    assert reply_to(question, refused) == Reply(Answer.REFUSED, question.target)
    elsewhere = "10.11.12.21" if question.version == 4 else "2001:db8:2::21"
    found = reply_to(question, answering(question, elsewhere, TCP, segment(question, 0x12, after)))
    assert found == Reply(Answer.ACCEPTED, elsewhere)


@BOTH
def test_what_answers_something_else_is_passed_over(question: Question) -> None:
    after = question.number + 1
    others = [
        answering(question, question.target, TCP, segment(question, 0x12, after + 1)),
        answering(question, question.target, TCP, segment(question, 0x02, after)),
        answering(question, question.target, TCP, segment(replace(question, port=40001), 0x12, after)),
        answering(question, question.target, UDP, struct.pack("!HHHH", 80, 40000, 8, 0)),
        answering(replace(question, source=question.target), question.target, TCP, segment(question, 0x12, after)),
    ]
    assert [reply_to(question, packet) for packet in others] == [None] * 5


@pytest.mark.parametrize(
    ("question", "kind", "code", "answer"),
    [
        (FOUR, 3, 3, Answer.REFUSED),
        (FOUR, 3, 13, Answer.FORBIDDEN),
        (FOUR, 3, 1, Answer.PASSED_ON),
        (FOUR, 11, 0, Answer.PASSED_ON),
        (SIX, 1, 4, Answer.REFUSED),
        (SIX, 1, 1, Answer.FORBIDDEN),
        (SIX, 1, 3, Answer.PASSED_ON),
        (SIX, 3, 0, Answer.PASSED_ON),
    ],
)
def test_an_error_about_our_packet_says_what_became_of_it(question: Question, kind: int, code: int, answer: Answer) -> None:
    asked = replace(question, protocol=UDP)
    sent = packets.datagram(asked, b"who")
    error = answering(asked, asked.target, ICMP, struct.pack("!BBHI", kind, code, 0, 0) + sent)
    assert reply_to(asked, error) == Reply(answer, asked.target)
    assert reply_to(replace(asked, port=1), error) is None, "an error about somebody else's packet"


@BOTH
def test_a_ping_is_known_by_its_number(question: Question) -> None:
    ping = replace(question, protocol=ICMP)
    kind = 129 if question.version == 6 else 0
    answer = answering(ping, ping.target, ICMP, struct.pack("!BBHHH", kind, 0, 0, ping.port, 5))
    assert reply_to(ping, answer) == Reply(Answer.ACCEPTED, ping.target, 5)
    assert reply_to(replace(ping, port=1), answer) is None


def test_only_an_advertisement_advertises() -> None:
    body = struct.pack("!BBHI16s", 136, 0, 0, 0, ip_address(SIX.target).packed)
    assert advertised(answering(SIX, "fe80::1", ICMP, body)) == SIX.target
    assert advertised(answering(SIX, "fe80::1", ICMP, body[:-1])) == ""
    assert advertised(answering(SIX, "fe80::1", TCP, body)) == ""


@given(st.binary(max_size=200))
def test_no_bytes_from_the_network_raise(data: bytes) -> None:
    for question in (FOUR, SIX, replace(FOUR, protocol=ICMP), replace(SIX, protocol=UDP)):
        for packet in (data, answering(question, question.target, ICMP, data), answering(question, question.target, TCP, data)):
            reply_to(question, packet)
            advertised(packet)
