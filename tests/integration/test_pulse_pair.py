"""Two pulse processes with real datagrams between them: who is active and how soon, and what moves nothing at all."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time

import pytest

from lvsagent.adapters.heartbeat_key import make_key_file, take_key_file
from lvsagent.core.heartbeat import SIZE
from lvsagent.messages import PulseCommand
from tests.integration.pulse_pair import Pair, Pulse, pulse_pair

QUICK = {"keepalive_s": 0.1, "deadtime_s": 0.3}
PATIENT = {"keepalive_s": 0.1, "deadtime_s": 5.0}
TRIES = 4
"""A busy machine may be late once; what is promised is what it does when it is let."""


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Pair]:
    with pulse_pair(tmp_path, **QUICK) as pair:
        yield pair


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Pair]:
    """Nothing in a test's ordinary course takes as long as the dead time."""
    with pulse_pair(tmp_path, **PATIENT) as pair:
        yield pair


def best_takeover_s(pair: Pair, leave: Callable[[Pulse], None]) -> float:
    """How long after one left the other was active, at best; both take turns."""
    found = []
    active, standby = pair.both
    for _ in range(TRIES):
        began = time()
        leave(active)
        pair.until(lambda standby=standby: standby.role == "active")  # type: ignore[misc]
        found.append(standby.state.since - began)
        active.end(signal.SIGKILL)
        active.start()
        active, standby = standby, active
        pair.settle(active.name)
    return min(found)


def beats_lost(pulse: Pulse) -> int:
    return pulse.state.links[0].lost


def more_beats(pair: Pair, count: int = 10) -> None:
    """Wait until each has heard so many more."""
    wanted = [one.state.links[0].received + count for one in pair.both]
    pair.until(lambda: all(one.state.links[0].received > number for one, number in zip(pair.both, wanted, strict=True)))


def splits(pulse: Pulse) -> list[str]:
    """Who yielded, after each time when both were active."""
    return [words.partition("; ")[2] for words in pulse.events if words.startswith("both directors were active for")]


def key_changes(pulse: Pulse) -> int:
    return len([words for words in pulse.events if words.startswith("the heartbeat key is")])


class TestWhoIsActive:
    def test_the_primary_when_both_start_and_each_knows_the_other(self, quick: Pair) -> None:
        peer = quick.righty.state.peer
        assert (peer.identity, peer.role, peer.serial, peer.up, peer.total, peer.name) == ("primary", "active", 7, 2, 3, "lefty")
        [link] = quick.lefty.state.links
        assert (link.name, link.local, link.peer, link.state) == ("public", "127.0.0.11", "127.0.0.13", "up")
        quick.until(lambda: [one.state for one in quick.lefty.state.addresses] == ["present"])  # the role comes before what follows it
        assert quick.righty.state.addresses == []
        assert quick.lefty.state.takeover_s == pytest.approx(0.3)

    def test_a_killed_one_is_replaced_within_the_dead_time_and_two_beats(self, quick: Pair) -> None:
        assert best_takeover_s(quick, lambda one: one.end(signal.SIGKILL)) <= 0.3 + 2 * 0.1

    def test_a_planned_stop_hands_over_at_once(self, quick: Pair) -> None:
        assert best_takeover_s(quick, lambda one: one.kill(signal.SIGTERM)) <= 0.1

    def test_a_step_down_hands_over_and_stays(self, patient: Pair) -> None:
        patient.lefty.send(PulseCommand(action="step_down", actor="piranha"))
        patient.settle("righty")
        assert "role active → standby: stepped down (piranha)" in patient.lefty.events
        patient.lefty.send(PulseCommand(action="take_over", actor="piranha"))
        patient.settle("lefty")

    def test_maintenance_survives_a_restart(self, patient: Pair) -> None:
        patient.lefty.send(PulseCommand(action="maintenance"))
        patient.settle("righty")
        patient.until((patient.lefty.folder / "maintenance").exists)
        patient.lefty.end(signal.SIGTERM)
        patient.lefty.start()
        patient.settle("righty")
        assert patient.lefty.state.maintenance
        assert patient.righty.state.peer.maintenance
        patient.lefty.send(PulseCommand(action="resume"))
        patient.until(lambda: not patient.lefty.state.maintenance and not (patient.lefty.folder / "maintenance").exists())

    @pytest.mark.parametrize("how", [signal.SIGUSR1, signal.SIGKILL], ids=["asked to", "killed"])
    def test_a_restart_in_place_keeps_the_role(self, patient: Pair, how: signal.Signals) -> None:
        since = patient.lefty.state.since
        moved = len(patient.righty.events)
        patient.lefty.end(how)
        patient.lefty.said.clear()
        patient.lefty.start()
        patient.settle()
        assert patient.lefty.state.since == since
        assert not [words for words in patient.lefty.events + patient.righty.events[moved:] if words.startswith("role ")]

    def test_faster_beats_apply_at_once_and_the_role_stays(self, patient: Pair) -> None:
        since = patient.lefty.state.since
        patient.configure(keepalive_s=0.02, deadtime_s=1.0)
        count = len(patient.relay.heard["lefty"])
        patient.until(lambda: len(patient.relay.heard["lefty"]) > count + 50, 5)
        patient.settle()
        assert patient.lefty.state.since == since

    def test_the_shortest_intervals_work(self, patient: Pair) -> None:
        patient.configure(keepalive_s=0.02, deadtime_s=0.06)
        # The longer dead time of the two counts: until lefty has said its new one in a beat, that is the old one.
        patient.until(lambda: patient.righty.state.takeover_s < 0.1)
        patient.lefty.end(signal.SIGKILL)
        patient.until(lambda: patient.righty.role == "active")

    def test_no_backup_any_more_and_again(self, patient: Pair) -> None:
        patient.lefty.configure(redundant=False)
        patient.until(lambda: patient.lefty.state.peer.state == "none")
        assert patient.lefty.role == "active"
        patient.lefty.configure(redundant=True)
        patient.settle()


