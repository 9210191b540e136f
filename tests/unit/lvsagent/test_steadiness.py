"""Truth tables of what keeps a service steady: hold-down, the mass-failure brake, quick second looks, slow start."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.brake import Brake, Seen
from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from lvsagent.core.flapping import GOOD, Record, after_failure
from lvsagent.core.health import HealthMachine
from lvsagent.core.health_types import CheckStatus, Configure, Finished, HealthState, Keep, Log, Release, Report, Start, TimePassed
from lvsagent.core.weights import SMALLEST, Sides, part_of
from tests.unit.lvsagent.test_desired import expanded, only_pool, virtual, weights

OK = Outcome(ok=True, duration_s=0.01)
BAD = Outcome(ok=False, duration_s=0.01, reason="connection refused")
ODD = Outcome(ok=False, duration_s=0.01, reason="too many open files on this director", conclusive=False)


def spec(key: str = "http/one", **changes: Any) -> CheckSpec:
    base = CheckSpec(key=key, address="10.11.12.21", port=80, protocol="tcp", method=Method.CONNECT, interval_s=10, rise=1, fall=1)
    return replace(base, **changes)


class Driven:
    """Nannies whose checks take no time, and the brake over all of them; ``failing`` are the keys that fail.

    ``sides`` is who is in service, as lvsd has it.
    """

    def __init__(self, *specs: CheckSpec, brake_s: float = 0, nannies: int = 1) -> None:
        self.now = 1000.0
        self.machines = [HealthMachine() for _ in range(nannies)]
        self.machine = self.machines[0]
        self.brake = Brake()
        self.failing: set[str] = set()
        self.log: list[str] = []
        self.asked: list[tuple[str, float]] = []
        self.urgent: list[str] = []
        self.sides: dict[str, bool] = {}
        self.specs = specs
        self.configure(brake_s)

    def configure(self, brake_s: float) -> None:
        self.brake.configure(brake_s)
        on_s = max(0.0, self.brake.until - self.now)
        for place, machine in enumerate(self.machines):
            self._obey(machine, machine.handle(Configure(self.specs[place :: len(self.machines)], {}, on_s), self.now))

    def release(self, *keys: str, brake: bool = False) -> None:
        self.brake.release(keys, brake=brake)
        for machine in self.machines:
            self._obey(machine, machine.handle(Release(keys, brake), self.now))

    def _obey(self, machine: HealthMachine, commands: list[Any]) -> None:
        for command in commands:
            if isinstance(command, Start):
                self.asked.append((command.spec.key, self.now))
                outcome = BAD if command.spec.key in self.failing else OK
                self._obey(machine, machine.handle(Finished(command.spec.key, command.run, outcome), self.now))
            elif isinstance(command, Log):
                self.log.append(command.message)
            elif isinstance(command, Report):
                if command.urgent:
                    self.urgent.append(command.key)
                self._said(command.key)

    def _said(self, key: str) -> None:
        status = self.status(key)
        if status.state is HealthState.UNKNOWN:
            return
        inside = status.state in (HealthState.UP, HealthState.FALLING)
        was_on = self.brake.on(self.now)
        keep = self.brake.look([Seen(key, not inside, status.since, status.spec.interval_s, status.kept_until)], self.sides, self.now)
        self.sides[key] = inside
        if keep:
            self.sides.update(dict.fromkeys(keep, True))
            if not was_on:
                self.log.append("mass-failure brake")
            for machine in self.machines:
                self._obey(machine, machine.handle(Keep(tuple(keep), self.brake.until - self.now), self.now))

    def status(self, key: str) -> CheckStatus:
        (found,) = (status for machine in self.machines if (status := machine.status(key)) is not None)
        return found

    def until(self, at: float) -> None:
        while (due := min((machine.next_at or math.inf, place) for place, machine in enumerate(self.machines)))[0] <= at:
            self.now = max(self.now, due[0])
            machine = self.machines[due[1]]
            self._obey(machine, machine.handle(TimePassed(), self.now))
        self.now = at

    def go(self, seconds: float) -> None:
        self.until(self.now + seconds)

    def state(self, key: str = "http/one") -> HealthState:
        return self.status(key).state


# --- a quick second look -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fall", "interval_s", "down_after_s"),
    [(1, 10, 0), (2, 10, 1), (3, 10, 2), (3, 0.5, 1), (2, 60, 1)],
)
def test_after_a_first_failure_the_next_looks_follow_quickly(fall: int, interval_s: float, down_after_s: float) -> None:
    driven = Driven(spec(fall=fall, interval_s=interval_s))
    driven.go(interval_s)
    driven.failing = {"http/one"}
    driven.asked.clear()
    driven.go(interval_s + 2)
    first = driven.asked[0][1]
    status = driven.machine.status("http/one")
    assert status is not None
    assert status.state is HealthState.DOWN
    assert status.since - first == pytest.approx(down_after_s)


def test_a_second_look_that_succeeds_goes_back_to_the_usual_interval() -> None:
    driven = Driven(spec(fall=2))
    driven.go(10)
    driven.failing = {"http/one"}
    while driven.state() is not HealthState.FALLING:
        driven.go(0.1)
    driven.failing = set()
    driven.asked.clear()
    driven.go(25)
    assert driven.state() is HealthState.UP
    assert len(driven.asked) == 3  # the second look, and two usual ones


# --- hold-down -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "up_for_s", "held_s"),
    [
        (0, 5, 0),  # the first failure costs nothing
        (1, 5, 10),
        (2, 5, 20),
        (3, 5, 40),
        (7, 5, 640),
        (50, 5, 640),  # 64 times is the longest
        (3, 99, 40),
        (3, 100, 0),  # up for ten times the first hold-down: forgiven
    ],
)
def test_each_failure_doubles_the_hold_down(failures: int, up_for_s: float, held_s: float) -> None:
    record = after_failure(Record(failures), now=1000, up_for_s=up_for_s, first_s=10)
    assert record.held_until == (1000 + held_s if held_s else 0)


def test_without_the_keyword_nobody_is_held_down() -> None:
    assert after_failure(Record(5), now=1000, up_for_s=0, first_s=0) == GOOD


@given(st.integers(0, 10**6), st.floats(0, 1e9), st.floats(0.1, 1e5))
def test_a_hold_down_always_ends(failures: int, up_for_s: float, first_s: float) -> None:
    record = after_failure(Record(failures), now=0, up_for_s=up_for_s, first_s=first_s)
    assert 0 <= record.held_until <= 64 * first_s


def test_a_flapping_server_stays_out_though_it_answers_and_comes_back_at_the_end_of_its_time() -> None:
    driven = Driven(spec(interval_s=1, hold_down_s=30))
    driven.go(5)
    for _ in range(2):
        driven.failing = {"http/one"}
        driven.go(1)
        assert driven.state() is HealthState.DOWN
        driven.failing = set()
        driven.go(1)
    status = driven.machine.status("http/one")
    assert status is not None
    assert status.state is HealthState.RISING
    assert "held down" in status.reason
    held_s = status.record.held_until - driven.now
    assert 28 <= held_s <= 30
    driven.go(held_s - 0.5)
    assert driven.state() is HealthState.RISING
    driven.go(2)
    assert driven.state() is HealthState.UP


def test_without_hold_down_it_comes_and_goes_as_in_piranha() -> None:
    driven = Driven(spec(interval_s=1))
    for _ in range(5):
        driven.failing = {"http/one"}
        driven.go(1)
        assert driven.state() is HealthState.DOWN
        driven.failing = set()
        driven.go(1)
        assert driven.state() is HealthState.UP


# --- the mass-failure brake ----------------------------------------------------------------------------------------------------

FARM = tuple(spec(f"{virtual}/{server}") for virtual in ("http", "smtp", "dns") for server in ("a", "b", "c", "d"))


def farm(brake_s: float = 60, nannies: int = 1) -> Driven:
    driven = Driven(*FARM, brake_s=brake_s, nannies=nannies)
    driven.go(20)
    return driven


def in_service(driven: Driven) -> int:
    return sum(driven.state(each.key) in (HealthState.UP, HealthState.FALLING) for each in FARM)


def failing(*wanted: str) -> set[str]:
    return {each.key for each in FARM if each.key.startswith(wanted)}


@pytest.mark.parametrize("nannies", [1, 2, 5])
@pytest.mark.parametrize(
    ("who", "brake_s", "left"),
    [
        (("http/", "smtp/", "dns/"), 60, 12),  # all at once: kept
        (("http/", "smtp/", "dns/"), 0, 0),  # without the keyword: as in Piranha
        (("http/",), 60, 8),  # one service
        (("http/", "smtp/a"), 60, 7),  # one service and a server
        (("http/", "smtp/"), 60, 12),  # two services of three: eight of twelve servers
        (("http/a", "smtp/a", "dns/a"), 60, 9),  # a server of each
        (("http/a", "http/b", "smtp/a", "smtp/b"), 60, 8),  # half is not most
    ],
)
def test_when_the_brake_holds_however_many_nannies_check(who: tuple[str, ...], brake_s: float, left: int, nannies: int) -> None:
    driven = farm(brake_s, nannies)
    driven.failing = failing(*who)
    driven.go(11)
    assert in_service(driven) == left
    assert any("mass-failure brake" in line for line in driven.log) is (left == 12)


@pytest.mark.parametrize("nannies", [1, 3])
def test_failures_that_are_far_apart_are_not_at_once(nannies: int) -> None:
    driven = farm(nannies=nannies)
    for key in sorted(failing("http/", "smtp/")):
        driven.failing.add(key)
        driven.go(11)
    assert in_service(driven) == 4


@pytest.mark.parametrize("nannies", [1, 3])
def test_what_is_kept_is_told_at_once_and_until_when(nannies: int) -> None:
    driven = farm(nannies=nannies)
    driven.urgent.clear()
    driven.failing = failing("http/", "smtp/", "dns/")
    driven.go(11)
    assert all(driven.status(each.key).kept_until > driven.now + 40 for each in FARM)
    assert {each.key for each in FARM} <= set(driven.urgent)


@pytest.mark.parametrize("nannies", [1, 3])
def test_the_brake_lets_go_after_its_time_and_does_not_catch_again(nannies: int) -> None:
    driven = farm(nannies=nannies)
    driven.failing = failing("http/", "smtp/", "dns/")
    driven.go(50)
    assert in_service(driven) == 12
    driven.go(40)
    assert in_service(driven) == 0
    assert not any(driven.status(each.key).kept_until for each in FARM)
    driven.go(100)
    assert in_service(driven) == 0


@pytest.mark.parametrize("nannies", [1, 3])
def test_servers_that_answer_again_under_the_brake_are_simply_up(nannies: int) -> None:
    driven = farm(nannies=nannies)
    driven.failing = failing("http/", "smtp/", "dns/")
    driven.go(20)
    driven.failing = failing("dns/")
    driven.go(100)
    assert in_service(driven) == 8
    status = driven.status("http/a")
    assert (status.state, status.kept_until) == (HealthState.UP, 0)


@pytest.mark.parametrize("nannies", [1, 3])
def test_taking_the_keyword_away_releases_the_brake(nannies: int) -> None:
    driven = farm(nannies=nannies)
    driven.failing = failing("http/", "smtp/", "dns/")
    driven.go(20)
    driven.configure(0)
    driven.go(11)
    assert in_service(driven) == 0


@given(st.lists(st.tuples(st.integers(0, 11), st.booleans(), st.integers(0, 20)), max_size=60), st.integers(1, 4))
def test_whatever_fails_when_several_nannies_decide_as_one_does(happenings: list[tuple[int, bool, int]], nannies: int) -> None:
    one, several = farm(), farm(nannies=nannies)
    for place, fails, seconds in happenings:
        for driven in (one, several):
            (driven.failing.add if fails else driven.failing.discard)(FARM[place].key)
            driven.go(seconds)
            assert driven.sides == {each.key: driven.state(each.key) in (HealthState.UP, HealthState.FALLING) for each in FARM}
        assert several.brake.on(several.now) is one.brake.on(one.now)
        assert several.sides == one.sides


def down(key: str, since: float = 100.0, kept_until: float = 0.0) -> Seen:
    return Seen(key, kept_until == 0, since, 10.0, kept_until)


def caught() -> tuple[Brake, dict[str, bool]]:
    """Both servers of two services have failed at once."""
    brake, sides = Brake(), dict.fromkeys(("a/1", "b/1"), True)
    brake.configure(60)
    assert brake.look([down("a/1"), down("b/1")], sides, 100) == {"a/1", "b/1"}
    return brake, sides


def test_an_operators_word_releases_it() -> None:
    brake, sides = caught()
    assert brake.on(100)
    brake.release(("a/1", "b/1"), brake=True)
    assert not brake.on(100)
    assert brake.look([down("a/1"), down("b/1")], sides, 101) == set()  # they leave, and that is no failure


def test_what_a_nanny_said_before_it_heard_of_the_brake_takes_nobody_out() -> None:
    brake, sides = caught()
    assert brake.look([down("a/1")], sides, 100.1) == {"a/1"}
    assert brake.look([down("a/1", kept_until=160)], sides, 100.2) == set()
    assert brake.look([down("a/1")], sides, 100.3) == set()  # its nanny knows of the brake, and lets it go all the same: released


def test_failures_are_as_old_as_their_nannies_say_not_as_the_news_of_them() -> None:
    brake, sides = Brake(), dict.fromkeys(("a/1", "b/1"), True)
    brake.configure(60)
    assert brake.look([down("a/1", since=30), down("b/1", since=95)], sides, 100) == set()


# --- slow start and agents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "share", "part"),
    [(100, 1.0, 100), (100, 0.5, 50), (100, 0.001, 1), (100, 0.0, 0), (1, 0.5, 1), (0, 0.5, 0), (3, 0.5, 2), (65535, 1 / 32, 2048)],
)
def test_parts_of_a_weight(weight: int, share: float, part: int) -> None:
    assert part_of(weight, share) == part


def test_a_slow_start_reaches_the_whole_weight_in_its_time() -> None:
    sides = Sides()
    sides["http/one"] = True
    sides.start_slowly("http/one", 100)
    seen = []
    for now in (5000, 5001, 5025, 5050, 5099, 5100, 5101):
        sides.advance(now)
        seen.append(part_of(200, sides.share("http/one")))
    assert seen == [6, 6, 50, 100, 198, 200, 200]
    assert sides.words("http/one") == ""
    assert sides.moved == {"http/one"}


def test_the_table_over_the_time_of_a_slow_start_that_a_restart_interrupts() -> None:
    text = virtual()
    pool = only_pool(expanded(replace(text, servers=tuple(replace(server, weight=64) for server in text.servers))))

    def served(sides: Sides, now: float) -> int:
        sides.advance(now)
        found = weights(pool, sides, one=1, two=64)
        assert found["two"] == 64
        return found["one"]

    before, after = Sides(), Sides()
    for sides in (before, after):
        sides.update({"http/one": True, "http/two": True})
    before.start_slowly("http/one", 60)
    seen = [served(before, now) for now in (100, 101, 105, 115, 120)]
    after.resume_slowly("http/one", 60, before.began("http/one"))
    seen += [served(after, now) for now in (130, 145, 159, 160, 1000)]
    assert seen == [2, 2, 5, 16, 21, 32, 48, 63, 64, 64]


def test_a_server_that_fails_meanwhile_starts_from_the_beginning() -> None:
    sides = Sides()
    sides.start_slowly("http/one", 100)
    sides.advance(0)
    sides.advance(50)
    sides.forget("http/one")
    sides.start_slowly("http/one", 100)
    assert sides.share("http/one") == SMALLEST


def test_a_slow_start_goes_on_after_a_restart_where_it_would_be_by_then() -> None:
    sides = Sides()
    sides.start_slowly("http/one", 100)
    sides.advance(5000)
    assert sides.unkept
    after = Sides()
    after.resume_slowly("http/one", 100, sides.began("http/one"))
    after.advance(5040)
    assert after.share("http/one") == 0.4
    after.advance(5100)
    assert (after.share("http/one"), after.began("http/one"), after.unkept) == (1.0, None, True)


@pytest.mark.parametrize(
    ("began", "length_s", "share"),
    [
        (None, 100, 1.0),  # there was none
        (900, 100, 1.0),  # it has ended meanwhile
        (960, 0, 1.0),  # lvs.cf does not want it any more
        (960, 400, 0.1),  # lvs.cf wants a longer one
        (1001, 100, 1.0),  # of another clock: the host was started anew, or somebody has written the file
        (1e12, 100, 1.0),
    ],
)
def test_no_kept_slow_start_lasts_for_ever(began: float | None, length_s: float, share: float) -> None:
    sides = Sides()
    sides.resume_slowly("http/one", length_s, began)
    sides.advance(1000)
    assert sides.share("http/one") == share


@given(st.floats(0.1, 86400), st.floats(-1e6, 1e6), st.lists(st.floats(0, 1e5), max_size=20))
def test_a_slow_start_only_grows_and_ends_in_its_time(length_s: float, ago_s: float, pauses: list[float]) -> None:
    sides = Sides()
    sides.start_slowly("http/one", length_s, ago_s)
    shares, now = [], 1e6
    for pause in (0.0, *pauses, length_s + 0.001):
        now += pause
        sides.advance(now)
        shares.append(sides.share("http/one"))
    assert shares == sorted(shares)
    assert shares[0] >= SMALLEST
    assert shares[-1] == 1.0


def test_a_slow_start_that_is_heard_of_later_began_when_it_began() -> None:
    sides = Sides()
    sides.start_slowly("http/one", 100, ago_s=30)
    sides.advance(5000)
    assert sides.share("http/one") == 0.3


@pytest.mark.parametrize(("length_s", "share"), [(200, 0.25), (60, 50 / 60), (50, 1.0), (0, 1.0)])
def test_another_length_counts_from_the_beginning(length_s: float, share: float) -> None:
    sides = Sides()
    sides.start_slowly("http/one", 100)
    sides.advance(0)
    sides.stretch("http/one", length_s)
    sides.stretch("http/two", length_s)
    sides.advance(50)
    assert sides.share("http/one") == pytest.approx(share)
    assert sides.began("http/two") is None


def test_an_agents_wish_and_a_slow_start_both_count() -> None:
    sides = Sides()
    sides.want("http/one", 50)
    sides.start_slowly("http/one", 100)
    sides.advance(0)
    sides.advance(50)
    assert sides.share("http/one") == 0.25
    assert sides.words("http/one") == "its agent wants 50% and slow start, 50% so far"
    sides.want("http/one", 0)
    assert (sides.share("http/one"), sides.words("http/one").startswith("its agent wants no new connections")) == (0, True)
    sides.want("http/one", 100)
    assert sides.share("http/one") == 0.5


def test_only_a_change_of_the_agents_wish_is_worth_a_look() -> None:
    sides = Sides()
    sides.want("http/one", 100)
    assert sides.moved == set()
    sides.want("http/one", 75)
    assert sides.moved == {"http/one"}
    sides.moved.clear()
    sides.want("http/one", 75)
    assert sides.moved == set()


# --- released by hand ----------------------------------------------------------------------------------------------------------


def flapping() -> Driven:
    """http/one has failed twice, answers again, and is held down."""
    driven = Driven(spec(interval_s=1, hold_down_s=300))
    driven.go(5)
    for _ in range(2):
        driven.failing = {"http/one"}
        driven.go(1)
        driven.failing = set()
        driven.go(2)
    return driven


def test_a_server_that_answers_is_back_at_once_when_its_hold_down_is_released() -> None:
    driven = flapping()
    assert driven.state() is HealthState.RISING
    driven.urgent.clear()
    driven.release("http/one", "http/nobody")
    status = driven.machine.status("http/one")
    assert status is not None
    assert (status.state, status.record, driven.urgent) == (HealthState.UP, GOOD, ["http/one"])
    driven.failing = {"http/one"}  # what it failed before is forgotten: the next failure is a first one
    driven.go(1)
    driven.failing = set()
    driven.go(2)
    assert driven.state() is HealthState.UP


def test_a_server_that_still_fails_stays_out_and_comes_back_with_its_first_good_check() -> None:
    driven = flapping()
    driven.failing = {"http/one"}
    driven.go(2)
    driven.release("http/one")
    assert driven.state() is HealthState.DOWN
    driven.failing = set()
    driven.go(2)
    assert driven.state() is HealthState.UP


def braked() -> Driven:
    """All four servers of two services have failed at once and are kept."""
    driven = Driven(*(spec(f"{service}/{name}") for service in ("a", "b") for name in ("one", "two")), brake_s=600)
    driven.go(30)
    driven.failing = {one.key for one in driven.specs}
    driven.go(30)
    assert all(driven.state(one.key) is HealthState.FALLING for one in driven.specs)
    return driven


def test_when_the_brake_is_released_what_fails_leaves_and_is_not_kept_again() -> None:
    driven = braked()
    driven.release(*(one.key for one in driven.specs), brake=True)
    driven.go(30)
    assert all(driven.state(one.key) is HealthState.DOWN for one in driven.specs)
    driven.failing = set()
    driven.go(30)
    assert all(driven.state(one.key) is HealthState.UP for one in driven.specs)


def test_one_server_leaves_and_the_brake_goes_on_for_the_others() -> None:
    driven = braked()
    driven.release("a/one")
    driven.go(30)
    assert [one.key for one in driven.specs if driven.state(one.key) is HealthState.DOWN] == ["a/one"]


def test_a_server_that_is_not_held_is_left_as_it_is() -> None:
    driven = Driven(spec())
    driven.go(30)
    before = driven.machine.status("http/one")
    assert driven.machine.handle(Release(("http/one",), brake=True), driven.now) == []
    assert driven.machine.status("http/one") == before
