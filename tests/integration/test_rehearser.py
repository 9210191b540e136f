"""REHEARSE in lvsd: what it refuses, what it does to the role, and what becomes of the measurement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from lvsagent.api.contract import BadRequest, Unavailable
from lvsagent.lvsd.rehearser import Rehearser
from lvsagent.messages import PulseCommand
from lvsagent.rehearse import Target
from lvsagent.wire import Rehearsal, RehearsalRequest
from tests.integration.lvsd_lab import TUTORIAL, Lab, running
from tests.integration.test_failover_services import STATE, listen

PAIR = TUTORIAL.replace("backup_active = 0", "backup_active = 1\nbackup = 127.0.0.2")
ASKED = RehearsalRequest(virtual="http", seconds=2, actor="anna")


class Measurement:
    """Stands for the client that asks: a test lets it end."""

    def __init__(self) -> None:
        self.asked: list[Target] = []
        self.may_end = asyncio.Event()

    async def __call__(self, target: Target, duration_s: float, trigger: Callable[[], Awaitable[str]] | None) -> Rehearsal:
        self.asked.append(target)
        moved_from = await trigger() if trigger else ""
        await self.may_end.wait()
        return Rehearsal(
            target=target.text,
            began_at=1.0,
            duration_s=duration_s,
            interval_s=0.02,
            limit_s=0.1,
            requests=100,
            failed=3,
            longest_gap_s=0.14,
            triggered=trigger is not None,
            moved_from=moved_from,
        )


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with running(tmp_path, PAIR, name="righty") as found:
        yield found


@pytest.fixture
def commands(lab: Lab) -> list[PulseCommand]:
    return listen(lab, STATE)


@pytest.fixture
def measurement() -> Measurement:
    return Measurement()


@pytest.fixture
def rehearser(lab: Lab, measurement: Measurement, commands: list[PulseCommand]) -> Rehearser:
    return Rehearser(lab.director, measurement)


async def ended(rehearser: Rehearser) -> None:
    assert rehearser._task is not None
    await asyncio.wait_for(rehearser._task, 5)
    assert rehearser.running is None


async def test_on_the_standby_it_takes_the_role_and_keeps_what_it_measured(
    lab: Lab, rehearser: Rehearser, measurement: Measurement, commands: list[PulseCommand]
) -> None:
    rehearser.begin(ASKED)
    assert rehearser.running is not None
    assert (rehearser.running.target, rehearser.running.actor, rehearser.running.triggered) == ("http://127.0.0.100:80/", "anna", True)
    measurement.may_end.set()
    await ended(rehearser)
    assert [(one.action, one.actor, one.reason) for one in commands] == [("take_over", "anna", "rehearsal")]
    [kept] = lab.director.rehearsals.newest_first()
    assert (kept.longest_gap_s, kept.moved_from, kept.actor, kept.host) == (0.14, STATE.peer.name, "anna", "righty")
    assert "longest gap 140 ms, 3 of 100 requests failed" in lab.director.events.page(1, 0)[0].message


async def test_on_the_active_one_only_for_who_knows_what_that_means(lab: Lab, measurement: Measurement) -> None:
    commands = listen(lab, msgspec.structs.replace(STATE, role="active"))
    rehearser = Rehearser(lab.director, measurement)
    with pytest.raises(Unavailable, match="this director is active: its own requests never leave it"):
        rehearser.begin(ASKED)
    rehearser.begin(msgspec.structs.replace(ASKED, although_active=True))
    measurement.may_end.set()
    await ended(rehearser)
    assert [one.action for one in commands] == ["step_down"]
    assert lab.director.rehearsals.newest_first()[0].moved_from == "righty"


async def test_only_one_at_a_time(rehearser: Rehearser, measurement: Measurement) -> None:
    rehearser.begin(ASKED)
    with pytest.raises(Unavailable, match="is being measured already"):
        rehearser.begin(ASKED)
    measurement.may_end.set()
    await ended(rehearser)
    rehearser.begin(ASKED)
    await ended(rehearser)
    assert len(measurement.asked) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"virtual": "smtp"}, "no virtual server smtp"),
        ({"seconds": 1.0}, "seconds is from 2 to 60"),
        ({"seconds": 3600.0}, "seconds is from 2 to 60"),
        ({"seconds": float("nan")}, "seconds is from 2 to 60"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_asked(
    rehearser: Rehearser, measurement: Measurement, change: dict[str, object], words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        rehearser.begin(msgspec.structs.replace(ASKED, **change))
    await asyncio.sleep(0)
    assert measurement.asked == []


async def test_a_role_that_cannot_be_moved_is_refused_before_anything_is_asked(lab: Lab, measurement: Measurement) -> None:
    listen(lab, msgspec.structs.replace(STATE, maintenance=True))
    with pytest.raises(Unavailable, match="in maintenance: resume first"):
        Rehearser(lab.director, measurement).begin(ASKED)


async def test_a_refusal_in_the_middle_is_said(
    lab: Lab, rehearser: Rehearser, measurement: Measurement, commands: list[PulseCommand]
) -> None:
    rehearser.begin(ASKED)
    listen(lab, msgspec.structs.replace(STATE, maintenance=True))  # before it comes to moving the role
    await ended(rehearser)
    assert rehearser.failure == "this director is in maintenance: resume first"
    assert lab.director.rehearsals.newest_first() == []
    assert lab.director.events.page(1, 0)[0].message == f"the rehearsal came to nothing: {rehearser.failure}"


async def test_over_the_socket(lab: Lab, commands: list[PulseCommand]) -> None:
    with pytest.raises(Exception, match="no virtual server smtp"):
        await lab.ask(lab.client.rehearse, RehearsalRequest(virtual="smtp"))
    found = await lab.ask(lab.client.rehearsals)
    assert (found.rehearsals, found.running, found.failure) == ([], None, "")