class TestStandingStill:
    def test_one_that_was_stopped_yields_when_it_wakes_and_the_event_says_so(self, quick: Pair) -> None:
        quick.lefty.kill(signal.SIGSTOP)
        quick.until(lambda: quick.righty.role == "active")
        quick.lefty.kill(signal.SIGCONT)
        quick.settle("righty")
        assert any(words.startswith("role active → standby: both were active") for words in quick.lefty.events), quick.lefty.words()
        assert splits(quick.lefty) == ["this one yielded"]
        quick.until(lambda: splits(quick.righty) == ["the other yielded"])

    def test_waking_up_too_late_is_said_with_the_figure(self, patient: Pair) -> None:
        patient.lefty.kill(signal.SIGSTOP)
        count = len(patient.relay.heard["righty"])
        patient.until(lambda: len(patient.relay.heard["righty"]) > count + 5)
        patient.lefty.kill(signal.SIGCONT)
        patient.until(lambda: patient.lefty.state.late_s > 0.2)
        assert "too late for a heartbeat every 100 ms" in patient.lefty.state.late_warning
        assert any("too late for a heartbeat every 100 ms" in words for words in patient.lefty.events)
        assert patient.lefty.role == "active"

    def test_a_cut_splits_them_and_healing_leaves_one(self, quick: Pair) -> None:
        quick.relay.cut |= {"lefty", "righty"}
        quick.until(lambda: quick.righty.role == "active")
        assert quick.lefty.role == "active"
        quick.until(lambda: quick.lefty.state.peer.state == "dead")
        quick.relay.cut.clear()
        quick.settle("lefty")
        quick.until(lambda: splits(quick.lefty) == ["the other yielded"])
        assert splits(quick.righty) == ["this one yielded"]
        assert {one.state.both_active_since for one in quick.both} == {0}

    def test_deaf_to_the_active_one_it_takes_over_and_one_is_left(self, quick: Pair) -> None:
        """Cut one way: the standby hears nothing any more, the active one hears that."""
        quick.relay.cut.add("lefty")
        quick.until(lambda: sorted(one.role for one in quick.both) == ["active", "standby"] and quick.righty.role == "active")
        quick.relay.cut.clear()
        quick.until(lambda: sorted(one.role for one in quick.both) == ["active", "standby"])


