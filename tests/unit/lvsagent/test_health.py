"""nanny's machine: when a real server counts as up or down, when it is checked next, and what survives a new configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.check_spec import CheckSpec, Method, Outcome, describe, escaped, shown
from lvsagent.core.health import HealthMachine
from lvsagent.core.health_types import Cancel, Command, Configure, Finished, HealthState, Log, Report, Start, TimePassed
from lvsagent.core.health_verdict import settle
from lvsagent.core.known import Known
from lvsagent.core.schedule import Schedule, first_start

GOOD = Outcome(ok=True, duration_s=0.01)
BAD = Outcome(ok=False, duration_s=0.01, reason="connection refused")


def spec(key: str = "http/number1", **changes: Any) -> CheckSpec:
    base = CheckSpec(key=key, address="10.11.12.21", port=80, protocol="tcp", method=Method.CONNECT, interval_s=10, rise=3, fall=1)
    return replace(base, **changes)


def starts(commands: list[Command]) -> list[Start]:
    return [command for command in commands if isinstance(command, Start)]


class Driven:
    """A machine with a clock that the test turns."""

    def __init__(self, *specs: CheckSpec, max_running: int = 100, known: dict[str, str] | None = None) -> None:
        self.now = 1000.0
        self.machine = HealthMachine(max_running=max_running)
        self.started: dict[str, Start] = {}
        self.log: list[str] = []
        self.urgent: list[str] = []
        self.configure(*specs, known=known)

    def take(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            if isinstance(command, Start):
                assert command.spec.key not in self.started, "a check never overlaps itself"
                self.started[command.spec.key] = command
            elif isinstance(command, Cancel):
                assert self.started.pop(command.key).run == command.run
            elif isinstance(command, Log):
                self.log.append(command.message)
            elif command.urgent:
                self.urgent.append(command.key)
        return commands

    def configure(self, *specs: CheckSpec, known: dict[str, str] | None = None) -> list[Command]:
        return self.take(self.machine.handle(Configure(specs, {key: Known(state) for key, state in (known or {}).items()}), self.now))

    def until_started(self, key: str = "http/number1") -> None:
        while key not in self.started:
            assert self.machine.next_at is not None
            self.now = max(self.now, self.machine.next_at)
            self.take(self.machine.handle(TimePassed(), self.now))

    def finish(self, outcome: Outcome, key: str = "http/number1", after: float = 0.01) -> list[Command]:
        self.until_started(key)
        self.now += after
        return self.take(self.machine.handle(Finished(key, self.started.pop(key).run, outcome), self.now))

    def state(self, key: str = "http/number1") -> HealthState:
        status = self.machine.status(key)
        assert status is not None
        return status.state

    def states(self, results: str, key: str = "http/number1") -> str:
        """The states after each of ``results`` (``+`` or ``-``), by first letter (``^`` rising, ``v`` falling)."""
        letters = {"unknown": "?", "up": "u", "down": "d", "rising": "^", "falling": "v"}
        out = ""
        for result in results:
            self.finish(GOOD if result == "+" else BAD, key)
            out += letters[self.state(key)]
        return out


@pytest.mark.parametrize(
    ("rise", "fall", "results", "states"),
    [
        (3, 1, "+", "u"),
        (3, 1, "-", "d"),
        (3, 3, "-", "d"),  # the very first result counts at once, either way
        (3, 1, "+-", "ud"),
        (3, 1, "+-+++", "ud^^u"),
        (3, 1, "+-++-+++", "ud^^d^^u"),  # a failure starts the count again
        (1, 1, "+-+-", "udud"),
        (2, 3, "+--+---", "uvvuvvd"),  # a success forgives
        (2, 3, "+---++", "uvvd^u"),
        (3, 1, "-+++", "d^^u"),
    ],
)
def test_rise_and_fall(rise: int, fall: int, results: str, states: str) -> None:
    assert Driven(spec(rise=rise, fall=fall)).states(results) == states


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 6), st.integers(1, 6))
def test_a_server_changes_sides_only_after_enough_results_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    state, in_a_row, in_service = HealthState.UNKNOWN, 0, None
    for position, ok in enumerate(results):
        in_a_row = in_a_row + 1 if position and results[position - 1] == ok else 1
        state = settle(state, ok=ok, in_a_row=in_a_row, spec=spec(rise=rise, fall=fall))
        now_in_service = state in (HealthState.UP, HealthState.FALLING)
        if in_service is None:
            assert now_in_service == ok
        elif now_in_service != in_service:
            assert now_in_service == ok
            assert in_a_row >= (rise if ok else fall)
        elif ok != in_service:
            assert in_a_row < (rise if ok else fall)
            assert state in (HealthState.RISING, HealthState.FALLING)
        in_service = now_in_service


def test_starts_are_one_interval_apart_whatever_a_check_takes() -> None:
    driven = Driven(spec(interval_s=10))
    driven.until_started()
    first = driven.now
    driven.finish(GOOD, after=9.5)
    driven.until_started()
    assert driven.now == pytest.approx(first + 10)


def test_a_check_that_outlives_its_interval_is_followed_at_once_and_never_overlaps() -> None:
    driven = Driven(spec(interval_s=1, timeout_s=5))
    driven.until_started()
    for _ in range(5):
        driven.now += 1
        assert not starts(driven.take(driven.machine.handle(TimePassed(), driven.now)))
    assert len(starts(driven.finish(BAD))) == 1


def test_no_more_than_the_limit_run_at_once_and_the_rest_follow_as_places_fall_free() -> None:
    specs = [spec(f"v/{number}") for number in range(10)]
    driven = Driven(*specs, max_running=3)
    driven.now += 1
    driven.take(driven.machine.handle(TimePassed(), driven.now))
    assert len(driven.started) == driven.machine.running == 3
    assert driven.machine.next_at is None
    seen = set(driven.started)
    while len(seen) < 10:
        driven.finish(GOOD, next(iter(driven.started)))
        seen |= set(driven.started)
        assert len(driven.started) <= 3


def test_three_new_servers_are_checked_within_three_milliseconds() -> None:
    driven = Driven(*[spec(f"http/number{number}") for number in (1, 2, 3)])
    driven.now += 0.003
    driven.take(driven.machine.handle(TimePassed(), driven.now))
    assert len(driven.started) == 3


@given(st.text(max_size=20), st.floats(0.1, 3600), st.integers(1, 100_000))
def test_the_first_start_is_spread_by_the_key_alone(key: str, interval: float, checks: int) -> None:
    at = first_start(key, 50.0, interval, checks)
    assert 50 <= at <= 50 + min(interval, checks / 1000) + 1e-9
    assert at == first_start(key, 50.0, interval, checks)


def test_ten_thousand_first_starts_are_spread_evenly() -> None:
    at = [first_start(f"v{number // 10}/s{number % 10}", 0, 10, 10_000) for number in range(10_000)]
    for second in range(10):
        assert 800 < sum(second <= when < second + 1 for when in at) < 1200


def test_an_unchanged_check_keeps_its_state_and_its_date() -> None:
    driven = Driven(spec(), spec("http/number2"))
    driven.finish(BAD)
    driven.finish(GOOD)
    before = driven.machine.status("http/number1")
    driven.configure(spec(), spec("http/number3"))
    assert driven.machine.status("http/number1") == before
    assert driven.state() is HealthState.RISING
    assert driven.machine.status("http/number2") is None
    assert driven.state("http/number3") is HealthState.UNKNOWN


def test_other_numbers_keep_the_state_and_move_the_date() -> None:
    driven = Driven(spec(interval_s=60))
    driven.until_started()
    started = driven.now
    driven.finish(GOOD)
    driven.configure(spec(interval_s=5, rise=9))
    assert driven.state() is HealthState.UP
    driven.until_started()
    assert driven.now == pytest.approx(started + 5)


def test_another_question_starts_from_unknown_whatever_is_remembered() -> None:
    driven = Driven(spec())
    driven.finish(BAD)
    driven.configure(spec(port=8080), known={"http/number1": "down"})
    assert driven.state() is HealthState.UNKNOWN
    assert driven.states("+") == "u"


@pytest.mark.parametrize("first", ["time passes", "a check ends"])
def test_after_a_sleep_checks_are_spread_again_instead_of_starting_together_for_ever(first: str) -> None:
    driven = Driven(*(spec(f"http/number{number}") for number in range(90)))
    for number in range(89):
        driven.finish(GOOD, f"http/number{number}")
    driven.until_started("http/number89")
    driven.now += 3600  # the host was suspended
    if first == "a check ends":
        driven.finish(GOOD, "http/number89")
    assert len(starts(driven.take(driven.machine.handle(TimePassed(), driven.now)))) == 0
    woke = driven.now
    for number in range(89):
        driven.until_started(f"http/number{number}")
    assert woke < driven.now < woke + 0.1


def test_waiting_for_a_turn_is_no_sleep() -> None:
    driven = Driven(spec("http/number1"), spec("http/number2"), max_running=1)
    first = min(driven.machine.keys(), key=lambda key: first_start(key, 0, 10, 2))
    driven.until_started(first)
    driven.now += 3600
    driven.finish(GOOD, first)
    assert len(driven.started) == 1, "the one that waited has its turn at once"


def test_a_check_that_is_dropped_while_it_runs_is_cancelled_and_its_late_answer_ignored() -> None:
    driven = Driven(spec())
    driven.until_started()
    run = driven.started["http/number1"].run
    assert Cancel("http/number1", run) in driven.configure()
    assert driven.machine.handle(Finished("http/number1", run, BAD), driven.now) == []
    driven.configure(spec())
    driven.until_started()
    assert driven.machine.handle(Finished("http/number1", run, BAD), driven.now) == []
    assert driven.state() is HealthState.UNKNOWN


def test_health_from_before_a_restart_goes_on_where_it_was() -> None:
    driven = Driven(spec(), spec("http/number2"), known={"http/number1": "down", "http/number2": "up", "gone/one": "up"})
    assert (driven.state(), driven.state("http/number2")) == (HealthState.DOWN, HealthState.UP)
    assert driven.states("+++") == "^^u"
    assert driven.states("-", "http/number2") == "d"


@pytest.mark.parametrize(("word", "state"), [("rising", "down"), ("falling", "up"), ("unknown", "unknown"), ("rubbish", "unknown")])
def test_half_way_states_are_remembered_as_the_side_they_counted_for(word: str, state: str) -> None:
    assert Driven(spec(), known={"http/number1": word}).state() == state


def test_what_the_director_could_not_ask_says_nothing_about_the_server() -> None:
    driven = Driven(spec())
    driven.finish(GOOD)
    driven.finish(Outcome(ok=False, duration_s=0, reason="too many open files on this director", conclusive=False))
    status = driven.machine.status("http/number1")
    assert status is not None
    assert (status.state, status.successes, status.reason) == (HealthState.UP, 1, "too many open files on this director")
    assert status.next_at is not None


def test_nothing_to_check_counts_as_up_and_never_runs() -> None:
    driven = Driven(spec(method=Method.NONE))
    assert driven.state() is HealthState.UP
    assert driven.machine.next_at is None


def test_only_a_change_of_state_is_urgent() -> None:
    driven = Driven(spec(fall=2))
    assert driven.urgent == ["http/number1"]
    assert Report("http/number1", urgent=True) in driven.finish(GOOD)
    assert Report("http/number1", urgent=False) in driven.finish(GOOD)
    assert Report("http/number1", urgent=True) in driven.finish(BAD)


def test_status_tells_last_next_and_counts_in_a_row() -> None:
    driven = Driven(spec())
    driven.until_started()
    started = driven.now
    driven.finish(BAD)
    driven.finish(BAD)
    status = driven.machine.status("http/number1")
    assert status is not None
    assert (status.successes, status.failures, status.reason) == (0, 2, "connection refused")
    assert status.since == pytest.approx(started + 0.01)
    assert status.last_at == pytest.approx(started + 10.01)
    assert status.next_at == pytest.approx(started + 20)


def test_piranhas_phrases_are_logged_at_changes_only() -> None:
    timed_out = Outcome(ok=False, duration_s=6, reason="no connection within 6 s", connect_timed_out=True)
    driven = Driven(spec(rise=2))
    for outcome in (GOOD, GOOD, timed_out, timed_out, GOOD, GOOD):
        driven.finish(outcome)
    assert driven.log == [
        "[ active ] making 10.11.12.21:80 available",
        "CONNECT to 10.11.12.21:80 timed out",
        "[inactive] shutting down 10.11.12.21:80 due to connection failure: no connection within 6 s",
        "[ active ] making 10.11.12.21:80 available",
    ]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["set", "remove", "pop"]), st.integers(0, 50)), max_size=300))
def test_the_schedule_always_gives_the_earliest_of_the_newest_dates(steps: list[tuple[int, str, int]]) -> None:
    schedule, dates = Schedule(), dict[str, float]()
    for number, step, at in steps:
        key = str(number)
        if step == "set":
            schedule.set(key, at)
            dates[key] = at
        elif step == "remove":
            schedule.remove(key)
            dates.pop(key, None)
        else:
            popped = list(schedule.pop_due(at))
            assert [when for _, when in popped] == sorted(when for when in dates.values() if when <= at)
            assert all(dates.pop(name) == when for name, when in popped)
        assert schedule.next_at == min(dates.values(), default=None)
        assert len(schedule) == len(dates)
        assert all(schedule.due_at(name) == when for name, when in dates.items())


@given(st.data())
def test_whatever_happens_no_check_is_forgotten(data: st.DataObject) -> None:
    """Any mixture of configurations, answers and time: every check is running or planned, within the limit."""
    driven = Driven(max_running=3)
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["configure", "time", "finish"]))
        if step == "configure":
            names = data.draw(st.sets(st.sampled_from("abcdef")))
            driven.configure(
                *[spec(name, port=data.draw(st.integers(1, 2)), interval_s=data.draw(st.sampled_from([1, 7]))) for name in names]
            )
        elif step == "time":
            driven.now += data.draw(st.floats(0, 20))
            driven.take(driven.machine.handle(TimePassed(), driven.now))
        elif driven.started:
            driven.finish(data.draw(st.sampled_from([GOOD, BAD])), data.draw(st.sampled_from(sorted(driven.started))))
        assert driven.machine.running == len(driven.started) <= 3
        for key in driven.machine.keys():  # noqa: SIM118 -- a method, not a dict's view
            status = driven.machine.status(key)
            assert status is not None
            assert (status.next_at is None) == (key in driven.started)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "connects"),
        ({"method": Method.NONE}, "nothing to check: counts as up"),
        ({"method": Method.SEND_EXPECT, "send": b"GET / HTTP/1.0\r\n\r\n", "expect": b"HTTP"}, "sends GET / HTTP/1.0, expects HTTP"),
        ({"method": Method.SEND_EXPECT, "expect": b"^2[0-9]+ ", "use_regex": True}, "expects a match of ^2[0-9]+ "),
        ({"method": Method.SEND_EXPECT, "send": b"PING\r\n"}, "sends PING"),
        ({"method": Method.SEND_EXPECT}, "connects"),
        (
            {"method": Method.PROGRAM, "program": ("/opt/check", "10.0.0.1", "80"), "expect": b"OK"},
            "runs /opt/check 10.0.0.1 80, expects OK",
        ),
    ],
)
def test_a_check_in_words(changes: dict[str, Any], words: str) -> None:
    assert describe(spec(**changes)) == words


@given(st.binary(max_size=300))
def test_bytes_are_shown_as_one_harmless_line(data: bytes) -> None:
    assert escaped(data).isprintable()
    assert shown(data).isprintable()
    assert len(shown(data)) <= 60


def test_control_characters_and_direction_marks_are_shown_as_escapes() -> None:
    assert escaped("a\x1b[2J\u202eé\\".encode() + b"\xff\x00") == r"a\x1b[2J\xe2\x80\xaeé\\\xff\x00"
