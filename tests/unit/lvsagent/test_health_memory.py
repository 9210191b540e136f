"""Hold-downs over restarts: what is written, what is left of it later, and that no clock makes one last for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from lvsagent.core.flapping import LONGEST_TIMES
from lvsagent.core.health import HealthMachine
from lvsagent.core.health_types import Configure, Finished, HealthState, Start, TimePassed
from lvsagent.core.instants import Instant, passed_s
from lvsagent.core.known import Known, Relapses, record_from
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.health_memory import HealthMemory
from lvsagent.messages import NannyReport
from lvsagent.wire import CheckInfo

SPEC = CheckSpec("http/one", "10.11.12.21", 80, "tcp", Method.CONNECT, interval_s=1, rise=1, hold_down_s=30)
MOVED = CheckSpec("http/one", "10.11.12.22", 80, "tcp", Method.CONNECT, interval_s=1, rise=1, hold_down_s=30)
STEADY = CheckSpec("http/one", "10.11.12.21", 80, "tcp", Method.CONNECT, interval_s=1, rise=1)


class TwoClocks:
    """A monotonic and a wall clock that are moved by hand."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 2_000_000.0) -> None:
        self.monotonic, self.at = monotonic, wall

    def now(self) -> float:
        return self.monotonic

    def wall(self) -> float:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.monotonic += seconds
        self.at += seconds


def report(relapses: Relapses | None, spec: CheckSpec = SPEC) -> NannyReport:
    info = CheckInfo(key=spec.key, target=spec.target, what="connects", state="down")
    return NannyReport(checks=[info], relapses={} if relapses is None else {spec.key: relapses})


def book(folder: Path, *specs: CheckSpec) -> HealthBook:
    made = HealthBook(folder / "health.json")
    made.configure(specs)
    return made


def written(folder: Path, clock: TwoClocks, relapses: Relapses, boot: str = "boot-1") -> Path:
    """A file as an lvsd leaves it that was told so."""
    path, known = folder / "hold-downs.json", book(folder, SPEC)
    memory = HealthMemory(path, clock, boot)
    memory.note(report(relapses), known)
    memory.write(memory.to_write(known.specs))
    return path


# --- the file --------------------------------------------------------------------------------------------------------------------


def test_a_hold_down_goes_on_where_it_is_by_then(tmp_path: Path) -> None:
    clock = TwoClocks()
    path = written(tmp_path, clock, Relapses(3, held_s=120))
    clock.pass_s(50)
    assert HealthMemory(path, clock, "boot-1").relapses(SPEC) == Relapses(3, held_s=70)
    clock.pass_s(100)
    assert HealthMemory(path, clock, "boot-1").relapses(SPEC) == Relapses(3)  # over; the next one is longer all the same


@pytest.mark.parametrize("spec", [MOVED, STEADY])
def test_it_holds_for_that_server_and_as_long_as_lvs_cf_asks_for_it(tmp_path: Path, spec: CheckSpec) -> None:
    clock = TwoClocks()
    memory = HealthMemory(written(tmp_path, clock, Relapses(3, held_s=120)), clock, "boot-1")
    assert memory.relapses(spec) == Relapses(0)


def test_a_clock_that_is_set_moves_nothing_within_a_boot(tmp_path: Path) -> None:
    clock = TwoClocks()
    path = written(tmp_path, clock, Relapses(3, held_s=120))
    clock.monotonic += 20
    clock.at -= 1_000_000
    assert HealthMemory(path, clock, "boot-1").relapses(SPEC).held_s == 100


def test_over_a_reboot_the_wall_clock_counts_and_one_that_went_back_makes_nothing_longer(tmp_path: Path) -> None:
    path = written(tmp_path, TwoClocks(), Relapses(3, held_s=120))
    assert HealthMemory(path, TwoClocks(5.0, 2_000_030.0), "boot-2").relapses(SPEC).held_s == 90
    assert HealthMemory(path, TwoClocks(5.0, 1_000_000.0), "boot-2").relapses(SPEC).held_s == 120


def test_a_server_that_has_been_up_long_enough_is_not_remembered(tmp_path: Path) -> None:
    clock = TwoClocks()
    path = written(tmp_path, clock, Relapses(1, up_s=100))
    assert HealthMemory(path, clock, "boot-1").relapses(SPEC).count == 1
    clock.pass_s(250)  # ten times hold_down in all
    assert HealthMemory(path, clock, "boot-1").relapses(SPEC) == Relapses(0)


def test_what_nanny_no_longer_says_is_forgotten(tmp_path: Path) -> None:
    clock, known = TwoClocks(), book(tmp_path, SPEC)
    memory = HealthMemory(written(tmp_path, clock, Relapses(3, held_s=120)), clock, "boot-1")
    memory.note(report(None), known)  # released by hand
    assert memory.relapses(SPEC) == Relapses(0)
    memory.write(memory.to_write(known.specs))
    assert HealthMemory(tmp_path / "hold-downs.json", clock, "boot-1").relapses(SPEC) == Relapses(0)


def test_only_news_is_written(tmp_path: Path) -> None:
    clock, known = TwoClocks(), book(tmp_path, SPEC)
    memory = HealthMemory(tmp_path / "hold-downs.json", clock, "boot-1")
    memory.note(report(Relapses(2, held_s=30)), known)
    assert memory.to_write(known.specs)
    for _ in range(10):
        clock.pass_s(1)
        memory.note(report(Relapses(2, held_s=30 - (clock.now() - 1000))), known)
        assert memory.to_write(known.specs) == b""
    memory.note(report(Relapses(3, held_s=60)), known)
    assert memory.to_write(known.specs)


