"""The rule that makes a weight of a load, as truth tables and as promises for any loads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.load_share import (
    DAMPING_S,
    LARGEST,
    RETURN_S,
    SMALLEST,
    STALE_S,
    STEP,
    WHOLE,
    Carrier,
    HostLoad,
    LoadShare,
    compared,
    damp,
    part,
    shares,
    stepped,
)
from lvsagent.core.weights import part_of

ROOT = Path(__file__).resolve().parents[3]
ONE, TWO, THREE = "http/one", "http/two", "http/three"


def carrier(check: str, weight: int = 100, *, serves: bool = True) -> Carrier:
    return Carrier(check, f"uptime {check}", weight, serves)


def at(now: float = 0.0, **loads: float) -> dict[str, HostLoad]:
    return {f"uptime http/{name}": HostLoad(load, load, now) for name, load in loads.items()}


def of(
    hosts: Mapping[str, HostLoad], *carriers: Carrier, before: Mapping[str, LoadShare] | None = None, now: float = 0.0
) -> dict[str, float]:
    found = shares(carriers or (carrier(ONE), carrier(TWO)), hosts, before or {}, now)
    return {check.removeprefix("http/"): round(share.share, 3) for check, share in found.items()}


@pytest.mark.parametrize(
    ("own", "others", "share"),
    [(0, 0, 1), (1, 1, 1), (2, 1, 2 / 3), (3, 1, 0.5), (0.5, 4, 1), (9, 0, 0.1), (500, 0, 0.1), (40, 20, 21 / 41), (0.1, 0.01, 1.01 / 1.1)],
)
def test_the_share_beside_the_others(own: float, others: float, share: float) -> None:
    assert compared(own, others) == pytest.approx(share)


DOCUMENTED = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| [^|]+ \| (\d+) \|$", (ROOT / "docs/load.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("own", "others", "weight"), DOCUMENTED)
def test_the_table_in_the_documentation_is_true(own: str, others: str, weight: str) -> None:
    assert part_of(100, stepped(WHOLE, compared(float(own), float(others)))) == int(weight)


def test_the_table_in_the_documentation_was_found() -> None:
    assert len(DOCUMENTED) == 6


def test_the_busier_server_gets_less_and_the_others_stay_whole() -> None:
    assert of(at(one=3, two=1)) == {"one": 0.5, "two": 1}
    assert of(at(one=3, two=1, three=1), carrier(ONE), carrier(TWO), carrier(THREE)) == {"one": 0.5, "two": 1, "three": 1}


def test_idle_hosts_are_alike_however_much_their_loads_differ_in_proportion() -> None:
    assert of(at(one=0.04, two=0.0)) == {"one": 1, "two": 1}


def test_twice_the_weight_may_carry_twice_the_load() -> None:
    assert of(at(one=4, two=2), carrier(ONE, 200), carrier(TWO, 100)) == {"one": 1, "two": 1}
    assert of(at(one=4, two=4), carrier(ONE, 200), carrier(TWO, 100)) == {"one": 1, "two": round(4 / 7, 3)}


def test_a_lone_server_has_nothing_to_be_compared_with() -> None:
    assert of(at(one=50), carrier(ONE)) == {"one": 1}
    assert of(at(one=50), carrier(ONE), carrier(TWO)) == {"one": 1, "two": 1}
    assert of(at(one=50, two=0), carrier(ONE), carrier(TWO, serves=False)) == {"one": 1, "two": 1}


def test_servers_that_lvs_cf_gives_no_weight_do_not_take_part() -> None:
    assert of(at(one=50, two=0), carrier(ONE), carrier(TWO, 0)) == {"one": 1}


def test_a_new_reading_counts_by_the_time_that_has_passed() -> None:
    first = damp(None, 4.0, 0.0)
    assert first == HostLoad(4.0, 4.0, 0.0)
    later = damp(first, 8.0, DAMPING_S)
    assert (round(later.damped, 3), later.value, later.at) == (6.528, 8.0, DAMPING_S)
    assert damp(first, 8.0, 0.0).damped == 4.0
    assert damp(first, 8.0, -5.0).damped == 4.0
    assert damp(first, 8.0, STALE_S).damped == 8.0  # after a silence the past says nothing
    assert damp(None, 1e300, 0.0).damped == LARGEST
    assert damp(None, -1, 0.0).damped == 0


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [(1, 0.96, 1), (1, 0.95, 0.95), (0.5, 0.54, 0.5), (0.5, 0.46, 0.5), (0.5, 0.55, 0.55), (0.97, 1, 1), (0.5, 0.5, 0.5)],
)
def test_small_differences_move_nothing(before: float, wanted: float, after: float) -> None:
    assert stepped(before, wanted) == after


def test_a_silent_hosts_share_grows_back_in_steps() -> None:
    before = {ONE: LoadShare("uptime http/one", 0.2, 0.0, 0.2)}
    hosts = at(one=20) | at(500, two=0)

    def later(now: float) -> float:
        return of(hosts, before=before, now=now)["one"]

    assert later(STALE_S - 1) == SMALLEST  # still known: it goes on being compared
    assert later(STALE_S) == 0.2
    assert later(STALE_S + RETURN_S * 0.05) == 0.2
    assert later(STALE_S + RETURN_S * 0.5) == pytest.approx(0.6)
    assert later(STALE_S + RETURN_S) == 1
    assert later(STALE_S + 10 * RETURN_S) == 1


def test_a_silent_host_counts_no_more_for_the_others() -> None:
    hosts = at(0, one=0) | at(STALE_S, two=9, three=9)
    assert of(hosts, carrier(ONE), carrier(TWO), carrier(THREE), now=STALE_S) == {"one": 1, "two": 1, "three": 1}


def test_a_host_that_never_answered_leaves_its_server_whole() -> None:
    assert of(at(two=0)) == {"one": 1, "two": 1}


def test_another_monitor_begins_anew() -> None:
    before = {ONE: LoadShare("rup http/one", 0.2, 0.0, 0.2)}
    assert of({}, before=before) == {"one": 1, "two": 1}
    assert part(before, ONE, "uptime http/one") == WHOLE
    assert part(before, ONE, "rup http/one") == 0.2
    assert part(before, ONE, "") == WHOLE
    assert part(before, TWO, "rup http/one") == WHOLE


LOADS = st.dictionaries(st.sampled_from(["one", "two", "three"]), st.floats(0, LARGEST), max_size=3)
CARRIERS = st.lists(
    st.builds(
        Carrier,
        st.sampled_from([ONE, TWO, THREE]),
        st.sampled_from(["uptime http/one", "uptime http/two", "uptime http/three"]),
        st.integers(0, 65535),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.check,
)


@given(loads=LOADS, carriers=CARRIERS, old=st.floats(SMALLEST, WHOLE), now=st.floats(0, 2000))
def test_whatever_the_loads_are_every_share_is_between_the_smallest_and_the_whole(
    loads: dict[str, float], carriers: list[Carrier], old: float, now: float
) -> None:
    before = {each.check: LoadShare(each.load, old, None, old) for each in carriers}
    for share in shares(carriers, at(**loads), before, now).values():
        assert SMALLEST <= share.share <= WHOLE


@given(st.lists(st.floats(0, 200), min_size=2, max_size=6))
def test_somebody_always_keeps_the_whole_weight(loads: list[float]) -> None:
    carriers = [carrier(f"http/{number}") for number in range(len(loads))]
    hosts = {each.load: HostLoad(load, load, 0.0) for each, load in zip(carriers, loads, strict=True)}
    assert max(share.share for share in shares(carriers, hosts, {}, 0.0).values()) == WHOLE


def test_loads_that_follow_the_weights_come_to_rest() -> None:
    """Two equal hosts, one with work of its own: the weights settle instead of swinging."""
    hosts: dict[str, HostLoad] = {}
    before: Mapping[str, LoadShare] = {}
    carriers = (carrier(ONE), carrier(TWO))
    moves = []
    for turn in range(60):
        one, two = (before[check].share if before else 1.0 for check in (ONE, TWO))
        traffic = 8.0  # the load that the clients make, spread by weight
        loads = {"uptime http/one": 4 + traffic * one / (one + two), "uptime http/two": traffic * two / (one + two)}
        hosts = {key: damp(hosts.get(key), load, turn * 20.0) for key, load in loads.items()}
        after = shares(carriers, hosts, before, turn * 20.0)
        moves.append(any(abs(after[check].share - (before[check].share if before else 1.0)) >= STEP for check in (ONE, TWO)))
        before = after
    assert True in moves
    assert not any(moves[15:])
    assert SMALLEST < before[ONE].share < 1 == before[TWO].share
