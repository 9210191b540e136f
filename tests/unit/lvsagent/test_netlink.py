"""The netlink socket against this machine's own kernel: reading interfaces needs no privilege."""

from __future__ import annotations

import errno
import socket

import pytest

from lvsagent.adapters.links import KernelLinks, read_links
from lvsagent.adapters.netlink import NETLINK_ROUTE, NetlinkError, NetlinkSocket, attribute, attributes

GETLINK = 18
NO_LINK = 2**31 - 2


def asked_for(index: int) -> bytes:
    """A request for one interface by its number."""
    return b"\0\0\0\0" + index.to_bytes(4, "little") + bytes(8)


def test_attributes_are_padded_and_walked_without_copying() -> None:
    data = attribute(1, b"abc") + attribute(2, b"") + attribute(3, b"12345")
    assert len(data) % 4 == 0
    assert [(kind, data[start:end]) for kind, start, end in attributes(data)] == [(1, b"abc"), (2, b""), (3, b"12345")]


def test_a_broken_attribute_ends_the_walk() -> None:
    assert list(attributes(b"\x02\0\x01\0" + bytes(8))) == []


def test_errors_are_told_apart_in_a_batch_larger_than_one_datagram() -> None:
    loopback = socket.if_nametoindex("lo")
    wrong = {3, 50, 99}
    ballast = attribute(200, bytes(2000))
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        requests = [(GETLINK, 0, asked_for(NO_LINK if place in wrong else loopback) + ballast) for place in range(100)]
        failed = netlink.run(requests)
        assert {place: error.errno for place, error in failed.items()} == dict.fromkeys(wrong, errno.ENODEV)
        assert "lo" in read_links(netlink), "the conversation goes on in step"


def test_a_single_question_is_answered_or_refused() -> None:
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        assert b"lo\0" in netlink.ask(GETLINK, asked_for(socket.if_nametoindex("lo")))
        with pytest.raises(NetlinkError) as refused:
            netlink.ask(GETLINK, asked_for(NO_LINK))
    assert refused.value.errno == errno.ENODEV


def test_a_kernel_that_says_nothing_is_waited_for_no_longer_than_said() -> None:
    unanswered = 1  # NLMSG_NOOP
    with NetlinkSocket(NETLINK_ROUTE, patience_s=0.05) as netlink:
        with pytest.raises(TimeoutError, match="no answer in time"):
            netlink.ask(unanswered, b"")
        assert "lo" in read_links(netlink), "the conversation goes on in step"


async def test_this_hosts_loopback_is_found() -> None:
    links = KernelLinks()
    assert ("127.0.0.1", 8, "lo") in {(one.address, one.prefix, one.interface) for one in await links.addresses()}
    assert await links.up("lo")
    assert not await links.up("no-such-link")
