"""A data plane that has to be told which director is active: never two refusals where one answer was possible."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from lvsagent.core.table import Family, ServiceKey
from lvsagent.lvsd import gate as gate_module
from lvsagent.lvsd.gate import TrafficGate

KEY = ServiceKey(Family.IPV4, None, "127.0.0.100", 80)


class Plane:
    """Records what it was told."""

    def __init__(self, *left_out: ServiceKey) -> None:
        self.told: list[bool] = []
        self.left_out = left_out

    def serve(self, *, active: bool) -> tuple[ServiceKey, ...]:
        self.told.append(active)
        return self.left_out if active else ()


class Told:
    """What the gate reported."""

    def __init__(self) -> None:
        self.keys: list[ServiceKey] = []

    def __call__(self, keys: Iterable[ServiceKey]) -> None:
        self.keys.extend(keys)


@pytest.fixture(autouse=True)
def short_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "HANDOVER_S", 0.02)
    monkeypatch.setattr(gate_module, "LAST_ANSWERS_S", 0.2)


async def nobody() -> int:
    return 0


async def test_it_opens_with_the_role_and_tells_the_plane_once() -> None:
    plane = Plane()
    gate = TrafficGate(plane, Told())
    for _ in range(3):
        gate.want(takes=False, peer_comes=True)
    for _ in range(3):
        gate.want(takes=True, peer_comes=False)
    assert plane.told == [False, True]


async def test_it_goes_on_until_the_peer_answers() -> None:
    plane = Plane()
    gate = TrafficGate(plane, Told())
    gate.want(takes=True, peer_comes=True)
    gate.want(takes=False, peer_comes=True)
    assert plane.told == [True]
    gate.want(takes=False, peer_comes=False)
    assert plane.told == [True, False]


async def test_a_peer_that_never_comes_is_not_waited_for_long() -> None:
    plane = Plane()
    gate = TrafficGate(plane, Told())
    gate.want(takes=True, peer_comes=True)
    gate.want(takes=False, peer_comes=True)
    await gate.finish(nobody)
    assert plane.told == [True, False]


async def test_a_role_that_comes_back_meanwhile_keeps_it_open() -> None:
    plane = Plane()
    gate = TrafficGate(plane, Told())
    gate.want(takes=True, peer_comes=True)
    gate.want(takes=False, peer_comes=True)
    gate.want(takes=True, peer_comes=True)
    await asyncio.sleep(0.05)
    assert plane.told == [True]


async def test_the_end_waits_for_open_connections() -> None:
    counts = [2, 1, 0]

    async def connections() -> int:
        return counts.pop(0)

    gate = TrafficGate(Plane(), Told())
    gate.want(takes=True, peer_comes=False)
    await gate.finish(connections)
    assert counts == []


async def test_what_could_not_be_opened_is_reported() -> None:
    told = Told()
    TrafficGate(Plane(KEY), told).want(takes=True, peer_comes=False)
    assert told.keys == [KEY]


async def test_a_plane_that_follows_the_addresses_needs_no_word() -> None:
    gate = TrafficGate(None, Told())
    gate.want(takes=True, peer_comes=False)
    await gate.finish(nobody)
