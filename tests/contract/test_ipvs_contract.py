"""The port ``Ipvs``: the fake, the userspace plane and the kernel answer alike.  What a plane cannot do, it refuses in words.

The kernel half runs in User-Mode Linux; there, ``ipvsadm`` is the independent witness of what ``apply`` did.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from app.lvscf.model import Forwarding, Protocol, Scheduler
from lvsagent.adapters.ipvs_kernel import KernelIpvs
from lvsagent.core.table import (
    AddServer,
    AddService,
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
    Table,
    Timeouts,
)
from lvsagent.ports import Ipvs
from tests.fakes.ipvs import FakeIpvs
from tests.kernel import net

HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.100", 28080)
HTTPS = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.100", 28443)
ONE, TWO, THREE = (ServerKey(f"127.0.0.{number}", 28080) for number in (21, 22, 23))


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the guest, a network namespace (and so a table) of its own for every test."""
    with ExitStack() as stack:
        if request.node.get_closest_marker("kernel"):
            stack.enter_context(net.fresh_namespace())
        yield


@pytest.fixture(params=["fake", "userspace", pytest.param("kernel", marks=pytest.mark.kernel)])
async def plane(request: pytest.FixtureRequest, namespace: None) -> AsyncIterator[Ipvs]:
    """One of the three, opened."""
    opened: Ipvs
    if request.param == "userspace":
        module = pytest.importorskip("lvsagent.adapters.ipvs_userspace")
        opened = module.UserspaceIpvs()
    else:
        opened = KernelIpvs() if request.param == "kernel" else FakeIpvs()
    await opened.open()
    yield opened
    await opened.close()


def ours(table: Table) -> dict[ServiceKey, Entry]:
    return dict(table)


async def accepted(plane: Ipvs, *operations: Operation) -> dict[ServiceKey, Entry]:
    """Apply operations that must all succeed; the table afterwards."""
    assert await plane.apply(operations) == ()
    return ours(await plane.read())


async def refused(plane: Ipvs, *operations: Operation) -> list[str]:
    """Apply operations; the reasons of those that were refused."""
    return [refusal.reason for refusal in await plane.apply(operations)]


async def test_a_new_table_is_empty(plane: Ipvs) -> None:
    assert ours(await plane.read()) == {}


async def test_reads_back_what_was_added(plane: Ipvs) -> None:
    table = await accepted(
        plane,
        AddService(HTTP, Service(scheduler="wrr")),
        AddServer(HTTP, ONE, Server(weight=3)),
        AddServer(HTTP, TWO, Server(weight=0)),
    )
    assert set(table) == {HTTP}
    assert table[HTTP].service.scheduler == "wrr"
    assert {key: server.weight for key, server in table[HTTP].servers.items()} == {ONE: 3, TWO: 0}
    assert table[HTTP].counters.connections == 0


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "wlc", "sh"])
async def test_knows_the_schedulers_every_plane_has(plane: Ipvs, scheduler: str) -> None:
    assert (await accepted(plane, AddService(HTTP, Service(scheduler=scheduler))))[HTTP].service.scheduler == scheduler


async def test_keeps_persistence_with_its_netmask(plane: Ipvs) -> None:
    service = Service(scheduler="rr", persistence_timeout_s=300, persistence_prefix=24)
    table = await accepted(plane, AddService(HTTP, service))
    assert table[HTTP].service == service


async def test_changes_a_virtual_server_and_keeps_its_real_servers(plane: Ipvs) -> None:
    table = await accepted(
        plane,
        AddService(HTTP, Service(scheduler="rr", persistence_timeout_s=60)),
        AddServer(HTTP, ONE, Server()),
        SetService(HTTP, Service(scheduler="wlc")),
    )
    assert table[HTTP].service == Service(scheduler="wlc")
    assert set(table[HTTP].servers) == {ONE}


async def test_changes_one_real_server_only(plane: Ipvs) -> None:
    table = await accepted(
        plane,
        AddService(HTTP, Service()),
        AddServer(HTTP, ONE, Server(weight=1)),
        AddServer(HTTP, TWO, Server(weight=1)),
        SetServer(HTTP, TWO, Server(weight=7)),
    )
    assert {key: server.weight for key, server in table[HTTP].servers.items()} == {ONE: 1, TWO: 7}


