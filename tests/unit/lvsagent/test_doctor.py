"""What the doctor says of what it saw, and whom it looks at."""

from __future__ import annotations

import pytest

from app.lvscf.model import Config, Forwarding, GlobalSettings, HostDevice, RealServer, VirtualServer
from lvsagent.adapters.doctor_probe import ip_packet, tcp_segment
from lvsagent.core.doctor import Answer, Patient, Seen, advise, patients
from lvsagent.core.expansion import expand

DIRECT = Patient("http", "number1", "10.11.12.21", Forwarding.DIRECT, "192.0.2.100", 80, tcp=True)
TUNNEL = Patient("http", "number1", "10.11.12.21", Forwarding.TUNNEL, "192.0.2.100", 80, tcp=True)
WELL = Seen(answer=Answer.ACCEPTED, answered_from="192.0.2.100", mtu=9000)


@pytest.mark.parametrize("patient", [DIRECT, TUNNEL], ids=["direct", "tunnel"])
@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (WELL, []),
        (Seen(mtu=9000), []),
        (Seen(reason="it is off"), ["it is off"]),
        (Seen(answer=Answer.SILENCE), ["it does not answer a connection to 192.0.2.100 port 80"]),
        (Seen(answer=Answer.REFUSED, answered_from="192.0.2.100"), ["it has 192.0.2.100, and nothing listens there on port 80"]),
        (Seen(answer=Answer.ACCEPTED, answered_from="10.11.12.21"), ["it answers from 10.11.12.21 instead of 192.0.2.100"]),
        (Seen(answer=Answer.ACCEPTED, answered_from="192.0.2.100", arp=True), ["it answers ARP requests for 192.0.2.100"]),
        (Seen(answer=Answer.SILENCE, arp=True), ["it does not answer", "it answers ARP"]),
    ],
)
def test_each_sight_has_its_words(patient: Patient, seen: Seen, words: list[str]) -> None:
    found = advise(patient, seen)
    assert len(found) == len(words)
    assert all(one.words.startswith(start) for one, start in zip(found, words, strict=True))
    assert all(one.commands for one in found) or seen.reason


def test_a_tunnel_over_ethernet_is_short_of_20_bytes_which_is_no_fault() -> None:
    [one] = advise(TUNNEL, Seen(answer=Answer.ACCEPTED, answered_from="192.0.2.100", mtu=1500))
    assert not one.wrong
    assert one.commands[0].endswith("--set-mss 1440")
    assert advise(DIRECT, Seen(answer=Answer.ACCEPTED, answered_from="192.0.2.100", mtu=1500)) == []


def test_arp_is_silenced_before_the_address_is_there() -> None:
    [one] = advise(DIRECT, Seen(answer=Answer.SILENCE))
    assert [command.split()[0] for command in one.commands] == ["sysctl", "sysctl", "ip"]


def test_only_servers_that_answer_by_themselves_are_looked_at() -> None:
    servers = (
        RealServer(name="direct", address="10.11.12.21", active=True),
        RealServer(name="nat", address="10.11.12.22", active=True, forward=Forwarding.NAT),
        RealServer(name="tunnel", address="10.11.12.23", active=True, forward=Forwarding.TUNNEL),
        RealServer(name="off", address="10.11.12.24"),
    )
    virtual = VirtualServer(name="http", active=True, address=HostDevice("192.0.2.100", "eth1:1"), servers=servers)
    config = Config(globals=GlobalSettings(network=Forwarding.DIRECT), virtual=(virtual,))
    assert [one.name for one in patients(expand(config, lambda _name: None), {0: 80})] == ["direct", "tunnel"]


def test_packets_have_right_checksums() -> None:
    packet = ip_packet("10.11.12.11", "192.0.2.100", 6, tcp_segment(("10.11.12.11", 40000), ("192.0.2.100", 80), 1, 2))
    assert _folded(packet[:20]) == 0xFFFF
    assert _folded(packet[12:20] + b"\0\6" + (20).to_bytes(2, "big") + packet[20:]) == 0xFFFF
    assert len(packet) == 40


def _folded(data: bytes) -> int:
    total = sum(int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
