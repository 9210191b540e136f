"""REDUNDANCY: the fields are edited and kept."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/redundancy"
PAIR = TUTORIAL.replace(
    "service = lvs\n",
    "service = lvs\nbackup_active = 0\nbackup = 192.0.2.2\nbackup_private = 10.11.12.3\nheartbeat = 1\nheartbeat_port = 539\n"
    "keepalive = 6\ndeadtime = 18\nmonitor_links = 0\nsyncdaemon = 0\nsyncd_iface = eth0\nsyncd_id = 0\n",
)


@pytest.fixture
def pair(agent: FakeAgent) -> FakeAgent:
    agent.edit_by_hand(PAIR)
    return agent


def test_shows_what_lvs_cf_says(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, URL)
    fields = page.form_with("ACCEPT").fields
    assert fields["backup"] == "192.0.2.2"
    assert fields["keepalive"] == "6"
    assert "Backup: inactive" in page.words
    assert "after 18 s of silence" in page.words


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("backup", "192.0.2.3", ("backup = 192.0.2.2", "backup = 192.0.2.3")),
        ("backup_private", "10.11.12.4", ("backup_private = 10.11.12.3", "backup_private = 10.11.12.4")),
        ("keepalive", "0.5", ("keepalive = 6", "keepalive = 0.5")),
        ("deadtime", "20", ("deadtime = 18", "deadtime = 20")),
        ("heartbeat_port", "1539", ("heartbeat_port = 539", "heartbeat_port = 1539")),
        ("monitor_links", "1", ("monitor_links = 0", "monitor_links = 1")),
        ("syncdaemon", "1", ("syncdaemon = 0", "syncdaemon = 1")),
        ("syncd_iface", "eth2", ("syncd_iface = eth0", "syncd_iface = eth2")),
        ("syncd_id", "5", ("syncd_id = 0", "syncd_id = 5")),
    ],
)
def test_saves_exactly_the_changed_line(client: FlaskClient, pair: FakeAgent, name: str, typed: str, line: tuple[str, str]) -> None:
    visit(client, URL).press("ACCEPT", **{name: typed})
    assert changed_lines(PAIR, pair.text) == [line]


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("backup", "192.0.2.300", "each part goes up to 255"),
        ("backup_private", "::g", "IPv6 address"),
        ("keepalive", "often", "often is not a number of seconds"),
        ("keepalive", "0", "more than 0"),
        ("deadtime", "", "A number of seconds is needed here."),
        ("deadtime", "6", "6 s is not longer than one heartbeat interval"),
        ("heartbeat_port", "70000", "goes up to 65535"),
        ("syncd_iface", "a b", "it has a blank in it"),
        ("syncd_iface", "", "An interface is needed here"),
        ("syncd_id", "256", "goes up to 255"),
    ],
)
def test_refuses_in_words_and_keeps_what_was_typed(client: FlaskClient, pair: FakeAgent, name: str, typed: str, words: str) -> None:
    answer = visit(client, URL).press("ACCEPT", **{name: typed})
    assert answer.status == 422
    assert words in answer.error(name)
    assert answer.form_with("ACCEPT").fields[name] == typed
    assert pair.text == PAIR


def test_a_short_dead_time_is_a_warning_that_does_not_block(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, URL).press("ACCEPT", deadtime="12")
    assert "deadtime = 12" in pair.text
    assert page.warning("deadtime")


def test_enable_and_disable_switch_the_redundant_director(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, URL).press("ENABLE")
    assert "Backup: active" in page.words
    assert changed_lines(PAIR, pair.text) == [("backup_active = 0", "backup_active = 1")]
    assert "Backup: inactive" in page.press("DISABLE").words


def test_enable_turns_the_heartbeat_on(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("service = lvs\n", "service = lvs\nbackup = 192.0.2.2\n"))
    before = agent.text
    visit(client, URL).press("ENABLE")
    assert set(added_lines(before, agent.text)) == {"backup_active = 1", "heartbeat = 1"}


def test_enable_without_a_redundant_director_says_what_is_missing(client: FlaskClient, agent: FakeAgent) -> None:
    answer = visit(client, URL).press("ENABLE")
    assert answer.status == 422
    assert "give its public IP and ACCEPT first" in answer.words
    assert agent.text == TUTORIAL


def test_reset_types_piranhas_defaults_and_writes_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("RESET", backup="192.0.2.2", keepalive="1")
    fields = page.form_with("ACCEPT").fields
    assert (fields["keepalive"], fields["deadtime"], fields["heartbeat_port"]) == ("6", "18", "539")
    assert fields["backup"] == "192.0.2.2"
    assert agent.text == TUTORIAL
    page.press("ACCEPT")
    assert "deadtime = 18" in agent.text