async def test_deletes_a_real_server_and_leaves_its_neighbours(plane: Ipvs) -> None:
    table = await accepted(
        plane,
        AddService(HTTP, Service()),
        AddServer(HTTP, ONE, Server()),
        AddServer(HTTP, TWO, Server()),
        DeleteServer(HTTP, ONE),
    )
    assert set(table[HTTP].servers) == {TWO}


async def test_deletes_a_virtual_server_with_its_real_servers(plane: Ipvs) -> None:
    table = await accepted(
        plane,
        AddService(HTTP, Service()),
        AddServer(HTTP, ONE, Server()),
        AddService(HTTPS, Service()),
        DeleteService(HTTP),
        AddService(HTTP, Service()),
    )
    assert {key: dict(entry.servers) for key, entry in table.items()} == {HTTP: {}, HTTPS: {}}


async def test_refuses_to_add_what_exists(plane: Ipvs) -> None:
    await accepted(plane, AddService(HTTP, Service(scheduler="rr")), AddServer(HTTP, ONE, Server(weight=5)))
    assert await refused(plane, AddService(HTTP, Service(scheduler="wlc")), AddServer(HTTP, ONE, Server(weight=9))) == [
        f"virtual server {HTTP}: exists already",
        f"real server {ONE} of {HTTP}: exists already",
    ]
    entry = (await plane.read())[HTTP]
    assert (entry.service.scheduler, entry.servers[ONE].weight) == ("rr", 5)


async def test_refuses_to_change_or_delete_what_is_not_there(plane: Ipvs) -> None:
    await accepted(plane, AddService(HTTP, Service()))
    absent: list[Operation] = [SetService(HTTPS, Service()), DeleteService(HTTPS)]
    assert await refused(plane, *absent) == [f"virtual server {HTTPS}: no such virtual server"] * 2
    absent_server: list[Operation] = [SetServer(HTTP, ONE, Server()), DeleteServer(HTTP, ONE)]
    assert await refused(plane, *absent_server) == [f"real server {ONE} of {HTTP}: no such real server"] * 2
    orphans: list[Operation] = [AddServer(HTTPS, ONE, Server()), SetServer(HTTPS, ONE, Server()), DeleteServer(HTTPS, ONE)]
    assert await refused(plane, *orphans) == [f"virtual server {HTTPS}: no such virtual server"] * 3


async def test_one_refusal_stops_nothing_else(plane: Ipvs) -> None:
    operations: list[Operation] = [
        AddService(HTTP, Service()),
        AddServer(HTTP, ONE, Server()),
        AddServer(HTTP, ONE, Server()),
        DeleteServer(HTTP, THREE),
        AddServer(HTTP, TWO, Server()),
    ]
    refusals = await plane.apply(operations)
    assert [refusal.operation for refusal in refusals] == [operations[2], operations[3]]
    assert set((await plane.read())[HTTP].servers) == {ONE, TWO}


async def test_refuses_a_scheduler_that_it_lacks(plane: Ipvs) -> None:
    assert await refused(plane, AddService(HTTP, Service(scheduler="nonesuch"))) == ["scheduler nonesuch: module missing"]
    assert await refused(plane, AddService(HTTP, Service(scheduler="longer-than-any-name"))) == [
        "scheduler longer-than-any-name: module missing"
    ]
    assert ours(await plane.read()) == {}


async def test_refuses_a_weight_below_zero(plane: Ipvs) -> None:
    await accepted(plane, AddService(HTTP, Service()))
    assert await refused(plane, AddServer(HTTP, ONE, Server(weight=-1))) == [
        f"real server {ONE} of {HTTP}: weight or thresholds out of range"
    ]


async def test_timeouts_change_one_by_one(plane: Ipvs) -> None:
    before = await plane.read_timeouts()
    refusals = await plane.apply([SetTimeouts(Timeouts(tcp_s=1234)), SetTimeouts(Timeouts())])
    if refusals:
        assert all("timeout" in refusal.reason for refusal in refusals)
        assert await plane.read_timeouts() == before
    else:
        assert await plane.read_timeouts() == Timeouts(1234, before.tcpfin_s, before.udp_s)


