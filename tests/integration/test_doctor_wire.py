"""The doctor's sockets on loopback: what the kernel's filter lets through, and whether the way to an address is told."""

from __future__ import annotations

import os
import socket

import pytest

from lvsagent.adapters import doctor_wire as wires
from lvsagent.core import packets
from lvsagent.core.packets import Question

BOTH = pytest.mark.parametrize("own", ["127.0.0.1", "::1"])
LIMIT_S = 5.0


def six_or_skip(own: str) -> None:
    if own == "::1":
        try:
            with socket.create_server(("::1", 0), family=socket.AF_INET6):
                pass
        except OSError:
            pytest.skip("no IPv6 here")


@pytest.mark.skipif(os.geteuid() != 0, reason="raw packets need root")
@BOTH
def test_only_what_comes_to_our_address_and_port_is_heard(own: str) -> None:
    six_or_skip(own)
    family = socket.AF_INET6 if own == "::1" else socket.AF_INET
    heard: list[bytes] = []

    def take(packet: bytes, _sender: bytes) -> bytes | None:
        heard.append(packet)
        return packet if packet.endswith(b"last") else None

    with (
        socket.socket(family, socket.SOCK_DGRAM) as ours,
        socket.socket(family, socket.SOCK_DGRAM) as another,
        socket.socket(family, socket.SOCK_DGRAM) as asker,
    ):
        for receiver in (ours, another):
            receiver.bind((own, 0))
        with wires.listening(own, ours.getsockname()[1]) as wire:
            asker.sendto(b"to another port", another.getsockname())
            asker.sendto(b"first", ours.getsockname())
            if own != "::1":
                asker.sendto(b"to another address", ("127.0.0.2", ours.getsockname()[1]))
            asker.sendto(b"last", ours.getsockname())
            assert wires.first(wire, take, LIMIT_S) is not None
    place, head = (6, 40) if own == "::1" else (9, 20)
    datagrams = [packet[head + 8 :] for packet in heard if packet[place] == packets.UDP]
    assert set(datagrams) == {b"first", b"last"}, "beside ICMP, which says what became of the others"


@pytest.mark.skipif(os.geteuid() != 0, reason="raw packets need root")
@BOTH
def test_an_error_about_our_packet_is_heard(own: str) -> None:
    """A datagram to a port where nobody listens, sent past the host's own sockets."""
    six_or_skip(own)
    family = socket.AF_INET6 if own == "::1" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as taken:
        taken.bind((own, 0))
        port = taken.getsockname()[1]
    question = Question(own, own, packets.UDP, 40001, port)
    with wires.listening(own, question.port) as wire, socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.bind((own, question.port))
        asker.sendto(b"who", (own, port))
        found = wires.first(wire, lambda packet, _sender: packets.reply_to(question, packet), LIMIT_S)
    assert found is not None
    assert (found.answer, found.source) == (packets.Answer.REFUSED, own)


@BOTH
def test_the_way_to_this_host_is_local(own: str) -> None:
    six_or_skip(own)
    way = wires.way_to(own)
    assert (way.device, way.own, way.local, way.ethernet, way.mtu > 0) == ("lo", own, True, False, True)
