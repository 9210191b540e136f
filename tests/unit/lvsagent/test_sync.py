"""When the other director is told: pushes, pauses, and what shortens them."""

from __future__ import annotations

from lvsagent.core.lineage import Relation
from lvsagent.core.sync import (
    CALM_S,
    LONGEST_PAUSE_S,
    Answered,
    Asked,
    Barred,
    Command,
    Heard,
    Moved,
    NotTaken,
    Paired,
    SyncMachine,
    Tick,
    Told,
    Unreachable,
)

PUSH, GREET, FETCH, JOIN = [Command.PUSH], [Command.GREET], [Command.FETCH], [Command.JOIN]


def in_step(head: str = "a", now: float = 0.0) -> SyncMachine:
    machine = SyncMachine()
    assert machine.handle(Moved(head, None), now) == []
    assert machine.handle(Paired(yes=True), now) == GREET
    assert machine.handle(Answered(head, Relation.IN_STEP), now) == []
    return machine


def test_an_unpaired_director_says_nothing() -> None:
    machine = SyncMachine()
    assert machine.handle(Moved("a", None), 0) == []
    assert machine.handle(Asked(), 1) == []
    assert machine.state == "unpaired"


def test_an_accept_is_pushed_at_once() -> None:
    machine = in_step()
    assert machine.handle(Moved("b", Relation.BEHIND, 1), 100.0) == PUSH
    assert (machine.state, machine.behind) == ("behind", 1)
    assert machine.handle(Answered("b", Relation.IN_STEP), 100.1) == []
    assert machine.state == "in_step"


def test_one_conversation_at_a_time() -> None:
    machine = in_step()
    assert machine.handle(Moved("b", Relation.BEHIND, 1), 1) == PUSH
    assert machine.handle(Moved("c", Relation.BEHIND, 2), 1.01) == []
    assert machine.handle(Answered("b", Relation.BEHIND, 1), 1.1) == PUSH
    assert machine.handle(Answered("c", Relation.IN_STEP), 1.2) == []


def test_pauses_grow_while_it_is_away_and_never_beyond_the_longest() -> None:
    machine = in_step()
    assert machine.handle(Moved("b", Relation.BEHIND, 1), 0) == PUSH
    now, pauses = 0.0, []
    for _ in range(12):
        assert machine.handle(Unreachable("refused"), now) == []
        pauses.append(machine.due - now)
        assert machine.handle(Tick(), machine.due - 0.01) == []
        now = machine.due
        assert machine.handle(Tick(), now) == PUSH
    assert [round(each, 6) for each in pauses[:3]] == [0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert machine.state == "behind"


def test_a_heartbeat_that_comes_back_ends_the_pause_once() -> None:
    machine = in_step()
    machine.handle(Heard(alive=False, serial=0), 1)
    machine.handle(Moved("b", Relation.BEHIND, 1), 1)
    for now in range(10):
        machine.handle(Unreachable("no route"), float(now))
        machine.busy = True
    machine.handle(Unreachable("no route"), 10)
    assert machine.due > 20
    assert machine.handle(Heard(alive=True, serial=7), 11) == PUSH
    machine.handle(Unreachable("its sshd is down"), 11)
    assert machine.handle(Heard(alive=True, serial=7), 11.1) == []


def test_a_peer_that_is_dead_is_not_asked_with_every_accept() -> None:
    machine = in_step()
    machine.handle(Moved("b", Relation.BEHIND, 1), 1)
    machine.handle(Unreachable("no route"), 1)
    assert machine.handle(Moved("c", Relation.BEHIND, 2), 1.1) == []
    assert machine.behind == 2


def test_what_it_has_more_is_fetched_and_what_parted_is_kept_once() -> None:
    machine = in_step()
    machine.handle(Tick(), CALM_S)
    assert machine.handle(Answered("b", Relation.AHEAD), 10) == FETCH
    assert machine.handle(Answered("c", Relation.DIVERGED, kept=False), 10) == FETCH
    assert machine.handle(Answered("c", Relation.DIVERGED), 10) == []
    assert machine.state == "diverged"
    assert machine.handle(Tick(), 10 + CALM_S) == GREET


def test_of_two_that_say_the_same_exactly_one_joins() -> None:
    for here, there, expected in (("b", "a", JOIN), ("a", "b", [])):
        machine = in_step(here)
        machine.handle(Asked(), 1)
        assert machine.handle(Answered(there, Relation.TWINS), 1) == expected


def test_what_it_does_not_take_is_said_and_tried_again_later_but_a_new_one_at_once() -> None:
    machine = in_step()
    machine.handle(Moved("b", Relation.BEHIND, 1), 1)
    assert machine.handle(NotTaken("no space left"), 1) == []
    assert (machine.state, machine.refused) == ("refused", "no space left")
    assert machine.handle(Tick(), machine.due) == PUSH
    machine.handle(NotTaken("no space left"), 2)
    assert machine.handle(Moved("c", Relation.BEHIND, 2), 2) == PUSH


def test_one_that_cannot_be_believed_is_left_alone_for_a_while() -> None:
    machine = in_step()
    machine.handle(Moved("b", Relation.BEHIND, 1), 1)
    machine.handle(Barred("its host key has changed"), 1)
    assert (machine.state, machine.due) == ("refused", 1 + LONGEST_PAUSE_S)
    assert machine.handle(Asked(), 2) == PUSH
    machine.handle(Barred("its host key has changed"), 2)
    assert machine.handle(Moved("c", Relation.BEHIND, 2), 3) == PUSH


def test_what_leads_nowhere_is_not_repeated_at_once() -> None:
    machine = in_step()
    assert machine.handle(Moved("b", Relation.BEHIND, 1), 1) == PUSH
    assert machine.handle(Answered("a", Relation.BEHIND, 1), 1) == []
    assert machine.due > 1


def test_what_it_says_itself_is_news_only_when_it_is_new() -> None:
    machine = in_step()
    machine.handle(Moved("b", Relation.BEHIND, 1), 1)
    machine.handle(NotTaken("edited by hand there"), 1)
    assert machine.handle(Told("a", Relation.BEHIND, 1), 1) == []
    assert machine.state == "refused"
    assert machine.handle(Told("c", Relation.DIVERGED, kept=False), 1) == FETCH
    assert machine.state == "diverged"


def test_one_that_was_away_and_asks_is_there_again() -> None:
    machine = in_step()
    machine.handle(Moved("b", Relation.BEHIND, 1), 1)
    machine.handle(Unreachable("no route"), 1)
    assert machine.handle(Told("a", Relation.BEHIND, 1), 1.01) == PUSH


def test_what_it_says_while_a_conversation_with_it_comes_to_nothing_is_what_is_known() -> None:
    machine = in_step()
    assert machine.handle(Moved("b", Relation.BEHIND, 1), 1) == PUSH
    assert machine.handle(Told("b", Relation.IN_STEP), 2) == []
    machine.handle(Unreachable("no answer"), 3)
    assert (machine.state, machine.reachable) == ("in_step", False)
