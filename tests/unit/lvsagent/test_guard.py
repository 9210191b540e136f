"""The guard's machine: when a change goes back, when it stays, and that it always comes to an end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lvscf import load
from lvsagent.core.guard import (
    CONFIRMED,
    RETRY_S,
    RETURNED,
    RETURNING,
    SUPERSEDED,
    WATCHING,
    Baseline,
    Changed,
    Command,
    Confirm,
    Event,
    Failed,
    GoBack,
    Guard,
    Look,
    Returned,
    Revert,
    Sample,
    Served,
    Tell,
    Watch,
    resumed,
    returning_text,
)

START, GUARD_S, WALL = 100.0, 60.0, 1_790_000_000.0
HTTP = Served("http", ("http/number1", "http/number2", "http/number3"))
MAIL = Served("mail", ("mail/number1",))


def guarded(baseline: Baseline = Baseline()) -> Guard:  # noqa: B008 -- frozen
    return Guard(
        Watch(
            etag="new",
            serial=8,
            actor="piranha",
            comment="",
            previous=b"serial_no = 7\n",
            previous_etag="old",
            previous_serial=7,
            began_at=WALL,
            guard_s=GUARD_S,
            deadline=START + GUARD_S,
            deadline_at=WALL + GUARD_S,
            boot="this",
            baseline=baseline,
        )
    )


def send(guard: Guard, event: Event, after_s: float = 1.0) -> list[Command]:
    return guard.handle(event, START + after_s, WALL + after_s)


def went_back(commands: list[Command]) -> str:
    """The reason for which it goes back; ``""``: it does not."""
    return next((one.reason for one in commands if isinstance(one, GoBack)), "")


# --- the time ------------------------------------------------------------------------------------------------------------------


def test_a_change_that_is_confirmed_stays_whatever_comes_later() -> None:
    guard = guarded(Baseline(served=(HTTP,)))
    (told,) = send(guard, Confirm("piranha"))
    assert isinstance(told, Tell)
    assert "confirmed by piranha" in told.message
    assert (guard.watch.phase, guard.over) == (CONFIRMED, True)
    assert send(guard, Look(down=frozenset(HTTP.checks)), 2) == []
    assert send(guard, Look(), GUARD_S + 1) == []


def test_a_change_that_nobody_confirms_goes_back_at_the_deadline_and_not_before() -> None:
    guard = guarded()
    assert send(guard, Look(), GUARD_S - 0.1) == []
    assert went_back(send(guard, Look(), GUARD_S)) == "nobody confirmed it within 60 s"
    (told,) = send(guard, Returned("back", 9), GUARD_S + 0.1)
    assert isinstance(told, Tell)
    assert told.message == "guarded change, serial 8: back to the lvs.cf of serial 7, as serial 9: nobody confirmed it within 60 s"
    assert (guard.watch.phase, guard.watch.result_etag, guard.watch.ended_at) == (RETURNED, "back", WALL + GUARD_S + 0.1)


def test_a_confirmation_after_the_deadline_is_too_late() -> None:
    guard = guarded()
    assert went_back(send(guard, Confirm("piranha"), GUARD_S)) == "nobody confirmed it within 60 s"
    assert guard.watch.phase == RETURNING


def test_whoever_asks_has_it_back_at_once() -> None:
    assert went_back(send(guarded(), Revert("piranha"))) == "piranha asked for it"


@pytest.mark.parametrize("before", [[], [Revert("piranha")]])
def test_a_later_change_ends_the_guard_and_stays(before: list[Event]) -> None:
    guard = guarded()
    for event in before:
        send(guard, event)
    (told,) = send(guard, Changed(), 2)
    assert isinstance(told, Tell)
    assert "that later change stays" in told.message
    assert guard.watch.phase == SUPERSEDED
    assert send(guard, Look(), GUARD_S) == []


def test_going_back_is_tried_again_until_it_succeeds_and_said_once() -> None:
    guard = guarded()
    send(guard, Revert("piranha"), 1)
    (told,) = send(guard, Failed("no space left on the disk"), 1)
    assert isinstance(told, Tell)
    assert "no space left" in told.message
    assert send(guard, Look(), 1.5) == []
    assert went_back(send(guard, Look(), 1 + RETRY_S))
    assert send(guard, Failed("no space left on the disk"), 1 + RETRY_S) == []
    assert send(guard, Confirm("piranha"), 4) == []
    send(guard, Returned("back", 9), 5)
    assert guard.watch.phase == RETURNED


# --- the three reasons -----------------------------------------------------------------------------------------------------------

PAIR = Served("http", ("http/a", "http/b"))
FOUR = Served("http", ("http/a", "http/b", "http/c", "http/d"))


@pytest.mark.parametrize(
    ("served", "down", "reason"),
    [
        ((), ("http/a",), ""),
        ((FOUR,), (), ""),
        ((FOUR,), ("http/a",), ""),
        ((FOUR,), ("http/a", "http/b"), "only 2 of the 4 real servers that were up before are still up"),
        ((HTTP,), ("http/number1",), "only 2 of the 3 real servers that were up before are still up"),
        ((PAIR,), ("http/a", "http/b"), "virtual server http has lost every real server that was up before"),
        ((FOUR, MAIL), ("mail/number1",), "virtual server mail has lost every real server that was up before"),
        ((FOUR,), ("elsewhere/a", "elsewhere/b"), ""),
    ],
)
def test_healthy_servers(served: tuple[Served, ...], down: tuple[str, ...], reason: str) -> None:
    assert went_back(send(guarded(Baseline(served=served)), Look(down=frozenset(down)))) == reason


def looked_at(rates: list[float], *, before: float, role: str = "active", seconds: float = 2.0) -> str:
    guard = guarded(Baseline(rate=before, role="active"))
    for count, rate in enumerate([before, *rates]):  # the first one began before the change
        reason = went_back(send(guard, Look(role=role, sample=Sample(rate * seconds, seconds)), count * seconds))
        if reason:
            return reason
    return ""


@pytest.mark.parametrize(
    ("before", "rates", "reason"),
    [
        (100.0, [0.0, 0.0, 0.0], "new connections fell from 100.0 to 0.0 a second"),
        (100.0, [0.0, 0.0], ""),
        (100.0, [40.0, 40.0, 40.0], "new connections fell from 100.0 to 40.0 a second"),
        (100.0, [60.0] * 20, ""),
        (100.0, [0.0, 100.0, 100.0, 100.0], ""),
        (100.0, [100.0] * 5 + [10.0] * 3, "new connections fell from 100.0 to 40.0 a second"),
        (1.0, [0.0] * 14, ""),
        (1.0, [0.0] * 15, "new connections fell from 1.0 to 0.0 a second"),
        (0.2, [0.0] * 29, ""),
        (0.0, [0.0] * 29, ""),
    ],
)
def test_connection_rate(before: float, rates: list[float], reason: str) -> None:
    assert looked_at(rates, before=before) == reason


def test_the_rate_is_not_judged_once_the_role_has_moved() -> None:
    assert looked_at([0.0] * 20, before=100.0, role="standby") == ""


@pytest.mark.parametrize("state", ["dead", "waiting"])
def test_the_other_directors_heartbeat_is_missed_after_three_seconds_on_end(state: str) -> None:
    guard = guarded(Baseline(heartbeat=True))
    assert not went_back(send(guard, Look(peer=state), 1))
    assert not went_back(send(guard, Look(peer="alive"), 3))
    assert not went_back(send(guard, Look(peer=state), 4))
    assert not went_back(send(guard, Look(peer=state), 6.9))
    assert went_back(send(guard, Look(peer=state), 7)) == "the other director's heartbeat is not heard any more"


def test_a_pulse_that_has_only_begun_to_listen_is_given_the_dead_time() -> None:
    guard = guarded(Baseline(heartbeat=True, deadtime_s=18))
    assert not went_back(send(guard, Look(peer="waiting"), 1))
    assert not went_back(send(guard, Look(peer="waiting"), 18))
    assert went_back(send(guard, Look(peer="waiting"), 19))


@pytest.mark.parametrize(("before", "state"), [(False, "dead"), (True, "none"), (True, "unknown"), (True, "alive")])
def test_a_heartbeat_that_was_not_heard_before_or_is_not_wanted_is_not_missed(before: bool, state: str) -> None:
    guard = guarded(Baseline(heartbeat=before))
    assert not any(went_back(send(guard, Look(peer=state), after)) for after in range(1, 30))


# --- what it promises, whatever happens --------------------------------------------------------------------------------------------

LOOKS = st.builds(
    Look,
    down=st.frozensets(st.sampled_from([*HTTP.checks, *MAIL.checks])),
    peer=st.sampled_from(["alive", "dead", "waiting", "none", "unknown"]),
    role=st.sampled_from(["active", "standby"]),
    sample=st.one_of(st.none(), st.builds(Sample, st.floats(0, 1000), st.floats(1.5, 5))),
)
EVENTS = st.one_of(LOOKS, LOOKS, LOOKS, st.just(Confirm("piranha")), st.just(Revert("piranha")), st.just(Changed()))
BASELINES = st.builds(
    Baseline,
    served=st.sampled_from([(), (HTTP,), (HTTP, MAIL)]),
    rate=st.floats(0, 500),
    role=st.just("active"),
    heartbeat=st.booleans(),
)


@given(BASELINES, st.lists(st.tuples(st.floats(0.01, 20), EVENTS), max_size=30))
def test_it_ends_by_the_deadline_never_goes_back_after_a_confirmation_and_always_says_why(
    baseline: Baseline, story: list[tuple[float, Event]]
) -> None:
    guard, now, ended = guarded(baseline), 0.0, ""
    for pause, event in [*story, (GUARD_S, Look())]:
        now += pause
        commands = send(guard, event, now)
        if ended:
            assert commands == []
        reason = went_back(commands)
        if reason:
            assert guard.watch.reason == reason
            (told,) = send(guard, Returned("back", 9), now)
            assert isinstance(told, Tell)
            assert reason in told.message
        if now >= GUARD_S:
            assert guard.over
        ended = ended or (guard.watch.phase if guard.over else "")
    assert guard.over
    assert guard.watch.phase == ended


# --- over a restart ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("boot", "now", "wall", "left_s"),
    [
        ("this", START + 20, WALL - 86_400, 40.0),  # the wall clock was set back meanwhile: it does not count
        ("this", START + 90, WALL + 20, -30.0),
        ("another", 5.0, WALL + 20, 40.0),
        ("another", 5.0, WALL + 3600, 0.0),
        ("another", 5.0, WALL - 86_400, GUARD_S),  # the wall clock is wrong: never more time than was asked for
    ],
)
def test_the_time_goes_on_while_the_agent_is_down(boot: str, now: float, wall: float, left_s: float) -> None:
    watch = resumed(guarded().watch, now=now, wall=wall, boot=boot)
    assert watch.deadline - now == pytest.approx(left_s)
    assert replace(watch, deadline=0, boot="") == replace(guarded().watch, deadline=0, boot="")


def test_the_text_that_comes_back_differs_in_its_serial_alone() -> None:
    before = b"# ours\nserial_no = 7   # mind\nprimary = 192.0.2.1\n\nvirtual caf\xe9 {\n}\n"
    after = returning_text(before, 9)
    assert after == before.replace(b"= 7", b"= 9")
    assert load(returning_text(b"primary = 192.0.2.1\n", 3).decode()).config.globals.serial_no == 3


def test_a_watch_begins_watching() -> None:
    assert guarded().watch.phase == WATCHING
