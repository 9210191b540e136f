"""Releasing a server by hand: where the way there is shown, the page that asks, and what is said afterwards."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.wire import Alert, Held
from tests.fakes.agent import FakeAgent
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import post
from tests.unit.app.test_control import HOSTILE, words

KEY = "http/number2"
TABLE = "/virtual-servers/http/real-servers"
ASK = "/health/release?key=http/number2"


@pytest.fixture
def held(agent: FakeAgent) -> FakeAgent:
    agent.mark("http", "number2", "rising", "answers again, and is held down because it has failed so often")
    agent.holds = [Held(key=KEY, until=agent.wall() + 600, kept=False)]
    return agent


@pytest.fixture
def kept(agent: FakeAgent) -> FakeAgent:
    agent.mark("http", "number2", "falling", "connection refused")
    agent.holds = [Held(key=KEY, until=agent.wall() + 600, kept=True)]
    agent.alerts.append(Alert(severity="error", code="mass-failure", message="http/number2 failed at once and is kept in service"))
    return agent


@pytest.mark.parametrize("path", [TABLE, "/control"])
def test_a_held_server_is_called_so_and_leads_to_its_release(client: FlaskClient, held: FakeAgent, path: str) -> None:
    page = client.get(path).text
    assert "held down" in words(page)
    assert page.count('aria-label="Release http/number2"') == 1
    assert "/health/release?key=http/number2" in page


@pytest.mark.parametrize("path", [TABLE, "/control"])
def test_where_nothing_is_held_there_is_nothing_to_release(client: FlaskClient, agent: FakeAgent, path: str) -> None:
    assert "RELEASE" not in client.get(path).text


def test_the_page_says_what_happens_and_the_deed_is_done_once(client: FlaskClient, held: FakeAgent) -> None:
    page = visit(client, f"{ASK}&next={TABLE}")
    assert "It has failed so often that it stays out until" in page.words
    done = page.press("RELEASE")
    assert "No longer held down: http/number2." in done.words
    assert "number1" in done.words  # back at the table
    assert held.holds == []
    assert "It was released already" in page.press("RELEASE").words


def test_the_brake_is_said_and_can_be_ended_for_one_or_for_all(client: FlaskClient, kept: FakeAgent) -> None:
    control = client.get("/control").text
    assert "kept in service" in words(control)
    assert 'href="/health/release">RELEASE them</a>' in control
    assert "only the mass-failure brake keeps it in service" in visit(client, ASK).words
    every = visit(client, "/health/release")
    assert "every server that fails and is kept in service leaves it at once" in every.words
    assert "No longer kept in service: http/number2." in every.press("RELEASE").words


@pytest.mark.parametrize(
    "peer", ["righty has let go too: http/number2", "righty was not told (no route to host): what it holds itself it goes on holding"]
)
def test_what_became_of_it_on_the_other_director_is_said(client: FlaskClient, held: FakeAgent, peer: str) -> None:
    held.release_there = peer
    assert "The other director does the same" in visit(client, ASK).words
    assert f"R{peer[1:]}." in visit(client, ASK).press("RELEASE").words


def test_a_server_that_is_not_held_cannot_be_released(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, ASK)
    assert "it is neither held down nor kept in service now" in page.words
    assert page.form_with("RELEASE").buttons["RELEASE"][1]


def test_what_the_agent_refuses_is_said(client: FlaskClient, held: FakeAgent) -> None:
    assert "there is no check http/nobody" in words(post(client, "/health/release", {"key": "http/nobody"}, follow=True).text)
    assert post(client, "/health/release", {}).status_code == 400
    assert held.holds


def test_a_key_is_text_and_the_way_back_stays_in_the_console(client: FlaskClient, held: FakeAgent) -> None:
    page = client.get("/health/release", query_string={"key": HOSTILE, "next": "https://example.com/"}).text
    assert HOSTILE not in page
    assert "example.com" not in page


def test_needs_login_and_its_token(stranger: FlaskClient, client: FlaskClient, held: FakeAgent) -> None:
    assert stranger.get(ASK).status_code == 302
    assert client.post("/health/release", data={"key": KEY}).status_code in {400, 403}
    assert held.holds
