"""What the failover machine does, one story a test.  Bad networks are test_failover_simulation.py's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvsagent.core.failover import (
    Action,
    Activate,
    Cause,
    ChildrenChanged,
    Configured,
    Deactivate,
    FeedReady,
    Heard,
    LinksChanged,
    Machine,
    Remember,
    Send,
    Started,
    Stopping,
    Tick,
)
from tests.unit.lvsagent import failover_table
from tests.unit.lvsagent.failover_pair import DEADTIME_S, KEEPALIVE_S, PATHS, SETTINGS, Pair


@pytest.fixture
def pair() -> Pair:
    """lefty active, righty standby, all well."""
    running = Pair().start("lefty", "righty").pass_time(10)
    assert running.roles() == ("active", "standby")
    running.done.clear()
    return running


# --- start ---------------------------------------------------------------------------------------------------------------------


def test_both_starting_together_the_primary_is_active_and_the_backup_never_was() -> None:
    pair = Pair().start("righty", "lefty").pass_time(20)
    assert pair.roles() == ("active", "standby")
    assert [(name, type(command)) for name, command in pair.done if isinstance(command, Activate | Deactivate)] == [("lefty", Activate)]


def test_a_director_that_hears_nobody_is_active_after_the_dead_time_and_not_before() -> None:
    pair = Pair().start("righty").pass_time(DEADTIME_S - 0.01)
    assert pair.roles() == ("starting",)
    assert pair.pass_time(0.02).roles() == ("active",)


def test_whoever_comes_second_is_standby() -> None:
    pair = Pair().start("righty").pass_time(10).start("lefty").pass_time(30)
    assert pair.roles() == ("standby", "active")


def test_without_a_backup_it_is_active_at_once() -> None:
    assert Pair(redundant=False).start("lefty").roles() == ("active",)


def test_a_backup_that_is_not_enabled_stays_standby() -> None:
    assert Pair(redundant=False).start("righty").roles() == ("standby",)


def test_without_a_key_the_primary_is_active_and_no_word_is_believed() -> None:
    pair = Pair(keyed=False).start("lefty", "righty")
    pair.kill("lefty")
    assert pair.pass_time(100).roles() == ("standby",)


def test_a_host_that_is_neither_stays_standby() -> None:
    machine = Machine(replace(SETTINGS, identity="unknown"), "someone")
    assert not [command for command in machine.handle(Started(), 5.0) if isinstance(command, Activate | Send)]
    assert machine.role == "standby"


def test_both_claiming_to_be_the_primary_is_said_and_still_one_is_active() -> None:
    pair = Pair()
    pair.settings["righty"] = pair.settings["lefty"]
    pair.start("lefty", "righty").pass_time(20)
    assert sorted(pair.roles()) == ["active", "standby"]
    assert any("both directors say that they are the primary" in note for note in pair.notes("problem"))


# --- takeover ------------------------------------------------------------------------------------------------------------------


def test_a_crash_is_taken_over_after_the_dead_time(pair: Pair) -> None:
    heard_at = pair.now
    pair.kill("lefty")
    pair.pass_time(DEADTIME_S + 2 * KEEPALIVE_S)
    assert pair.roles() == ("active",)
    assert pair.machines["righty"].since - heard_at <= DEADTIME_S


def test_one_path_is_enough(pair: Pair) -> None:
    for _ in range(20):
        pair.now += KEEPALIVE_S
        for name, other in (("lefty", "righty"), ("righty", "lefty")):
            for command in pair.machines[name].handle(Tick(), pair.now):
                if isinstance(command, Send):
                    pair.machines[other].handle(Heard(PATHS[1], command.beat), pair.now)
    assert pair.roles() == ("active", "standby")


def test_a_returning_primary_stays_standby(pair: Pair) -> None:
    pair.kill("lefty")
    pair.pass_time(10).start("lefty").pass_time(100)
    assert pair.roles() == ("standby", "active")


def test_a_primary_that_lost_its_role_in_a_short_reboot_leaves_it_to_the_standby_which_is_ready(pair: Pair) -> None:
    pair.kill("lefty")
    pair.pass_time(1).start("lefty").pass_time(KEEPALIVE_S)
    assert pair.roles() == ("standby", "active")


def test_a_planned_stop_is_taken_over_at_once(pair: Pair) -> None:
    commands = pair.give("lefty", Stopping())
    assert pair.roles() == ("stopped", "active")
    kinds = [type(command) for command in commands]
    assert kinds.index(Deactivate) < kinds.index(Send), "addresses are given up before the other one hears of it"
    assert [command.times for command in commands if isinstance(command, Send)] == [3]


def test_a_stopped_director_says_nothing_more(pair: Pair) -> None:
    pair.give("lefty", Stopping())
    assert pair.give("lefty", Tick()) == []
    assert pair.machines["lefty"].next_at(pair.now) == float("inf")


# --- both active ---------------------------------------------------------------------------------------------------------------


def test_after_a_split_the_primary_keeps_and_the_one_that_yields_says_for_how_long(pair: Pair) -> None:
    pair.deaf = {"lefty", "righty"}
    pair.pass_time(10)
    assert pair.roles() == ("active", "active")
    pair.deaf = set()
    pair.pass_time(KEEPALIVE_S)
    assert pair.roles() == ("active", "standby")
    assert [words.split("; ")[1] for words in pair.notes("split")] == ["this one yielded"]
    assert pair.pass_time(50).roles() == ("active", "standby")


def test_the_one_that_keeps_says_it_when_it_saw_both_active(pair: Pair) -> None:
    pair.deaf = {"lefty", "righty"}
    pair.pass_time(10)
    pair.deaf = {"righty"}
    pair.give("righty", Tick())
    pair.pass_time(KEEPALIVE_S)
    assert pair.machines["lefty"].both_active_since is not None
    pair.deaf = set()
    pair.pass_time(KEEPALIVE_S)
    assert {words.split("; ")[1] for words in pair.notes("split")} == {"this one yielded", "the other yielded"}


def test_who_cannot_be_heard_yields_because_only_it_knows(pair: Pair) -> None:
    pair.deaf = {"righty"}
    pair.pass_time(DEADTIME_S + 4 * KEEPALIVE_S)
    assert pair.roles() == ("standby", "active")
    assert pair.machines["lefty"].cause is Cause.PEER_DEAF


def test_who_slept_while_the_other_took_over_yields_though_it_is_the_primary(pair: Pair) -> None:
    pair.pass_time(20, "lefty")
    assert pair.roles() == ("active", "active")
    pair.pass_time(KEEPALIVE_S)
    assert pair.roles() == ("standby", "active")
    assert pair.pass_time(20).roles() == ("standby", "active")


def test_who_slept_and_hears_nobody_goes_on_as_active_but_is_not_sure_for_the_dead_time(pair: Pair) -> None:
    pair.kill("righty")
    pair.pass_time(20, "lefty")
    pair.give("lefty", Tick())
    confirmed = [pair.machines["lefty"].confirmed]
    pair.pass_time(DEADTIME_S)
    confirmed.append(pair.machines["lefty"].confirmed)
    assert confirmed == [False, True]
    assert pair.roles() == ("active",)


def test_a_standby_that_slept_listens_before_it_takes_over(pair: Pair) -> None:
    pair.pass_time(20, "righty", "lefty")
    pair.give("righty", Tick())
    assert pair.roles() == ("active", "standby")


# --- restart of the process ----------------------------------------------------------------------------------------------------


def test_a_restarted_pulse_goes_on_as_active(pair: Pair) -> None:
    pair.kill("lefty")
    pair.pass_time(0.5).start("lefty", holding=True, away_s=0.5)
    assert pair.pass_time(20).roles() == ("active", "standby")
    assert pair.machines["lefty"].confirmed


def test_a_pulse_that_was_away_for_the_dead_time_listens_first(pair: Pair) -> None:
    pair.kill("lefty")
    pair.pass_time(DEADTIME_S + 1).start("lefty", holding=True, away_s=DEADTIME_S + 1)
    assert pair.roles() == ("standby", "active")
    assert not [command for name, command in pair.done if name == "lefty" and isinstance(command, Activate)]


# --- links and children --------------------------------------------------------------------------------------------------------


def test_a_lost_link_moves_the_role_at_once_and_says_why(pair: Pair) -> None:
    pair.give("lefty", LinksChanged(whole=False, why="eth1 has no carrier"))
    assert pair.roles() == ("standby", "active")
    assert "eth1 has no carrier" in pair.machines["lefty"].reason


def test_links_that_are_not_watched_move_nothing() -> None:
    pair = Pair(monitor_links=False).start("lefty", "righty").pass_time(10)
    pair.give("lefty", LinksChanged(whole=False, why="eth1 has no carrier"))
    assert pair.pass_time(20).roles() == ("active", "standby")


def test_a_lost_link_moves_nothing_when_the_other_is_no_better(pair: Pair) -> None:
    pair.give("righty", LinksChanged(whole=False, why="eth1 has no carrier"))
    pair.give("lefty", LinksChanged(whole=False, why="eth1 has no carrier"))
    assert pair.pass_time(20).roles() == ("active", "standby")
    pair.give("righty", LinksChanged(whole=True))
    assert pair.roles() == ("standby", "active")


def test_with_a_lost_link_silence_is_not_taken_for_the_others_death_until_it_is_whole(pair: Pair) -> None:
    pair.give("righty", LinksChanged(whole=False, why="eth1 has no carrier"))
    pair.kill("lefty")
    assert pair.pass_time(20).roles() == ("standby",)
    pair.give("righty", LinksChanged(whole=True))
    assert pair.roles() == ("active",)


def test_processes_that_cannot_be_kept_up_move_the_role(pair: Pair) -> None:
    pair.give("lefty", ChildrenChanged(fit=False, why="lvsd cannot be kept up"))
    assert pair.roles() == ("standby", "active")


# --- operators -----------------------------------------------------------------------------------------------------------------


def test_step_down_moves_the_role_at_once_and_it_stays(pair: Pair) -> None:
    pair.operator("lefty", Action.STEP_DOWN)
    assert pair.roles() == ("standby", "active")
    assert pair.pass_time(100).roles() == ("standby", "active")


def test_step_down_is_refused_when_nobody_could_take_over(pair: Pair) -> None:
    pair.kill("righty")
    pair.pass_time(10)
    pair.operator("lefty", Action.STEP_DOWN)
    assert pair.roles() == ("active",)
    assert "not stepping down (somebody): the other director is not heard" in pair.notes("role")


def test_take_over_asks_the_active_one_which_steps_down(pair: Pair) -> None:
    pair.operator("righty", Action.TAKE_OVER)
    assert pair.roles() == ("standby", "active")
    pair.operator("lefty", Action.TAKE_OVER)
    assert pair.roles() == ("active", "standby")
    assert pair.pass_time(100).roles() == ("active", "standby")


def test_maintenance_gives_the_role_up_and_never_takes_it_whatever_happens(pair: Pair) -> None:
    commands = pair.operator("lefty", Action.MAINTENANCE)
    assert Remember(maintenance=True) in commands
    assert pair.roles() == ("standby", "active")
    pair.kill("righty")
    assert pair.pass_time(50).roles() == ("standby",)
    pair.operator("lefty", Action.RESUME)
    assert pair.roles() == ("active",)


def test_maintenance_survives_a_reboot() -> None:
    assert Pair().start("lefty", maintenance=True).pass_time(50).roles() == ("standby",)


# --- giving back ---------------------------------------------------------------------------------------------------------------


def test_with_preempt_the_primary_takes_the_role_back_only_after_its_delay_with_a_feed() -> None:
    pair = Pair(preempt=True, preempt_delay_s=10.0).start("righty").pass_time(10).start("lefty").pass_time(50)
    assert pair.roles() == ("standby", "active"), "no feed yet"
    pair.give("lefty", FeedReady())
    pair.pass_time(5)
    pair.give("lefty", FeedReady(ready=False))
    pair.give("lefty", FeedReady())
    assert pair.pass_time(9).roles() == ("standby", "active")
    assert pair.pass_time(2.5).roles() == ("active", "standby")


def test_a_primary_told_to_step_down_does_not_take_the_role_back_by_itself() -> None:
    pair = Pair(preempt=True).start("lefty", "righty").pass_time(10)
    pair.give("lefty", FeedReady())
    pair.operator("lefty", Action.STEP_DOWN)
    assert pair.pass_time(100).roles() == ("standby", "active")


# --- settings ------------------------------------------------------------------------------------------------------------------


def test_new_intervals_may_reach_one_director_before_the_other(pair: Pair) -> None:
    pair.give("righty", Configured(replace(pair.settings["righty"], keepalive_s=0.1, deadtime_s=0.3)))
    assert pair.pass_time(10).roles() == ("active", "standby")
    pair.give("lefty", Configured(replace(pair.settings["lefty"], keepalive_s=0.1, deadtime_s=0.3)))
    pair.pass_time(1).kill("lefty")
    assert pair.pass_time(0.5).roles() == ("active",)


def test_a_second_director_is_configured_while_this_one_is_active() -> None:
    pair = Pair(redundant=False).start("lefty")
    pair.give("lefty", Configured(SETTINGS))
    assert pair.roles() == ("active",)
    pair.settings["righty"] = replace(SETTINGS, identity="backup")
    assert pair.start("righty").pass_time(20).roles() == ("active", "standby")


def test_a_pair_made_anew_does_not_go_by_words_from_before(pair: Pair) -> None:
    """righty was whole and standby once; it has gone since, and lefty's lost link must not make it give up to nobody."""
    pair.kill("righty")
    pair.give("lefty", Configured(replace(pair.settings["lefty"], redundant=False)))
    pair.pass_time(60).give("lefty", LinksChanged(whole=False))
    pair.give("lefty", Configured(pair.settings["lefty"]))
    assert pair.roles() == ("active",)
    assert pair.pass_time(60).roles() == ("active",)


def test_beats_go_out_each_keepalive_on_every_path(pair: Pair) -> None:
    machine = pair.machines["lefty"]
    began, sent = pair.now, 0
    for _ in range(10):
        pair.now = machine.next_at(pair.now)
        sent += sum(command.paths == PATHS for command in machine.handle(Tick(), pair.now) if isinstance(command, Send))
    assert sent == 10
    assert pair.now - began <= 10 * KEEPALIVE_S


@pytest.mark.parametrize("origin", [0.0, 1e5, 1e7])
def test_time_asked_for_is_time_enough(origin: float) -> None:
    """Whoever gives a Tick when it is asked for is not asked for the same time again."""
    machine = Machine(replace(SETTINGS, keepalive_s=0.1, deadtime_s=0.37), "someone")
    machine.handle(Started(), origin)
    now = origin
    for _ in range(50):
        now = machine.next_at(now)
        machine.handle(Tick(), now)
    assert now - origin == pytest.approx(4.8, abs=0.2)


# --- the page ------------------------------------------------------------------------------------------------------------------


def test_the_table_for_administrators_is_what_the_machine_does() -> None:
    page = failover_table.PAGE.read_text()
    assert failover_table.table() in page, "python -m tests.unit.lvsagent.failover_table writes it anew"
