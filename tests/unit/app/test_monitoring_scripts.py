"""MONITORING SCRIPTS and TEST NOW."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.client import AgentDown, AgentRefused, StaleConfig
from lvsagent.wire import CheckResult
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


# --- kinds of checks, and why a server is in or out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ({"kind": "https", "check_host": "www.example.com"}, ["check = https", "check_host = www.example.com"]),
        ({"check_port": "8081"}, ["check_port = 8081"]),
        ({"kind": "http", "check_path": "/health", "check_status": "200-299,301"}, ["check = http", "check_path = /health"]),
        ({"kind": "tls", "check_verify": "1", "check_cert_days": "30"}, ["check = tls", "check_verify = 1", "check_cert_days = 30"]),
        ({"kind": "dns", "check_host": "example.com", "check_record": "MX"}, ["check = dns", "check_record = MX"]),
        ({"check_interval": "0.5", "check_timeout": "2"}, ["check_interval = 0.5", "check_timeout = 2"]),
        ({"rise": "2", "fall": "3"}, ["rise = 2", "fall = 3"]),
        ({"hold_down": "60", "slow_start": "30"}, ["hold_down = 60", "slow_start = 30"]),
    ],
)
def test_saves_the_kind_of_check_and_its_keywords(client: FlaskClient, agent: FakeAgent, typed: dict[str, str], lines: list[str]) -> None:
    answer = visit(client, URL).press("ACCEPT", **typed)
    assert answer.status == 302 or not answer.html.count('class="err"'), answer.words
    assert set(lines) <= set(added_lines(TUTORIAL, agent.text))


@pytest.mark.parametrize(
    ("typed", "name", "words"),
    [
        ({"check_path": "health"}, "check_path", "Check_path is a path such as /health"),
        ({"check_host": "a b"}, "check_host", "is a host name or an address"),
        ({"check_status": "ok"}, "check_status", "is a list such as"),
        ({"check_port": "99999"}, "check_port", "goes up to 65535"),
        ({"check_interval": "0"}, "check_interval", "must be more than 0"),
        ({"rise": "-1"}, "rise", "the least is 0"),
        ({"kind": "telnet"}, "kind", "not one of the choices"),
        ({"kind": "dns"}, "check_host", "DNS cannot be checked without this."),
        ({"kind": "program"}, "send_program", "cannot be checked without this."),
        ({"kind": "udp", "expect": ""}, "expect", "cannot be checked without this."),
    ],
)
def test_refuses_a_kind_that_cannot_be_checked_so(
    client: FlaskClient, agent: FakeAgent, typed: dict[str, str], name: str, words: str
) -> None:
    answer = visit(client, URL).press("ACCEPT", **typed)
    assert answer.status == 422
    assert words in answer.error(name)
    assert agent.text == TUTORIAL


def test_test_now_tries_the_kind_as_typed(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("TEST NOW", kind="https", check_path="/health", check_cert_days="7")
    assert agent.trials[0].changes == {
        "check": "https",
        "check_port": "0",
        "check_path": "/health",
        "check_host": "",
        "check_status": "",
        "check_record": "A",
        "check_verify": "0",
        "check_cert_days": "7",
    }
    assert agent.text == TUTORIAL


def test_each_check_leads_to_its_last_results(client: FlaskClient, agent: FakeAgent) -> None:
    agent.results["http/number2"] = [
        CheckResult(at=1e9, ok=False, duration_s=6.0, reason="no answer within 6 s", connect_s=0.002, received="<script>x"),
        CheckResult(at=1e9 - 6, ok=True, duration_s=0.01, first_byte_s=0.004, tls_s=0.003, connect_s=0.001, warning="ends in 9 days"),
        CheckResult(at=1e9 - 12, ok=False, duration_s=0, reason="too many open files", conclusive=False),
    ]
    page = visit(client, URL)
    assert f'href="{URL}?results=http/number2#results"' in page.html
    assert "LAST RESULTS OF" not in page.words
    page = visit(client, f"{URL}?results=http/number2")
    assert "LAST RESULTS OF http/number2" in page.words
    for words in ("no answer within 6 s", "connected in 2.0 ms", "TLS in 3.0 ms", "ends in 9 days", "not asked"):
        assert words in page.words
    assert "<script>x" not in page.html


def test_results_of_a_check_that_is_not_this_servers_are_not_shown(client: FlaskClient, agent: FakeAgent) -> None:
    for key in ("https/number1", "nonsense", "<script>"):
        page = visit(client, f"{URL}?results={key}")
        assert page.status == 200
        assert "LAST RESULTS OF" not in page.words


def test_explain_says_that_a_server_still_climbs(client: FlaskClient, agent: FakeAgent) -> None:
    assert "Not its whole weight yet" not in visit(client, f"{URL}?results=http/number1").words
    agent.slow_starts["http/number1"] = "slow start, 35% so far"
    assert "Not its whole weight yet: slow start, 35% so far." in visit(client, f"{URL}?results=http/number1").words


def test_results_that_cannot_be_had_are_said(client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_key: str) -> None:
        raise AgentRefused("unavailable", "nanny is not running: nobody knows the last results")

    monkeypatch.setattr(agent, "explain", no)
    page = visit(client, f"{URL}?results=http/number1")
    assert page.status == 200
    assert "nobody knows the last results" in page.words
