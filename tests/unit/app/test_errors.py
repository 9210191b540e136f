"""Error pages: in the console's language, with their status, without a traceback."""

from __future__ import annotations

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient

from app.errors import explain
from lvsagent.client import AgentDown, AgentError, AgentRefused, InvalidConfig, StaleConfig
from lvsagent.wire import DiagnosticInfo
from tests.fakes.agent import FakeAgent


def raising(console: Flask, error: Exception | int) -> None:
    def view() -> str:
        if isinstance(error, int):
            abort(error)
        raise error

    console.view_functions["help.keywords"] = view


def test_a_page_that_does_not_exist(client: FlaskClient) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert 'aria-label="Screens"' in answer.text


def test_a_method_that_is_not_for_this_page(client: FlaskClient) -> None:
    answer = client.get("/control/announce")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert "Use the buttons" in answer.text


def test_a_stranger_who_sends_a_form_is_told_to_log_in(stranger: FlaskClient) -> None:
    answer = stranger.post("/control/announce")
    assert answer.status_code == 401
    assert "You are no longer logged in" in answer.text
    assert "nothing was changed" in answer.text


@pytest.mark.parametrize("status", [400, 403, 404, 413, 418, 429, 500, 503])
def test_every_status_has_words(console: Flask, client: FlaskClient, status: int) -> None:
    raising(console, status)
    answer = client.get("/help")
    assert answer.status_code in {status, 400}
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (AgentDown("no agent listens"), 503, "no agent listens"),
        (AgentRefused("forbidden", "your user may not"), 502, "your user may not"),
        (StaleConfig("lvs.cf was edited on the router", "x"), 409, "lvs.cf was edited on the router"),
        (AgentError("anything else"), 502, "anything else"),
    ],
)
def test_what_the_agent_says_is_passed_on(console: Flask, client: FlaskClient, error: Exception, status: int, words: str) -> None:
    raising(console, error)
    answer = client.get("/help")
    assert (answer.status_code, explain(error).status) == (status, status)
    assert words in answer.text


def test_findings_in_lvs_cf_come_with_their_lines(console: Flask, client: FlaskClient) -> None:
    finding = DiagnosticInfo(severity="error", code="x", line=12, message="port <70000> is out of range")
    raising(console, InvalidConfig("lvs.cf has an error", [finding]))
    page = client.get("/help")
    assert page.status_code == 422
    assert "line 12:" in page.text
    assert "port &lt;70000&gt; is out of range" in page.text


def test_a_mistake_of_ours_shows_no_traceback_and_asks_nobody(console: Flask, client: FlaskClient, agent: FakeAgent) -> None:
    raising(console, RuntimeError("secret detail"))
    console.testing = False
    console.config["PROPAGATE_EXCEPTIONS"] = False
    agent.asked.clear()
    answer = client.get("/help")
    assert answer.status_code == 500
    assert "The console made a mistake" in answer.text
    assert "secret detail" not in answer.text
    assert agent.asked == []


def test_an_error_page_works_while_the_agent_is_down(client: FlaskClient, agent: FakeAgent) -> None:
    agent.down = True
    assert client.get("/nowhere").status_code == 404
