"""The truth tables: which real servers are in, at which weight, and what of lvs.cf cannot be served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lvscf.model import (
    Config,
    FailoverService,
    Forwarding,
    GlobalSettings,
    HostDevice,
    Protocol,
    RealServer,
    Scheduler,
    ServiceKind,
    VirtualServer,
)
from lvsagent.core.addresses import Address
from lvsagent.core.clean_text import clean
from lvsagent.core.desired import awaited, decide, decide_all
from lvsagent.core.expansion import expand, host_names
from lvsagent.core.load_share import LoadShare
from lvsagent.core.overrides import Action, Orders, Override, of_server
from lvsagent.core.pools import Expansion, Pool
from lvsagent.core.table import Entry, Family, Server, ServerKey, Service, ServiceKey, Timeouts
from lvsagent.core.weights import Sides

ONE, TWO = ServerKey("10.11.12.21", 80), ServerKey("10.11.12.22", 80)
KEY = ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80)


def server(name: str, address: str, **fields: Any) -> RealServer:
    return RealServer(name=name, address=address, **{"active": True, **fields})


def virtual(name: str = "http", **fields: Any) -> VirtualServer:
    servers = (server("one", "10.11.12.21"), server("two", "10.11.12.22"))
    given_fields: dict[str, Any] = {"active": True, "address": HostDevice("192.0.2.100", "eth1:1"), "servers": servers, **fields}
    return VirtualServer(name=name, **given_fields)


def config(*virtuals: VirtualServer, **settings: Any) -> Config:
    return Config(globals=GlobalSettings(**settings), virtual=virtuals or (virtual(),))


def expanded(*virtuals: VirtualServer, names: Mapping[str, str] | None = None, **settings: Any) -> Expansion:
    return expand(config(*virtuals, **settings), (names or {}).get)


def only_pool(expansion: Expansion) -> Pool:
    (pool,) = expansion.pools.values()
    return pool


def weights(pool: Pool, health: Mapping[str, bool], **have: int) -> dict[str, int]:
    """The weights decided on; ``have`` gives those in the table now by server name."""
    keys = {"one": ONE, "two": TWO, "sorry": ServerKey("10.11.12.99", 80)}
    entry = Entry(pool.service, {keys[name]: Server(weight) for name, weight in have.items()}) if have else None
    names = {key: name for name, key in keys.items()}
    return {names[key]: settings.weight for key, settings in decide(pool, health, entry).servers.items()}


UP, DOWN = {"http/one": True, "http/two": True}, {"http/one": False, "http/two": False}
MIXED = {"http/one": True, "http/two": False}


@pytest.mark.parametrize(
    ("health", "have", "quiesce", "expected"),
    [
        (UP, {}, False, {"one": 1, "two": 1}),
        (UP, {"one": 0, "two": 7}, False, {"one": 1, "two": 1}),
        (MIXED, {"one": 1, "two": 1}, False, {"one": 1}),
        (MIXED, {"one": 1, "two": 1}, True, {"one": 1, "two": 0}),
        (MIXED, {}, True, {"one": 1, "two": 0}),
        (DOWN, {"one": 1, "two": 1}, False, {}),
        (DOWN, {"one": 1, "two": 1}, True, {"one": 0, "two": 0}),
        ({}, {}, False, {}),
        ({}, {"one": 1}, False, {"one": 1}),
        ({}, {"one": 0, "two": 5}, True, {"one": 0, "two": 5}),
        ({"http/one": True}, {"two": 0}, False, {"one": 1, "two": 0}),
    ],
)
def test_weights_by_health_and_by_what_is_there(
    health: dict[str, bool], have: dict[str, int], quiesce: bool, expected: dict[str, int]
) -> None:
    assert weights(only_pool(expanded(virtual(quiesce_server=quiesce))), health, **have) == expected


@pytest.mark.parametrize(
    ("health", "have", "expected"),
    [
        (DOWN, {}, {"sorry": 1}),
        (DOWN, {"one": 1}, {"sorry": 1}),
        (MIXED, {"sorry": 1}, {"one": 1}),
        ({}, {}, {}),
        ({}, {"sorry": 1}, {"sorry": 1}),
        ({"http/one": False}, {}, {}),
        ({"http/one": False}, {"two": 1}, {"two": 1}),
    ],
)
def test_the_sorry_server_is_in_when_no_server_takes_new_connections(
    health: dict[str, bool], have: dict[str, int], expected: dict[str, int]
) -> None:
    assert weights(only_pool(expanded(virtual(sorry_server="10.11.12.99"))), health, **have) == expected


def test_the_sorry_server_stands_in_for_quiesced_and_for_drained_servers_too() -> None:
    quiesced = only_pool(expanded(virtual(sorry_server="10.11.12.99", quiesce_server=True)))
    assert weights(quiesced, DOWN, one=1, two=1) == {"one": 0, "two": 0, "sorry": 1}
    drained = virtual(sorry_server="10.11.12.99", servers=(server("one", "10.11.12.21", weight=0),))
    assert weights(only_pool(expanded(drained)), {"http/one": True}) == {"one": 0, "sorry": 1}


def test_the_sorry_server_has_the_virtual_port_and_the_networks_forwarding() -> None:
    pool = only_pool(expanded(virtual(sorry_server="10.11.12.99", port=8000), network=Forwarding.TUNNEL))
    assert pool.sorry == (ServerKey("10.11.12.99", 8000), Server(1, Forwarding.TUNNEL))


def test_a_virtual_server_without_any_enabled_server_shows_its_sorry_server() -> None:
    assert weights(only_pool(expanded(virtual(sorry_server="10.11.12.99", servers=()))), {}) == {"sorry": 1}


def test_what_is_not_active_is_not_wanted_but_is_ours() -> None:
    expansion = expanded(virtual(active=False))
    assert (dict(expansion.pools), expansion.checks, expansion.addresses) == ({}, (), ())
    assert expansion.named == {KEY}


def test_a_server_that_is_not_active_is_neither_in_nor_checked() -> None:
    expansion = expanded(virtual(servers=(server("one", "10.11.12.21", active=False), server("two", "10.11.12.22"))))
    assert [spec.key for spec in expansion.checks] == ["http/two"]
    assert weights(only_pool(expansion), UP, one=1, two=1) == {"two": 1}


def test_what_cannot_be_checked_counts_as_up() -> None:
    expansion = expanded(virtual(protocol=Protocol.UDP, port=53))
    assert expansion.checks == ()
    assert decide(only_pool(expansion), {}, None).servers.keys() == {ServerKey("10.11.12.21", 80), ServerKey("10.11.12.22", 80)}
    assert [problem.code for problem in expansion.problems] == ["not-checked"]


def test_settings_of_the_service() -> None:
    pool = only_pool(expanded(virtual(scheduler=Scheduler.MH, scheduler_flags="mh-port", persistent=300, pmask="255.255.255.0")))
    assert pool.service == Service("mh", 300, 24, scheduler_flags=frozenset({"flag-2"}))
    assert only_pool(expanded(virtual())).service == Service("wlc", 0, 32)


def test_a_persistence_mask_with_holes_is_said_and_each_client_stands_for_itself() -> None:
    expansion = expanded(virtual(persistent=300, pmask="0.0.0.24"))
    assert only_pool(expansion).service.persistence_prefix == 32
    assert [problem.code for problem in expansion.problems] == ["pmask"]


@pytest.mark.parametrize(
    ("network", "fwmark", "port", "expected"),
    [
        (Forwarding.NAT, 0, 8080, 8080),
        (Forwarding.DIRECT, 0, 8080, 80),
        (Forwarding.TUNNEL, 0, 8080, 80),
        (Forwarding.NAT, 7, 8080, 8080),
        (Forwarding.NAT, 7, 80, 0),
        (Forwarding.DIRECT, 7, 8080, 0),
    ],
)
def test_the_port_in_the_table_is_one_the_forwarding_can_reach(network: Forwarding, fwmark: int, port: int, expected: int) -> None:
    one = server("one", "10.11.12.21", effective_port=port)
    expansion = expanded(virtual(fwmark=fwmark, servers=(one,)), network=network)
    assert [member.key.port for member in only_pool(expansion).members] == [expected]
    assert [spec.port for spec in expansion.checks] == [port]  # the check asks where lvs.cf says


def test_a_firewall_mark_is_the_whole_key() -> None:
    expansion = expanded(virtual(fwmark=80, persistent=60))
    assert list(expansion.pools) == [ServiceKey(Family.IPV4, fwmark=80)]
    assert [one.address for one in expansion.addresses] == ["192.0.2.100"]
    six = virtual(fwmark=6, address=None, servers=(server("one", "2001:db8::1"),))
    assert list(expanded(six).pools) == [ServiceKey(Family.IPV6, fwmark=6)]


def test_a_servers_own_forwarding_goes_before_the_networks() -> None:
    pool = only_pool(expanded(virtual(servers=(server("one", "10.11.12.21", forward=Forwarding.TUNNEL),)), network=Forwarding.DIRECT))
    assert pool.members[0].server.forwarding is Forwarding.TUNNEL


def test_two_virtual_servers_on_one_address_the_first_wins() -> None:
    expansion = expanded(virtual("first"), virtual("second"))
    assert [pool.name for pool in expansion.pools.values()] == ["first"]
    assert expansion.failed == {1: "192.0.2.100:80 tcp is served by first already: the first in the file wins"}
    assert expanded(virtual("first", active=False), virtual("second")).failed == {}


def test_two_servers_at_one_address_the_first_active_one_wins() -> None:
    twins = (server("off", "10.11.12.21", active=False), server("first", "10.11.12.21"), server("second", "10.11.12.21"))
    expansion = expanded(virtual(servers=twins))
    assert [member.name for member in only_pool(expansion).members] == ["first"]
    assert [problem.code for problem in expansion.problems] == ["duplicate-server"]


def test_check_keys_are_told_apart_where_names_repeat() -> None:
    twins = (server("one", "10.11.12.21"), server("one", "10.11.12.22"))
    assert [spec.key for spec in expanded(virtual(servers=twins)).checks] == ["http/one", "http/one#2"]


def test_an_active_virtual_server_without_an_address_fails_alone() -> None:
    expansion = expanded(virtual("lost", address=None), virtual("http"))
    assert expansion.failed == {0: "it has no address"}
    assert [pool.name for pool in expansion.pools.values()] == ["http"]
    assert expansion.resolved


def test_names_are_resolved_by_what_is_given() -> None:
    named = virtual(address=HostDevice("www.example", "eth1:1"), servers=(server("one", "one.example"), server("two", "10.12")))
    assert host_names(config(named, primary="lefty.example")) == {"www.example", "one.example", "lefty.example"}
    expansion = expanded(named, names={"www.example": "192.0.2.100", "one.example": "10.11.12.21"})
    assert list(expansion.pools) == [KEY]
    assert [member.key.address for member in only_pool(expansion).members] == ["10.11.12.21", "10.0.0.12"]


def test_a_virtual_server_whose_name_cannot_be_resolved_fails_and_nobody_may_be_retired_meanwhile() -> None:
    expansion = expanded(virtual(address=HostDevice("www.example", "eth1:1")))
    assert expansion.failed == {0: "the name www.example cannot be resolved"}
    assert not expansion.resolved


def test_a_server_whose_name_cannot_be_resolved_keeps_what_is_there() -> None:
    pool = only_pool(expanded(virtual(servers=(server("one", "one.example"), server("two", "10.11.12.22")))))
    assert weights(pool, {"http/two": True}, one=1, two=1) == {"two": 1, "one": 1}
    assert weights(pool, {"http/two": True}) == {"two": 1}


def test_addresses_for_pulse() -> None:
    both = (virtual("http", vip_nmask="255.255.255.0"), virtual("https", port=443, vip_nmask="255.255.255.0"))
    expansion = expanded(*both, nat_router=HostDevice("10.11.12.1", "eth0:1"), nat_nmask="255.255.255.0")
    assert [(one, one.label) for one in expansion.addresses] == [
        (Address("192.0.2.100", 24, "eth1"), "eth1:1"),
        (Address("10.11.12.1", 24, "eth0"), "eth0:1"),
    ]
    assert expansion.forwarding_needed == ("ipv4",)


def test_no_mask_is_one_address_alone_in_either_family() -> None:
    six = virtual("six", address=HostDevice("2001:db8::100", "eth1"), servers=())
    assert [one.prefix for one in expanded(virtual(), six).addresses] == [32, 128]


def test_the_nat_router_is_up_with_nat_alone() -> None:
    router = HostDevice("10.11.12.1", "eth0:1")
    direct = expanded(network=Forwarding.DIRECT, nat_router=router)
    assert [one.address for one in direct.addresses] == ["192.0.2.100"]
    assert direct.forwarding_needed == ()


def test_one_address_asked_for_in_two_ways_the_first_wins_and_it_is_said() -> None:
    expansion = expanded(virtual("http"), virtual("https", port=443, address=HostDevice("192.0.2.100", "eth2:1")))
    assert [one.label for one in expansion.addresses] == ["eth1:1"]
    assert [problem.code for problem in expansion.problems] == ["address-twice"]


def test_failover_services_leave_no_virtual_server_in_use() -> None:
    expansion = expanded(service=ServiceKind.FOS)
    assert (list(expansion.pools), expansion.addresses, list(expansion.named)) == ([], (), [KEY])


def test_failover_services_have_addresses_and_checks() -> None:
    ftp = FailoverService(name="ftp", active=True, address=HostDevice("192.0.2.101", "eth1:2"), vip_nmask="255.255.255.0", port=21)
    off = FailoverService(name="off", address=HostDevice("192.0.2.102", "eth1:3"))
    settings = GlobalSettings(service=ServiceKind.FOS)
    expansion = expand(Config(globals=settings, failover=(ftp, off)), lambda _name: None)
    assert [(one.address, one.prefix, one.label) for one in expansion.addresses] == [("192.0.2.101", 24, "eth1:2")]
    assert [(spec.key, spec.target) for spec in expansion.checks] == [("failover service/ftp", "192.0.2.101:21")]
    assert (list(expansion.pools), expansion.failed) == ([], {})


def test_timeouts_are_those_given() -> None:
    assert expanded(tcp_timeout=900, udp_timeout=30).timeouts == Timeouts(900, 0, 30)


def test_servers_that_wait_for_their_first_check_are_told() -> None:
    pool = only_pool(expanded())
    assert [member.name for member in awaited(pool, {"http/one": True}, None)] == ["two"]
    assert awaited(pool, {"http/one": True}, Entry(pool.service, {TWO: Server()})) == ()


def test_bytes_that_are_not_text_are_shown_as_such() -> None:
    assert clean(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\xe9"
    expansion = expanded(virtual(name="caf\udce9"))
    assert [spec.key for spec in expansion.checks] == ["caf\\xe9/one", "caf\\xe9/two"]


@given(
    health=st.dictionaries(st.sampled_from(["http/one", "http/two"]), st.booleans()),
    have=st.dictionaries(st.sampled_from([ONE, TWO]), st.integers(0, 9).map(Server)),
    quiesce=st.booleans(),
)
def test_deciding_twice_changes_nothing(health: dict[str, bool], have: dict[ServerKey, Server], quiesce: bool) -> None:
    expansion = expanded(virtual(quiesce_server=quiesce, sorry_server="10.11.12.99"))
    once = decide_all(expansion, health, {KEY: Entry(Service(), have)})
    assert decide_all(expansion, health, once) == once


# --- load_monitor --------------------------------------------------------------------------------------------------------------


def loaded_pool(monitor: str = "uptime", **fields: Any) -> Pool:
    servers = (server("one", "10.11.12.21", weight=100), server("two", "10.11.12.22", weight=100))
    return only_pool(expanded(virtual(load_monitor=monitor, servers=servers, **fields)))


def sides_with(*, share: float, load: str = "uptime 10.11.12.21") -> Sides:
    sides = Sides()
    sides.update(UP)
    sides.loads = {"http/one": LoadShare(load, share)}
    return sides


def test_a_busy_host_has_a_part_of_its_weight() -> None:
    assert weights(loaded_pool(), sides_with(share=0.41)) == {"one": 41, "two": 100}


def test_a_load_counts_only_where_load_monitor_asks_for_it_and_by_the_way_it_asks() -> None:
    assert weights(loaded_pool("none"), sides_with(share=0.41)) == {"one": 100, "two": 100}
    assert weights(loaded_pool("rup"), sides_with(share=0.41)) == {"one": 100, "two": 100}


def test_load_agent_and_slow_start_are_multiplied_and_never_come_to_nothing() -> None:
    sides = sides_with(share=0.5)
    sides.want("http/one", 40)
    assert weights(loaded_pool(), sides) == {"one": 20, "two": 100}
    sides.start_slowly("http/one", 100)
    sides.advance(0.0)
    assert weights(loaded_pool(), sides) == {"one": 1, "two": 100}
    sides.want("http/one", 0)
    assert weights(loaded_pool(), sides) == {"one": 0, "two": 100}


@pytest.mark.parametrize(
    ("action", "weight", "expected"),
    [(Action.WEIGHT, 80, 80), (Action.UP, 0, 100), (Action.DRAIN, 0, 0)],
)
def test_what_an_operator_decides_goes_before_the_load(action: Action, weight: int, expected: int) -> None:
    sides = sides_with(share=0.41)
    sides.orders = Orders({of_server("http/one"): Override(of_server("http/one"), action, 0.0, weight=weight)})
    assert weights(loaded_pool(), sides)["one"] == expected


def test_each_host_is_asked_once_however_many_virtual_servers_it_is_in() -> None:
    other = virtual("https", port=443, address=HostDevice("192.0.2.100", "eth1:1"), load_monitor="uptime")
    found = expanded(virtual(load_monitor="uptime"), other, virtual("silent", port=99))
    assert [spec.key for spec in found.loads] == ["uptime 10.11.12.21", "uptime 10.11.12.22"]


def test_ruptime_asks_for_what_hosts_call_themselves() -> None:
    servers = (server("web1", "10.11.12.21"), server("number2", "web2.example.com"))
    pools = expanded(virtual(load_monitor="ruptime", servers=servers), names={"web2.example.com": "10.11.12.22"})
    assert [spec.key for spec in pools.loads] == ["ruptime web1", "ruptime web2.example.com"]
    assert {spec.job for spec in pools.loads} == {"ruptime"}
