"""What a takeover rests on in the kernel, shown without an agent: addresses that move, connections that both know, a shared MAC."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.lvscf.model import Forwarding, Protocol
from lvsagent.adapters.garp import PacketAnnouncer
from lvsagent.adapters.ipvs_kernel import KernelIpvs
from lvsagent.adapters.links import KernelLinks
from lvsagent.adapters.sync_daemon import KernelSyncDaemon
from lvsagent.adapters.virtual_mac import KernelVirtualMac
from lvsagent.core.table import AddServer, AddService, DeleteService, Family, Server, ServerKey, Service, ServiceKey
from lvsagent.core.virtual_mac import hardware_address, moved
from lvsagent.ports import Address
from tests.kernel import cluster as lab
from tests.kernel import net, two_directors
from tests.waiting import until

pytestmark = pytest.mark.kernel("pair")

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, lab.VIP, 80)
ADDRESSES = [Address(lab.VIP, 24, "eth1", "eth1:1"), Address(lab.NAT_ROUTER, 24, "eth0", "eth0:1")]
SHARED = {interface: hardware_address(("192.0.2.11", "192.0.2.12"), interface) for interface in ("eth0", "eth1")}
SYNC_ID = 23

Result = TypeVar("Result")


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with two_directors.running() as running:
        yield running


def on(name: str, work: Coroutine[Any, Any, Result]) -> Result:
    """Run something on a director."""
    with net.namespace(name):
        return asyncio.run(work)


async def serve(forwarding: Forwarding) -> None:
    """The same table, whichever director."""
    plane = KernelIpvs()
    await plane.open()
    await plane.apply([DeleteService(HTTP)])
    servers = [AddServer(HTTP, ServerKey(address, 80), Server(1, forwarding)) for address in lab.ADDRESSES.values()]
    assert await plane.apply([AddService(HTTP, Service("rr")), *servers]) == ()
    await plane.close()


async def take(addresses: list[Address]) -> None:
    """Addresses come up and are announced."""
    assert await KernelLinks().add(addresses) == ()
    assert await PacketAnnouncer().announce(addresses) == ()


async def give_up(addresses: list[Address]) -> None:
    assert await KernelLinks().remove(addresses) == ()


def says(connection: socket.socket, words: bytes) -> bytes:
    """Send on an open connection; the answer."""
    connection.sendall(words)
    return connection.recv(4096)


def known(port: int) -> bool:
    """Whether righty knows of the client's connection."""
    with net.namespace("righty"):
        lines = Path("/proc/thread-self/net/ip_vs_conn").read_text().splitlines()
    return any(line.split()[2] == f"{port:04X}" for line in lines[1:])


@pytest.mark.parametrize("forwarding", [Forwarding.NAT, Forwarding.DIRECT])
def test_established_connections_survive_a_takeover(cluster: lab.Cluster, forwarding: Forwarding) -> None:
    for name, role in (("lefty", "master"), ("righty", "backup")):
        on(name, serve(forwarding))
        assert on(name, KernelSyncDaemon().become(role, "eth0", SYNC_ID)) == ""
    with cluster.answering_directly(tunnels=False) if forwarding is Forwarding.DIRECT else contextlib.nullcontext():
        on("lefty", take(ADDRESSES))
        connections = [cluster.connect() for _ in range(3)]
        answers = [says(connection, b"before") for connection in connections]
        assert len(set(answers)) == 3
        for connection in connections:
            says(connection, b"more")
        until(lambda: all(known(c.getsockname()[1]) for c in connections), words="righty never heard of the connections")
        two_directors.cut("lefty")
        on("righty", take(ADDRESSES))
        assert on("righty", KernelSyncDaemon().become("master", "eth0", SYNC_ID)) == ""
        assert [says(connection, b"before") for connection in connections] == answers
        for connection in connections:
            connection.close()
        on("lefty", give_up(ADDRESSES))
        on("righty", give_up(ADDRESSES))
        two_directors.heal("lefty")
    for name in ("lefty", "righty"):
        assert on(name, KernelSyncDaemon().become("off", "", 0)) == ""


def neighbour_of_client() -> str:
    """The hardware address where the client believes the VIP to be."""
    with net.namespace("client"):
        [entry] = json.loads(net.output("ip", "-json", "neighbour", "show", lab.VIP))
    return str(entry["lladdr"])


def test_a_neighbour_that_ignores_gratuitous_arp_finds_the_vip_by_its_shared_mac(cluster: lab.Cluster) -> None:
    """What it learned from the first director is right for the second; without the shared MAC it would not be."""
    addresses = [moved(address) for address in ADDRESSES]
    for name in ("lefty", "righty"):
        on(name, serve(Forwarding.NAT))
        assert on(name, KernelVirtualMac().have(SHARED, up=name == "lefty")) == ()
    with net.namespace("client"):
        net.ip("neighbour flush dev eth0")
    on("lefty", take(addresses))
    assert cluster.names(6) == dict.fromkeys(lab.NUMBERS, 2)
    assert neighbour_of_client() == SHARED["eth1"]
    for deaf in ("client", *lab.NUMBERS):
        two_directors.pin_neighbours(deaf)
    on("lefty", give_up(addresses))
    assert on("lefty", KernelVirtualMac().have(SHARED, up=False)) == ()
    assert on("righty", KernelVirtualMac().have(SHARED, up=True)) == ()
    on("righty", take(addresses))
    assert cluster.names(6) == dict.fromkeys(lab.NUMBERS, 2)
    for name in ("lefty", "righty"):
        assert on(name, KernelVirtualMac().have({}, up=False)) == ()
    on("righty", take(ADDRESSES))
    with pytest.raises(OSError, match="timed out"):
        connect_within(1.0)
    on("righty", give_up(ADDRESSES))


def connect_within(limit_s: float) -> None:
    with net.namespace("client"):
        socket.create_connection((lab.VIP, 80), limit_s).close()
