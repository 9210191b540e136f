"""GLOBAL SETTINGS."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/global-settings"


def test_shows_what_lvs_cf_says_and_the_kernels_own_timeouts(client: FlaskClient) -> None:
    page = visit(client, URL)
    fields = page.form_with("ACCEPT").fields
    assert fields["primary"] == "192.0.2.1"
    assert (fields["nat_router_ip"], fields["nat_nmask"], fields["nat_router_device"]) == ("10.11.12.1", "255.255.255.0", "eth0:1")
    assert fields["network"] == "nat"
    assert "In force now: 900 s (15 min)." in page.words
    for label in ("Primary server public IP", "Primary server private IP", "TCP timeout", "TCP FIN timeout", "UDP timeout", "Sync tool"):
        assert label in page.words


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("primary", "192.0.2.7", ("primary = 192.0.2.1", "primary = 192.0.2.7")),
        ("network", "direct", ("network = nat", "network = direct")),
        ("nat_router_ip", "10.11.12.2", ("nat_router = 10.11.12.1 eth0:1", "nat_router = 10.11.12.2 eth0:1")),
        ("nat_router_device", "eth2:1", ("nat_router = 10.11.12.1 eth0:1", "nat_router = 10.11.12.1 eth2:1")),
        ("nat_nmask", "255.255.0.0", ("nat_nmask = 255.255.255.0", "nat_nmask = 255.255.0.0")),
    ],
)
def test_saves_exactly_the_changed_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: tuple[str, str]) -> None:
    visit(client, URL).press("ACCEPT", **{name: typed})
    assert changed_lines(TUTORIAL, agent.text) == [line]
    assert agent.text.startswith("serial_no = 8")


def test_another_kind_of_service_takes_every_virtual_server_out_and_so_asks_first(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("ACCEPT", service="fos")
    assert agent.text == TUTORIAL
    page.press("ACCEPT", confirm=page.form_with("BACK").boxes["confirm"])
    assert changed_lines(TUTORIAL, agent.text) == [("service = lvs", "service = fos")]


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("primary_private", "10.11.12.9", "primary_private = 10.11.12.9"),
        ("rsh_command", "ssh", "rsh_command = ssh"),
        ("rsh_command", "rsync", "rsh_command = rsync"),
        ("tcp_timeout", "600", "tcp_timeout = 600"),
        ("mass_failure_hold", "90", "mass_failure_hold = 90"),
        ("mass_failure_hold", "2.5", "mass_failure_hold = 2.5"),
        ("tcpfin_timeout", "60", "tcpfin_timeout = 60"),
        ("udp_timeout", "30", "udp_timeout = 30"),
    ],
)
def test_adds_exactly_the_new_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: str) -> None:
    visit(client, URL).press("ACCEPT", **{name: typed})
    assert added_lines(TUTORIAL, agent.text) == [line]


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("primary", "192.0.2.300", "192.0.2.300 is not an address: each part goes up to 255."),
        ("primary", "", "An address is needed here."),
        ("primary", "0.0.0.0", 'means "no address"'),
        ("primary_private", "1.2.3", "four numbers"),
        ("tcp_timeout", "soon", "soon is not a number of seconds"),
        ("tcpfin_timeout", "-1", "the least is 0"),
        ("udp_timeout", "1.5", "only digits"),
        ("network", "teleport", "not one of the choices: nat, direct, tunnel"),
        ("nat_router_ip", "", "needs an address as well as an interface"),
        ("nat_router_device", "", "needs an interface to live on"),
        ("nat_nmask", "255.0.255.0", "it has holes"),
        ("service", "both", "not one of the choices: lvs, fos"),
        ("rsh_command", "telnet", "not one of the choices"),
    ],
)
def test_refuses_in_words_and_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent, name: str, typed: str, words: str) -> None:
    answer = visit(client, URL).press("ACCEPT", **{name: typed})
    assert answer.status == 422
    assert words in answer.error(name)
    if name not in {"network", "service", "rsh_command"} or typed == "":
        assert answer.form_with("ACCEPT").fields[name] == typed
    assert agent.text == TUTORIAL


def test_rsh_is_shown_as_refused_and_cannot_be_chosen(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("service = lvs", "service = lvs\nrsh_command = ssh"))
    page = visit(client, URL)
    assert "rsh (refused" in page.words
    assert "rsh is refused" in page.press("ACCEPT", rsh_command="rsh").error("rsh_command")


def test_another_tool_in_the_file_stays_until_it_is_changed(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("service = lvs", "service = lvs\nrsh_command = /usr/bin/ssh"))
    page = visit(client, URL)
    assert page.form_with("ACCEPT").fields["rsh_command"] == "/usr/bin/ssh"
    page.press("ACCEPT", tcp_timeout="60")
    assert "rsh_command = /usr/bin/ssh" in agent.text


def test_another_network_type_keeps_the_nat_router(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("ACCEPT", network="tunnel")
    assert "nat_router = 10.11.12.1 eth0:1" in agent.text


def test_the_nat_router_goes_when_both_halves_are_blank(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("ACCEPT", nat_router_ip="", nat_router_device="")
    assert "nat_router" not in agent.text


@pytest.mark.parametrize(
    ("network", "commands"),
    [
        ("nat", ["ip route replace default via 10.11.12.1"]),
        ("direct", ["sysctl -w net.ipv4.conf.all.arp_ignore=1", "ip address add 192.0.2.100/32 dev lo"]),
        ("tunnel", ["modprobe ipip", "ip address add 192.0.2.100/32 dev tunl0"]),
    ],
)
def test_says_what_real_servers_need_with_the_very_addresses(
    client: FlaskClient, agent: FakeAgent, network: str, commands: list[str]
) -> None:
    agent.edit_by_hand(TUTORIAL.replace("network = nat", f"network = {network}"))
    page = visit(client, URL)
    for command in commands:
        assert command in page.words


def test_an_unchanged_value_is_not_judged(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("192.0.2.1\n", "10.1\n"))
    visit(client, URL).press("ACCEPT", tcp_timeout="60")
    assert "primary = 10.1\n" in agent.text
    assert "tcp_timeout = 60" in agent.text
