"""Pairing through the agent's API, as the console does it: two lvsd, a code from one typed at the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lvsagent.adapters.clock import SystemClock
from lvsagent.api.contract import BadRequest, Unavailable
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.pairing_desk import PairingDesk
from lvsagent.wire import PairingRequest
from tests.sshd import director
from tests.stack import free_port
from tests.waiting import until


def desk(folder: Path, port: int, address: str) -> PairingDesk:
    settings, _ = director(folder)
    clock = SystemClock()
    return PairingDesk(replace(settings, pair_port=port), clock, EventLog(folder / "events.jsonl", clock), lambda: (address,))


@pytest.fixture
async def desks(tmp_path: Path) -> AsyncIterator[tuple[PairingDesk, PairingDesk]]:
    port = free_port()
    found = desk(tmp_path / "lefty", port, "127.0.0.1"), desk(tmp_path / "righty", port, "127.0.0.2")
    yield found
    for one in found:
        await one.close()


async def settled(one: PairingDesk) -> str:
    """What came of the attempt under way."""

    def over() -> bool:
        info = one.info()
        return not info.code and bool(info.words) and not info.words.startswith("asking")

    await asyncio.to_thread(until, over, 20)
    return one.info().words


async def test_a_code_shown_here_and_typed_there_pairs_both(desks: tuple[PairingDesk, PairingDesk]) -> None:
    lefty, righty = desks
    shown = await lefty.act(PairingRequest(action="wait", actor="piranha"))
    assert len(shown.code) == 23
    assert shown.code_until > 0
    begun = await righty.act(PairingRequest(action="join", address=" 127.0.0.1 ", code=shown.code.lower()))
    assert begun.words == "asking 127.0.0.1 …"
    words = [await settled(one) for one in desks]
    assert [("paired with righty" in words[0] or "lvssync" in words[0]), lefty.info().name, righty.info().name] == [True, "righty", "lefty"]
    assert lefty.info().peer_host_key == righty.info().host_key
    assert lefty.info().code == ""
    assert "paired with righty (127.0.0.2" in lefty._events.page(1, 0)[0].message
    assert lefty._events.page(1, 0)[0].actor == "piranha"
    gone = await righty.act(PairingRequest(action="unpair"))
    assert not gone.paired


async def test_an_attempt_that_fails_says_why_in_the_state_and_in_the_events(desks: tuple[PairingDesk, PairingDesk]) -> None:
    _, righty = desks
    await righty.act(PairingRequest(action="join", address="127.0.0.1", code="ABCDE-FGHIJ-KLMNO-PQRST"))
    assert "nobody waits at 127.0.0.1" in await settled(righty)
    assert "pairing failed: nobody waits" in righty._events.page(1, 0)[0].message


async def test_waiting_can_be_stopped_and_begun_anew_with_another_code(desks: tuple[PairingDesk, PairingDesk]) -> None:
    lefty, righty = desks
    first = (await lefty.act(PairingRequest(action="wait"))).code
    second = (await lefty.act(PairingRequest(action="wait"))).code
    assert first != second
    await righty.act(PairingRequest(action="join", address="127.0.0.1", code=first))
    assert "not right" in await settled(righty)
    stopped = await lefty.act(PairingRequest(action="stop"))
    assert (stopped.code, "worth nothing" in stopped.words) == ("", True)
    await righty.act(PairingRequest(action="join", address="127.0.0.1", code=second))
    assert "nobody waits" in await settled(righty)


async def test_a_director_that_lvs_cf_does_not_name_has_nowhere_to_listen(tmp_path: Path) -> None:
    lonely = desk(tmp_path / "lonely", free_port(), "127.0.0.1")
    lonely._addresses = tuple
    with pytest.raises(Unavailable, match=r"no address of lvs\.cf is this host's"):
        await lonely.act(PairingRequest(action="wait"))


async def test_what_makes_no_sense_is_refused_at_once(desks: tuple[PairingDesk, PairingDesk]) -> None:
    for request in (PairingRequest(action="x"), PairingRequest(action="join", address="127.0.0.1", code="x")):
        with pytest.raises(BadRequest):
            await desks[0].act(request)


async def test_a_record_that_is_broken_is_said_not_raised(desks: tuple[PairingDesk, PairingDesk]) -> None:
    lefty, _ = desks
    lefty.keys.folder.mkdir(parents=True)
    lefty.keys.record.write_text("{")
    assert "cannot be used" in lefty.info().words


async def test_addresses_that_lvs_cf_changes_are_followed_once_and_by_a_paired_director_only(
    desks: tuple[PairingDesk, PairingDesk],
) -> None:
    lefty, righty = desks
    lefty.follow(("192.0.2.9",))
    assert lefty._events.page(5, 0) == []
    await righty.act(PairingRequest(action="join", address="127.0.0.1", code=(await lefty.act(PairingRequest(action="wait"))).code))
    await settled(lefty)
    for _ in range(2):
        lefty.follow(("192.0.2.9", "10.0.0.9"))
    assert lefty.info().addresses == ["192.0.2.9", "10.0.0.9", "127.0.0.2", "127.0.0.1"]
    assert 'from="192.0.2.9,10.0.0.9,127.0.0.2,127.0.0.1"' in lefty.keys.authorized_keys.read_text()
    assert sum("is reached at" in event.message for event in lefty._events.page(5, 0)) == 1
