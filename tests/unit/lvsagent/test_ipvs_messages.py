"""IPVS in netlink's bytes: what is written can be read back, whatever shape the kernel answers in; refusals come out in words."""

from __future__ import annotations

import errno
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lvscf.model import Forwarding, Protocol, Scheduler
from lvsagent.adapters import ipvs_messages as messages
from lvsagent.adapters.ipvs_words import words
from lvsagent.adapters.netlink import NetlinkError, attribute, attributes
from lvsagent.core.table import (
    AddServer,
    AddService,
    Counters,
    DeleteServer,
    DeleteService,
    Family,
    Operation,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SetServer,
    SetService,
    SetTimeouts,
    Timeouts,
)

ports = st.integers(0, 65535)
ipv4 = st.integers(0, 2**32 - 1).map(lambda bits: str(ipaddress.IPv4Address(bits)))
ipv6 = st.integers(0, 2**128 - 1).map(lambda bits: str(ipaddress.IPv6Address(bits)))
service_keys = st.one_of(
    st.builds(ServiceKey, st.just(Family.IPV4), st.sampled_from(Protocol), ipv4, ports),
    st.builds(ServiceKey, st.just(Family.IPV6), st.sampled_from(Protocol), ipv6, ports),
    st.builds(lambda family, mark: ServiceKey(family, fwmark=mark), st.sampled_from(Family), st.integers(1, 2**32 - 1)),
)
services = st.builds(
    Service,
    scheduler=st.sampled_from([str(name) for name in Scheduler]),
    persistence_timeout_s=st.integers(0, 86400),
    persistence_prefix=st.integers(0, 32),
    one_packet=st.booleans(),
    scheduler_flags=st.frozensets(st.sampled_from(["flag-1", "flag-2", "flag-3"])),
    persistence_engine=st.sampled_from(["", "sip"]),
)
server_keys = st.builds(ServerKey, st.one_of(ipv4, ipv6), ports)
counts = st.integers(0, 2**31 - 1)
servers = st.builds(Server, counts, st.sampled_from(Forwarding), counts, counts)

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)
ONE = ServerKey("10.11.12.21", 80)


@given(service_keys, services)
def test_a_virtual_server_is_read_as_it_was_written(key: ServiceKey, service: Service) -> None:
    assert messages.decode_service(messages.encode(AddService(key, service))) == (key, service, Counters())


@given(service_keys, server_keys, servers)
def test_a_real_server_is_read_as_it_was_written(of: ServiceKey, key: ServerKey, server: Server) -> None:
    assert messages.decode_server(messages.encode(AddServer(of, key, server)), of.family) == (key, server, Counters())


@given(st.permutations(range(9)), st.booleans(), st.binary(max_size=9))
def test_a_kernel_that_says_it_in_another_order_or_says_more_is_understood(order: list[int], wide: bool, more: bytes) -> None:
    totals = (1, 2, 3, 4, 5)
    stats = b"".join(attribute(kind, struct.pack("=Q", total)) for kind, total in enumerate(totals, start=1))
    parts = [
        attribute(1, bytes([10, 11, 12, 21]) + bytes(12)),
        attribute(2, struct.pack("!H", 80)),
        attribute(3, struct.pack("=I", 3)),
        attribute(4, struct.pack("=I", 7)),
        attribute(7, struct.pack("=I", 8)),
        attribute(8, struct.pack("=I", 9)),
        attribute(11, struct.pack("=H", 2)),
        attribute(12 if wide else 10, stats),
        attribute(99, more),
    ]
    body = messages.header(messages.NEW_DEST) + attribute(2, b"".join(parts[place] for place in order))
    assert messages.decode_server(body, Family.IPV4) == (ONE, Server(7, Forwarding.DIRECT), Counters(*totals, active=8, inactive=9))


def test_an_address_without_a_family_has_the_virtual_servers() -> None:
    body = messages.header(messages.NEW_DEST) + attribute(
        2,
        attribute(1, ipaddress.IPv6Address("2001:db8::1").packed) + attribute(2, b"\0P") + attribute(3, bytes(4)) + attribute(4, bytes(4)),
    )
    assert messages.decode_server(body, Family.IPV6)[0] == ServerKey("2001:db8::1", 80)


def test_timeouts_of_zero_are_left_out() -> None:
    body = messages.encode(SetTimeouts(Timeouts(tcp_s=900, udp_s=30)))
    assert [kind for kind, _, _ in attributes(body, 4)] == [4, 6]
    assert messages.decode_timeouts(body) == Timeouts(900, 0, 30)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (AddService(HTTP, Service(persistence_prefix=33)), f"virtual server {HTTP}: persistence netmask /33 out of range"),
        (AddService(HTTP, Service(scheduler_flags=frozenset({"flag-9"}))), f"virtual server {HTTP}: no scheduler flag flag-9"),
        (SetService(HTTP, Service("a-very-long-name")), "scheduler a-very-long-name: module missing"),
        (AddServer(HTTP, ONE, Server(2**31)), f"real server {ONE} of {HTTP}: weight or thresholds out of range"),
        (SetServer(HTTP, ONE, Server(1, Forwarding.NAT, -1)), f"real server {ONE} of {HTTP}: weight or thresholds out of range"),
        (AddServer(HTTP, ServerKey("number1", 80), Server()), "number1 is not an IP address"),
    ],
)
def test_what_no_message_can_say_is_refused_in_words(operation: Operation, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        messages.encode(operation)
    assert str(refused.value) == reason


SERVER_OF = f"real server {ONE} of {HTTP}"


@pytest.mark.parametrize(
    ("operation", "code", "reason"),
    [
        (AddService(HTTP, Service("mh")), errno.ENOENT, "scheduler mh: module missing"),
        (
            SetService(HTTP, Service("mh", persistence_engine="sip")),
            errno.ENOENT,
            "scheduler mh or persistence engine sip: module missing",
        ),
        (AddService(HTTP, Service()), errno.EEXIST, f"virtual server {HTTP}: exists already"),
        (DeleteService(HTTP), errno.ESRCH, f"virtual server {HTTP}: no such virtual server"),
        (AddService(HTTP, Service()), errno.EAFNOSUPPORT, f"virtual server {HTTP}: this kernel's IPVS has no IPv6"),
        (DeleteServer(HTTP, ONE), errno.ESRCH, f"virtual server {HTTP}: no such virtual server"),
        (DeleteServer(HTTP, ONE), errno.ENOENT, f"{SERVER_OF}: no such real server"),
        (AddServer(HTTP, ONE, Server()), errno.EINVAL, f"{SERVER_OF}: not an address that a packet can be sent to"),
        (AddServer(HTTP, ONE, Server()), errno.EPERM, f"{SERVER_OF}: no privilege (CAP_NET_ADMIN)"),
        (AddServer(HTTP, ONE, Server()), errno.EIO, f"{SERVER_OF}: the kernel refuses it: Input/output error"),
        (SetTimeouts(Timeouts(1)), errno.EINVAL, "timeouts: the kernel refuses it: Invalid argument"),
    ],
)
def test_the_kernels_refusals_come_out_in_words(operation: Operation, code: int, reason: str) -> None:
    assert words(operation, NetlinkError(code)) == reason


def test_the_kernels_own_hint_is_kept() -> None:
    assert words(DeleteService(HTTP), NetlinkError(errno.EINVAL, "Bad port")).endswith("Invalid argument (Bad port)")