async def test_nothing_to_do_is_nothing(plane: Ipvs) -> None:
    assert await plane.apply([]) == ()


# --- what only some planes can do ----------------------------------------------------------------------------------------------

UDP = ServiceKey(Family.IPV4, Protocol.UDP, "127.0.0.100", 53)
SCTP = ServiceKey(Family.IPV4, Protocol.SCTP, "127.0.0.100", 5060)
MARK = ServiceKey(Family.IPV4, fwmark=80)
MARK6 = ServiceKey(Family.IPV6, fwmark=80)
HTTP6 = ServiceKey(Family.IPV6, Protocol.TCP, "2001:db8::100", 80)
ONE6 = ServerKey("2001:db8::21", 80)

DEMANDING: list[tuple[ServiceKey, Service]] = [
    *((HTTP, Service(scheduler=scheduler)) for scheduler in Scheduler),
    (UDP, Service(scheduler="rr")),
    (UDP, Service(scheduler="rr", one_packet=True)),
    (SCTP, Service(scheduler="rr")),
    (MARK, Service(scheduler="rr", persistence_timeout_s=360)),
    (MARK6, Service(scheduler="rr", persistence_timeout_s=360, persistence_prefix=64)),
    (HTTP6, Service(scheduler="wlc", persistence_timeout_s=300, persistence_prefix=128)),
    (HTTP, Service(scheduler="sh", scheduler_flags=frozenset({"flag-1", "flag-2"}))),
    (HTTP, Service(scheduler="mh", scheduler_flags=frozenset({"flag-1"}))),
    (HTTP, Service(scheduler="rr", persistence_timeout_s=300, persistence_prefix=0)),
    (UDP, Service(scheduler="rr", persistence_timeout_s=300, persistence_engine="sip", one_packet=True)),
]
SERVERS = [
    (Server(weight=1, forwarding=Forwarding.NAT)),
    (Server(weight=65535, forwarding=Forwarding.DIRECT)),
    (Server(weight=0, forwarding=Forwarding.TUNNEL)),
    (Server(weight=2, forwarding=Forwarding.NAT, upper_threshold=100, lower_threshold=80)),
]


@pytest.mark.parametrize(
    ("key", "service"), DEMANDING, ids=[f"{key}-{service.scheduler}-{n}" for n, (key, service) in enumerate(DEMANDING)]
)
async def test_carries_out_or_refuses_in_words(plane: Ipvs, key: ServiceKey, service: Service) -> None:
    """Never something else than was asked for."""
    refusals = await plane.apply([AddService(key, service)])
    table = ours(await plane.read())
    if refusals:
        assert not isinstance(plane, KernelIpvs | FakeIpvs), "the kernel does all of these"
        assert table == {}
        assert " " in refusals[0].reason
    else:
        assert table == {key: Entry(service)}


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: f"{server.forwarding}-{server.weight}-{server.upper_threshold}")
@pytest.mark.parametrize("key", [HTTP, HTTP6], ids=["ipv4", "ipv6"])
async def test_real_servers_are_carried_out_or_refused_in_words(plane: Ipvs, key: ServiceKey, server: Server) -> None:
    server_key = ONE6 if key is HTTP6 else ONE
    prefix = 128 if key is HTTP6 else 32
    refusals = await plane.apply([AddService(key, Service(persistence_prefix=prefix)), AddServer(key, server_key, server)])
    if refusals:
        assert not isinstance(plane, KernelIpvs | FakeIpvs), "the kernel does all of these"
        assert all(" " in refusal.reason for refusal in refusals)
    else:
        kept = (await plane.read())[key].servers[server_key]
        assert kept.weight == server.weight
        if isinstance(plane, KernelIpvs | FakeIpvs):
            assert kept == server


# --- the fake and the kernel, side by side -------------------------------------------------------------------------------------

KEYS = [HTTP, HTTPS, UDP, SCTP, MARK, MARK6, HTTP6]
SERVER_KEYS = [ONE, TWO, THREE, ONE6, ServerKey("2001:db8::22", 0)]
SCHEDULERS = [*Scheduler, "nonesuch"]