class TestWhatMovesNothing:
    def test_forged_replayed_truncated_oversized_and_foreign_datagrams_are_counted(self, patient: Pair) -> None:
        genuine = list(patient.relay.heard["righty"])
        last = genuine[-1]
        forged = last[:10] + bytes([last[10] ^ 1]) + last[11:]
        since, roles = [one.state.since for one in patient.both], [one.role for one in patient.both]
        for data in (
            forged,
            last,
            last[:-7],
            last + b"more",
            b"GET / HTTP/1.0\r\n\r\n",
            b"",
            bytes(1400),
            patient.relay.heard["lefty"][-1],
        ):
            patient.relay.send(data, "lefty")
        patient.relay.send_from_elsewhere(last, "lefty")
        wanted = {"wrong key": 1, "replayed": 1, "truncated": 2, "oversized": 1, "foreign": 3, "our own": 1}
        patient.until(lambda: all(patient.lefty.refused().get(why, 0) >= count for why, count in wanted.items()))
        assert {why: count for why, count in patient.lefty.refused().items() if why in wanted} == wanted
        patient.settle()
        assert ([one.state.since for one in patient.both], [one.role for one in patient.both]) == (since, roles)

    def test_a_dead_directors_recorded_beats_keep_nobody_from_taking_over(self, quick: Pair) -> None:
        quick.lefty.end(signal.SIGKILL)
        recorded = list(quick.relay.heard["lefty"])
        until_active = iter(range(100_000))
        while quick.righty.role != "active":
            quick.relay.send(recorded[next(until_active) % len(recorded)], "righty")
        quick.until(lambda: quick.righty.refused().get("replayed", 0) > 0)

    def test_recorded_beats_of_an_earlier_life_are_worth_nothing(self, patient: Pair) -> None:
        earlier = list(patient.relay.heard["righty"])
        for one in patient.both:
            one.end(signal.SIGTERM)
        for one in patient.both:
            one.start()
        patient.settle()
        before = patient.lefty.refused().get("not yet proven fresh", 0)
        for data in earlier[-50:]:
            patient.relay.send(data, "lefty")
        patient.until(lambda: patient.lefty.refused().get("not yet proven fresh", 0) >= before + min(50, len(earlier)))
        patient.settle()

    def test_a_flood_of_rubbish_keeps_no_beat_from_leaving(self, patient: Pair) -> None:
        for _ in range(5000):
            patient.relay.send(b"LVSp\x01" + bytes(SIZE - 5), "lefty")
        count = len(patient.relay.heard["lefty"])
        patient.until(lambda: len(patient.relay.heard["lefty"]) > count + 5, 3)
        patient.settle()


class TestKeys:
    def test_a_change_of_key_loses_no_beat(self, patient: Pair, tmp_path: Path) -> None:
        make_key_file(tmp_path / "new")
        lost = [beats_lost(one) for one in patient.both]
        wrong = [one.refused().get("wrong key", 0) for one in patient.both]
        for one in (patient.righty, patient.lefty):
            take_key_file(tmp_path / "new", one.key)
            patient.until(lambda: key_changes(patient.righty) == 2)  # its first one, and this one
            more_beats(patient)
        patient.until(lambda: key_changes(patient.lefty) == 2)
        assert [one.refused().get("wrong key", 0) for one in patient.both] == wrong
        assert [beats_lost(one) for one in patient.both] == lost
        patient.settle()

    def test_without_a_key_nobody_is_believed_and_it_is_said(self, tmp_path: Path) -> None:
        with pulse_pair(tmp_path, key=False, **QUICK) as pair:
            pair.until(lambda: (pair.lefty.role, pair.righty.role) == ("active", "standby"))
            assert {one.state.key for one in pair.both} == {"missing"}
            assert all(any("no heartbeat key" in words for words in one.events) for one in pair.both)
            pair.lefty.end(signal.SIGKILL)
            make_key_file(tmp_path / "key")
            pair.lefty.start()
            for one in pair.both:
                take_key_file(tmp_path / "key", one.key)
            pair.settle()

    def test_another_key_is_no_key(self, tmp_path: Path) -> None:
        with pulse_pair(tmp_path, **PATIENT) as pair:
            pair.righty.end(signal.SIGTERM)
            make_key_file(tmp_path / "strange")
            pair.righty.key.unlink()
            take_key_file(tmp_path / "strange", pair.righty.key)
            pair.righty.start()
            pair.until(lambda: pair.lefty.refused().get("wrong key", 0) > 0)
            assert pair.lefty.role == "active"
