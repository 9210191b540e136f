"""The supervisor's machine for one child, driven by an invented clock."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.restarts import Action, ChildMachine, ChildState, Patience, how_it_ended


def running(now: float = 0.0) -> ChildMachine:
    child = ChildMachine("nanny")
    assert child.tick(now) is Action.START
    child.started(now)
    child.answered(now)
    return child


def test_it_is_started_at_once_and_runs_when_it_answers() -> None:
    child = ChildMachine("nanny")
    assert child.tick(0) is Action.START
    child.started(0)
    states = [child.state]
    assert child.answered(0.5)
    states.append(child.state)
    assert states == [ChildState.STARTING, ChildState.RUNNING]
    assert not child.answered(1)


def test_the_first_end_is_answered_at_once() -> None:
    child = running()
    child.ended("was killed by SIGKILL", 3)
    assert child.tick(3) is Action.START
    assert child.reason == "was killed by SIGKILL; started again at once"
    assert child.restarts == 1


def test_one_that_keeps_ending_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    child, now, waits = ChildMachine("nanny"), 0.0, []
    for _ in range(9):
        child.started(now)
        child.ended("ended with status 1", now)
        before = now
        while child.tick(now) is Action.NOTHING:
            now += 0.125
        waits.append(now - before)
    assert waits == [0, 0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert child.reason == "ended with status 1; that is 9 times in a row, the next start is in 8 s"


def test_staying_up_for_a_while_wipes_the_slate_clean() -> None:
    child = running()
    for at in (1, 2, 3):
        child.ended("ended with status 1", at)
        child.started(at)
    child.answered(3)
    assert child.reason
    for second in range(4, 24):
        child.answered(second)
        child.tick(second)
    assert child.reason == ""
    child.ended("ended with status 1", 24)
    assert child.tick(24) is Action.START


def test_silence_is_an_end() -> None:
    child = running()
    actions = [child.tick(second) for second in range(1, 23)]
    assert actions.index(Action.KILL) == 20  # at second 21
    assert actions[-1] is Action.KILL
    child.ended("was killed by SIGKILL", 23)
    assert child.reason == "did not answer for 20 s and was killed; started again at once"


def test_one_that_never_gets_ready_is_ended_too() -> None:
    child = ChildMachine("lvsd", Patience(start_limit_s=3))
    child.started(0)
    assert child.tick(1) is Action.NOTHING
    assert child.tick(3.5) is Action.KILL
    child.ended("was killed by SIGKILL", 4)
    assert "was not ready within 3 s" in child.reason


@pytest.mark.parametrize("answered", [True, False])
def test_time_in_which_nobody_ran_is_not_held_against_a_child(answered: bool) -> None:
    child = ChildMachine("pulse")
    child.started(0)
    if answered:
        child.answered(0)
    child.tick(1)
    assert child.tick(1000) is Action.NOTHING
    assert child.tick(1001) is Action.NOTHING


def test_a_short_restart_is_still_well_and_a_long_absence_is_not() -> None:
    child = running()
    child.ended("ended with status 1", 1)
    assert child.well(2)
    assert not child.well(30)
    assert not ChildMachine("never started").well(0)


@pytest.mark.parametrize(
    ("status", "last_words", "expected"),
    [
        (0, "", "ended with status 0"),
        (1 << 8, "no such user", "ended with status 1: no such user"),
        (signal.SIGKILL, "", "was killed by SIGKILL"),
        (signal.SIGSEGV | 0x80, "", "was killed by SIGSEGV"),
        (127, "", "was killed by signal 127"),
    ],
)
def test_how_it_ended_is_said_in_words(status: int, last_words: str, expected: str) -> None:
    assert how_it_ended(status, last_words) == expected


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["end", "answer", "tick"])), max_size=60))
def test_whatever_happens_it_is_always_on_its_way_back(steps: list[tuple[float, str]]) -> None:
    child, now = ChildMachine("nanny"), 0.0
    for wait_s, what in steps:
        now += wait_s
        if what == "end" and child.state is not ChildState.STOPPED:
            child.ended("ended with status 1", now)
        elif what == "answer":
            child.answered(now)
        action = child.tick(now)
        if action is Action.START:
            assert child.state is ChildState.STOPPED
            child.started(now)
        elif action is Action.KILL:
            assert child.state is not ChildState.STOPPED
            child.ended("was killed by SIGKILL", now)
    if child.state is ChildState.STOPPED:
        assert child.tick(now + Patience().longest_wait_s) is Action.START
