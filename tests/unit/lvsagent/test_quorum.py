"""Quorum as truth tables: when it is lost, when it is reached again, and what the table then holds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lvscf.model import Config, HostDevice, RealServer, VirtualServer
from lvsagent.core.desired import decide, sorry_is_in
from lvsagent.core.expansion import expand
from lvsagent.core.pools import Pool
from lvsagent.core.quorum import ONE, Quorum
from lvsagent.core.table import Entry, Server, ServerKey

SORRY = ServerKey("10.11.12.99", 80)
KEYS = {name: ServerKey(f"10.11.12.2{name}", 80) for name in "123"}


def pool(quorum: int = 0, hysteresis: int = 0, *, sorry: bool = True, quiesce: bool = False) -> Pool:
    servers = tuple(RealServer(name=name, address=f"10.11.12.2{name}", active=True, weight=5) for name in "123")
    virtual = VirtualServer(
        name="web",
        active=True,
        address=HostDevice("192.0.2.100", "eth1:1"),
        quorum=quorum,
        hysteresis=hysteresis,
        quiesce_server=quiesce,
        sorry_server=SORRY.address if sorry else None,
        servers=servers,
    )
    [found] = expand(Config(virtual=(virtual,)), lambda _name: None).pools.values()
    return found


def health(up: str, down: str = "") -> Mapping[str, bool]:
    return {f"web/{name}": name in up for name in up + down}


def weights(found: Entry) -> str:
    """``1:5 2:0 sorry``: the servers in the table by name with their weights."""
    names = {key: name for name, key in KEYS.items()}
    return " ".join(sorted("sorry" if key == SORRY else f"{names[key]}:{server.weight}" for key, server in found.servers.items()))


@pytest.mark.parametrize(
    ("rule", "held", "holds"),
    [
        (ONE, True, "nyyyy"),
        (ONE, False, "nyyyy"),
        (Quorum(2, 0, 4), True, "nnyyy"),
        (Quorum(2, 0, 4), False, "nnyyy"),
        (Quorum(2, 1, 4), True, "nyyyy"),
        (Quorum(2, 1, 4), False, "nnnyy"),
        (Quorum(3, 9, 4), True, "nyyyy"),
        (Quorum(3, 9, 4), False, "nnnny"),
        (Quorum(9, 0, 4), True, "nnnnn"),
        (Quorum(9, 0, 4), False, "nnnnn"),
    ],
)
def test_it_is_lost_below_the_gap_and_reached_above_it(rule: Quorum, held: bool, holds: str) -> None:
    """A letter for 0, 1, 2, 3 and 4 servers that are up."""
    assert "".join("y" if rule.holds(up, held=held) else "n" for up in range(5)) == holds


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 6), st.lists(st.integers(0, 6), max_size=30))
def test_one_server_that_comes_and_goes_never_makes_it_flap(least: int, gap: int, start: int, ups: list[int]) -> None:
    """Between two changes of mind, at least ``2 x gap`` servers have changed sides (unless the pool is too small for that)."""
    rule, held, turned_at = Quorum(least, gap, members=100), True, None
    for up in [start, *ups]:
        now = rule.holds(up, held=held)
        if now != held:
            if turned_at is not None and turned_at > 0 and up > 0:
                assert abs(up - turned_at) >= min(2 * gap, abs(rule.reached_at - rule.lost_below))
            held, turned_at = now, up
        assert rule.holds(up, held=held) == held, "asked twice, it says the same"


def test_a_first_check_that_is_still_to_come_loses_nothing() -> None:
    assert Quorum(3, 0, 3).holds(1, awaited=2, held=True)
    assert not Quorum(3, 0, 3).holds(1, awaited=1, held=True)
    assert not Quorum(3, 0, 3).holds(2, awaited=1, held=False)


@pytest.mark.parametrize(
    ("quorum", "hysteresis", "up", "have", "expected"),
    [
        (0, 0, "1", "", "1:5"),
        (0, 0, "", "1", "sorry"),
        (2, 0, "123", "", "1:5 2:5 3:5"),
        (2, 0, "12", "123", "1:5 2:5"),
        (2, 0, "1", "12", "1:0 sorry"),
        (2, 0, "1", "sorry", "1:0 sorry"),
        (2, 0, "12", "sorry", "1:5 2:5"),
        (2, 1, "1", "123", "1:5"),
        (2, 1, "", "123", "sorry"),
        (2, 1, "12", "sorry", "1:0 2:0 sorry"),
        (2, 1, "123", "sorry", "1:5 2:5 3:5"),
        (4, 0, "123", "123", "1:0 2:0 3:0 sorry"),
    ],
)
def test_below_the_quorum_the_sorry_server_takes_all_new_connections(
    quorum: int, hysteresis: int, up: str, have: str, expected: str
) -> None:
    """Those that are left keep weight 0, and so the connections that they have.  ``have``: who is in the table before."""
    found = pool(quorum, hysteresis)
    present = {SORRY: Server()} if have == "sorry" else {KEYS[name]: Server(5) for name in have}
    said = health(up, "".join(name for name in "123" if name not in up))
    assert weights(decide(found, said, Entry(found.service, present))) == expected


def test_without_a_sorry_server_those_that_are_left_go_on() -> None:
    found = pool(3, sorry=False)
    assert weights(decide(found, health("1", "23"), Entry(found.service, {KEYS["1"]: Server(5)}))) == "1:5"


def test_quiesced_servers_do_not_count() -> None:
    found = pool(2, quiesce=True)
    assert weights(decide(found, health("1", "23"), None)) == "1:0 2:0 3:0 sorry"


def test_a_fresh_start_waits_for_the_first_checks_before_it_says_sorry() -> None:
    found = pool(2)
    assert weights(decide(found, {}, None)) == ""
    assert weights(decide(found, health("1"), None)) == "1:5"
    assert weights(decide(found, health("1", "2"), None)) == "1:5"
    assert weights(decide(found, health("1", "23"), None)) == "1:0 sorry"


def test_a_restart_keeps_what_the_table_says() -> None:
    """In the middle of the gap only the table knows on which side it is; health is known one by one after a restart."""
    found = pool(2, 1)
    lost = Entry(found.service, {KEYS["1"]: Server(0), KEYS["2"]: Server(0), SORRY: Server()})
    held = Entry(found.service, {KEYS["1"]: Server(5), KEYS["2"]: Server(5)})
    for known in ("", "1", "12"):
        assert sorry_is_in(found, decide(found, health(known), lost)), known
        assert not sorry_is_in(found, decide(found, health(known), held)), known
    assert weights(decide(found, health("12", "3"), lost)) == "1:0 2:0 sorry"
    assert weights(decide(found, health("12", "3"), held)) == "1:5 2:5"


@given(
    st.integers(0, 4),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from("123"), st.booleans()),
    st.dictionaries(st.sampled_from([*KEYS.values(), SORRY]), st.integers(0, 5).map(Server)),
    st.booleans(),
)
def test_deciding_twice_changes_nothing(
    quorum: int, hysteresis: int, said: dict[str, bool], present: dict[ServerKey, Server], quiesce: bool
) -> None:
    found = pool(quorum, hysteresis, quiesce=quiesce)
    known = {f"web/{name}": up for name, up in said.items()}
    once = decide(found, known, Entry(found.service, present))
    assert decide(found, known, once) == once
