"""rr, wrr, lc, wlc and sh choose as the kernel's do."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.schedulers import SH_FALLBACK, SH_PORT, Choosing, Client, Load, fold, scheduler

ANYBODY = Client(0x7F000001, 40000)


def made(name: str, servers: list[Load], flags: frozenset[str] = frozenset()) -> Choosing:
    choosing = scheduler(name, flags)
    assert choosing is not None
    choosing.changed(servers)
    return choosing


def sequence(name: str, weights: list[int], count: int) -> str:
    """The servers chosen, as letters."""
    servers = [Load(weight) for weight in weights]
    choosing = made(name, servers)
    places = [choosing.choose(servers, ANYBODY) for _ in range(count)]
    return "".join("-" if place is None else "ABCDEF"[place] for place in places)


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("rr", [1, 1, 1], "ABCABC"),
        ("rr", [5, 0, 1], "ACACAC"),
        ("rr", [0, 0], "--"),
        ("rr", [], "-"),
        ("wrr", [4, 3, 2], "AABABCABCAABABCABC"),
        ("wrr", [1, 1, 1], "ABCABC"),
        ("wrr", [4, 2], "AABAAB"),
        ("wrr", [10, 0, 5], "AACAAC"),
        ("wrr", [0, 0], "--"),
        ("wrr", [], "-"),
        ("wrr", [1, 3], "BBABBBAB"),
    ],
)
def test_rounds(name: str, weights: list[int], expected: str) -> None:
    assert sequence(name, weights, len(expected)) == expected


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any))
def test_a_weighted_round_gives_each_server_exactly_its_share(weights: list[int]) -> None:
    servers = [Load(weight) for weight in weights]
    choosing = made("wrr", servers)
    chosen = Counter(choosing.choose(servers, ANYBODY) for _ in range(3 * sum(weights)))
    divided = {place: 3 * weight for place, weight in enumerate(weights) if weight}
    assert chosen == divided


@given(
    st.sampled_from(["rr", "wrr", "lc", "wlc", "sh"]),
    st.lists(st.tuples(st.sampled_from(["add", "remove", "weigh", "load", "choose"]), st.integers(0, 5), st.integers(0, 9)), max_size=80),
)
def test_whatever_happens_only_an_available_server_is_chosen(name: str, steps: list[tuple[str, int, int]]) -> None:
    servers: list[Load] = []
    choosing = made(name, servers)
    for step, place, number in steps:
        if step == "add":
            servers.append(Load(number))
            choosing.changed(servers)
        elif step == "choose":
            chosen = choosing.choose(servers, Client(number, number))
            assert chosen is None or servers[chosen].available
            if name != "sh":
                assert (chosen is None) == (not any(server.available for server in servers))
        elif place < len(servers):
            if step == "remove":
                del servers[place]
                choosing.changed(servers, removed=place)
            elif step == "weigh":
                servers[place].weight = number
                choosing.changed(servers)
            else:
                servers[place].active, servers[place].overloaded = number, number > 7


def test_round_robin_goes_on_where_it_was_when_a_server_leaves() -> None:
    servers = [Load(1) for _ in "ABCD"]
    names = dict(zip(map(id, servers), "ABCD", strict=True))
    choosing = made("rr", servers)
    chosen = []
    for step in range(6):
        if step == 2:
            del servers[0]
            choosing.changed(servers, removed=0)
        place = choosing.choose(servers, ANYBODY)
        assert place is not None
        chosen.append(names[id(servers[place])])
    assert "".join(chosen) == "ABCDBC"


@pytest.mark.parametrize(
    ("name", "loads", "expected"),
    [
        ("lc", [(1, 2, 0), (1, 1, 0), (9, 1, 1)], 1),
        ("lc", [(1, 0, 255), (1, 1, 0)], 0),  # an open connection weighs as much as 256 others
        ("lc", [(1, 0, 257), (1, 1, 0)], 1),
        ("lc", [(0, 0, 0), (1, 50, 0)], 1),
        ("lc", [(1, 3, 0), (1, 3, 0)], 0),
        ("wlc", [(1, 1, 0), (3, 2, 0)], 1),
        ("wlc", [(2, 2, 0), (1, 1, 0)], 0),
        ("wlc", [(1, 1, 0), (2, 2, 1)], 0),
        ("wlc", [(0, 0, 0), (1, 9, 9)], 1),
        ("wlc", [(0, 0, 0)], None),
        ("lc", [], None),
    ],
)
def test_least_connections(name: str, loads: list[tuple[int, int, int]], expected: int | None) -> None:
    servers = [Load(weight, active, inactive) for weight, active, inactive in loads]
    assert made(name, servers).choose(servers, ANYBODY) == expected


def test_source_hash_is_sticky_and_spreads() -> None:
    servers = [Load(1) for _ in range(3)]
    choosing = made("sh", servers)
    first = [choosing.choose(servers, Client(address, 1)) for address in range(3000)]
    assert first == [choosing.choose(servers, Client(address, 2)) for address in range(3000)]
    assert all(800 < first.count(place) < 1200 for place in range(3))


def test_source_hash_follows_the_weights() -> None:
    servers = [Load(3), Load(1)]
    choosing = made("sh", servers)
    chosen = Counter(choosing.choose(servers, Client(address, 1)) for address in range(4000))
    assert chosen[0] == pytest.approx(3000, rel=0.1)


def test_source_hash_refuses_the_clients_of_a_server_at_weight_0_unless_it_may_fall_back() -> None:
    servers = [Load(1), Load(0)]
    refusing = made("sh", servers)
    assert {refusing.choose(servers, Client(address, 1)) for address in range(500)} == {0, None}
    falling_back = made("sh", servers, frozenset({SH_FALLBACK}))
    assert {falling_back.choose(servers, Client(address, 1)) for address in range(500)} == {0}


def test_source_hash_with_ports_spreads_one_client() -> None:
    servers = [Load(1), Load(1)]
    choosing = made("sh", servers, frozenset({SH_PORT}))
    assert {choosing.choose(servers, Client(7, port)) for port in range(100)} == {0, 1}


@pytest.mark.parametrize("name", ["lblc", "lblcr", "dh", "sed", "nq", "mh", "fo", "ovf", "nonesuch", ""])
def test_there_are_no_others(name: str) -> None:
    assert scheduler(name) is None


@given(st.integers(0, 2**128 - 1))
def test_an_address_folds_to_32_bits(address: int) -> None:
    assert 0 <= fold(address) < 2**32
    if address < 2**32:
        assert fold(address) == address
