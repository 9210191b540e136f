"""nanny's rounds over the hosts: who is asked, how many at once, and what lvsd is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from lvsagent.core.load_plan import LoadSpec
from lvsagent.core.load_text import Monitor
from lvsagent.messages import FromNanny, NannyLoads, NannyReadLoads, ToNanny
from lvsagent.nanny.load_rounds import AT_ONCE, LoadRounds
from tests.fakes.loads import FakeLoads
from tests.unit.lvsagent.test_warden import LoopClock


def rup(*hosts: str) -> list[LoadSpec]:
    return [LoadSpec(Monitor.RUP, host) for host in hosts]


class Told:
    """Rounds with what they said to lvsd."""

    def __init__(self) -> None:
        self.reader = FakeLoads()
        self.messages: list[NannyLoads] = []
        self.rounds = LoadRounds(self.reader, LoopClock(), self.messages.append, interval_s=0.01)

    def loads(self) -> dict[str, float | None]:
        """The newest of every host."""
        return {reading.key: reading.load for message in self.messages for reading in message.readings}

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + 5
        while not condition():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.001)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    made = Told()
    yield made
    await made.rounds.close()


async def test_every_host_is_asked_again_and_again(told: Told) -> None:
    told.reader.tell("web1", 0.5)
    told.reader.fall_silent("web2", "RPC: Timed out")
    told.rounds.configure(rup("web1", "web2"))
    await told.until(lambda: told.loads() == {"rup web1": 0.5, "rup web2": None})
    told.reader.tell("web1", 3.0)
    await told.until(lambda: told.loads()["rup web1"] == 3.0)


async def test_somebody_who_connects_later_is_told_the_newest_with_its_age(told: Told) -> None:
    told.reader.tell("web1", 0.5)
    told.rounds.configure(rup("web1"))
    await told.until(lambda: told.loads() == {"rup web1": 0.5})
    told.reader.held.clear()
    await told.until(lambda: told.reader.running == 1)
    began = asyncio.get_running_loop().time()
    await told.until(lambda: asyncio.get_running_loop().time() > began + 0.01)
    (reading,) = told.rounds.reports().readings
    assert (reading.key, reading.load) == ("rup web1", 0.5)
    assert reading.age_s >= 0.01


async def test_ruptime_is_run_once_for_all_hosts(told: Told) -> None:
    told.reader.tell("web1", 0.5)
    told.reader.tell("web2", 1.5)
    told.rounds.configure([LoadSpec(Monitor.RUPTIME, host) for host in ("web1", "web2")])
    await told.until(lambda: told.loads() == {"ruptime web1": 0.5, "ruptime web2": 1.5})
    assert told.reader.jobs[0] == ["web1", "web2"]
    assert len(told.messages[0].readings) == 2
    told.rounds.configure([LoadSpec(Monitor.RUPTIME, "web2")])
    await told.until(lambda: told.reader.jobs[-1] == ["web2"])


async def test_hosts_that_hang_hold_up_no_more_than_their_places(told: Told) -> None:
    told.reader.held.clear()
    told.rounds.configure(rup(*(f"web{number}" for number in range(AT_ONCE + 5))))
    await told.until(lambda: told.reader.running == AT_ONCE)
    told.reader.held.set()
    await told.until(lambda: len(told.loads()) == AT_ONCE + 5)
    assert told.reader.most == AT_ONCE


async def test_a_host_that_is_wanted_no_more_is_left_alone_and_forgotten(told: Told) -> None:
    told.reader.tell("web1", 0.5)
    told.reader.tell("web2", 0.5)
    told.rounds.configure(rup("web1", "web2"))
    await told.until(lambda: len(told.loads()) == 2)
    told.rounds.configure(rup("web2"))
    asked = len(told.reader.jobs)
    assert [reading.key for reading in told.rounds.reports().readings] == ["rup web2"]
    await told.until(lambda: len(told.reader.jobs) > asked + 3)
    assert ["web1"] not in told.reader.jobs[asked + 1 :]
    told.rounds.configure([])
    assert told.rounds.reports().readings == []


async def test_a_fault_of_the_readers_is_told_as_one_and_the_rounds_go_on(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.reader.fault = True
    told.rounds.configure(rup("web1"))
    await told.until(lambda: told.loads() == {"rup web1": None})
    assert "by a fault of nanny's own" in told.messages[0].readings[0].reason
    assert "a fault of its own" in caplog.text
    told.reader.fault = False
    told.reader.tell("web1", 0.5)
    await told.until(lambda: told.loads() == {"rup web1": 0.5})


def test_the_messages_survive_the_wire() -> None:
    wanted = NannyReadLoads(specs=rup("web1"))
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=ToNanny) == wanted
    told = NannyLoads(readings=[])
    assert msgspec.json.decode(msgspec.json.encode(told), type=FromNanny) == told
