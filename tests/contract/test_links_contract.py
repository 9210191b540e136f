"""The ports ``Links`` and ``Announcer``: the fakes and the kernel's own interfaces answer alike (the latter in User-Mode Linux)."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lvsagent.adapters.garp import PacketAnnouncer
from lvsagent.adapters.links import KernelLinks
from lvsagent.ports import Address, Announcer, Links
from tests.fakes.links import FakeAnnouncer, FakeLinks
from tests.kernel import net

VIP = Address("192.0.2.100", 24, "eth1", "eth1:1")
VIP2 = Address("192.0.2.101", 24, "eth1", "eth1:2")
NARROW = Address("198.51.100.9", 32, "eth1", "eth1:3")
VIP6 = Address("2001:db8::100", 64, "eth1")


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the guest: interfaces eth0 and eth1 with a carrier and no address, and ``wire``, the other end of eth1."""
    with ExitStack() as stack:
        if request.node.get_closest_marker("kernel"):
            stack.enter_context(net.fresh_namespace())
            net.ip(
                "link add eth0 type veth peer name far",
                "link add eth1 type veth peer name wire",
                *(f"link set {name} up" for name in ("eth0", "far", "eth1", "wire")),
            )
        yield


BOTH = ["fake", pytest.param("kernel", marks=pytest.mark.kernel)]


@pytest.fixture(params=BOTH)
def links(request: pytest.FixtureRequest, namespace: None) -> Links:
    return FakeLinks() if request.param == "fake" else KernelLinks()


@pytest.fixture
def announcer(links: Links) -> Announcer:
    return FakeAnnouncer(links) if isinstance(links, FakeLinks) else PacketAnnouncer()


async def on_eth1(links: Links) -> dict[str, Address]:
    """The addresses on eth1 but for the link-local ones that IPv6 makes by itself."""
    return {a.address: a for a in await links.addresses() if a.interface == "eth1" and not a.address.startswith("fe80:")}


async def test_adds_many_with_their_labels_in_one_pass(links: Links) -> None:
    assert await links.add([VIP, VIP2, NARROW, VIP6]) == ()
    found = await on_eth1(links)
    assert set(found.values()) == {VIP, VIP2, NARROW, VIP6}
    assert [found[address.address].label for address in (VIP, VIP2, NARROW)] == ["eth1:1", "eth1:2", "eth1:3"]


async def test_adding_what_is_there_is_no_error(links: Links) -> None:
    await links.add([VIP])
    assert await links.add([VIP, VIP2]) == ()
    assert set((await on_eth1(links)).values()) == {VIP, VIP2}


async def test_removing_what_is_gone_is_no_error(links: Links) -> None:
    await links.add([VIP])
    assert await links.remove([VIP, VIP2, Address("192.0.2.9", 24, "eth9")]) == ()
    assert await on_eth1(links) == {}


async def test_removing_the_first_address_of_a_network_leaves_the_others(links: Links) -> None:
    await links.add([VIP, VIP2, VIP6])
    assert await links.remove([VIP]) == ()
    found = await on_eth1(links)
    assert set(found.values()) == {VIP2, VIP6}
    assert found[VIP2.address].label == "eth1:2"


async def test_the_same_address_with_another_mask_is_another_address(links: Links) -> None:
    other = Address(VIP.address, 32, "eth1", "eth1:1")
    await links.add([VIP])
    assert await links.remove([other]) == ()
    assert set((await on_eth1(links)).values()) == {VIP}


async def test_refuses_in_words_and_does_the_rest(links: Links) -> None:
    absent = Address("192.0.2.5", 24, "eth9", "eth9:1")
    alien = Address("192.0.2.6", 24, "eth1", "bond0:1")
    long = Address("192.0.2.7", 24, "eth1", "eth1:twelve-and-more")
    assert await links.add([absent, alien, long, VIP]) == (
        (absent, "no interface eth9"),
        (alien, "label bond0:1 does not belong to interface eth1"),
        (long, "label eth1:twelve-and-more is longer than 15 bytes"),
    )
    assert set((await on_eth1(links)).values()) == {VIP}


async def test_knows_which_interfaces_are_up(links: Links) -> None:
    assert await links.up("eth1")
    assert await links.up("lo")
    assert not await links.up("eth9")
    if isinstance(links, FakeLinks):
        links.interfaces["eth1"] = False
    else:
        net.ip("link set wire down")
    assert not await links.up("eth1")


