"""FAILOVER: the services of a ``service = fos`` pair."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/failover"
FOS = (
    TUTORIAL.replace("service = lvs", "service = fos")
    + """\
failover mail {
     active = 0
     address = 192.0.2.9 eth1:5
     vip_nmask = 255.255.255.0
     port = 25
     timeout = 6
     expect = "220"
     start_cmd = "/usr/bin/systemctl start postfix"
     stop_cmd = "/usr/bin/systemctl stop postfix"
}
"""
)
EDIT = f"{URL}/mail/edit"


@pytest.fixture
def fos(agent: FakeAgent) -> FakeAgent:
    agent.edit_by_hand(FOS)
    return agent


def test_shows_each_service_with_its_commands(client: FlaskClient, fos: FakeAgent) -> None:
    page = visit(client, URL)
    assert "inactive mail 192.0.2.9 255.255.255.0 25 eth1:5 /usr/bin/systemctl start postfix /usr/bin/systemctl stop postfix" in page.words
    assert "FAILOVER" in page.words


def test_with_service_lvs_says_that_they_are_not_in_use(client: FlaskClient) -> None:
    assert "These are not in use: the LVS type is lvs." in visit(client, URL).words


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("name", "post", ("failover mail {", "failover post {")),
        ("vip", "192.0.2.8", ("address = 192.0.2.9 eth1:5", "address = 192.0.2.8 eth1:5")),
        ("port", "2525", ("port = 25", "port = 2525")),
        ("timeout", "9", ("timeout = 6", "timeout = 9")),
        ("expect", "221", ('expect = "220"', 'expect = "221"')),
        ("start_cmd", "/bin/go", ('start_cmd = "/usr/bin/systemctl start postfix"', 'start_cmd = "/bin/go"')),
        ("stop_cmd", "/bin/end now", ('stop_cmd = "/usr/bin/systemctl stop postfix"', 'stop_cmd = "/bin/end now"')),
    ],
)
def test_saves_exactly_the_changed_line(client: FlaskClient, fos: FakeAgent, name: str, typed: str, line: tuple[str, str]) -> None:
    visit(client, EDIT).press("ACCEPT", **{name: typed})
    changed = changed_lines(FOS, fos.text)
    assert len(changed) == 1
    assert changed[0][0] == line[0]
    assert changed[0][1].replace('"', "") == line[1].replace('"', "")


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("name", "", "A name is needed here."),
        ("vip", "192.0.2.300", "each part goes up to 255"),
        ("vip", "", "An address is needed here."),
        ("device", "", "An interface is needed here"),
        ("port", "x", "x is not a port"),
        ("timeout", "0", "the least is 1"),
        ("start_cmd", 'echo "hi"', "no way to write it inside quotes"),
        ("stop_cmd", "a\x02", "control character"),
    ],
)
def test_refuses_in_words_and_keeps_what_was_typed(client: FlaskClient, fos: FakeAgent, name: str, typed: str, words: str) -> None:
    answer = visit(client, EDIT).press("ACCEPT", **{name: typed})
    assert answer.status == 422
    assert words in answer.error(name)
    assert answer.form_with("ACCEPT").fields[name] == typed
    assert fos.text == FOS


def test_an_unchanged_form_writes_nothing(client: FlaskClient, fos: FakeAgent) -> None:
    assert "There was nothing to change" in visit(client, EDIT).press("ACCEPT").words
    assert fos.text == FOS


def test_add_activate_and_delete(client: FlaskClient, fos: FakeAgent) -> None:
    page = visit(client, URL).press("ADD").press("ACCEPT", name="web", vip="192.0.2.7", device="eth1:6")
    assert [one.name for one in fos.config_now.failover] == ["mail", "web"]
    page = page.press("(DE)ACTIVATE", server="0 web")
    assert fos.config_now.failover[1].active
    question = page.press("DELETE", server="1 mail")
    assert "mail , 192.0.2.9:25 tcp, inactive" in question.words
    question.press("DELETE")
    assert [one.name for one in fos.config_now.failover] == ["web"]


def test_a_name_is_given_once(client: FlaskClient, fos: FakeAgent) -> None:
    answer = visit(client, f"{URL}/add").press("ACCEPT", name="mail", vip="192.0.2.7", device="eth1:6")
    assert "There is already a failover service called mail." in answer.error("name")


def test_deleting_takes_only_its_lines(client: FlaskClient, fos: FakeAgent) -> None:
    visit(client, f"{URL}/mail/delete").press("DELETE")
    assert added_lines(fos.text, FOS)[0] == "failover mail {"


@pytest.mark.parametrize("url", [f"{URL}/nobody/edit", f"{URL}/nobody/delete"])
def test_what_is_not_there_is_not_found(client: FlaskClient, url: str) -> None:
    assert visit(client, url).status == 404


def test_a_button_without_a_choice_says_to_choose(client: FlaskClient, fos: FakeAgent) -> None:
    assert "Choose a failover service first" in visit(client, URL).press("EDIT", server="").words
