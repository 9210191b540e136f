"""MONITORING SCRIPTS and TEST NOW."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.client import AgentDown, AgentRefused, StaleConfig
from tests.fakes.agent import TUTORIAL, FakeAgent, etag_of
from tests.unit.app.browsing import added_lines, changed_lines, visit

URL = "/virtual-servers/http/monitoring-scripts"
SEND = 'send = "GET / HTTP/1.0\\r\\n\\r\\n"'


def test_shows_current_and_replacement_text_and_what_the_check_does(client: FlaskClient) -> None:
    page = visit(client, URL)
    fields = page.form_with("ACCEPT").fields
    assert fields["send"] == "GET / HTTP/1.0\\r\\n\\r\\n"
    assert fields["expect"] == "HTTP"
    assert "use_regex" not in fields
    assert "Current text" in page.words
    assert "sends a request, expects HTTP" in page.words


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("send", "HEAD / HTTP/1.0\\r\\n\\r\\n", (SEND, 'send = "HEAD / HTTP/1.0\\r\\n\\r\\n"')),
        ("expect", "HTTP/1.1 200", ('expect = "HTTP"', 'expect = "HTTP/1.1 200"')),
    ],
)
def test_saves_exactly_the_changed_line(client: FlaskClient, agent: FakeAgent, name: str, typed: str, line: tuple[str, str]) -> None:
    visit(client, URL).press("ACCEPT", **{name: typed})
    assert changed_lines(TUTORIAL, agent.text) == [line]


def test_adds_exactly_the_new_line(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("ACCEPT", use_regex="1")
    assert added_lines(TUTORIAL, agent.text) == ["use_regex = 1"]
    visit(client, URL).press("ACCEPT", send_program="/usr/bin/check %h %p")
    assert 'send_program = "/usr/bin/check %h %p"' in agent.text


@pytest.mark.parametrize(("button", "name"), [("NO SEND PROGRAM", "send_program"), ("BLANK SEND", "send"), ("BLANK EXPECT", "expect")])
def test_the_blanking_buttons_empty_a_field_and_write_only_on_accept(client: FlaskClient, agent: FakeAgent, button: str, name: str) -> None:
    agent.edit_by_hand(TUTORIAL.replace('expect = "HTTP"', 'expect = "HTTP"\n     send_program = "/bin/check"', 1))
    before = agent.text
    page = visit(client, URL).press(button, use_regex="1" if name != "expect" else "")
    assert page.form_with("ACCEPT").fields[name] == ""
    assert agent.text == before
    page.press("ACCEPT")
    assert getattr(agent.config_now.virtual[0], name) is None


@pytest.mark.parametrize(
    ("typed", "name", "words"),
    [
        ({"send": "a" * 256}, "send", "256 bytes: at most 255"),
        ({"expect": "ü" * 200}, "expect", "400 bytes"),
        ({"send": 'say "hello"'}, "send", "no way to write it inside quotes"),
        ({"send_program": "a\x01b"}, "send_program", "control character"),
        ({"expect": "", "use_regex": "1"}, "expect", "A regular expression is wanted, but there is none."),
        ({"expect": "(unclosed", "use_regex": "1"}, "expect", ""),
    ],
)
def test_refuses_in_words_and_keeps_what_was_typed(
    client: FlaskClient, agent: FakeAgent, typed: dict[str, str], name: str, words: str
) -> None:
    answer = visit(client, URL).press("ACCEPT", **typed)
    assert answer.status == 422
    assert answer.error(name)
    assert words in answer.error(name)
    assert answer.form_with("ACCEPT").fields[name] == typed[name]
    assert agent.text == TUTORIAL


def test_test_now_runs_the_check_as_typed_and_writes_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    agent.mark_down("http", "number2", "connection refused")
    page = visit(client, URL).press("TEST NOW", send="PING\\r\\n", expect="PONG", use_regex="1")
    assert page.status == 200
    trial = agent.trials[0]
    assert (trial.virtual, trial.send, trial.expect, trial.use_regex, trial.send_program) == ("http", "PING\\r\\n", "PONG", True, None)
    assert trial.etag == etag_of(TUTORIAL)
    assert "passed number1 10.11.12.21:80 the answer begins as expected" in page.words
    assert "failed number2 10.11.12.22:80 connection refused" in page.words
    assert "HTTP/1.0 200 OK" in page.words
    assert "2 of 3 answered as expected" in page.words
    assert page.form_with("ACCEPT").fields["expect"] == "PONG"
    assert agent.text == TUTORIAL


def test_test_now_with_an_error_says_it_beside_the_field(client: FlaskClient, agent: FakeAgent) -> None:
    answer = visit(client, URL).press("TEST NOW", send="a" * 300)
    assert answer.status == 422
    assert answer.error("send")
    assert agent.trials == []


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (AgentRefused("forbidden", "The program is not in program_dirs."), 502, "not in program_dirs"),
        (AgentDown("It went away."), 503, "It went away."),
        (StaleConfig("changed", "x"), 409, "Press TEST NOW again"),
    ],
)
def test_a_test_that_cannot_run_says_why(
    client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    page = visit(client, URL)

    def no(_request: object) -> None:
        raise error

    monkeypatch.setattr(agent, "trial", no)
    answer = page.press("TEST NOW", send="PING")
    assert answer.status == status
    assert words in answer.words
    assert answer.form_with("ACCEPT").fields["send"] == "PING"


def test_what_a_server_answers_comes_out_escaped(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("TEST NOW", send="<script>alert(1)</script>")
    assert "<script>alert" not in page.html
    assert "&lt;script&gt;alert(1)" in page.html


def test_of_two_virtual_servers_of_one_name_only_the_first_can_be_tested(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("virtual https {", "virtual http {"))
    answer = visit(client, "/virtual-servers/http~2/monitoring-scripts").press("TEST NOW")
    assert answer.status == 422
    assert "Give this one a name of its own to test it." in answer.words
    assert agent.trials == []


def test_text_that_is_not_utf8_stays_as_it_is(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace('expect = "HTTP"', 'expect = "\udcff"', 1))
    page = visit(client, URL)
    assert page.form_with("ACCEPT").fields["expect"] == "\\xff"
    page.press("ACCEPT", send="PING")
    assert 'expect = "\udcff"' in agent.text
