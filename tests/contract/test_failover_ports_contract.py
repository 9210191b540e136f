"""The ports ``SyncDaemon``, ``LinkEvents`` and ``VirtualMac``: the fakes and the kernel answer alike (the latter in User-Mode Linux)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lvsagent.adapters.link_events import KernelLinkEvents
from lvsagent.adapters.links import KernelLinks
from lvsagent.adapters.sync_daemon import KernelSyncDaemon
from lvsagent.adapters.virtual_mac import KernelVirtualMac
from lvsagent.core.virtual_mac import device_name, hardware_address, moved
from lvsagent.ports import Address, LinkEvents, SyncDaemon, SyncThread, VirtualMac
from tests.fakes.links import FakeLinkEvents, FakeLinks, FakeSyncDaemon, FakeVirtualMac
from tests.kernel import net

PAIR = ("192.0.2.11", "192.0.2.12")
SHARED = hardware_address(PAIR, "eth1")
VMAC = device_name("eth1")
PATIENCE_S = 5.0


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the guest: interfaces eth0 and eth1 with a carrier and no address; far and wire are their other ends."""
    with ExitStack() as stack:
        if request.node.get_closest_marker("kernel"):
            stack.enter_context(net.fresh_namespace())
            net.ip(
                "link add eth0 type veth peer name far",
                "link add eth1 type veth peer name wire",
                *(f"link set {name} up" for name in ("eth0", "far", "eth1", "wire")),
            )
        yield


@pytest.fixture(params=["fake", pytest.param("kernel", marks=pytest.mark.kernel)])
def fake(request: pytest.FixtureRequest, namespace: None) -> FakeLinks | None:
    """The fake's interfaces; ``None``: it is the kernel's turn."""
    return FakeLinks() if request.param == "fake" else None


# --- the sync daemon -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def sync(fake: FakeLinks | None) -> AsyncIterator[SyncDaemon]:
    daemon = FakeSyncDaemon(fake) if fake else KernelSyncDaemon()
    yield daemon
    await daemon.become("off", "", 0)


async def test_the_sync_daemon_follows_the_role(sync: SyncDaemon) -> None:
    assert await sync.read() == ()
    assert await sync.become("backup", "eth0", 7) == ""
    assert await sync.read() == (SyncThread("backup", "eth0", 7),)
    assert await sync.become("master", "eth0", 7) == ""
    assert await sync.read() == (SyncThread("master", "eth0", 7),)
    assert await sync.become("master", "eth0", 7) == ""
    assert await sync.become("master", "eth1", 8) == ""
    assert await sync.read() == (SyncThread("master", "eth1", 8),)
    assert await sync.become("off", "eth0", 7) == ""
    assert await sync.read() == ()
    assert await sync.become("off", "", 0) == ""


async def test_the_sync_daemon_refuses_in_words(sync: SyncDaemon) -> None:
    assert await sync.become("master", "eth9", 7) == "the sync daemon cannot run: no interface eth9"
    assert await sync.become("master", "eth0", 256) == "the sync daemon cannot run: syncd_id 256 is not from 0 to 255"
    assert await sync.become("backup", "", 7) == "the sync daemon needs an interface (syncd_iface)"
    assert await sync.read() == ()


# --- links -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def events(fake: FakeLinks | None) -> LinkEvents:
    return FakeLinkEvents(fake) if fake else KernelLinkEvents()


def cut(watcher: LinkEvents, *, whole: bool) -> None:
    """Pull eth1's cable, or put it back."""
    if isinstance(watcher, FakeLinkEvents):
        watcher.change("eth1", whole=whole)
    else:
        net.ip(f"link set wire {'up' if whole else 'down'}")


async def test_tells_the_state_of_each_link_and_then_every_change(events: LinkEvents) -> None:
    told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    await events.watch(["eth0", "eth1", "eth9"], lambda interface, whole: told.put_nowait((interface, whole)))
    assert [told.get_nowait() for _ in range(3)] == [("eth0", True), ("eth1", True), ("eth9", False)]
    async with asyncio.timeout(PATIENCE_S):
        cut(events, whole=False)
        assert await told.get() == ("eth1", False)
        cut(events, whole=True)
        assert await told.get() == ("eth1", True)
        await events.watch(["eth0"], lambda interface, whole: told.put_nowait((interface, whole)))
        assert await told.get() == ("eth0", True)
    events.close()
    cut(events, whole=False)
    assert told.empty()


async def test_what_has_changed_already_is_told_on_asking_without_waiting_for_the_loop(events: LinkEvents) -> None:
    told: list[tuple[str, bool]] = []
    events.drain()
    await events.watch(["eth1"], lambda interface, whole: told.append((interface, whole)))
    if isinstance(events, FakeLinkEvents):
        events.busy = True
        events.change("eth1", whole=False)
    else:
        net.ip("link set eth1 down")
    assert told == [("eth1", True)]
    events.drain()
    events.drain()
    assert told == [("eth1", True), ("eth1", False)]
    events.close()
    events.drain()


