"""No IPVS, no module, no privilege: each said in words, with what to do.  In a boot of its own, where no module is loaded yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.lvscf.model import Protocol
from lvsagent.adapters.garp import PacketAnnouncer
from lvsagent.adapters.ipvs_kernel import KernelIpvs
from lvsagent.adapters.links import KernelLinks
from lvsagent.core.table import AddService, Family, Service, ServiceKey, SetService
from lvsagent.ports import AdapterError, Address, DataPlaneUnavailable
from tests.kernel import agent as agents
from tests.kernel import net
from tests.waiting import until

pytestmark = pytest.mark.kernel("bare")

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)
LOADER = Path("/proc/sys/kernel/modprobe")
NOBODY = 65534


@contextmanager
def no_modules() -> Iterator[None]:
    """A kernel that cannot load modules for itself."""
    before = LOADER.read_text()
    LOADER.write_text("/bin/false")
    try:
        yield
    finally:
        LOADER.write_text(before)


@contextmanager
def without_privilege() -> Iterator[None]:
    """This process as an ordinary user."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_kernel_without_ipvs_is_told_from_one_that_has_it() -> None:
    with no_modules(), pytest.raises(DataPlaneUnavailable, match="the kernel has no IPVS: load it with `modprobe ip_vs`"):
        await KernelIpvs().open()


def test_the_agent_says_that_there_is_no_ipvs_and_serves_as_soon_as_there_is() -> None:
    net.ip("netns add lefty")
    with net.namespace("lefty"):
        net.ip("link set lo up", "link add eth0 type dummy", "link add eth1 type dummy", "link set eth0 up", "link set eth1 up")
    agent = agents.Agent(agents.lvs_cf(agents.virtual()))
    try:
        with no_modules():
            agent.start()
            state = agent.client.state()
            assert state.data_plane.state == "unavailable"
            assert "the kernel has no IPVS: load it with `modprobe ip_vs`" in state.data_plane.reason
            assert any("modprobe ip_vs" in alert.message for alert in state.alerts)
            assert not state.config.in_step
            receipt = agent.put(agents.lvs_cf(agents.virtual(port=8080)))
            assert receipt.written
            assert not receipt.applied
            assert "modprobe ip_vs" in receipt.refusals[0].reason
        until(lambda: agent.client.state().data_plane.state == "ready", agents.SETTLE_LIMIT_S, agent.log)
        with net.namespace("lefty"):
            assert net.output("ipvsadm", "-S", "-n").splitlines()[0] == "-A -t 192.0.2.100:8080 -s rr"
        assert agent.stop() == 0
    finally:
        agent.close()
        net.ip("netns delete lefty")


async def test_opening_makes_the_kernel_load_ipvs() -> None:
    plane = KernelIpvs()
    info = await plane.open()
    assert (info.kind, info.version) == ("kernel", "1.2.1")
    assert info.connection_table_size == 4096
    await plane.close()


async def test_a_scheduler_whose_module_is_missing_is_named_and_stops_nothing_else() -> None:
    with net.fresh_namespace():
        plane = KernelIpvs()
        await plane.open()
        other = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 81)
        with no_modules():
            add = [AddService(HTTP, Service("mh")), AddService(other, Service("none"))]
            refusals = await plane.apply(add)
            assert [(refusal.operation, refusal.reason) for refusal in refusals] == [(add[0], "scheduler mh: module missing")]
            [change] = await plane.apply([SetService(other, Service("mh"))])
            assert change.reason == "scheduler mh: module missing"
            assert set(await plane.read()) == {other}
        assert await plane.apply([AddService(HTTP, Service("mh")), SetService(other, Service("mh"))]) == ()
        with no_modules():
            [engine] = await plane.apply([SetService(HTTP, Service("mh", 60, persistence_engine="sip"))])
            assert engine.reason == "scheduler mh or persistence engine sip: module missing"
        await plane.close()


async def test_without_privilege_the_table_cannot_be_opened() -> None:
    with without_privilege(), pytest.raises(DataPlaneUnavailable, match=r"no privilege .* CAP_NET_ADMIN"):
        await KernelIpvs().open()


async def test_without_privilege_addresses_are_refused_one_by_one() -> None:
    address = Address("192.0.2.100", 24, "eth1", "eth1:1")
    links = KernelLinks()
    with net.fresh_namespace():
        net.ip("link add eth1 type veth peer name wire", "link set eth1 up", "link set wire up")
        with without_privilege():
            assert await links.add([address]) == ((address, "no privilege to change addresses (CAP_NET_ADMIN)"),)
        assert await links.add([address]) == ()
        with without_privilege():
            assert await links.remove([address]) == ((address, "no privilege to change addresses (CAP_NET_ADMIN)"),)
            with pytest.raises(AdapterError, match="CAP_NET_RAW"):
                await PacketAnnouncer().announce([address])
        assert await links.remove([address]) == ()
