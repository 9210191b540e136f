"""How long the addresses of a whole director take on the machine itself: added and announced in one pass."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from lvsagent.adapters.garp import PacketAnnouncer
from lvsagent.adapters.links import KernelLinks
from lvsagent.ports import Address
from tests.kernel import net

ADDRESSES = [
    *(Address(f"192.0.2.{n}", 24, "eth1", f"eth1:{n}") for n in range(20, 179)),
    Address("10.11.12.1", 24, "eth0", "eth0:1"),
    *(Address(f"2001:db8:1::{n:x}", 64, "eth1") for n in range(256, 296)),
]
LIMIT_S = 0.05
ROUNDS = 7


async def take_over() -> float:
    """Add and announce; how long it took."""
    links, announcer = KernelLinks(), PacketAnnouncer()
    start = time.perf_counter()
    assert await links.add(ADDRESSES) == ()
    assert await announcer.announce(ADDRESSES) == ()
    took_s = time.perf_counter() - start
    assert set(ADDRESSES) <= await links.addresses()
    assert await links.remove(ADDRESSES) == ()
    return took_s


@pytest.mark.kernel("pair", alone=True)
def test_200_addresses_are_added_and_announced_within_50_ms() -> None:
    assert len(ADDRESSES) == 200
    with net.fresh_namespace():
        net.ip(
            "link add eth0 type veth peer name far",
            "link add eth1 type veth peer name wire",
            *(f"link set {name} up" for name in ("eth0", "far", "eth1", "wire")),
            "address add 192.0.2.11/24 dev eth1",
            "address add 10.11.12.11/24 dev eth0",
        )
        took = [asyncio.run(take_over()) for _ in range(ROUNDS)]
    assert statistics.median(took) <= LIMIT_S, took