async def test_announces_and_passes_over_loopback(links: Links, announcer: Announcer) -> None:
    assert await announcer.announce([VIP, VIP6, Address("127.0.0.100", 8, "lo", "lo:1")]) == ()


async def test_says_which_addresses_could_not_be_announced(links: Links, announcer: Announcer) -> None:
    absent = Address("192.0.2.5", 24, "eth9", "eth9:1")
    if isinstance(links, FakeLinks):
        links.interfaces["eth1"] = False
    else:
        net.ip("link set eth1 down")
    assert await announcer.announce([absent, VIP]) == ((absent, "no interface eth9"), (VIP, "interface eth1 is down"))


# --- what only the kernel can show ---------------------------------------------------------------------------------------------


@pytest.mark.kernel
async def test_sets_broadcast_and_scope_as_ifconfig_would(namespace: None) -> None:
    await KernelLinks().add([VIP, NARROW, VIP6, Address("127.0.0.100", 8, "lo", "lo:1")])
    shown = json.loads(net.output("ip", "-json", "address"))
    found = {info["local"]: info for link in shown for info in link["addr_info"]}
    assert (found[VIP.address]["broadcast"], found[VIP.address]["scope"], found[VIP.address]["label"]) == (
        "192.0.2.255",
        "global",
        "eth1:1",
    )
    assert "broadcast" not in found[NARROW.address]
    assert found[VIP6.address]["nodad"] is True
    assert "tentative" not in found[VIP6.address]
    assert found["127.0.0.100"]["scope"] == "host"


@pytest.mark.kernel
@pytest.mark.parametrize("promote", ["0", "1"])
async def test_other_peoples_addresses_in_the_same_network_survive_a_removal(namespace: None, promote: str) -> None:
    net.sysctl("net/ipv4/conf/eth1/promote_secondaries", promote)
    links = KernelLinks()
    await links.add([VIP])
    net.ip("address add 192.0.2.50/24 dev eth1 label eth1:mine")
    await links.remove([VIP])
    assert {(a.address, a.label) for a in (await on_eth1(links)).values()} == {("192.0.2.50", "eth1:mine")}


@pytest.mark.kernel
async def test_the_wire_carries_arp_request_reply_and_neighbour_advertisement(namespace: None) -> None:
    await KernelLinks().add([VIP, VIP6])
    hardware = hardware_of("eth1")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.bind(("wire", 0))
        wire.settimeout(5)
        await PacketAnnouncer().announce([VIP, VIP6])
        arps: list[bytes] = []
        advertisements: list[bytes] = []
        while len(arps) < 2 or not advertisements:
            frame = wire.recv(2048)
            if frame[12:14] == b"\x08\x06":
                arps.append(frame)
            elif frame[12:14] == b"\x86\xdd" and frame[54] == 136:
                advertisements.append(frame)
    vip = socket.inet_aton(VIP.address)
    assert [struct.unpack("!H", arp[20:22])[0] for arp in arps] == [1, 2]
    for arp in arps:
        assert arp[:12] == b"\xff" * 6 + hardware
        assert (arp[22:28], arp[28:32], arp[38:42]) == (hardware, vip, vip)
    target = socket.inet_pton(socket.AF_INET6, VIP6.address)
    [advertisement] = advertisements
    assert advertisement[:12] == bytes.fromhex("333300000001") + hardware
    assert (advertisement[21], advertisement[22:38], advertisement[62:78]) == (255, target, target)
    assert advertisement[58] & 0x20, "the override flag"
    assert advertisement[78:86] == b"\x02\x01" + hardware
    assert arrived_whole(advertisement)


def arrived_whole(advertisement: bytes) -> bool:
    """Whether the sum over pseudo header and message says that it arrived whole."""
    pseudo = advertisement[22:54] + struct.pack("!IxxxB", len(advertisement) - 54, 58)
    total: int = sum(struct.unpack(f"!{(len(pseudo) + len(advertisement) - 54) // 2}H", pseudo + advertisement[54:]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def hardware_of(interface: str) -> bytes:
    shown = json.loads(net.output("ip", "-json", "link", "show", "dev", interface))
    return bytes.fromhex(shown[0]["address"].replace(":", ""))