@pytest.mark.parametrize("text", ["{]", "[]", '{"boot": "x", "monotonic": 1, "wall": 1, "servers": {"http/one": {"target": 5}}}'])
def test_a_file_that_makes_no_sense_is_not_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "hold-downs.json").write_text(text)
    assert HealthMemory(tmp_path / "hold-downs.json", TwoClocks(), "boot-1").relapses(SPEC) == Relapses(0)


def test_a_file_that_cannot_be_written_is_said_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = book(tmp_path, SPEC)
    memory = HealthMemory(tmp_path / "nowhere" / "hold-downs.json", TwoClocks(), "boot-1")
    memory.note(report(Relapses(3, held_s=120)), known)
    for _ in range(3):
        memory.write(memory.to_write(known.specs))
    assert caplog.text.count("hold-downs cannot be kept") == 1
    (tmp_path / "nowhere").mkdir()
    memory.write(memory.to_write(known.specs))
    assert (tmp_path / "nowhere" / "hold-downs.json").exists()


# --- no hold-down for ever -------------------------------------------------------------------------------------------------------

MOMENTS = st.builds(Instant, st.sampled_from(["", "boot-1", "boot-2"]), st.floats(0, 1e9), st.floats(-1e10, 1e10))


@given(MOMENTS, MOMENTS)
def test_time_never_goes_backwards(before: Instant, now: Instant) -> None:
    assert passed_s(before, now) >= 0


@given(st.integers(-5, 10**6), st.floats(0, 1e308), st.floats(0, 1e5))
def test_no_file_makes_a_hold_down_longer_than_lvs_cf_allows(count: int, held_s: float, first_s: float) -> None:
    record = record_from(Relapses(count, held_s), now=1000, first_s=first_s)
    assert record.held_until <= 1000 + LONGEST_TIMES * first_s


# --- the machine that starts from it ----------------------------------------------------------------------------------------------


def machine(known: Known, results: str, spec: CheckSpec = SPEC) -> HealthMachine:
    """A new nanny's, after these results (``+`` or ``-``), a second apart from 1000 on."""
    made, now = HealthMachine(), 1000.0
    commands = made.handle(Configure((spec,), {spec.key: known}), now)
    for result in results:
        while not (started := [command for command in commands if isinstance(command, Start)]):
            assert made.next_at is not None
            now = max(now, made.next_at)
            commands = made.handle(TimePassed(), now)
        commands = made.handle(Finished(spec.key, started[0].run, Outcome(ok=result == "+", duration_s=0.01)), now)
    return made


@pytest.mark.parametrize("state", ["", "down", "rising"])
def test_a_server_that_was_held_down_is_held_down_by_the_next_nanny_too(state: str) -> None:
    held = Known(state, relapses=Relapses(2, held_s=25))
    status = machine(held, "++++").status(SPEC.key)
    assert status is not None
    assert (status.state, status.record.held_until) == (HealthState.RISING, 1025.0)
    later = machine(held, "+" * 40).status(SPEC.key)
    assert later is not None
    assert later.state is HealthState.UP


def test_the_next_hold_down_is_twice_as_long_though_nanny_was_restarted_in_between() -> None:
    status = machine(Known("up", relapses=Relapses(2, up_s=5)), "-").status(SPEC.key)
    assert status is not None
    assert (status.state, status.record.failures) == (HealthState.DOWN, 3)
    assert status.record.held_until == pytest.approx(1060, abs=0.1)


def test_a_state_is_as_old_as_it_was() -> None:
    status = machine(Known("down", for_s=400), "-").status(SPEC.key)
    assert status is not None
    assert status.since == 600


def test_time_in_service_before_the_restart_counts_towards_being_forgiven() -> None:
    status = machine(Known("up", relapses=Relapses(2, up_s=299.99)), "+-").status(SPEC.key)
    assert status is not None
    assert (status.record.failures, status.record.held_until) == (1, 0.0)


@pytest.mark.parametrize(
    ("known", "rise", "fall", "results", "state"),
    [
        (Known("falling", failures=2), 1, 3, "", HealthState.FALLING),
        (Known("falling", failures=2), 1, 3, "-", HealthState.DOWN),
        (Known("falling", failures=2), 1, 3, "+", HealthState.UP),
        (Known("rising", successes=4), 5, 1, "", HealthState.RISING),
        (Known("rising", successes=4), 5, 1, "+", HealthState.UP),
        (Known("rising", successes=4), 5, 1, "-", HealthState.DOWN),
        (Known("falling", failures=0), 1, 3, "-", HealthState.FALLING),
        (Known("up", successes=9), 1, 2, "-", HealthState.FALLING),
    ],
)
def test_results_in_a_row_count_on_over_a_restart(known: Known, rise: int, fall: int, results: str, state: HealthState) -> None:
    spec = CheckSpec("http/one", "10.11.12.21", 80, "tcp", Method.CONNECT, interval_s=1, rise=rise, fall=fall)
    status = machine(known, results, spec).status(spec.key)
    assert status is not None
    assert status.state is state
