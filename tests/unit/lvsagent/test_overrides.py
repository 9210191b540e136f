"""What an operator has decided: the machine, its effect on the table, and two directors that end up with the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.desired import decide_all
from lvsagent.core.drift import read_print, wanted_print
from lvsagent.core.overrides import (
    KEPT_S,
    Action,
    Answer,
    Apply,
    Decide,
    Gone,
    Heard,
    Look,
    Orders,
    Override,
    Overrides,
    Phase,
    Tell,
    Then,
    estimate_s,
    lets_in,
    of_host,
    of_server,
    why_not,
)
from lvsagent.core.weights import Sides
from tests.unit.lvsagent.test_desired import expanded, only_pool, virtual, weights

ONE = of_server("http/one")
HOST = of_host("10.11.12.21")
NOW = 1_790_000_000.0


def machine(*decisions: Decide, node: str = "lefty") -> Overrides:
    found = Overrides(node)
    for decision in decisions:
        found.handle(decision, NOW)
    return found


def words(commands: list[Any]) -> list[str]:
    return [command.message for command in commands if isinstance(command, Tell)]


def only(overrides: Overrides) -> Override:
    (found,) = overrides.orders.by_target.values()
    return found


# --- the table -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decided", "health", "have", "quiesce", "expected"),
    [
        # a drained server that is healthy has weight 0, whether lvs.cf quiesces or not; one that fails is treated as any that fails
        ((Action.DRAIN, Phase.DRAINING), True, {"one": 5, "two": 1}, False, {"one": 0, "two": 1}),
        ((Action.DRAIN, Phase.DRAINED), True, {}, False, {"one": 0, "two": 1}),
        ((Action.DRAIN, Phase.ASKING), True, {"one": 5, "two": 1}, False, {"one": 0, "two": 1}),
        ((Action.DRAIN, Phase.DRAINING), False, {"one": 5, "two": 1}, False, {"two": 1}),
        ((Action.DRAIN, Phase.DRAINING), False, {"one": 5, "two": 1}, True, {"one": 0, "two": 1}),
        ((Action.DRAIN, Phase.DRAINING), None, {"one": 5, "two": 1}, False, {"one": 0, "two": 1}),
        ((Action.DRAIN, Phase.DRAINING), None, {}, False, {"two": 1}),
        # cut is out, whatever its health
        ((Action.DRAIN, Phase.CUT), True, {"one": 5, "two": 1}, True, {"two": 1}),
        ((Action.DRAIN, Phase.CUT), None, {"one": 5, "two": 1}, True, {"two": 1}),
        # forced: its health does not matter
        ((Action.UP, Phase.DRAINING), False, {"one": 0, "two": 1}, False, {"one": 5, "two": 1}),
        ((Action.UP, Phase.DRAINING), None, {}, False, {"one": 5, "two": 1}),
        ((Action.DOWN, Phase.DRAINING), True, {"one": 5, "two": 1}, False, {"two": 1}),
        ((Action.DOWN, Phase.DRAINING), True, {"one": 5, "two": 1}, True, {"one": 0, "two": 1}),
        # another weight, while it is up
        ((Action.WEIGHT, Phase.DRAINING), True, {"one": 5, "two": 1}, False, {"one": 9, "two": 1}),
        ((Action.WEIGHT, Phase.DRAINING), False, {"one": 5, "two": 1}, False, {"two": 1}),
        ((Action.WEIGHT, Phase.DRAINING), None, {"one": 5, "two": 1}, False, {"one": 9, "two": 1}),
        ((Action.WEIGHT, Phase.DRAINING), None, {"one": 0, "two": 1}, True, {"one": 0, "two": 1}),
    ],
)
@pytest.mark.parametrize("target", [ONE, HOST])
def test_what_an_operator_decided_goes_before(
    target: str, decided: tuple[Action, Phase], health: bool | None, have: dict[str, int], quiesce: bool, expected: dict[str, int]
) -> None:
    action, phase = decided
    text = virtual(quiesce_server=quiesce)
    pool = only_pool(expanded(replace(text, servers=(replace(text.servers[0], weight=5), text.servers[1]))))
    sides = Sides()
    sides["http/two"] = True
    if health is not None:
        sides["http/one"] = health
    sides.orders = Orders({target: Override(target, action, NOW, weight=9, phase=phase)})
    assert weights(pool, sides, **have) == expected


def test_a_forced_server_starts_whole_and_another_weight_starts_slowly() -> None:
    pool = only_pool(expanded())
    sides = Sides()
    sides.update({"http/one": True, "http/two": True})
    sides.want("http/one", 50)
    sides.orders = Orders({ONE: Override(ONE, Action.WEIGHT, NOW, weight=8)})
    assert weights(pool, sides)["one"] == 4
    sides.orders = Orders({ONE: Override(ONE, Action.UP, NOW)})
    assert weights(pool, sides)["one"] == 1


@pytest.mark.parametrize(
    ("before", "after", "slowly"),
    [
        ((Action.DRAIN, Phase.DRAINED, 0), None, True),
        ((Action.DRAIN, Phase.CUT, 0), None, True),
        ((Action.DOWN, Phase.DRAINING, 0), None, True),
        ((Action.WEIGHT, Phase.DRAINING, 0), None, True),
        ((Action.DRAIN, Phase.DRAINED, 0), (Action.WEIGHT, 5), True),
        # it has connections still: it has never stopped serving
        ((Action.DRAIN, Phase.DRAINING, 0), None, False),
        ((Action.DRAIN, Phase.WAITING, 0), None, False),
        ((Action.DRAIN, Phase.ASKING, 0), None, False),
        # it serves already, or does not serve yet
        ((Action.UP, Phase.DRAINING, 0), None, False),
        ((Action.WEIGHT, Phase.DRAINING, 3), None, False),
        (None, None, False),
        ((Action.DRAIN, Phase.DRAINED, 0), (Action.DOWN, 0), False),
        ((Action.DRAIN, Phase.DRAINED, 0), (Action.DRAIN, 0), False),
        ((Action.DRAIN, Phase.DRAINED, 0), (Action.WEIGHT, 0), False),
        ((Action.DOWN, Phase.DRAINING, 0), (Action.UP, 0), False),
    ],
)
def test_who_is_let_in_again(before: tuple[Action, Phase, int] | None, after: tuple[Action, int] | None, slowly: bool) -> None:
    then = Override(ONE, before[0], NOW, weight=before[2], phase=before[1]) if before else None
    now = Override(ONE, after[0], NOW, weight=after[1]) if after else None
    assert lets_in(then, now) is slowly


def test_the_sorry_server_answers_when_all_are_drained() -> None:
    pool = only_pool(expanded(virtual(sorry_server="10.11.12.99")))
    sides = Sides()
    sides.update({"http/one": True, "http/two": True})
    targets = (of_host("10.11.12.21"), of_host("10.11.12.22"))
    sides.orders = Orders({target: Override(target, Action.DRAIN, NOW) for target in targets})
    assert weights(pool, sides) == {"one": 0, "two": 0, "sorry": 1}


def test_a_cut_server_goes_even_while_the_name_of_another_is_not_known() -> None:
    one, two = virtual().servers
    pool = only_pool(expanded(virtual(servers=(one, two, replace(two, name="three", address="web.example")))))
    sides = Sides()
    sides.orders = Orders({ONE: Override(ONE, Action.DRAIN, NOW, phase=Phase.CUT)})
    assert weights(pool, sides, one=1, two=1) == {"two": 1}


@pytest.mark.parametrize(
    ("own", "hosts", "winner"),
    [
        (Action.UP, Action.DRAIN, Action.DRAIN),
        (Action.WEIGHT, Action.DRAIN, Action.DRAIN),
        (Action.DOWN, Action.UP, Action.DOWN),
        (Action.DRAIN, Action.DOWN, Action.DOWN),
        (Action.WEIGHT, Action.UP, Action.UP),
    ],
)
def test_of_a_server_and_its_host_the_one_that_takes_out_counts(own: Action, hosts: Action, winner: Action) -> None:
    for first, second in ((own, hosts), (hosts, own)):
        orders = Orders({ONE: Override(ONE, first, NOW), HOST: Override(HOST, second, NOW)})
        found = orders.of("http/one", "10.11.12.21")
        assert found is not None
        assert found.action is winner


def test_what_an_operator_decided_is_no_drift() -> None:
    expansion = expanded()
    sides = Sides()
    sides.update({"http/one": True, "http/two": True})
    sides.orders = Orders({ONE: Override(ONE, Action.WEIGHT, NOW, weight=9)})
    have = decide_all(expansion, sides, {})
    assert read_print(expansion, have, sides.orders) == wanted_print(expansion)
    assert read_print(expansion, have) != wanted_print(expansion)


def test_what_would_be_is_asked_with_what_an_operator_decided() -> None:
    sides = Sides()
    sides.orders = Orders({ONE: Override(ONE, Action.DRAIN, NOW)})
    assert sides.part([]).orders is sides.orders


# --- the machine ---------------------------------------------------------------------------------------------------------------


def test_a_drain_ends_by_itself_when_nothing_is_left() -> None:
    found = machine(Decide(ONE, Action.DRAIN, actor="ann", reason="new disk"))
    assert not found.handle(Look({ONE: 3}), NOW + 1)
    assert words(found.handle(Look({ONE: 0}), NOW + 2)) == ["real server one of http is drained: no connection is left"]
    assert only(found).phase is Phase.DRAINED
    assert not found.handle(Look({ONE: 2}), NOW + 3)
    assert only(found).actor == "ann"
    assert only(found).reason == "new disk"


def test_what_cannot_be_counted_is_not_taken_for_empty() -> None:
    found = machine(Decide(ONE, Action.DRAIN))
    assert not found.handle(Look({}), NOW + 2)


@pytest.mark.parametrize(("then", "phase"), [(Then.WAIT, Phase.WAITING), (Then.CUT, Phase.CUT), (Then.ASK, Phase.ASKING)])
def test_at_its_deadline_a_drain_does_what_was_asked_for_and_says_so_once(then: Then, phase: Phase) -> None:
    found = machine(Decide(ONE, Action.DRAIN, deadline_s=60, then=then))
    assert not found.handle(Look({ONE: 3}), NOW + 59)
    said = words(found.handle(Look({ONE: 3}), NOW + 60))
    assert len(said) == 1
    assert "deadline with 3 left" in said[0]
    assert only(found).phase is phase
    assert not found.handle(Look({ONE: 3}), NOW + 61)


@pytest.mark.parametrize(("then", "phase"), [(Then.WAIT, Phase.WAITING), (Then.CUT, Phase.CUT)])
def test_a_drain_that_asks_takes_an_answer(then: Then, phase: Phase) -> None:
    found = machine(Decide(ONE, Action.DRAIN, deadline_s=60, then=Then.ASK))
    found.handle(Look({ONE: 3}), NOW + 60)
    assert words(found.handle(Answer(ONE, then, "bob"), NOW + 70))
    assert only(found).phase is phase


def test_a_drain_that_waits_on_still_ends_at_zero() -> None:
    found = machine(Decide(ONE, Action.DRAIN, deadline_s=60))
    found.handle(Look({ONE: 3}), NOW + 60)
    found.handle(Look({ONE: 0}), NOW + 90)
    assert only(found).phase is Phase.DRAINED


@pytest.mark.parametrize("action", [Action.DRAIN, Action.DOWN, Action.UP, Action.WEIGHT])
def test_it_returns_by_itself_when_its_time_has_come(action: Action) -> None:
    found = machine(Decide(ONE, action, weight=3, return_at=NOW + 100))
    assert not found.handle(Look({ONE: 1}), NOW + 99)
    assert words(found.handle(Look({}), NOW + 100)) == ["real server one of http is back, as was asked for"]
    assert not found.orders.by_target


def test_taking_back_what_nobody_decided_is_nothing() -> None:
    assert not machine().handle(Decide(ONE, Action.AUTO), NOW)


def test_one_word_takes_it_back() -> None:
    found = machine(Decide(ONE, Action.DRAIN))
    said = words(found.handle(Decide(ONE, Action.AUTO, actor="bob"), NOW + 1))
    assert said == ["real server one of http is left to lvs.cf and its health again"]
    assert not found.orders.by_target


def test_what_leaves_lvs_cf_is_forgotten_with_a_word() -> None:
    found = machine(Decide(ONE, Action.DRAIN), Decide(HOST, Action.DOWN))
    said = words(found.handle(Gone(frozenset({ONE, "server:http/never"})), NOW))
    assert said == ["real server one of http is no longer in lvs.cf: that it was drained is forgotten"]
    assert list(found.orders.by_target) == [HOST]


@pytest.mark.parametrize(
    "event",
    [
        Decide(ONE, Action.WEIGHT, weight=-1),
        Decide(ONE, Action.WEIGHT, weight=65536),
        Decide(ONE, Action.DRAIN, deadline_s=-1),
        Decide(ONE, Action.DRAIN, deadline_s=float("nan")),
        Decide(ONE, Action.DRAIN, deadline_s=float("inf")),
        Decide(ONE, Action.UP, deadline_s=5),
        Decide(ONE, Action.DRAIN, then=Then.CUT),
        Decide(ONE, Action.DRAIN, return_at=NOW - 1),
        Decide(ONE, Action.DRAIN, return_at=float("nan")),
        Decide(ONE, Action.AUTO, return_at=NOW + 1),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(event: Decide) -> None:
    assert why_not(event, NOW)


def test_what_makes_sense_is_not() -> None:
    assert not why_not(Decide(ONE, Action.DRAIN, deadline_s=60, then=Then.CUT, return_at=NOW + 90), NOW)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], None),
        ([(0.0, 10)], None),
        ([(0.0, 10), (10.0, 10)], None),
        ([(0.0, 10), (10.0, 12)], None),
        ([(0.0, 10), (10.0, 5)], 10.0),
        ([(0.0, 10), (4.0, 7), (10.0, 0)], 0.0),
    ],
)
def test_the_estimate(samples: list[tuple[float, int]], expected: float | None) -> None:
    assert estimate_s(samples) == expected


# --- two directors -------------------------------------------------------------------------------------------------------------

targets = st.sampled_from([ONE, HOST, of_server("http/two")])
steps = st.one_of(
    st.builds(Decide, targets, st.sampled_from(list(Action)), weight=st.integers(0, 9)),
    st.builds(Gone, st.frozensets(targets)),
    st.builds(Look, st.dictionaries(targets, st.integers(0, 1))),
)


@given(st.lists(st.tuples(st.sampled_from(["lefty", "righty"]), steps, st.booleans()), max_size=30))
def test_two_directors_end_up_with_the_same(history: list[tuple[str, Any, bool]]) -> None:
    both = {name: Overrides(name) for name in ("lefty", "righty")}
    for name, step, told in history:
        both[name].handle(step, NOW)
        if told:
            other = both["righty" if name == "lefty" else "lefty"]
            other.handle(Heard(both[name].all), NOW)
    both["lefty"].handle(Heard(both["righty"].all), NOW)
    both["righty"].handle(Heard(both["lefty"].all), NOW)
    assert both["lefty"].orders == both["righty"].orders
    assert not both["lefty"].handle(Heard(both["righty"].all), NOW)


def test_in_whatever_order_it_arrives() -> None:
    made, sent = machine(), []
    for action in (Action.DRAIN, Action.UP, Action.AUTO, Action.WEIGHT):
        made.handle(Decide(ONE, action, weight=4), NOW)
        sent.append(made.all[0])
    for order in permutations(sent):
        heard = Overrides("righty")
        for each in order:
            heard.handle(Heard([each]), NOW)
        assert heard.orders == made.orders


def test_what_was_heard_is_applied_and_not_sent_back() -> None:
    heard = Overrides("righty")
    assert heard.handle(Heard(machine(Decide(ONE, Action.DRAIN)).all), NOW) == [Apply(frozenset({ONE}), mirror=False)]


def test_what_was_taken_back_long_ago_is_forgotten_and_still_outdone() -> None:
    found = machine(Decide(ONE, Action.DRAIN), Decide(ONE, Action.AUTO))
    found.handle(Decide(HOST, Action.DRAIN), NOW + KEPT_S + 1)
    assert [one.target for one in found.all] == [HOST]
    assert only(found).counter == 3
