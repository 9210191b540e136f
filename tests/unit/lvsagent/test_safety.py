"""Fingerprints of plans, what counts as grown, and what a change takes out of service."""

from __future__ import annotations

import pytest

from app.lvscf import ip_of, load
from app.lvscf.model import Forwarding, Protocol
from lvsagent.core.addresses import Address
from lvsagent.core.continuity import TakenOut, taken_out
from lvsagent.core.expansion import expand
from lvsagent.core.plan_prints import fingerprint, grown, plan_lines
from lvsagent.core.table import (
    AddServer,
    AddService,
    Counters,
    DeleteServer,
    DeleteService,
    Entry,
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
from tests.fakes.agent import TUTORIAL

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)
ONE, TWO = ServerKey("10.11.12.21", 80), ServerKey("10.11.12.22", 80)
NAT = Server(1, Forwarding.NAT)
VIP = Address("192.0.2.100", 24, "eth1", "eth1:1")

EVERY: list[Operation] = [
    AddService(HTTP, Service("rr")),
    SetService(HTTP, Service("wlc")),
    DeleteService(HTTP),
    AddServer(HTTP, ONE, NAT),
    SetServer(HTTP, ONE, NAT),
    DeleteServer(HTTP, ONE),
    SetTimeouts(Timeouts(tcp_s=900)),
]


def test_each_step_has_a_line_of_its_own_and_the_order_does_not_matter() -> None:
    lines = plan_lines(EVERY, {})
    assert len(lines) == len(EVERY)
    assert fingerprint(lines) == fingerprint(plan_lines(EVERY[::-1], {}))
    assert len({fingerprint(plan_lines([one], {})) for one in EVERY}) == len(EVERY)


def test_a_fingerprint_means_the_same_after_a_restart_and_on_another_host() -> None:
    flags = Service("sh", scheduler_flags=frozenset({"flag-1", "flag-2"}))
    assert fingerprint(plan_lines([AddService(HTTP, flags), AddServer(HTTP, ONE, NAT)], {}, (), [VIP])) == "d777891ab979f9aa"


def test_counters_are_no_part_of_it() -> None:
    quiet = {HTTP: Entry(Service("rr"), {ONE: NAT})}
    busy = {HTTP: Entry(Service("rr"), {ONE: NAT}, Counters(5), {ONE: Counters(5, active=3)})}
    assert plan_lines([DeleteService(HTTP)], quiet) == plan_lines([DeleteService(HTTP)], busy)


def test_addresses_are_a_part_of_it() -> None:
    assert set(plan_lines([], {}, [VIP], [])) == {"remove address 192.0.2.100/24 eth1:1"}
    assert plan_lines([], {}, [VIP], [VIP]) == {}


@pytest.mark.parametrize(
    ("shown", "now", "more"),
    [
        ([], [DeleteServer(HTTP, ONE)], True),
        ([DeleteServer(HTTP, ONE)], [DeleteServer(HTTP, ONE)], False),
        ([DeleteServer(HTTP, ONE), DeleteServer(HTTP, TWO)], [DeleteServer(HTTP, ONE)], False),
        ([DeleteServer(HTTP, ONE)], [DeleteServer(HTTP, TWO)], True),
        ([SetServer(HTTP, ONE, Server(2, Forwarding.NAT))], [SetServer(HTTP, ONE, Server(0, Forwarding.NAT))], True),
        ([], [AddService(HTTP, Service("rr"))], True),
        ([], [AddServer(HTTP, ONE, NAT)], False),  # its check succeeded meanwhile, and lvs.cf names it: nobody loses anything
        ([], [SetTimeouts(Timeouts(tcp_s=1))], True),
    ],
)
def test_what_counts_as_grown(shown: list[Operation], now: list[Operation], more: bool) -> None:
    assert bool(grown(plan_lines(shown, {}), plan_lines(now, {}))) is more


def test_a_virtual_server_that_goes_takes_more_along_when_one_of_its_servers_has_come_up() -> None:
    before, now = {HTTP: Entry(Service("rr"), {ONE: NAT})}, {HTTP: Entry(Service("rr"), {ONE: NAT, TWO: NAT})}
    gone = [DeleteService(HTTP)]
    assert len(grown(plan_lines(gone, before), plan_lines(gone, now))) == 1
    assert grown(plan_lines(gone, now), plan_lines(gone, before)) == ()


# --- what goes out of service ------------------------------------------------------------------------------------------------------


def taken(after: str, before: str = TUTORIAL) -> TakenOut:
    return taken_out(*(expand(load(text).config, ip_of) for text in (before, after)))


BOTH = TUTORIAL.replace("active = 0\n     address = 192.0.2.100", "active = 1\n     address = 192.0.2.100")


@pytest.mark.parametrize(
    ("after", "virtual", "real"),
    [
        (BOTH, (), ()),
        (BOTH.replace("port = 80", "port = 8080"), (), ()),
        (BOTH.replace("virtual http {", "virtual web {").replace("server number1 {", "server first {"), (), ()),
        (BOTH.replace("network = nat", "network = direct"), (), ()),
        (BOTH.replace("10.11.12.22", "10.11.12.32"), (), ()),
        (BOTH.replace("weight = 1", "weight = 0", 1), (), ("number1 of http",)),
        (BOTH.replace("weight = 1", "weight = 0"), ("http",), ("number1 of http", "number2 of http", "number3 of http")),
        (BOTH.replace("active = 1", "active = 0", 1), ("http",), ("number1 of http", "number2 of http", "number3 of http")),
        ("serial_no = 9\n", ("http", "https"), ("number1 of http", "number2 of http", "number3 of http", "number1 of https")),
        (
            BOTH.replace("service = lvs", "service = fos"),
            ("http", "https"),
            ("number1 of http", "number2 of http", "number3 of http", "number1 of https"),
        ),
    ],
)
def test_what_a_change_takes_out_of_service(after: str, virtual: tuple[str, ...], real: tuple[str, ...]) -> None:
    found = taken(after, BOTH)
    assert (found.virtual, found.real, found.virtual_total, found.real_total) == (virtual, real, 2, 4)


def test_what_comes_into_service_takes_nothing_out() -> None:
    assert taken(BOTH) == TakenOut(virtual_total=1, real_total=3)


@pytest.mark.parametrize(
    ("virtual", "real", "share", "large"),
    [
        (1, 0, 0.5, False),  # one is an everyday change
        (2, 0, 0.5, False),  # half is not more than half
        (3, 0, 0.5, True),
        (0, 5, 0.5, False),
        (0, 6, 0.5, True),
        (0, 2, 0.0, True),
        (4, 10, 1.0, False),
    ],
)
def test_what_is_large(virtual: int, real: int, share: float, large: bool) -> None:
    found = TakenOut(tuple("v" * virtual), tuple("r" * real), virtual_total=4, real_total=10)
    assert found.large(share) is large


def test_the_token_stands_for_exactly_the_list() -> None:
    tokens = {TakenOut(virtual, real).token for virtual, real in ((("a",), ()), ((), ("a",)), (("a", "b"), ()), ((), ()))}
    assert len(tokens) == 4
    assert TakenOut(("a", "b"), ("c",), 2, 1).token == TakenOut(("b", "a"), ("c",), 9, 9).token