@pytest.mark.kernel
async def test_an_interface_that_goes_comes_or_is_renamed_is_told(namespace: None) -> None:
    told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    watcher = KernelLinkEvents()
    await watcher.watch(["eth1", "eth9"], lambda interface, whole: told.put_nowait((interface, whole)))
    assert [told.get_nowait() for _ in range(2)] == [("eth1", True), ("eth9", False)]
    async with asyncio.timeout(PATIENCE_S):
        net.ip("link set eth1 down", "link set eth1 name eth9", "link set eth9 up")
        assert await told.get() == ("eth1", False)
        assert await told.get() == ("eth9", True)
        net.ip("link delete eth9")
        assert await told.get() == ("eth9", False)
    watcher.close()


# --- the shared hardware address -------------------------------------------------------------------------------------------------


@pytest.fixture
def vmac(fake: FakeLinks | None) -> VirtualMac:
    return FakeVirtualMac(fake) if fake else KernelVirtualMac()


async def is_up(vmac: VirtualMac, name: str) -> bool:
    return await (vmac.links if isinstance(vmac, FakeVirtualMac) else KernelLinks()).up(name)


def hardware_of(vmac: VirtualMac, name: str) -> str:
    """ "" when there is no such interface."""
    if isinstance(vmac, FakeVirtualMac):
        return vmac.made.get(name, "")
    return str(shown().get(name, {}).get("address", ""))


def shown() -> dict[str, dict[str, Any]]:
    """Every interface by name, as ``ip`` shows it."""
    return {link["ifname"]: link for link in json.loads(net.output("ip", "-json", "-details", "link"))}


async def test_the_shared_address_is_there_on_the_standby_and_up_on_the_active(vmac: VirtualMac) -> None:
    assert await vmac.have({"eth1": SHARED}, up=False) == ()
    assert (hardware_of(vmac, VMAC), await is_up(vmac, VMAC)) == (SHARED, False)
    assert await vmac.have({"eth1": SHARED}, up=True) == ()
    assert (hardware_of(vmac, VMAC), await is_up(vmac, VMAC)) == (SHARED, True)
    assert await vmac.have({"eth1": SHARED}, up=True) == ()
    assert await vmac.have({"eth1": SHARED}, up=False) == ()
    assert not await is_up(vmac, VMAC)
    assert await vmac.have({}, up=False) == ()
    assert hardware_of(vmac, VMAC) == ""


async def test_a_changed_pair_changes_the_shared_address(vmac: VirtualMac) -> None:
    other = hardware_address(("192.0.2.11", "192.0.2.13"), "eth1")
    await vmac.have({"eth1": SHARED}, up=True)
    assert await vmac.have({"eth1": other}, up=True) == ()
    assert (hardware_of(vmac, VMAC), await is_up(vmac, VMAC)) == (other, True)


async def test_an_interface_that_others_made_is_refused_and_left_alone(vmac: VirtualMac) -> None:
    if isinstance(vmac, FakeVirtualMac):
        vmac.links.interfaces[VMAC] = True
    else:
        net.ip(f"link add {VMAC} type dummy", f"link set {VMAC} up")
    assert await vmac.have({"eth1": SHARED, "eth9": SHARED, "eth0": SHARED}, up=True) == (
        ("eth1", f"an interface {VMAC} is there that the agent did not make"),
        ("eth9", "no interface eth9"),
    )
    assert await is_up(vmac, device_name("eth0"))
    await vmac.have({}, up=False)
    assert await is_up(vmac, VMAC)


def settings(*names: str) -> dict[str, list[int]]:
    return {
        name: [int(net.output("sysctl", "-n", f"net.ipv4.conf.{name}.{what}")) for what in ("arp_ignore", "arp_announce")] for name in names
    }


@pytest.mark.kernel
@pytest.mark.parametrize("before", [[0, 0], [0, 1], [2, 2]])
async def test_the_ordinary_interface_is_quiet_only_meanwhile(namespace: None, before: list[int]) -> None:
    for what, value in zip(("arp_ignore", "arp_announce"), before, strict=True):
        net.sysctl(f"net/ipv4/conf/eth1/{what}", str(value))
    await KernelVirtualMac().have({"eth1": SHARED}, up=False)
    await KernelVirtualMac().have({"eth1": SHARED}, up=True)
    assert settings("eth1", VMAC, "eth0") == {"eth1": [max(1, before[0]), 2], VMAC: [1, 2], "eth0": [0, 0]}
    assert net.output("sysctl", "-n", f"net.ipv4.conf.{VMAC}.rp_filter") == "2\n"
    await KernelVirtualMac().have({}, up=False)
    assert settings("eth1") == {"eth1": before}


@pytest.mark.kernel
async def test_only_the_virtual_addresses_are_on_it(namespace: None) -> None:
    """No link-local address: both directors would have the same."""
    await KernelVirtualMac().have({"eth1": SHARED}, up=True)
    addresses = [moved(Address("192.0.2.100", 24, "eth1", "eth1:1")), moved(Address("2001:db8::100", 64, "eth1"))]
    assert await KernelLinks().add(addresses) == ()
    [link] = json.loads(net.output("ip", "-json", "address", "show", "dev", VMAC))
    assert {info["local"]: info["prefixlen"] for info in link["addr_info"]} == {"192.0.2.100": 32, "2001:db8::100": 128}
    assert shown()[VMAC]["linkinfo"]["info_kind"] == "macvlan"