def random_service(dice: random.Random, key: ServiceKey) -> Service:
    wide = key.family is Family.IPV6
    return Service(
        scheduler=dice.choice(SCHEDULERS),
        persistence_timeout_s=dice.choice([0, 0, 30, 360]),
        persistence_prefix=dice.choice([0, 1, 64, 128, 129] if wide else [0, 8, 24, 32]),
        one_packet=key.protocol is Protocol.UDP and dice.random() < 0.3,
        scheduler_flags=frozenset(flag for flag in ("flag-1", "flag-2", "flag-3") if dice.random() < 0.2),
    )


def random_server(dice: random.Random) -> Server:
    return Server(
        weight=dice.choice([-1, 0, 1, 1, 2, 100, 65535]),
        forwarding=dice.choice(list(Forwarding)),
        upper_threshold=dice.choice([0, 0, 10, 200]),
        lower_threshold=dice.choice([0, 0, 5, 100]),
    )


def random_operation(dice: random.Random) -> Operation:
    key, server_key = dice.choice(KEYS), dice.choice(SERVER_KEYS)
    choices: list[Operation] = [
        AddService(key, random_service(dice, key)),
        SetService(key, random_service(dice, key)),
        DeleteService(key),
        AddServer(key, server_key, random_server(dice)),
        SetServer(key, server_key, random_server(dice)),
        DeleteServer(key, server_key),
        SetTimeouts(Timeouts(dice.choice([0, 600, 900]), dice.choice([0, 60]), dice.choice([0, 120]))),
    ]
    return dice.choices(choices, weights=[6, 2, 1, 10, 4, 3, 1])[0]


@pytest.mark.kernel
@pytest.mark.parametrize("seed", range(12))
async def test_the_fake_and_the_kernel_agree_on_any_sequence(namespace: None, seed: int) -> None:
    """The same table, the same timeouts, the same refusals in the same words, after every batch."""
    dice = random.Random(seed)  # noqa: S311 -- a repeatable sequence, no secret
    kernel, fake = KernelIpvs(), FakeIpvs()
    await kernel.open()
    await fake.open()
    for _ in range(12):
        batch = [random_operation(dice) for _ in range(dice.choice([1, 5, 30]))]
        assert await kernel.apply(batch) == await fake.apply(batch)
        assert ours(await kernel.read()) == ours(await fake.read())
        assert await kernel.read_timeouts() == await fake.read_timeouts()
    await kernel.close()


# --- ipvsadm, the independent witness ------------------------------------------------------------------------------------------


def rules() -> str:
    return net.output("ipvsadm", "-S", "-n")


@pytest.mark.kernel
async def test_ipvsadm_sees_every_scheduler(namespace: None) -> None:
    kernel = KernelIpvs()
    await kernel.open()
    keys = {ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 1000 + number): name for number, name in enumerate(Scheduler)}
    await accepted(kernel, *(AddService(key, Service(scheduler=name)) for key, name in keys.items()))
    assert rules().splitlines() == [f"-A -t {key.address}:{key.port} -s {name}" for key, name in keys.items()]
    await kernel.close()


