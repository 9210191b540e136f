"""``lvsctl server``: times, targets, and what it prints."""

from __future__ import annotations

import argparse
import json
from datetime import datetime

import pytest

from lvsagent.client import AgentRefused
from lvsagent.ctl import _parser, caller
from lvsagent.ctl_server_arguments import seconds, when
from lvsagent.ctl_servers import server
from tests.fakes.agent import FakeAgent

NOON = datetime(2026, 3, 2, 12).astimezone().timestamp()


def run(agent: FakeAgent, *words: str) -> int:
    return server(_parser().parse_args(["server", *words]), agent)  # type: ignore[arg-type]  # it behaves like a client


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_a_length_of_time(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5h", "ten", "5w", "9999999999"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_a_moment_is_the_next_one_of_that_name() -> None:
    assert when("14:30", NOON) == NOON + 2.5 * 3600
    assert when("11:00", NOON) == NOON + 23 * 3600
    assert when("2026-03-02T14:30", NOON) == NOON + 2.5 * 3600


@pytest.mark.parametrize("text", ["25:00", "soon", "14:3", ""])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        when(text, NOON)


def test_a_drain_by_name_says_what_holds_now(capsys: pytest.CaptureFixture[str]) -> None:
    agent = FakeAgent()
    assert run(agent, "drain", "number2", "--for", "10m", "--then", "ask", "--reason", "new\x1b disk") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("TARGET")
    assert "http/number2  drain  draining" in printed
    assert "new\\x1b disk" in printed
    assert agent.decided[-1].deadline_s == 600
    run(agent, "auto", "http/number2")
    assert capsys.readouterr().out == "no real server is drained, forced, or has another weight than lvs.cf's\n"


def test_a_host_by_a_servers_name_is_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    agent = FakeAgent()
    run(agent, "down", "number1", "--host", "--json")
    (found,) = json.loads(capsys.readouterr().out)["overrides"]
    assert (found["host"], found["server"]) == ("10.11.12.21", "")
    run(agent, "auto", "10.11.12.21", "--host")
    assert not agent.overrides().overrides


def test_who_is_in_two_virtual_servers_must_be_named_in_full() -> None:
    with pytest.raises(AgentRefused, match="http/number1, https/number1"):
        run(FakeAgent(), "drain", "number1")


@pytest.mark.parametrize("action", ["auto", "wait", "cut"])
def test_who_means_a_server_of_a_host_that_is_drained_is_told_how_to_say_so(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    agent = FakeAgent()
    run(agent, "drain", "10.11.12.22", "--host")
    with pytest.raises(AgentRefused, match=f"but about its host: lvsctl server {action} 10.11.12.22 --host"):
        run(agent, action, "number2")
    run(agent, "drain", "number2")
    run(agent, "auto", "number2")
    assert [one.host for one in agent.overrides().overrides] == ["10.11.12.22"]


def test_what_nobody_may_have_meant_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    agent = FakeAgent()
    agent.orders.warnings = ["http: no real server takes new connections: nobody answers"]
    assert run(agent, "drain", "number2") == 0
    assert capsys.readouterr().err == "warning: http: no real server takes new connections: nobody answers\n"


@pytest.mark.parametrize(
    ("uid", "environ", "who"),
    [(0, {}, "root"), (0, {"SUDO_USER": "ann"}, "ann"), (0, {"SUDO_USER": ""}, "root"), (54321, {"SUDO_USER": "ann"}, "54321")],
)
def test_who_is_said_to_have_done_it(uid: int, environ: dict[str, str], who: str) -> None:
    assert caller(uid, environ) == who


@pytest.mark.parametrize("words", [("drain", "nobody"), ("drain",), ("weight", "number2"), ("drain", "number2", "5"), ("cut", "number2")])
def test_what_cannot_be_is_refused(words: tuple[str, ...]) -> None:
    agent = FakeAgent()
    with pytest.raises(AgentRefused):
        run(agent, *words)
    assert not agent.overrides().overrides
