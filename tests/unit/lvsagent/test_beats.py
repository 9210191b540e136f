"""Heartbeats between two directors over wires in memory and an invented clock: acquaintance, counting, keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lvsagent.adapters.heartbeat_key import KeyFile, make_key_file, take_key_file
from lvsagent.core.failover import Beat
from lvsagent.messages import HeartbeatPath
from lvsagent.pulse.beats import RETIRE_S, Beats

LEFTY, RIGHTY = "aa" * 16, "bb" * 16
KEEPALIVE_S, DEADTIME_S = 0.1, 0.3


@dataclass
class Clock:
    at: float = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 1e9 + self.at


@dataclass
class Wires:
    """Carries datagrams by local address, unless ``cut`` holds the sender's."""

    ends: dict[str, tuple[str, Callable[[bytes, bool], None]]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    carried: list[tuple[str, bytes]] = field(default_factory=list)

    def open(self, local: str, peer: str, port: int, on_datagram: Callable[[bytes, bool], None]) -> End:
        self.ends[local] = (peer, on_datagram)
        return End(self, local)

    def carry(self, local: str, data: bytes) -> None:
        peer = self.ends[local][0]
        self.carried.append((local, data))
        if local not in self.cut and peer in self.ends:
            self.ends[peer][1](data, True)


@dataclass
class End:
    wires: Wires
    local: str
    problem: str = ""

    def open(self) -> bool:
        return True

    def send(self, data: bytes) -> bool:
        self.wires.carry(self.local, data)
        return True

    def drain(self) -> None:
        pass

    def close(self) -> None:
        del self.wires.ends[self.local]


class Side:
    """One director's beats, and what it heard."""

    def __init__(self, name: str, boot_id: str, wires: Wires, clock: Clock, folder: Path) -> None:
        self.name, self.boot_id, self.number = name, boot_id, 0
        self.key = folder / f"{name}.key"
        self.heard: list[tuple[str, Beat]] = []
        self.told: list[str] = []
        own, peer = ("l", "r") if name == "lefty" else ("r", "l")
        self.paths = [HeartbeatPath(name=way, local=f"{own}-{way}", peer=f"{peer}-{way}") for way in ("public", "private")]
        self.beats = Beats(
            KeyFile(self.key),
            clock,
            boot_id,
            wires.open,
            lambda path, beat: self.heard.append((path, beat)),
            lambda _kind, _severity, message: self.told.append(message),
        )
        self.beats.configure(self.paths, 539, KEEPALIVE_S, DEADTIME_S)

    def beat(self) -> None:
        self.number += 1
        self.beats.look_at_key()
        self.beats.send(Beat(identity="primary", boot_id=self.boot_id, number=self.number), ("public", "private"))

    def link(self, name: str = "public") -> tuple[str, int, int, dict[str, int]]:
        info = next(one for one in self.beats.infos(DEADTIME_S) if one.name == name)
        return info.state, info.received, info.lost, info.refused_reasons


@dataclass
class Both:
    lefty: Side
    righty: Side
    wires: Wires
    clock: Clock

    def pass_time(self, seconds: float) -> None:
        """Both beat all the while."""
        for _ in range(round(seconds / KEEPALIVE_S)):
            self.clock.at += KEEPALIVE_S
            self.lefty.beat()
            self.righty.beat()


@pytest.fixture
def both(tmp_path: Path) -> Both:
    wires, clock = Wires(), Clock()
    make_key_file(tmp_path / "first")
    sides = [Side(name, boot_id, wires, clock, tmp_path) for name, boot_id in (("lefty", LEFTY), ("righty", RIGHTY))]
    for side in sides:
        take_key_file(tmp_path / "first", side.key)
        side.beats.look_at_key()
    return Both(sides[0], sides[1], wires, clock)


def test_two_that_never_met_know_each_other_within_two_beats(both: Both) -> None:
    both.pass_time(2 * KEEPALIVE_S)
    assert {path for path, _ in both.lefty.heard} == {path for path, _ in both.righty.heard} == {"public", "private"}


def test_getting_to_know_each_other_ends(both: Both) -> None:
    both.pass_time(1)
    count = len(both.wires.carried)
    both.pass_time(1)
    assert len(both.wires.carried) - count == 2 * 2 * 10


def test_one_that_was_restarted_is_known_again_at_once(both: Both, tmp_path: Path) -> None:
    both.pass_time(1)
    both.righty = Side("righty", "cc" * 16, both.wires, both.clock, tmp_path)
    both.righty.beats.look_at_key()
    both.pass_time(2 * KEEPALIVE_S)
    assert both.lefty.heard[-1][1].boot_id == "cc" * 16
    assert both.righty.heard[-1][1].boot_id == LEFTY


def test_what_was_lost_is_counted_on_its_own_link(both: Both) -> None:
    both.pass_time(1)
    both.wires.cut = {"r-public"}
    both.pass_time(1)
    assert (both.lefty.link()[0], both.lefty.link("private")[0]) == ("silent", "up")
    both.wires.cut = set()
    both.pass_time(1)
    state, _received, lost, _reasons = both.lefty.link()
    assert (state, lost) == ("up", 10)
    assert both.lefty.link("private")[2] == 0


def test_a_link_that_never_carried_anything_is_told_from_one_that_is_silent(both: Both) -> None:
    both.wires.cut = {"r-private"}
    both.pass_time(1)
    assert (both.lefty.link()[0], both.lefty.link("private")[0]) == ("up", "never")


def test_a_link_that_stays_keeps_its_counters_when_another_goes(both: Both) -> None:
    both.pass_time(1)
    received = both.lefty.link()[1]
    both.lefty.beats.configure(both.lefty.paths[:1], 539, KEEPALIVE_S, DEADTIME_S)
    assert [info.name for info in both.lefty.beats.infos(DEADTIME_S)] == ["public"]
    assert both.lefty.link()[1] == received


def test_what_comes_from_elsewhere_or_before_there_is_a_key_is_counted(both: Both, tmp_path: Path) -> None:
    both.wires.ends["l-public"][1](b"hello", False)
    both.lefty.beats._keys = None
    both.wires.ends["l-public"][1](b"hello", True)
    assert both.lefty.link()[3] == {"foreign": 1, "there is no key": 1}


def test_the_previous_key_goes_a_minute_after_the_other_one_has_the_present_one(both: Both, tmp_path: Path) -> None:
    both.pass_time(1)
    make_key_file(tmp_path / "second")
    take_key_file(tmp_path / "second", both.lefty.key)
    both.pass_time(2 * RETIRE_S)
    assert not any("no longer taken" in words for words in both.lefty.told)  # righty does not have it yet
    take_key_file(tmp_path / "second", both.righty.key)
    both.pass_time(RETIRE_S + 1)
    for side in (both.lefty, both.righty):
        assert [words for words in side.told if words.endswith("is no longer taken")]
        assert side.link()[2] == 0
        assert "wrong key" not in side.link()[3]


def test_no_answer_more_often_than_beats_are_worth(both: Both) -> None:
    """A recorded datagram of somebody who once had the key makes nobody talk faster."""
    both.pass_time(1)
    stranger = next(data for local, data in both.wires.carried if local == "r-public")
    both.lefty.beats._door._peer = "dd" * 16
    count = len(both.wires.carried)
    for _ in range(100):
        both.wires.ends["l-public"][1](stranger, True)
    assert len(both.wires.carried) - count <= 1
