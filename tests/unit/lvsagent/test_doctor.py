"""What the doctor says of what it saw, whom it looks at, and the commands that it gives."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest

from app.lvscf.model import CheckKind, Config, Forwarding, GlobalSettings, HostDevice, Protocol, RealServer, VirtualServer
from lvsagent.core.doctor import Advice, Sure, advise, ward
from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Patient, Seen
from tests.fakes.examiner import well

VIP, VIP6 = "192.0.2.100", "2001:db8:1::100"
DIRECT = Patient("http", "number1", "10.11.12.21", Forwarding.DIRECT, VIP, 80)
TUNNEL = replace(DIRECT, forwarding=Forwarding.TUNNEL)
NAT = replace(DIRECT, forwarding=Forwarding.NAT, gateway="10.11.12.1")
DIRECT6 = replace(DIRECT, address="2001:db8:2::21", vip=VIP6)
TUNNEL6 = replace(DIRECT6, forwarding=Forwarding.TUNNEL)
UDP = replace(DIRECT, protocol=Protocol.UDP, port=53)
EVERYONE = (DIRECT, TUNNEL, DIRECT6, TUNNEL6, UDP, NAT)
SILENT, FORBIDDEN, ELSEWHERE = Heard(Answer.SILENCE), Heard(Answer.FORBIDDEN, VIP), Heard(Answer.PASSED_ON, "10.11.12.21")


def held(patient: Patient, **changes: object) -> Seen:
    """Nothing is missing but these."""
    return replace(well(patient), **changes)  # type: ignore[arg-type]  # fields of Seen


def heard(answer: Answer, source: str = VIP, other: str = "") -> Heard:
    return Heard(answer, source, other)


def said(patient: Patient, **changes: object) -> list[tuple[str, bool, str]]:
    return [
        (one.words, one.wrong, one.sure.value) for one in advise(patient, held(patient, **changes)) if "a tunnel takes" not in one.words
    ]


@pytest.mark.parametrize("patient", EVERYONE, ids=lambda one: f"{one.forwarding}-{one.protocol}-{6 if one.six else 4}")
def test_nothing_is_said_of_a_server_that_lacks_nothing(patient: Patient) -> None:
    assert said(patient) == []


@pytest.mark.parametrize("patient", [DIRECT, TUNNEL, UDP, DIRECT6, TUNNEL6])
def test_a_server_that_answers_nothing_most_likely_lacks_the_address(patient: Patient) -> None:
    [(words, wrong, sure)] = said(patient, service=SILENT, ping=SILENT, passes=0)
    asked = "a datagram" if patient is UDP else "a connection"
    assert words.startswith(f"it does not answer {asked} to {patient.vip} port {patient.port}")
    assert ("tunnel" in words) is (patient.forwarding is Forwarding.TUNNEL)
    assert (wrong, sure) == (True, "likely")


def test_a_server_that_answers_a_ping_has_the_address_and_a_firewall() -> None:
    [(words, _wrong, sure)] = said(DIRECT, service=SILENT)
    assert words.startswith(f"it has {VIP} (it answers a ping there), and does not answer a connection to port 80: a firewall")
    assert sure == "likely"
    [(words, _wrong, sure)] = said(DIRECT, service=FORBIDDEN, ping=SILENT)
    assert (words, sure) == (f"it has {VIP}, and its firewall rejects what comes to port 80", "seen")


@pytest.mark.parametrize(("patient", "kind"), [(DIRECT, "t"), (UDP, "u")])
def test_a_port_where_nothing_listens_is_told_from_no_address(patient: Patient, kind: str) -> None:
    [one] = advise(patient, held(patient, service=heard(Answer.REFUSED), ping=SILENT))
    assert one.words.startswith(f"it has {VIP}, and nothing listens there on port {patient.port}")
    assert (one.commands, one.sure) == ((f"ss -l{kind}np 'sport = :{patient.port}'",), Sure.SEEN)


def test_answers_from_another_address_are_seen_and_the_way_out_depends_on_the_protocol() -> None:
    source = heard(Answer.ACCEPTED, "10.11.12.21")
    [(words, _, sure)] = said(DIRECT, service=source)
    assert words == f"it answers from 10.11.12.21 instead of {VIP}: clients drop such answers. A NAT rule on it changes the address"
    assert sure == "seen"
    [(words, _, sure)] = said(UDP, service=source)
    assert words.endswith(f"have it listen on {VIP} itself")


def test_a_silent_udp_service_is_only_wrong_when_its_checks_own_question_went_unanswered() -> None:
    [(words, wrong, sure)] = said(UDP, service=SILENT)
    assert (wrong, sure) == (False, "possible")
    assert "check = dns or udp" in words
    [(words, wrong, sure)] = said(replace(UDP, payload=b"?"), service=SILENT)
    assert (wrong, sure) == (True, "likely")
    assert "nothing answers there what the check asks on port 53" in words


@pytest.mark.parametrize("seen", [{"service": ELSEWHERE}, {"service": heard(Answer.ACCEPTED, VIP, "02:00:00:00:00:01")}])
def test_a_server_that_hands_packets_on_has_not_the_address_whoever_answers_then(seen: dict[str, Heard]) -> None:
    [(words, wrong, sure)] = said(DIRECT, **seen)
    assert words.startswith(f"it hands packets to {VIP} on to others")
    assert ("02:00:00:00:00:01" in words) is bool(seen["service"].other)
    assert (wrong, sure) == (True, "likely")


def test_a_server_that_claims_the_address_takes_clients_past_the_director() -> None:
    [(words, wrong, sure)] = said(DIRECT, claims=True)
    assert words.startswith(f"it answers ARP requests for {VIP}: clients may go to it alone")
    [(words, wrong, sure)] = said(DIRECT6, claims=True)
    assert words.startswith(f"it answers neighbour solicitations for {VIP6}: it has it on an interface of this network")
    assert (wrong, sure) == (True, "seen")


@pytest.mark.parametrize(("patient", "room"), [(DIRECT, 1500), (TUNNEL, 1480), (TUNNEL6, 1460)])
def test_large_packets_that_get_lost_are_found(patient: Patient, room: int) -> None:
    [(words, wrong, sure)] = said(patient, passes=1400)
    assert words.startswith(f"packets to it get lost when they have more than 1400 bytes, and this director sends up to {room}")
    assert (wrong, sure) == (True, "likely")
    assert said(patient, passes=0, ping=SILENT) == [], "who answers no ping says nothing about sizes"


@pytest.mark.parametrize(("patient", "taken", "rule"), [(TUNNEL, 20, "iptables"), (TUNNEL6, 40, "ip6tables")])
def test_a_tunnel_over_ethernet_is_short_of_its_header_which_is_no_fault(patient: Patient, taken: int, rule: str) -> None:
    [one] = advise(patient, well(patient))
    assert (one.wrong, one.sure) == (False, Sure.POSSIBLE)
    assert f"a tunnel takes {taken} of the 1500 bytes" in one.words
    assert one.commands[0].startswith(f"{rule} -t mangle -A OUTPUT -s {patient.vip} ")
    assert one.commands[0].endswith("--set-mss 1440" if taken == 20 else "--set-mss 1400")
    assert advise(patient, held(patient, mtu=9000, room=9000 - taken, passes=9000 - taken)) == []


def test_a_server_that_could_not_be_looked_at_says_why_and_nothing_else() -> None:
    assert advise(DIRECT, held(DIRECT, reason="it is off", claims=True)) == [Advice("it is off")]


# --- NAT -----------------------------------------------------------------------------------------------------------------------


def test_with_nat_answers_have_to_come_back() -> None:
    lost = {"service": SILENT, "ping": SILENT, "passes": 0}
    [(words, wrong, sure)] = said(NAT, **lost, own=heard(Answer.ACCEPTED, NAT.address))
    assert words.startswith("it answers this director, but what it answers to a client does not come back here")
    assert (wrong, sure) == (True, "likely")
    [(words, wrong, sure)] = said(NAT, **lost, own=SILENT)
    assert (wrong, sure) == (False, "possible"), "whether it is up is the check's business"
    [(words, wrong, sure)] = said(NAT, ping=heard(Answer.ACCEPTED, NAT.address, "02:00:00:00:00:01"))
    assert "from 02:00:00:00:00:01" in words
    [(words, wrong, sure)] = said(NAT, here=False)
    assert (wrong, f"only the director that has {VIP} sees" in words) == (False, True)


def test_the_way_back_is_the_nat_router_else_the_director_that_looked() -> None:
    seen = held(NAT, service=SILENT, ping=SILENT, own=heard(Answer.ACCEPTED, NAT.address))
    assert advise(NAT, seen)[0].commands == ("ip route replace default via 10.11.12.1",)
    assert advise(replace(NAT, gateway=""), seen)[0].commands == ("ip route replace default via 10.11.12.11",)


# --- whom to look at -----------------------------------------------------------------------------------------------------------


SERVERS = (
    RealServer(name="direct", address="10.11.12.21", active=True, port=8080, effective_port=8080),
    RealServer(name="nat", address="10.11.12.22", active=True, forward=Forwarding.NAT, port=8080, effective_port=8080),
    RealServer(name="tunnel", address="10.11.12.23", active=True, forward=Forwarding.TUNNEL),
    RealServer(name="off", address="10.11.12.24"),
)
HTTP = VirtualServer(name="http", active=True, address=HostDevice(VIP, "eth1:1"), servers=SERVERS)


def in_ward(virtual: VirtualServer, **globals_: object) -> tuple[list[Patient], list[str]]:
    settings = GlobalSettings(**{"network": Forwarding.DIRECT, **globals_})  # type: ignore[arg-type]  # its own fields
    found = ward(Config(globals=settings, virtual=(virtual,)), 0, lambda _name: None)
    return list(found.patients), list(found.problems)


def test_each_server_is_looked_at_by_its_own_forwarding_enabled_or_not() -> None:
    found, problems = in_ward(HTTP)
    assert [(one.name, one.forwarding.value, one.port) for one in found] == [
        ("direct", "direct", 80),
        ("nat", "nat", 8080),
        ("tunnel", "tunnel", 80),
        ("off", "direct", 80),
    ]
    assert problems == []
    assert in_ward(replace(HTTP, active=False))[0] == found


def test_the_nat_router_is_the_gateway_of_its_own_ip_version() -> None:
    six = replace(SERVERS[1], name="six", address="2001:db8:2::22")
    found, _ = in_ward(replace(HTTP, servers=(SERVERS[1], six)), nat_router=HostDevice("10.11.12.1", "eth0:1"))
    assert [one.gateway for one in found] == ["10.11.12.1", ""]


def test_a_mark_is_looked_at_by_its_address() -> None:
    marked = replace(HTTP, fwmark=7, servers=SERVERS[:1])
    found, _ = in_ward(marked)
    assert [(one.vip, one.port) for one in found] == [(VIP, 80)]
    nowhere, problems = in_ward(replace(marked, address=None))
    assert (nowhere, len(problems), "no address" in problems[0]) == ([], 1, True)


def test_of_the_ports_of_a_mark_the_first_that_is_named_alone_is_asked() -> None:
    marked = replace(HTTP, fwmark=7, servers=SERVERS[:2])

    def asked(ports: str) -> list[tuple[int, str]]:
        return [(one.port, one.protocol.value) for one in in_ward(replace(marked, mark_ports=ports))[0]]

    assert asked("443,80/tcp") == [(443, "tcp"), (8080, "tcp")], "NAT changes the port"
    assert asked("1024-65535/tcp 53/udp")[0] == (53, "udp")
    assert asked("1024-65535/tcp")[0] == (0, "tcp"), "nobody knows where in such a range a program listens: a ping has to do"


def test_who_cannot_be_looked_at_is_named() -> None:
    servers = (replace(SERVERS[0], name="named", address="web1.example.com"), SERVERS[2])
    found, problems = in_ward(replace(HTTP, servers=servers))
    assert [one.name for one in found] == ["tunnel"]
    assert ["named" in one and "cannot be resolved" in one for one in problems] == [True]


def test_a_udp_service_is_asked_what_its_check_asks() -> None:
    dns = replace(HTTP, protocol=Protocol.UDP, port=53, check=CheckKind.DNS, check_host="example.com", servers=SERVERS[:1])
    [one] = in_ward(dns)[0]
    assert b"\7example\3com" in one.payload
    [one] = in_ward(replace(dns, check=CheckKind.UDP, send="who\\n", expect="me"))[0]
    assert one.payload == b"who\n"
    for other in (replace(dns, check=CheckKind.PING), replace(dns, check_port=54)):
        [one] = in_ward(other)[0]
        assert one.payload == b""


# --- commands ------------------------------------------------------------------------------------------------------------------


def commands_of(patient: Patient) -> Advice:
    return advise(patient, held(patient, service=SILENT, ping=SILENT, own=heard(Answer.ACCEPTED), passes=0))[0]


def test_the_address_is_silent_before_it_is_there() -> None:
    assert commands_of(DIRECT).commands == (
        "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        "sysctl -w net.ipv4.conf.all.arp_announce=2",
        f"ip address replace {VIP}/32 dev lo",
    )
    assert commands_of(DIRECT6).commands == (f"ip -6 address replace {VIP6}/128 dev lo preferred_lft 0",)


def test_a_tunnel_is_opened_last() -> None:
    assert commands_of(TUNNEL).commands[3:] == (
        "modprobe ipip",
        "ip link set tunl0 up",
        "sysctl -w net.ipv4.conf.all.rp_filter=0",
        "sysctl -w net.ipv4.conf.tunl0.rp_filter=0",
    )
    assert commands_of(TUNNEL6).commands[1:] == ("modprobe ip6_tunnel", "ip link set ip6tnl0 up")


def test_what_is_kept_is_written_whole_and_enabled() -> None:
    quiet, unit, enabled = commands_of(DIRECT).keep
    assert quiet.endswith("'net.ipv4.conf.all.arp_ignore=1' 'net.ipv4.conf.all.arp_announce=2' >/etc/sysctl.d/90-lvs-arp.conf")
    assert f"'ExecStart=/sbin/ip address replace {VIP}/32 dev lo'" in unit
    assert unit.endswith(f" >/etc/systemd/system/lvs-vip-{VIP}.service")
    assert enabled == f"systemctl enable lvs-vip-{VIP}.service"
    assert "ExecStart=/sbin/ip link set ip6tnl0 up" in commands_of(TUNNEL6).keep[1]
    assert "'WantedBy=multi-user.target'" in commands_of(NAT).keep[0]


@pytest.mark.parametrize("patient", EVERYONE, ids=lambda one: f"{one.forwarding}-{one.protocol}-{6 if one.six else 4}")
def test_commands_are_lines_that_a_shell_reads_as_they_stand(patient: Patient) -> None:
    hostile = replace(patient, name="a; reboot", virtual="$(reboot)")
    sights = (
        {"service": SILENT, "ping": SILENT, "own": heard(Answer.ACCEPTED)},
        {"claims": True, "passes": 1000},
        {"service": heard(Answer.REFUSED)},
    )
    found = [one for seen in sights for one in advise(hostile, held(hostile, **seen))]
    lines = [line for one in found for line in (*one.commands, *one.keep)]
    assert lines
    for line in lines:
        assert shlex.split(line)
        assert "reboot" not in line
        assert re.fullmatch(r"[\x20-\x7e]+", line)
