"""What a data plane does with connections: the userspace plane and the kernel send them to the same servers and end them alike.

Everything is on one loopback: clients, virtual server and real servers, forwarded by NAT.  The kernel half runs in User-Mode Linux.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from app.lvscf.model import Protocol
from lvsagent.adapters.ipvs_kernel import KernelIpvs
from lvsagent.adapters.ipvs_userspace import UserspaceIpvs
from lvsagent.core.table import (
    AddServer,
    AddService,
    Counters,
    DeleteServer,
    Entry,
    Family,
    Operation,
    Server,
    Service,
    ServiceKey,
    SetServer,
    SetService,
)
from lvsagent.ports import Ipvs
from tests.fakes import real_servers
from tests.fakes.real_servers import Caller, RealServers
from tests.kernel import net

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.100", 28081)


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the guest, a network namespace (and so a table) of its own for every test."""
    with ExitStack() as stack:
        if request.node.get_closest_marker("kernel"):
            stack.enter_context(net.fresh_namespace())
        yield


@pytest.fixture(params=["userspace", pytest.param("kernel", marks=pytest.mark.kernel)])
async def plane(request: pytest.FixtureRequest, namespace: None) -> AsyncIterator[Ipvs]:
    """One of the two, opened."""
    opened: Ipvs = UserspaceIpvs() if request.param == "userspace" else KernelIpvs()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def real(plane: Ipvs) -> AsyncIterator[RealServers]:
    """Three real servers."""
    servers = RealServers()
    for number in (1, 2, 3):
        await servers.add(f"127.0.0.2{number}")
    yield servers
    await servers.close()


async def apply(plane: Ipvs, *operations: Operation) -> None:
    assert await plane.apply(operations) == ()


async def make(plane: Ipvs, real: RealServers, service: Service, weights: tuple[int, ...] = (1, 1, 1)) -> None:
    await apply(plane, AddService(HTTP, service))
    await apply(plane, *(AddServer(HTTP, key, Server(weight=weight)) for key, weight in zip(real.keys, weights, strict=False)))


async def call(source: str = "127.0.0.1") -> Caller:
    return await real_servers.call(HTTP.address, HTTP.port, source)


async def names(count: int, source: str = "127.0.0.1") -> list[str]:
    heard = []
    for _ in range(count):
        caller = await call(source)
        heard.append(caller.name)
        await caller.end()
    return heard


async def entry(plane: Ipvs) -> Entry:
    return (await plane.read())[HTTP]


async def hang_up(*callers: Caller) -> None:
    for caller in callers:
        await caller.hang_up()


async def test_round_robin_spreads_thirty_connections_10_10_10(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    assert Counter(await names(30)) == {"number1": 10, "number2": 10, "number3": 10}


async def test_weighted_round_robin_gives_each_its_share_of_every_round(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("wrr"), (4, 3, 2))
    heard = await names(18)
    assert Counter(heard[:9]) == Counter(heard[9:]) == {"number1": 4, "number2": 3, "number3": 2}
    assert heard[:9] == heard[9:]


async def test_a_weight_of_0_gets_nothing_new_and_keeps_what_it_has(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    callers = [await call() for _ in range(3)]
    await apply(plane, SetServer(HTTP, real.keys[0], Server(weight=0)))
    assert set(await names(6)) == {"number2", "number3"}
    assert [await caller.echo() for caller in callers] == [b"ping"] * 3
    await hang_up(*callers)


@pytest.mark.parametrize(("scheduler", "shares"), [("wlc", {"number1": 4, "number2": 2}), ("lc", {"number1": 3, "number2": 3})])
async def test_least_connections_counts_what_is_open(plane: Ipvs, real: RealServers, scheduler: str, shares: dict[str, int]) -> None:
    await make(plane, real, Service(scheduler), (2, 1, 0))
    callers = [await call() for _ in range(6)]
    assert Counter(caller.name for caller in callers) == shares
    await hang_up(*callers)


async def test_source_hash_is_sticky(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("sh"))
    seen = {source: set(await names(2, source)) for source in (f"127.0.0.{number}" for number in range(2, 12))}
    assert all(len(who) == 1 for who in seen.values())
    assert len(set.union(*seen.values())) > 1


async def test_source_hash_refuses_the_clients_of_a_quiesced_server_unless_it_may_fall_back(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("sh"), (1, 1))
    sources = {(await names(1, source))[0]: source for source in (f"127.0.0.{number}" for number in range(2, 30))}
    await apply(plane, SetServer(HTTP, real.keys[0], Server(weight=0)))
    with pytest.raises((OSError, TimeoutError)):
        async with asyncio.timeout(0.5):
            await call(sources["number1"])
    assert await names(1, sources["number2"]) == ["number2"]
    await apply(plane, SetService(HTTP, Service("sh", scheduler_flags=frozenset({"flag-1"}))))
    assert await names(1, sources["number1"]) == ["number2"]


async def test_persistence_holds_a_client_and_its_neighbours_in_the_netmask(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("rr", persistence_timeout_s=300, persistence_prefix=24))
    assert len(set(await names(3, "127.0.0.2") + await names(3, "127.0.0.99"))) == 1
    assert set(await names(2, "127.0.1.2")) != set(await names(2, "127.0.0.2"))


async def test_a_persistent_client_still_reaches_its_server_at_weight_0(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("rr", persistence_timeout_s=300))
    (mine,) = set(await names(2, "127.0.0.2"))
    await apply(plane, SetServer(HTTP, real.keys[int(mine[-1]) - 1], Server(weight=0)))
    assert set(await names(2, "127.0.0.2")) == {mine}
    assert mine not in await names(4, "127.0.0.3")


async def test_a_removed_server_serves_its_connections_no_more_and_its_neighbours_keep_theirs(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    callers = {caller.name: caller for caller in [await call() for _ in range(3)]}
    await apply(plane, DeleteServer(HTTP, real.keys[1]))
    gone = callers.pop("number2")
    with pytest.raises((OSError, TimeoutError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(0.5):
            await gone.echo()
    gone.writer.transport.abort()
    assert [await caller.echo() for caller in callers.values()] == [b"ping"] * 2
    assert "number2" not in await names(4)
    await hang_up(*callers.values())


async def test_a_server_at_its_upper_threshold_gets_no_more(plane: Ipvs, real: RealServers) -> None:
    await apply(
        plane,
        AddService(HTTP, Service("rr")),
        AddServer(HTTP, real.keys[0], Server(upper_threshold=2)),
        AddServer(HTTP, real.keys[1], Server()),
    )
    callers = [await call() for _ in range(6)]
    assert Counter(caller.name for caller in callers) == {"number1": 2, "number2": 4}
    await hang_up(*callers)


async def test_connections_are_counted(plane: Ipvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"), (1, 1))
    callers = [await call() for _ in range(4)]
    assert [one.active for one in (await entry(plane)).server_counters.values()] == [2, 2]
    await callers[0].echo(b"x" * 1000)
    deadline = asyncio.get_running_loop().time() + 5
    while (table := await entry(plane)).counters.bytes_in < 1000:  # the kernel sums up every two seconds
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    assert table.counters.connections == 4
    assert [one.connections for one in table.server_counters.values()] == [2, 2]
    await hang_up(*callers)


async def test_without_a_real_server_nobody_is_served(plane: Ipvs) -> None:
    await apply(plane, AddService(HTTP, Service("rr")))
    with pytest.raises(ConnectionError):
        await call()
    assert (await entry(plane)).counters == Counters()
