"""Fingerprints of a table, and what differs between file, running lvs.cf and table, here and there."""

from __future__ import annotations

from dataclasses import replace

from app.lvscf import load
from lvsagent.core.desired import decide_all
from lvsagent.core.drift import Side, differences, read_print, wanted_print
from lvsagent.core.expansion import expand
from lvsagent.core.load_share import LoadShare
from lvsagent.core.pools import Expansion
from lvsagent.core.table import Entry, Server, ServerKey, Table
from lvsagent.core.weights import Sides
from tests.integration.lvsd_lab import NUMBERS, TUTORIAL

ALIKE = Side("f", "f", 7, "t", "t")


def expansion(text: str = TUTORIAL) -> Expansion:
    return expand(load(text).config, lambda _name: None)


def table(found: Expansion, health: dict[str, bool]) -> Table:
    return decide_all(found, health, {})


def all_up(found: Expansion) -> dict[str, bool]:
    return {spec.key: True for spec in found.checks}


def test_the_same_lvs_cf_has_the_same_fingerprint_and_another_one_another() -> None:
    assert wanted_print(expansion()) == wanted_print(expansion())
    assert wanted_print(expansion()) != wanted_print(expansion(TUTORIAL.replace("scheduler = rr", "scheduler = wlc")))
    assert wanted_print(expansion()) != wanted_print(expansion(TUTORIAL.replace("weight = 1", "weight = 2", 1)))


def test_health_does_not_make_it_flicker() -> None:
    for text in (TUTORIAL, TUTORIAL.replace("scheduler = rr", "scheduler = rr\n     quiesce_server = 1\n     sorry_server = 127.0.0.9")):
        found = expansion(text)
        for down in range(4):
            health = {spec.key: place >= down for place, spec in enumerate(found.checks)}
            assert read_print(found, table(found, health)) == wanted_print(found)


def test_a_part_of_the_weight_for_an_agent_a_slow_start_or_a_load_is_health_too() -> None:
    found = expansion(
        TUTORIAL.replace("weight = 1", "weight = 100").replace("scheduler = rr", "scheduler = rr\n     load_monitor = uptime")
    )
    health = Sides()
    health.update(all_up(found))
    first, second, third = found.checks
    health.loads = {third.key: LoadShare(f"uptime {third.address}", 0.2)}
    health.want(first.key, 30)
    health.start_slowly(second.key, 60)
    health.advance(0)
    (entry,) = table(found, health).values()
    assert sorted(server.weight for server in entry.servers.values()) == [3, 20, 30]
    assert read_print(found, table(found, health)) == wanted_print(found)


def test_what_somebody_changed_by_hand_shows() -> None:
    found = expansion()
    right = table(found, all_up(found))
    (key, entry) = next(iter(right.items()))
    heavier = {**entry.servers, NUMBERS[0]: Server(weight=9)}
    strange = {**entry.servers, ServerKey("127.0.0.99", 8080): Server()}
    wrong: list[Table] = [
        {},
        {key: replace(entry, service=replace(entry.service, scheduler="wlc"))},
        {key: Entry(entry.service, heavier)},
        {key: Entry(entry.service, strange)},
    ]
    assert all(read_print(found, each) != wanted_print(found) for each in wrong)


def test_two_that_are_alike_differ_in_nothing() -> None:
    assert differences(ALIKE, ALIKE, "in_step", 0, 0) == []
    assert differences(ALIKE, None, "none", 0, 0) == []


def test_each_difference_has_its_way_out() -> None:
    def found(here: Side = ALIKE, peer: Side | None = ALIKE, state: str = "in_step", behind: int = 0, foreign: int = 0) -> list[object]:
        return [(one.code, one.actions) for one in differences(here, peer, state, behind, foreign)]

    assert found(replace(ALIKE, file="g")) == [("file", ("adopt", "restore"))]
    assert found(replace(ALIKE, table_read="u")) == [("table", ("reconcile",))]
    assert found(foreign=2) == [("foreign", ("adopt-foreign",))]
    assert found(state="behind", behind=3) == [("peer-behind", ("now",))]
    assert found(state="ahead") == [("peer-ahead", ("now",))]
    assert found(state="diverged") == [("diverged", ())]
    assert found(peer=None, state="unknown") == [("peer-unknown", ("now",))]
    assert found(peer=replace(ALIKE, file="g")) == [("peer-file", ())]
    assert found(peer=replace(ALIKE, table="u", table_read="u")) == [("peer-table", ())]
