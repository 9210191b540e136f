"""lvsd's memory of loads: whose counts, which reading is newer, and what is left of it after a restart or a reboot."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from app.lvscf.model import Config, HostDevice, RealServer, Scheduler, VirtualServer
from lvsagent.core.expansion import expand
from lvsagent.core.load_plan import LoadReading
from lvsagent.core.load_text import Monitor
from lvsagent.core.overrides import Action, Orders, Override, of_server
from lvsagent.core.pools import Expansion
from lvsagent.core.weights import Sides
from lvsagent.lvsd.load_book import LoadBook

ONE, TWO, THREE = "http/one", "http/two", "http/three"


class TwoClocks:
    """Both stand still until a test moves them."""

    def __init__(self, now: float = 1000.0) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at + 1_790_000_000


def expansion(monitor: str = "rup", servers: int = 3) -> Expansion:
    found = [
        RealServer(name=name, address=f"10.11.12.2{number}", active=True, weight=100)
        for number, name in enumerate(("one", "two", "three")[:servers], 1)
    ]
    address = HostDevice("192.0.2.100", "eth1:1")
    virtual = VirtualServer(name="http", active=True, address=address, scheduler=Scheduler.WLC, servers=tuple(found), load_monitor=monitor)
    return expand(Config(virtual=(virtual,)), lambda _name: None)


class Kept:
    """A book whose three servers are up, in a folder where the next one finds what it wrote."""

    def __init__(self, folder: Path, clock: TwoClocks) -> None:
        self.clock = clock
        self.sides = Sides()
        self.sides.update({ONE: True, TWO: True, THREE: True})
        self.events: list[str] = []
        self.book = LoadBook(folder / "loads.json", self.sides, clock, lambda _kind, _severity, message: self.events.append(message))
        self.book.configure(expansion())

    def hear(self, *loads: float | str, age_s: float = 0.0, monitor: Monitor = Monitor.RUP) -> None:
        """The first servers' loads, or why there is none."""
        self.book.report(
            LoadReading(
                f"{monitor} 10.11.12.2{number}",
                load if isinstance(load, float) else None,
                "" if isinstance(load, float) else load,
                age_s=age_s,
            )
            for number, load in enumerate(loads, 1)
        )
        self.book.look()

    def shares(self) -> list[int]:
        """In percent."""
        return [round(self.sides.load_share(check, f"rup 10.11.12.2{number}") * 100) for number, check in enumerate((ONE, TWO, THREE), 1)]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path, TwoClocks())


def test_what_moved_is_looked_at_and_nothing_else(kept: Kept) -> None:
    kept.sides.moved.clear()
    kept.hear(9.0, 1.0, 1.0)
    assert kept.shares() == [20, 100, 100]
    kept.sides.moved.discard(TWO)
    kept.sides.moved.discard(THREE)
    assert kept.sides.moved == {ONE}
    kept.sides.moved.clear()
    kept.clock.at += 20
    kept.hear(9.1, 1.0, 1.0)
    assert kept.sides.moved == set()


def test_servers_that_are_down_or_drained_are_no_measure_for_the_others(kept: Kept) -> None:
    kept.sides[TWO] = False
    kept.sides.orders = Orders({of_server(THREE): Override(of_server(THREE), Action.DRAIN, 0.0)})
    kept.hear(9.0, 0.0, 0.0)
    assert kept.shares() == [100, 100, 100]
    kept.sides[TWO] = True
    kept.hear()
    assert kept.shares() == [10, 100, 100]


def test_a_server_that_starts_slowly_is_no_measure_for_the_others(kept: Kept) -> None:
    kept.sides.start_slowly(THREE, 100)
    kept.sides.advance(0.0)
    kept.hear(4.0, 4.0, 0.0)  # hardly anybody is sent to it yet
    assert kept.shares() == [100, 100, 100]
    kept.sides.advance(100.0)
    kept.hear()
    assert kept.shares() == [60, 60, 100]


