"""Whoever reads loads, a fake or the real programs: one reading for each host asked for, and a reason for each that says nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from lvsagent.adapters.load_programs import LoadPrograms
from lvsagent.core.load_plan import LoadSpec
from lvsagent.core.load_text import Monitor
from lvsagent.ports import LoadReader
from tests.fakes.loads import FakeLoads

PROGRAM = """#!/bin/sh
# rup HOST, or ruptime: what the hosts of the test say
for host in {hosts}; do
    case "${{1:-$host}}" in $host) cat "{folder}/$host" ;; esac
done
"""


class World(ABC):
    """Hosts that tell a load or not, and the reader that asks them."""

    reader: LoadReader

    @abstractmethod
    def tell(self, host: str, load: float) -> None: ...

    @abstractmethod
    def fall_silent(self, host: str) -> None: ...


class Imagined(World):
    def __init__(self) -> None:
        self.reader = self._loads = FakeLoads()

    def tell(self, host: str, load: float) -> None:
        self._loads.tell(host, load)

    def fall_silent(self, host: str) -> None:
        self._loads.fall_silent(host, "RPC: Timed out")


class Real(World):
    """Programs that print what rup and ruptime print."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = folder / "program"
        self.reader = LoadPrograms(folder, {Monitor.RUP: str(self._program), Monitor.RUPTIME: str(self._program)})
        self._write()

    def tell(self, host: str, load: float) -> None:
        (self._folder / host).write_text(f"{host}          up    1+03:47,     3 users,  load {load:5.2f},  1.25,  1.00\n")
        self._write()

    def fall_silent(self, host: str) -> None:
        (self._folder / host).write_text("")
        self._write()

    def _write(self) -> None:
        hosts = " ".join(sorted(path.name for path in self._folder.iterdir() if path != self._program)) or "nobody"
        self._program.write_text(PROGRAM.format(hosts=hosts, folder=self._folder))
        self._program.chmod(0o755)


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return Imagined() if request.param == "fake" else Real(tmp_path)


async def test_a_host_tells_its_load(world: World) -> None:
    world.tell("web1", 1.5)
    (reading,) = await world.reader.read([LoadSpec(Monitor.RUP, "web1")])
    assert (reading.key, reading.load, reading.reason, reading.age_s) == ("rup web1", 1.5, "", 0.0)
    assert "load" in reading.received


async def test_a_host_that_says_nothing_has_a_reason_instead(world: World) -> None:
    world.fall_silent("web1")
    (reading,) = await world.reader.read([LoadSpec(Monitor.RUP, "web1")])
    assert (reading.key, reading.load) == ("rup web1", None)
    assert reading.reason


async def test_one_run_tells_of_many_in_the_order_asked_for(world: World) -> None:
    world.tell("web1", 1.5)
    world.tell("web2", 0.25)
    readings = await world.reader.read([LoadSpec(Monitor.RUPTIME, host) for host in ("web2", "web9", "web1")])
    assert [(reading.key, reading.load) for reading in readings] == [("ruptime web2", 0.25), ("ruptime web9", None), ("ruptime web1", 1.5)]
    assert "web9" in readings[1].reason


async def test_nobody_is_asked_about_no_host(world: World) -> None:
    assert await world.reader.read([]) == []
