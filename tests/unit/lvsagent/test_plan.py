"""The fewest operations from one table to another, in an order that leaves nothing empty, told in words."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.lvscf.model import Forwarding, Protocol
from lvsagent.core.plan import applied, plan, plan_timeouts, steps
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
from lvsagent.garbage import uncollected
from tests.fakes.ipvs import FakeIpvs

WEB = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)
MAIL = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 25)
ONE, TWO, THREE = (ServerKey(f"10.11.12.2{number}", 80) for number in (1, 2, 3))


def entry(service: Service | None = None, **servers: int) -> Entry:
    keys = {"one": ONE, "two": TWO, "three": THREE}
    return Entry(service or Service("rr"), {keys[name]: Server(weight) for name, weight in servers.items()})


def names(service: ServiceKey, server: ServerKey | None) -> str:
    if server is None:
        return {WEB: "http"}.get(service, "")
    return {ONE: "number1", TWO: "number2"}.get(server, "")


services = st.builds(
    ServiceKey, st.just(Family.IPV4), st.just(Protocol.TCP), st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.integers(1, 3)
)
servers = st.builds(ServerKey, st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), st.integers(80, 81))
entries = st.builds(
    Entry,
    st.builds(Service, st.sampled_from(["rr", "wlc"]), st.sampled_from([0, 300])),
    st.dictionaries(servers, st.builds(Server, st.integers(0, 3), st.sampled_from(Forwarding)), max_size=4),
)
tables = st.dictionaries(services, entries, max_size=5)


async def _made(table: dict[ServiceKey, Entry], operations: list[Operation]) -> tuple[FakeIpvs, list[str]]:
    plane = FakeIpvs()
    await plane.apply(plan({}, table, ()))
    refusals = await plane.apply(operations)
    return plane, [refusal.reason for refusal in refusals]


@given(tables, tables, st.sets(services))
def test_the_plan_leads_from_what_is_there_to_what_is_wanted_and_leaves_the_rest(
    have: dict[ServiceKey, Entry], wanted: dict[ServiceKey, Entry], owned: set[ServiceKey]
) -> None:
    operations = plan(have, wanted, owned)
    plane, refused = asyncio.run(_made(have, operations))
    left_alone = {key: one for key, one in have.items() if key not in owned and key not in wanted}
    assert refused == []
    assert plane.table == {**wanted, **left_alone}
    assert applied(have, operations) == plane.table
    assert plan(plane.table, wanted, owned) == []


@given(tables, tables)
def test_the_plan_says_nothing_about_what_is_the_same(have: dict[ServiceKey, Entry], wanted: dict[ServiceKey, Entry]) -> None:
    for operation in plan(have, wanted, have):
        match operation:
            case SetService(key, service):
                assert have[key].service != service
            case SetServer(key, server, settings_):
                assert have[key].servers[server] != settings_
            case AddServer(key, server):
                assert key not in have or server not in have[key].servers


@given(tables, tables)
def test_no_virtual_server_is_emptier_on_the_way_than_at_either_end(have: dict[ServiceKey, Entry], wanted: dict[ServiceKey, Entry]) -> None:
    def open_servers(table: Any, key: ServiceKey) -> int:
        return sum(server.weight > 0 for server in table[key].servers.values()) if key in table else 0

    table: dict[ServiceKey, Entry] = dict(have)
    for operation in plan(have, wanted, have):
        table = applied(table, [operation])
        for key in wanted.keys() & have.keys():
            assert open_servers(table, key) >= min(open_servers(have, key), open_servers(wanted, key))


def test_a_weight_is_one_message() -> None:
    have = {WEB: entry(one=1, two=1, three=1), MAIL: entry(one=1)}
    wanted = {WEB: entry(one=1, two=3, three=1), MAIL: entry(one=1)}
    assert plan(have, wanted, ()) == [SetServer(WEB, TWO, Server(3))]


def test_another_port_is_made_before_the_old_one_goes() -> None:
    moved = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 8080)
    assert plan({WEB: entry(one=1)}, {moved: entry(one=1)}, {WEB}) == [
        AddService(moved, Service("rr")),
        AddServer(moved, ONE, Server(1)),
        DeleteService(WEB),
    ]


def test_a_replacement_is_in_before_the_replaced_one_is_out() -> None:
    assert plan({WEB: entry(one=1)}, {WEB: entry(two=1)}, ()) == [AddServer(WEB, TWO, Server(1)), DeleteServer(WEB, ONE)]


def test_foreign_services_are_never_touched() -> None:
    assert plan({MAIL: entry(one=1)}, {}, {WEB}) == []


def test_only_timeouts_that_are_given_and_differ_are_set() -> None:
    kernel = Timeouts(900, 120, 300)
    assert plan_timeouts(kernel, Timeouts()) == []
    assert plan_timeouts(kernel, Timeouts(900, 0, 300)) == []
    assert plan_timeouts(kernel, Timeouts(60, 0, 300)) == [SetTimeouts(Timeouts(60, 0, 0))]


def test_a_plan_in_words_with_the_connections_it_touches() -> None:
    counted = Entry(
        Service("rr"),
        {ONE: Server(1), TWO: Server(1), THREE: Server(1)},
        server_counters={ONE: Counters(active=5), TWO: Counters(active=7), THREE: Counters(active=2)},
    )
    have = {WEB: counted, MAIL: Entry(Service("wlc"), {ONE: Server()}, server_counters={ONE: Counters(active=4)})}
    operations: list[Operation] = [
        SetService(WEB, Service("wlc", 300, 24)),
        SetServer(WEB, ONE, Server(3)),
        SetServer(WEB, TWO, Server(1, Forwarding.DIRECT)),
        DeleteServer(WEB, THREE),
        DeleteService(MAIL),
        SetTimeouts(Timeouts(60, 0, 30)),
    ]
    told = [(step.action, step.what, step.name, step.detail, step.connections) for step in steps(operations, have, names)]
    assert told == [
        (
            "change",
            "virtual server",
            "http (192.0.2.100:80 tcp)",
            "scheduler rr → wlc, persistence off → 300 s, clients by /24",
            0,
        ),
        ("change", "real server", "number1 of http (10.11.12.21:80)", "weight 1 → 3", 0),
        ("change", "real server", "number2 of http (10.11.12.22:80)", "forwarding nat → direct", 7),
        ("remove", "real server", "10.11.12.23:80 of http", "", 2),
        ("remove", "virtual server", "192.0.2.100:25 tcp", "", 4),
        ("change", "timeouts", "idle connections", "tcp 60 s, udp 30 s", 0),
    ]


def test_the_largest_known_table_is_planned_in_time_that_grows_with_its_size() -> None:
    def table(services_: int, weight: int) -> dict[ServiceKey, Entry]:
        return {
            ServiceKey(Family.IPV4, Protocol.TCP, f"10.0.{number // 250}.{number % 250}", 80): Entry(
                Service("rr"), {ServerKey(f"10.1.{server}.1", 80): Server(weight) for server in range(16)}
            )
            for number in range(services_)
        }

    def took_s(services_: int) -> float:
        have, wanted = table(services_, 1), table(services_, 2)
        with uncollected():  # as the keeper has it; else all that earlier tests have left is looked through
            began = time.process_time()
            assert len(plan(have, wanted, have)) == 16 * services_
            return time.process_time() - began

    small, large = min(took_s(228) for _ in range(3)), min(took_s(2277) for _ in range(3))
    assert large < 40 * small + 0.05  # ten times the size; a square would be a hundred times