def test_a_server_whose_agent_wants_half_is_meant_to_carry_half(kept: Kept) -> None:
    kept.sides.want(THREE, 50)
    kept.hear(4.0, 4.0, 2.0)
    assert kept.shares() == [100, 100, 100]
    kept.sides.want(THREE, 0)
    kept.hear(4.0, 4.0, 2.0)
    assert kept.shares() == [100, 100, 100]
    kept.sides.want(THREE, 100)
    kept.hear()
    assert kept.shares() == [80, 80, 100]


def test_a_reading_older_than_what_is_known_says_nothing_new(kept: Kept) -> None:
    kept.hear(9.0, 1.0, 1.0)
    kept.hear(0.0, 50.0, 50.0, age_s=15)
    assert kept.shares() == [20, 100, 100]
    kept.hear("RPC: Timed out", age_s=15)
    info = kept.book.info_of(ONE)
    assert info is not None
    assert info.reason == ""


def test_a_host_that_nobody_asked_about_says_nothing(kept: Kept) -> None:
    kept.book.report([LoadReading("rup 10.11.12.99", 9.0), LoadReading("uptime 10.11.12.21", 9.0)])
    kept.book.look()
    assert kept.shares() == [100, 100, 100]


def test_a_restart_goes_on_where_it_was(kept: Kept, tmp_path: Path) -> None:
    kept.hear(9.0, 1.0, 1.0)
    kept.book.save()
    kept.clock.at += 5
    again = Kept(tmp_path, kept.clock)
    assert again.shares() == [20, 100, 100]
    assert not again.sides.moved
    again.hear(9.0, 1.0, 1.0, age_s=6)  # nanny tells its newest to whoever connects
    assert again.shares() == [20, 100, 100]


def test_after_a_long_absence_the_weight_is_already_growing_back(kept: Kept, tmp_path: Path) -> None:
    kept.hear(9.0, 1.0, 1.0)
    kept.book.save()
    kept.clock.at += 70 + 150
    assert Kept(tmp_path, kept.clock).shares() == [60, 100, 100]


def test_a_load_from_before_a_reboot_is_none(kept: Kept, tmp_path: Path) -> None:
    kept.hear(9.0, 1.0, 1.0)
    kept.book.save()
    assert Kept(tmp_path, TwoClocks(now=30.0)).shares() == [100, 100, 100]


def test_a_planned_stop_forgets(kept: Kept, tmp_path: Path) -> None:
    kept.hear(9.0, 1.0, 1.0)
    kept.book.save()
    kept.book.discard()
    assert Kept(tmp_path, kept.clock).shares() == [100, 100, 100]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"hosts": 1}', b"\xff"])
def test_a_file_that_cannot_be_used_is_said_and_forgotten(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "loads.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert Kept(tmp_path, TwoClocks()).shares() == [100, 100, 100]
    assert "loads kept in" in caplog.text


def test_another_monitor_begins_anew_and_a_server_that_left_is_forgotten(kept: Kept) -> None:
    kept.hear(9.0, 1.0, 1.0)
    kept.book.configure(expansion("uptime"))
    assert kept.shares() == [100, 100, 100]
    kept.book.configure(expansion())
    assert kept.shares() == [100, 100, 100]
    kept.hear(9.0, 1.0, 1.0)
    kept.book.configure(expansion(servers=1))
    assert kept.shares() == [100, 100, 100]  # nobody is left to be compared with


def test_silence_and_answers_are_told_once(kept: Kept) -> None:
    for _ in range(3):
        kept.clock.at += 20
        kept.hear("RPC: Timed out", "RPC: Timed out", 1.0)
    assert kept.events == ["the load of 10.11.12.21, 10.11.12.22 cannot be read and does not count: RPC: Timed out"]
    kept.clock.at += 20
    kept.hear(1.0, 1.0, 1.0)
    assert kept.events[1:] == ["the load of 10.11.12.21, 10.11.12.22 can be read again"]
