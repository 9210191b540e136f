"""VIRTUAL SERVER."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/virtual-servers/http/virtual-server"
LABELS = [
    "Name",
    "Application port",
    "Protocol",
    "Virtual IP Address",
    "Virtual IP Network Mask",
    "Sorry Server",
    "Firewall Mark",
    "Device",
    "Re-entry Time",
    "Service Timeout",
    "Quiesce server",
    "Load monitoring tool",
    "Scheduling",
    "Persistence",
    "Persistence Network Mask",
]


def test_shows_piranhas_fields_with_what_lvs_cf_says(client: FlaskClient) -> None:
    page = visit(client, URL)
    fields = page.form_with("ACCEPT").fields
    for label in LABELS:
        assert label in page.words
    assert fields["vip"] == "192.0.2.100"
    assert fields["scheduler"] == "rr"
    assert fields["quiesce_server"] == ""
    assert "Piranha’s default: 15." in page.words


def test_offers_piranhas_schedulers_by_their_names_and_ours_after_them(client: FlaskClient) -> None:
    words = visit(client, URL).words
    for name in ("Weighted least-connections", "Locality-Based Least-Connections with Replication", "Source Hash"):
        assert name in words
    assert words.index("Source Hash") < words.index("Maglev Hash (not in Piranha)")


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("name", "web", ("virtual http {", "virtual web {")),
        ("name", "two words", ("virtual http {", 'virtual "two words" {')),
        ("vip", "192.0.2.101", ("address = 192.0.2.100 eth1:1", "address = 192.0.2.101 eth1:1")),
        ("device", "eth1:7", ("address = 192.0.2.100 eth1:1", "address = 192.0.2.100 eth1:7")),
        ("vip_nmask", "255.255.255.128", ("vip_nmask = 255.255.255.0", "vip_nmask = 255.255.255.128")),
        ("port", "8080", ("port = 80", "port = 8080")),
        ("protocol", "udp", ("protocol = tcp", "protocol = udp")),
        ("scheduler", "wrr", ("scheduler = rr", "scheduler = wrr")),
        ("timeout", "8", ("timeout = 6", "timeout = 8")),
        ("reentry", "20", ("reentry = 15", "reentry = 20")),
        ("quiesce_server", "1", ("quiesce_server = 0", "quiesce_server = 1")),
    ],
)
def test_saves_exactly_the_changed_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: tuple[str, str]) -> None:
    page = visit(client, URL).press("ACCEPT", **{name: typed})
    assert page.status == 200
    assert "Accepted: serial 8" in page.words
    assert changed_lines(TUTORIAL, agent.text) == [line]


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("fwmark", "80", "fwmark = 80"),
        ("persistent", "300", "persistent = 300"),
        ("pmask", "255.255.255.0", "pmask = 255.255.255.0"),
        ("sorry_server", "192.0.2.200", "sorry_server = 192.0.2.200"),
        ("load_monitor", "uptime", "load_monitor = uptime"),
    ],
)
def test_adds_exactly_the_new_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: str) -> None:
    visit(client, URL).press("ACCEPT", **{name: typed})
    assert added_lines(TUTORIAL, agent.text) == [line]


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("name", "", "A name is needed here."),
        ("name", "https", "There is already a virtual server called https."),
        ("vip", "192.0.2.300", "192.0.2.300 is not an address: each part goes up to 255."),
        ("vip", "", "needs an address as well as an interface"),
        ("vip_nmask", "/24", "write 255.255.255.0"),
        ("device", "", "needs an interface to live on"),
        ("device", "eth1:waytoolongalias", "15 characters"),
        ("port", "http", "http is not a port"),
        ("port", "65536", "goes up to 65535"),
        ("protocol", "icmp", "not one of the choices: tcp, udp, sctp"),
        ("fwmark", "4294967296", "goes up to 4294967295"),
        ("scheduler", "magic", "not one of the choices"),
        ("persistent", "-5", "the least is 0"),
        ("pmask", "nonsense", "is not a mask"),
        ("load_monitor", "top", "not one of the choices"),
        ("timeout", "0", "the least is 1"),
        ("reentry", "", "A number of seconds is needed here."),
        ("sorry_server", "sorry.example.org", "is not an address"),
    ],
)
def test_refuses_in_words_and_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent, name: str, typed: str, words: str) -> None:
    answer = visit(client, URL).press("ACCEPT", **{name: typed})
    assert answer.status == 422
    assert words in answer.error(name)
    assert answer.form_with("ACCEPT").fields[name] == typed
    assert agent.text == TUTORIAL


def test_several_errors_are_shown_at_once(client: FlaskClient) -> None:
    answer = visit(client, URL).press("ACCEPT", vip="1.2", port="y", timeout="z")
    assert answer.error("vip")
    assert answer.error("port")
    assert answer.error("timeout")


def test_a_warning_stands_beside_its_field_and_blocks_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("ACCEPT", reentry="3")
    assert "reentry = 3" in agent.text
    assert "reentry 3 s is shorter" in page.warning("reentry")


def test_a_renamed_one_is_found_under_its_new_name(client: FlaskClient) -> None:
    page = visit(client, URL).press("ACCEPT", name="a/b c")
    assert page.status == 200
    assert page.form_with("ACCEPT").fields["name"] == "a/b c"
    assert "virtual server http renamed to a/b c" in page.words


def test_another_mask_or_tool_in_the_file_stays(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("scheduler = rr", "scheduler = rr\n     load_monitor = mean\n     pmask = 255.0.255.0"))
    page = visit(client, URL)
    assert page.form_with("ACCEPT").fields["load_monitor"] == "mean"
    page.press("ACCEPT", timeout="8")
    assert "load_monitor = mean" in agent.text
    assert "pmask = 255.0.255.0" in agent.text


def test_its_head_switches_it_and_says_where_a_demonstration_listens(client: FlaskClient, agent: FakeAgent) -> None:
    agent.userspace = True
    page = visit(client, URL)
    assert "127.0.0.100:8080" in page.words
    asked = page.press("DEACTIVATE")
    asked.press("ACCEPT", confirm=asked.form_with("BACK").boxes["confirm"])
    assert agent.config_now.virtual[0].active is False


def test_what_is_not_there_is_not_found(client: FlaskClient) -> None:
    assert visit(client, "/virtual-servers/nobody/virtual-server").status == 404
    assert visit(client, "/virtual-servers/http~9/virtual-server").status == 404


def test_the_short_address_leads_to_the_screen(client: FlaskClient) -> None:
    assert client.get("/virtual-servers/http").location == URL


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("quorum", "2", "quorum = 2"),
        ("hysteresis", "1", "hysteresis = 1"),
        ("sorry_port", "8080", "sorry_port = 8080"),
        ("scheduler_flags", "sh-port,sh-fallback", "scheduler_flags = sh-port,sh-fallback"),
        ("one_packet", "1", "one_packet = 1"),
        ("pe", "sip", "pe = sip"),
    ],
)
def test_saves_what_piranha_has_not_as_one_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: str) -> None:
    visit(client, URL).press("ACCEPT", **{name: typed})
    assert [added.strip() for added in added_lines(TUTORIAL, agent.text)] == [line]


def test_ports_to_mark_need_a_mark_and_are_judged(client: FlaskClient, agent: FakeAgent) -> None:
    assert "Which mark?" in visit(client, URL).press("ACCEPT", mark_ports="80,443/tcp").words
    page = visit(client, URL).press("ACCEPT", mark_ports="80/http", fwmark="7")
    assert "Http is no protocol: tcp, udp, sctp." in page.words
    assert agent.text == TUTORIAL
    visit(client, URL).press("ACCEPT", mark_ports=" 80,443/tcp  53/udp", fwmark="7")
    assert {added.strip() for added in added_lines(TUTORIAL, agent.text)} == {"fwmark = 7", 'mark_ports = "80,443/tcp 53/udp"'}
