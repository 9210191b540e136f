"""DRAIN OR FORCE: the page that asks, the list of what was decided, and where it is shown."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from lvsagent.lvsd.override_words import Left
from lvsagent.wire import CountersInfo, OverrideRequest
from tests.fakes.agent import NOW, FakeAgent
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import Clock, post

TABLE = "/virtual-servers/http/real-servers"
ASK = f"{TABLE}/number1/decide"
LIST = "/control/decisions"
NUMBER1 = {"virtual": "http", "server": "number1"}


def drain(agent: FakeAgent, **fields: object) -> None:
    agent.override(OverrideRequest(action="drain", actor="ann", reason="new disk", **{**NUMBER1, **fields}))  # type: ignore[arg-type]


def test_the_button_leads_to_a_page_that_names_the_connections(client: FlaskClient, agent: FakeAgent) -> None:
    agent.count("http", "number1", CountersInfo(active=12, inactive=3))
    choice = re.search(r'value="([^"]+)" aria-label="Choose number1"', client.get(TABLE).text)
    assert choice
    page = visit(client, TABLE).press("DRAIN OR FORCE", server=choice[1])
    assert "15 open connections" in page.words
    assert "With DRAIN the 15 open connections go on." in page.words
    assert not agent.decided


def test_a_drain_is_asked_for_as_it_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, ASK).press("DO IT", action="drain", deadline="10", then="ask", back="120", reason=" new   disk ")
    assert agent.decided == [
        OverrideRequest(
            action="drain",
            deadline_s=600,
            then="ask",
            return_at=NOW + 7200,
            reason="new disk",
            actor="piranha",
            virtual="http",
            server="number1",
        )
    ]
    assert "It is being drained: new connections go elsewhere." in page.words
    assert "draining number1 10.11.12.21 80 1 0" in page.words
    assert "drained by piranha: new disk" in page.words


@pytest.mark.parametrize(("action", "weight", "row"), [("down", "", "forced down"), ("up", "", "forced up"), ("weight", "7", "up")])
def test_it_is_forced_or_weighed(client: FlaskClient, agent: FakeAgent, action: str, weight: str, row: str) -> None:
    page = visit(client, ASK).press("DO IT", action=action, weight=weight)
    assert agent.decided[-1].action == action
    assert agent.decided[-1].weight == int(weight or 0)
    assert f"{row} number1" in page.words


def test_a_host_is_drained_everywhere(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, ASK).press("DO IT", action="drain", scope="host")
    assert (agent.decided[-1].host, agent.decided[-1].server) == ("10.11.12.21", "")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"action": "explode"}, "Choose what is to happen."),
        ({"action": "weight", "weight": "many"}, "A weight is a whole number from 0 to 65535."),
        ({"action": "weight", "weight": "70000"}, "A weight is a whole number from 0 to 65535."),
        ({"action": "drain", "deadline": "soon"}, "A whole number of minutes, at most a year; or blank."),
        ({"action": "drain", "deadline": "0"}, "A whole number of minutes, at most a year; or blank."),
        ({"action": "drain", "back": "9999999"}, "A whole number of minutes, at most a year; or blank."),
        ({"action": "up", "deadline": "5"}, "Only a drain has a deadline."),
        ({"action": "drain", "then": "explode"}, "Choose what happens at the deadline."),
        ({"action": "drain", "then": "cut"}, "When is that? Give a deadline, or have it wait on."),
        ({"action": "drain", "reason": "x" * 201}, "It has 201 characters; 200 are kept."),
    ],
)
def test_a_bad_field_is_said_beside_it_and_nothing_is_decided(
    client: FlaskClient, agent: FakeAgent, fields: dict[str, str], words: str
) -> None:
    answer = post(client, ASK, {"scope": "server", "then": "wait", **fields})
    assert answer.status_code == 422
    assert words in answer.text
    assert not agent.decided


def test_the_last_one_that_takes_new_connections_is_said_to_be_so(client: FlaskClient, agent: FakeAgent) -> None:
    words = "No other real server takes new connections: without it nobody answers."
    assert words not in visit(client, ASK).words
    for server in ("number2", "number3"):
        agent.override(OverrideRequest(action="drain", virtual="http", server=server))
    assert words in visit(client, ASK).words
    agent.orders.warnings = ["http: no real server takes new connections: nobody answers"]
    assert "Http: no real server takes new connections: nobody answers." in visit(client, ASK).press("DO IT", action="drain").words
    assert words not in visit(client, ASK).words


def test_what_the_agent_refuses_is_said_on_the_page(client: FlaskClient, agent: FakeAgent) -> None:
    answer = post(client, "/virtual-servers/https/real-servers/number1/decide", {"action": "drain", "then": "wait"})
    assert "there is no active real server number1 of https" in answer.text
    assert answer.status_code == 422


def test_an_unknown_server_is_no_page(client: FlaskClient) -> None:
    assert client.get(f"{TABLE}/nobody/decide").status_code == 404


def test_one_click_in_the_table_takes_it_back(client: FlaskClient, agent: FakeAgent) -> None:
    drain(agent)
    assert "TAKE BACK" in client.get(TABLE).text
    answer = post(client, f"{TABLE}/release", {"release": "number1"}, follow=True)
    assert not agent.overrides().overrides
    assert "Taken back: lvs.cf and its check rule again." in answer.text
    assert "TAKE BACK" not in answer.text


def test_one_click_takes_back_what_was_decided_about_its_host(client: FlaskClient, agent: FakeAgent) -> None:
    drain(agent, virtual="", server="", host="10.11.12.21")
    post(client, f"{TABLE}/release", {"release": "number1"})
    assert not agent.overrides().overrides


def test_control_and_the_picture_show_who_and_why(client: FlaskClient, agent: FakeAgent) -> None:
    drain(agent)
    page = client.get("/control").text
    assert "draining" in page
    assert page.count("drained by ann: new disk") >= 2


def test_control_says_how_many_decisions_are_in_force(client: FlaskClient, agent: FakeAgent) -> None:
    assert "by hand" not in visit(client, "/control").words
    drain(agent)
    agent.override(OverrideRequest(action="up", virtual="http", server="number2"))
    assert "by hand 2 drained, forced or weighed" in visit(client, "/control").words


def test_another_weight_is_explained_though_the_server_is_up(client: FlaskClient, agent: FakeAgent) -> None:
    agent.override(OverrideRequest(action="weight", weight=7, actor="ann", **NUMBER1))  # type: ignore[arg-type]
    assert "weight 7 given by ann" in client.get("/control").text


def test_the_list_has_every_decision_with_its_buttons(client: FlaskClient, agent: FakeAgent, clock: Clock) -> None:
    assert "Nothing: lvs.cf and the health checks alone decide." in client.get(LIST).text
    drain(agent, deadline_s=60.0, then="ask")
    agent.override(OverrideRequest(action="up", virtual="http", server="number2"))
    listed = client.get(LIST).text
    assert "number1 of http" in listed
    assert "number2 of http" in listed
    agent.orders.left["server:http/number1"] = Left(3)
    clock.now += 61
    agent.orders.look()
    page = visit(client, LIST)
    assert "asks drained by ann: new disk; 3 connections left; its deadline has come" in page.words
    page = page.press("WAIT ON")
    assert "The drain waits on." in page.words
    assert agent.overrides().overrides[0].phase == "waiting"
    page = visit(client, LIST).press("CUT")
    assert agent.overrides().overrides[0].phase == "cut"
    assert "taken out of the table" in page.words


def test_an_alert_that_asks_leads_to_the_buttons(client: FlaskClient, agent: FakeAgent) -> None:
    agent.alert("the deadline has come", "http", "warning", "drain-deadline")
    assert f'<a class="btn" href="{LIST}">WAIT, CUT, TAKE BACK</a>' in client.get("/control").text


def test_a_button_that_is_none_is_refused(client: FlaskClient, agent: FakeAgent) -> None:
    assert post(client, LIST, {"action": "explode", **NUMBER1}).status_code == 400
    assert not agent.decided


@pytest.mark.parametrize("url", [ASK, LIST, f"{TABLE}/release"])
def test_it_needs_the_token_and_a_login(client: FlaskClient, stranger: FlaskClient, agent: FakeAgent, url: str) -> None:
    data = {"action": "auto", **NUMBER1}
    assert client.post(url, data=data).status_code == 400
    assert stranger.post(url, data=data).status_code in {302, 400, 401, 403}
    assert not agent.decided


def test_it_is_off_while_the_agent_is_down(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, ASK)
    agent.down = True
    page = visit(client, ASK)
    assert page.form_with("DO IT").buttons["DO IT"][1]
    assert client.get(LIST).status_code == 503
