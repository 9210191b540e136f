"""The loop around nanny's machine: what lvsd is told, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from lvsagent.core.known import Known, Relapses
from lvsagent.messages import FromNanny, NannyConfigure, NannyExplain, NannyExplained, NannyReport, NannyTrial, NannyTrialDone, ToNanny
from lvsagent.nanny import warden as warden_module
from lvsagent.nanny.warden import Warden
from lvsagent.wire import CheckInfo


def spec(key: str, **changes: Any) -> CheckSpec:
    return CheckSpec(
        **{"key": key, "address": "10.11.12.21", "port": 80, "protocol": "tcp", "method": Method.CONNECT, "rise": 2, **changes}
    )


class ScriptedChecker:
    """Answers as told, when told; counts how many run."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome | Exception] = {}
        self.held = asyncio.Event()
        self.held.set()
        self.running: list[str] = []
        self.most = 0
        self.begun: list[str] = []

    async def check(self, spec: CheckSpec) -> Outcome:
        self.begun.append(spec.key)
        self.running.append(spec.key)
        self.most = max(self.most, len(self.running))
        try:
            await self.held.wait()
        finally:
            self.running.remove(spec.key)
        outcome = self.outcomes.get(spec.key, Outcome(ok=True, duration_s=0.001))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class LoopClock:
    """The event loop's own time, and a wall clock that is a million seconds ahead of it."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.now() + 1_000_000


class Told:
    """A warden with what it said to lvsd."""

    def __init__(self, *, max_running: int) -> None:
        self.checker = ScriptedChecker()
        self.messages: list[msgspec.Struct] = []
        self.warden = Warden(self.checker, LoopClock(), self.messages.append, max_running=max_running)

    def states(self) -> dict[str, str]:
        """The newest state of every check."""
        return {info.key: info.state for message in self.messages if isinstance(message, NannyReport) for info in message.checks}

    def whole(self) -> list[CheckInfo]:
        """What somebody who connects now is told."""
        return [info for report in self.warden.reports() for info in report.checks]

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + 5
        while not condition():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.001)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    made = Told(max_running=10)
    yield made
    await made.warden.close()


async def test_every_check_runs_and_is_reported(told: Told) -> None:
    told.checker.outcomes["v/two"] = Outcome(ok=False, duration_s=0.2, reason="connection refused")
    told.warden.handle(NannyConfigure(checks=[spec("v/one"), spec("v/two")]))
    await told.until(lambda: told.states() == {"v/one": "up", "v/two": "down"})
    (last,) = [info for info in told.whole() if info.key == "v/two"]
    assert (last.target, last.what, last.reason, last.failures, last.successes) == (
        "10.11.12.21:80",
        "connects",
        "connection refused",
        1,
        0,
    )
    assert last.last_duration_s == 0.2
    assert last.last_at == pytest.approx(LoopClock().wall(), abs=5)
    assert last.since == pytest.approx(last.last_at, abs=0.1)
    assert 5 < last.next_in_s <= 10


async def test_a_change_is_told_at_once_and_many_changes_in_few_messages(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warden_module, "REPORT_PAUSE_S", 1000)
    told.warden.handle(NannyConfigure(checks=[spec(f"v/{number}") for number in range(10)]))
    await told.until(lambda: set(told.states().values()) == {"up"} and len(told.states()) == 10)
    assert len(told.messages) < 15


async def test_the_first_of_a_storm_is_told_at_once(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warden_module, "REPORT_PAUSE_S", 1000)
    monkeypatch.setattr(warden_module, "URGENT_PAUSE_S", 1000)
    told.warden.handle(NannyConfigure(checks=[spec("v/one")]))
    await told.until(lambda: told.states() == {"v/one": "unknown"})
    await told.until(lambda: [info.state for info in told.whole()] == ["up"])
    assert len(told.messages) == 1


async def test_a_storm_of_changes_is_a_few_messages(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warden_module, "REPORT_PAUSE_S", 1000)
    begun = asyncio.get_running_loop().time()
    told.warden.handle(NannyConfigure(checks=[spec(f"v/{number}") for number in range(300)]))  # they start within 0.3 s
    await told.until(lambda: set(told.states().values()) == {"up"} and len(told.states()) == 300)
    took = asyncio.get_running_loop().time() - begun
    assert len(told.messages) <= 2 + took / warden_module.URGENT_PAUSE_S


async def test_plain_results_wait_for_company(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warden_module, "REPORT_PAUSE_S", 0.2)
    told.warden.handle(NannyConfigure(checks=[spec("v/one", interval_s=0.01)]))
    await told.until(lambda: told.states() == {"v/one": "up"})
    before = len(told.messages)
    begun = len(told.checker.begun)
    await told.until(lambda: len(told.messages) > before)
    assert len(told.checker.begun) - begun > 3
    assert len(told.messages) == before + 1


async def test_no_more_than_the_limit_run_at_once(told: Told) -> None:
    told.checker.held.clear()
    told.warden.handle(NannyConfigure(checks=[spec(f"v/{number}", interval_s=0.01) for number in range(30)]))
    await told.until(lambda: len(told.checker.running) == 10)
    told.checker.held.set()
    await told.until(lambda: len(told.states()) == 30 and set(told.states().values()) == {"up"})
    assert told.checker.most == 10


async def test_a_check_taken_out_is_ended_and_forgotten(told: Told) -> None:
    told.checker.held.clear()
    told.warden.handle(NannyConfigure(checks=[spec("v/one")]))
    await told.until(lambda: told.checker.running == ["v/one"])
    told.warden.handle(NannyConfigure(checks=[]))
    await told.until(lambda: told.checker.running == [])
    assert list(told.warden.reports()) == [NannyReport(checks=[])]


async def test_known_health_is_told_before_the_first_result(told: Told) -> None:
    told.checker.held.clear()
    told.warden.handle(NannyConfigure(checks=[spec("v/one"), spec("v/two")], known={"v/one": Known("down")}))
    await told.until(lambda: told.states() == {"v/one": "down", "v/two": "unknown"})


async def test_a_fault_of_a_check_blames_no_server_and_stops_nothing(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.checker.outcomes["v/one"] = RuntimeError("a bug")
    told.warden.handle(NannyConfigure(checks=[spec("v/one", interval_s=0.01)]))
    await told.until(lambda: len(told.checker.begun) >= 3)
    (info,) = told.whole()
    assert info.state == "unknown"
    assert "fault of its own" in info.reason
    assert "a bug" in caplog.text


async def test_a_trial_runs_beside_the_checks_and_is_answered_in_its_order(told: Told) -> None:
    told.checker.outcomes["t/2"] = Outcome(ok=False, duration_s=0.1, reason="no answer within 6 s", reply=b"\xff")
    told.warden.handle(NannyTrial(id=7, checks=[spec("t/1"), spec("t/2")]))
    await told.until(lambda: bool(told.messages))
    (done,) = told.messages
    assert isinstance(done, NannyTrialDone)
    assert done.id == 7
    assert [(outcome.key, outcome.ok, outcome.reason, outcome.reply) for outcome in done.outcomes] == [
        ("t/1", True, "", b""),
        ("t/2", False, "no answer within 6 s", b"\xff"),
    ]
    assert list(told.warden.reports()) == [NannyReport(checks=[])]


async def test_the_last_results_of_a_check_are_told_to_who_asks(told: Told) -> None:
    told.checker.outcomes["v/one"] = Outcome(ok=False, duration_s=0.2, reason="no answer", reply=b"\x1b<b>", connect_s=0.1)
    told.warden.handle(NannyConfigure(checks=[spec("v/one")]))
    await told.until(lambda: told.states() == {"v/one": "down"})
    for number, key in ((5, "v/one"), (6, "v/nobody")):
        told.warden.handle(NannyExplain(id=number, key=key))
    known, unknown = (message for message in told.messages if isinstance(message, NannyExplained))
    (result,) = known.results
    assert (known.id, result.ok, result.reason, result.received, result.connect_s) == (5, False, "no answer", "\\x1b<b>", 0.1)
    assert result.at == pytest.approx(LoopClock().wall(), abs=5)
    assert (unknown.id, unknown.results) == (6, [])
    told.warden.handle(NannyConfigure(checks=[]))
    told.warden.handle(NannyExplain(id=7, key="v/one"))
    assert told.messages[-1] == NannyExplained(id=7, results=[])


async def test_thousands_of_checks_are_said_in_messages_of_a_thousand(told: Told) -> None:
    told.checker.held.clear()
    told.warden.handle(NannyConfigure(checks=[spec(f"v/{number}") for number in range(2500)]))
    assert [len(report.checks) for report in told.warden.reports()] == [1000, 1000, 500]


async def test_piranhas_phrases_reach_the_log(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told.warden.handle(NannyConfigure(checks=[spec("v/one")]))
    await told.until(lambda: told.states() == {"v/one": "up"})
    assert "[ active ] making 10.11.12.21:80 available" in caplog.text


def test_messages_survive_the_wire() -> None:
    configure = NannyConfigure(
        checks=[spec("v/é", send=b"\x00\xff", expect=None, program=("/a", "b c"))], known={"v/é": Known("up", 3, 0, Relapses(2, 5.5, 0.0))}
    )
    assert msgspec.json.decode(msgspec.json.encode(configure), type=ToNanny) == configure
    done = NannyTrialDone(id=1, outcomes=[])
    assert msgspec.json.decode(msgspec.json.encode(done), type=FromNanny) == done
