"""REAL SERVER: the table, editing, adding, activating, deleting."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.wire import CountersInfo
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/virtual-servers/http/real-servers"
EDIT = f"{URL}/number2/edit"


def test_shows_each_server_with_state_reason_and_both_weights(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark_down("http", "number2", "connection refused")
    agent.count("http", "number1", CountersInfo(active=1200, inactive=34))
    page = visit(client, URL)
    assert "up number1 10.11.12.21 80 1 1 1,234" in page.words
    assert "down number2 10.11.12.22 80 1 – 0 connection refused" in page.words


def test_is_readable_while_the_agent_is_down(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL)
    agent.down = True
    page = visit(client, URL)
    assert page.status == 200
    assert page.form_with("EDIT").buttons["(DE)ACTIVATE"][1]


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("name", "web 2", ("server number2 {", 'server "web 2" {')),
        ("address", "10.11.12.32", ("address = 10.11.12.22", "address = 10.11.12.32")),
    ],
)
def test_saves_exactly_the_changed_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: tuple[str, str]) -> None:
    visit(client, EDIT).press("ACCEPT", **{name: typed})
    assert changed_lines(TUTORIAL, agent.text) == [line]


def test_saves_a_weight_and_says_so(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("ACCEPT", weight="3")
    assert "real server number2 of http: weight 1 → 3" in page.words
    assert [server.weight for server in agent.config_now.virtual[0].servers] == [1, 3, 1]


def test_saves_a_port_of_its_own_and_blank_takes_it_back(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, EDIT).press("ACCEPT", port="8080")
    assert added_lines(TUTORIAL, agent.text) == ["port = 8080"]
    visit(client, EDIT).press("ACCEPT", port="")
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("name", "", "A name is needed here."),
        ("name", "number1", "There is already a real server called number1 here."),
        ("address", "10.11.12.300", "each part goes up to 255"),
        ("address", "", "An address is needed here."),
        ("address", "not a host", "neither an address nor a host name"),
        ("port", "99999", "goes up to 65535"),
        ("weight", "-1", "the least is 0"),
        ("weight", "heavy", "heavy is not a weight"),
        ("weight", "", "A weight is needed here."),
    ],
)
@pytest.mark.parametrize("url", [EDIT, f"{URL}/add"])
def test_refuses_in_words_and_keeps_what_was_typed(
    client: FlaskClient, agent: FakeAgent, url: str, name: str, typed: str, words: str
) -> None:
    answer = visit(client, url).press("ACCEPT", **{"name": "web", "address": "10.0.0.1", name: typed})
    assert answer.status == 422
    assert words in answer.error(name)
    assert answer.form_with("ACCEPT").fields[name] == typed
    assert agent.text == TUTORIAL


def test_a_new_one_starts_inactive_at_the_end_of_its_virtual_server(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, f"{URL}/add").press("ACCEPT", name="number4", address="10.11.12.24")
    assert "real server number4" in page.words
    made = agent.config_now.virtual[0].servers[3]
    assert (made.name, made.address, made.active, made.weight, made.port) == ("number4", "10.11.12.24", False, 1, None)
    assert added_lines(TUTORIAL, agent.text)[0] == "server number4 {"


def test_activate_changes_one_line(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("(DE)ACTIVATE", server="1 number3")
    assert changed_lines(TUTORIAL, agent.text) == [("active = 1", "active = 0")]
    assert [server.active for server in agent.config_now.virtual[0].servers] == [True, True, False]


@pytest.mark.parametrize("button", ["EDIT", "DELETE", "(DE)ACTIVATE"])
def test_a_button_without_a_choice_says_to_choose(client: FlaskClient, button: str) -> None:
    answer = visit(client, URL).press(button, server="")
    assert answer.status == 422
    assert "Choose a real server first" in answer.words


def test_the_buttons_lead_where_they_say(client: FlaskClient) -> None:
    page = visit(client, URL)
    assert page.press("EDIT", server="1 number2").form_with("ACCEPT").fields["address"] == "10.11.12.22"
    assert "Delete number2 of http?" in page.press("DELETE", server="1 number2").words
    assert "A new real server of http" in page.press("ADD").words


def test_delete_asks_with_live_connections_and_takes_only_its_lines(client: FlaskClient, agent: FakeAgent) -> None:
    agent.count("http", "number2", CountersInfo(active=7, inactive=1))
    page = visit(client, f"{URL}/number2/delete")
    assert "number2 , 10.11.12.22 port 80, weight 1" in page.words
    assert "8 open connections" in page.words
    done = page.press("DELETE")
    assert "Accepted: serial 8" in done.words
    assert added_lines(agent.text, TUTORIAL) == ["server number2 {", "address = 10.11.12.22", "active = 1", "weight = 1", "}"]


def test_direct_routing_says_what_this_virtual_servers_real_servers_need(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("network = nat", "network = direct"))
    assert "ip address add 192.0.2.100/32 dev lo" in visit(client, URL).words


@pytest.mark.parametrize("url", [f"{URL}/nobody/edit", f"{URL}/nobody/delete", "/virtual-servers/nobody/real-servers/add"])
def test_what_is_not_there_is_not_found(client: FlaskClient, url: str) -> None:
    assert visit(client, url).status == 404


@pytest.mark.parametrize(
    ("name", "typed", "line"), [("forward", "tunnel", "forward = tunnel"), ("upper_threshold", "100", "upper_threshold = 100")]
)
def test_saves_what_piranha_has_not_as_one_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: str) -> None:
    visit(client, EDIT).press("ACCEPT", **{name: typed})
    assert [added.strip() for added in added_lines(TUTORIAL, agent.text)] == [line]
    visit(client, EDIT).press("ACCEPT", **{name: ""})
    server = agent.config_now.virtual[0].servers[1]
    assert (server.forward, server.upper_threshold) == (None, 0)


def test_thresholds_that_make_no_sense_are_refused(client: FlaskClient, agent: FakeAgent) -> None:
    assert "Again Below needs Most Connections." in visit(client, EDIT).press("ACCEPT", lower_threshold="5").words
    page = visit(client, EDIT).press("ACCEPT", upper_threshold="4", lower_threshold="5")
    assert "5 is more than Most Connections" in page.words
    assert agent.text == TUTORIAL