@pytest.mark.kernel
async def test_ipvsadm_sees_forwarding_weights_and_thresholds(namespace: None) -> None:
    kernel = KernelIpvs()
    await kernel.open()
    servers = [
        Server(1, Forwarding.NAT),
        Server(2, Forwarding.DIRECT),
        Server(3, Forwarding.TUNNEL),
        Server(4, Forwarding.NAT, upper_threshold=9, lower_threshold=7),
    ]
    await accepted(
        kernel,
        AddService(HTTP, Service(scheduler="wrr")),
        *(AddServer(HTTP, ServerKey(f"10.11.12.2{number}", 8080), server) for number, server in enumerate(servers)),
    )
    assert sorted(rules().splitlines()) == sorted(
        [
            "-A -t 127.0.0.100:28080 -s wrr",
            "-a -t 127.0.0.100:28080 -r 10.11.12.20:8080 -m -w 1",
            "-a -t 127.0.0.100:28080 -r 10.11.12.21:8080 -g -w 2",
            "-a -t 127.0.0.100:28080 -r 10.11.12.22:8080 -i -w 3 --tun-type ipip",
            "-a -t 127.0.0.100:28080 -r 10.11.12.23:8080 -m -w 4",
        ]
    )
    assert ["10.11.12.23:8080", "9", "7", "0", "0"] in [
        line.split()[1:] for line in net.output("ipvsadm", "-L", "-n", "--thresholds").splitlines()
    ]
    await kernel.close()


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("key", "service", "line"),
    [
        (UDP, Service("rr", one_packet=True), "-A -u 127.0.0.100:53 -s rr -o"),
        (SCTP, Service("rr"), "-A --sctp-service 127.0.0.100:5060 -s rr"),
        (HTTP, Service("wlc", 300), "-A -t 127.0.0.100:28080 -s wlc -p 300"),
        (HTTP, Service("wlc", 300, 24), "-A -t 127.0.0.100:28080 -s wlc -p 300 -M 255.255.255.0"),
        (HTTP, Service("sh", scheduler_flags=frozenset({"flag-1", "flag-2"})), "-A -t 127.0.0.100:28080 -s sh -b sh-fallback,sh-port"),
        (MARK, Service("rr", 360), "-A -f 80 -s rr -p 360"),
        (MARK6, Service("rr", 360, 128), "-A -f 80 -6 -s rr -p 360"),
        (HTTP6, Service("wlc", 300, 64), "-A -t [2001:db8::100]:80 -s wlc -p 300 -M 64"),
        (UDP, Service("rr", 30, persistence_engine="sip"), "-A -u 127.0.0.100:53 -s rr -p 30 --pe sip"),
    ],
    ids=["udp", "sctp", "persistence", "netmask", "flags", "fwmark", "fwmark-ipv6", "ipv6", "engine"],
)
async def test_ipvsadm_sees_settings(namespace: None, key: ServiceKey, service: Service, line: str) -> None:
    kernel = KernelIpvs()
    await kernel.open()
    await accepted(kernel, AddService(key, service))
    assert [" ".join(rule.split()) for rule in rules().splitlines()] == [line]
    await kernel.close()


@pytest.mark.kernel
async def test_ipvsadm_and_we_read_the_same_table(namespace: None) -> None:
    """Entries made by another tool are read as it wrote them."""
    net.output("ipvsadm", "-A", "-t", "192.0.2.7:25", "-s", "wlc", "-p", "77", "-M", "255.255.0.0")
    net.output("ipvsadm", "-a", "-t", "192.0.2.7:25", "-r", "10.11.12.99:25", "-g", "-w", "42")
    net.output("ipvsadm", "-A", "-f", "5", "-6", "-s", "rr")
    kernel = KernelIpvs()
    await kernel.open()
    assert ours(await kernel.read()) == {
        ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.7", 25): Entry(
            Service("wlc", 77, 16), {ServerKey("10.11.12.99", 25): Server(42, Forwarding.DIRECT)}
        ),
        ServiceKey(Family.IPV6, fwmark=5): Entry(Service("rr", persistence_prefix=128)),
    }
    net.output("ipvsadm", "--set", "901", "121", "301")
    assert await kernel.read_timeouts() == Timeouts(901, 121, 301)
    await kernel.close()


@pytest.mark.kernel
async def test_a_table_of_thousands_goes_in_and_comes_back(namespace: None) -> None:
    kernel = KernelIpvs()
    await kernel.open()
    keys = [ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", port) for port in range(1, 201)]
    servers = [ServerKey(f"10.11.12.{number}", 80) for number in range(1, 11)]
    operations: list[Operation] = [AddService(key, Service("rr")) for key in keys]
    operations += [AddServer(key, server, Server(weight=server.port % 7)) for key in keys for server in servers]
    operations.insert(700, operations[650])
    refusals = await kernel.apply(operations)
    assert [refusal.operation for refusal in refusals] == [operations[650]]
    table = await kernel.read()
    assert len(table) == 200
    assert sum(len(entry.servers) for entry in table.values()) == 2000
    await kernel.close()
