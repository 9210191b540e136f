"""Real packets through what the kernel adapter wrote: the data plane without an agent, on the article's addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.lvscf.model import Forwarding, Protocol
from lvsagent.adapters.ipvs_kernel import KernelIpvs
from lvsagent.adapters.links import KernelLinks
from lvsagent.core.table import AddServer, AddService, Family, Operation, Server, ServerKey, Service, ServiceKey, Table
from lvsagent.ports import Address
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.waiting import until

pytestmark = pytest.mark.kernel("cluster")

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, lab.VIP, 80)
ADDRESSES = [Address(lab.VIP, 24, "eth1", "eth1:1"), Address(lab.NAT_ROUTER, 24, "eth0", "eth0:1")]


@pytest.fixture
def cluster() -> Iterator[lab.Cluster]:
    with lab.running() as running:
        yield running


def direct(operations: list[Operation]) -> Table:
    """On the director: the addresses come up, the operations are carried out; the table afterwards."""

    async def run() -> Table:
        assert await KernelLinks().add(ADDRESSES) == ()
        plane = KernelIpvs()
        await plane.open()
        assert await plane.apply(operations) == ()
        table = await plane.read()
        await plane.close()
        return table

    with net.namespace("lefty"):
        return asyncio.run(run())


def test_counters_tell_connections_packets_and_bytes(cluster: lab.Cluster) -> None:
    servers = {name: ServerKey(address, 80) for name, address in lab.ADDRESSES.items()}
    direct([AddService(HTTP, Service("rr")), *(AddServer(HTTP, key, Server()) for key in servers.values())])
    assert cluster.names(9) == dict.fromkeys(lab.NUMBERS, 3)
    # The kernel adds its counters up every two seconds.
    until(lambda: direct([])[HTTP].counters.connections == 9, words="the counters never came")
    entry = direct([])[HTTP]
    assert entry.counters.packets_in > 9
    assert entry.counters.bytes_out > entry.counters.packets_out > 9
    for key in servers.values():
        counted = entry.server_counters[key]
        assert (counted.connections, counted.active + counted.inactive) == (3, 3)


def test_a_weight_of_zero_gets_nothing_new(cluster: lab.Cluster) -> None:
    weights = {"number1": 1, "number2": 0, "number3": 1}
    direct(
        [
            AddService(HTTP, Service("wrr")),
            *(AddServer(HTTP, ServerKey(lab.ADDRESSES[name], 80), Server(weight, Forwarding.NAT)) for name, weight in weights.items()),
        ]
    )
    assert cluster.names(10) == {"number1": 5, "number3": 5}
