"""The userspace data plane with real traffic on loopback: who gets a connection, what passes through it, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.lvscf.model import Forwarding, Protocol
from lvsagent.adapters import ipvs_userspace
from lvsagent.adapters.ipvs_userspace import UserspaceIpvs
from lvsagent.adapters.userspace_listening import listen_words
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
from tests.fakes import real_servers
from tests.fakes.real_servers import Caller, RealServers

OFFSET = 20000
HTTP = ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.100", 8180)


@pytest.fixture
async def real() -> AsyncIterator[RealServers]:
    servers = RealServers()
    for _ in range(3):
        await servers.add()
    yield servers
    await servers.close()


@pytest.fixture
async def plane() -> AsyncIterator[UserspaceIpvs]:
    opened = UserspaceIpvs(port_offset=OFFSET)
    await opened.open()
    yield opened
    await opened.close()


async def apply(plane: UserspaceIpvs, *operations: Operation) -> None:
    assert await plane.apply(operations) == ()


async def make(plane: UserspaceIpvs, real: RealServers, service: Service, weights: tuple[int, ...] = (1, 1, 1)) -> None:
    servers = [AddServer(HTTP, key, Server(weight=weight)) for key, weight in zip(real.keys, weights, strict=False)]
    await apply(plane, AddService(HTTP, service), *servers)


async def call(plane: UserspaceIpvs, key: ServiceKey = HTTP, source: str = "127.0.0.1") -> Caller:
    host, _, port = plane.listens(key).rpartition(":")
    return await real_servers.call(host.strip("[]"), int(port), source)


async def names(plane: UserspaceIpvs, count: int, source: str = "127.0.0.1") -> list[str]:
    heard = []
    for _ in range(count):
        caller = await call(plane, source=source)
        heard.append(caller.name)
        await caller.end()
    return heard


async def until(condition: Any) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_says_what_it_is(plane: UserspaceIpvs) -> None:
    info = await plane.open()
    assert info.kind == "userspace"
    assert "demonstration" in info.notes[0]
    assert any("proxy" in note for note in info.notes)


async def test_round_robin_spreads_thirty_requests_10_10_10(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    assert Counter(await names(plane, 30)) == {"number1": 10, "number2": 10, "number3": 10}


async def test_weighted_round_robin_follows_the_weights(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("wrr"), (4, 3, 2))
    heard = "".join(name[-1] for name in await names(plane, 9))
    assert heard in "112123123" * 2  # where in the round it begins depends on how the servers came in, as in the kernel


async def test_a_weight_of_0_gets_nothing_new_and_keeps_what_it_has(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    callers = [await call(plane) for _ in range(3)]
    await apply(plane, SetServer(HTTP, real.keys[0], Server(weight=0)))
    assert set(await names(plane, 10)) == {"number2", "number3"}
    assert [await caller.echo() for caller in callers] == [b"ping"] * 3
    await apply(plane, SetServer(HTTP, real.keys[0], Server(weight=1)))
    assert "number1" in await names(plane, 3)
    for caller in callers:
        await caller.end()


async def test_least_connections_prefers_the_idle(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("wlc"), (2, 1, 0))
    callers = [await call(plane) for _ in range(6)]
    assert Counter(caller.name for caller in callers) == {"number1": 4, "number2": 2}
    for caller in callers:
        if caller.name == "number2":
            await caller.end()

    async def two_left() -> bool:
        return (await plane.read())[HTTP].counters.active == 4

    await until(two_left)
    late = await call(plane)
    assert late.name == "number2"
    for caller in [late, *(caller for caller in callers if caller.name == "number1")]:
        await caller.end()


async def test_source_hash_sends_one_client_to_one_server(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("sh"))
    seen = {source: set(await names(plane, 3, source)) for source in (f"127.0.0.{number}" for number in range(2, 12))}
    assert all(len(who) == 1 for who in seen.values())
    assert len(set.union(*seen.values())) > 1


async def test_persistence_holds_a_client_to_its_server(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr", persistence_timeout_s=300))
    assert len(set(await names(plane, 4, "127.0.0.2"))) == 1
    assert set(await names(plane, 4, "127.0.0.2")) != set(await names(plane, 4, "127.0.0.3"))
    assert (await plane.read())[HTTP].counters.persistent == 2


async def test_persistence_by_netmask_holds_neighbours_together(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr", persistence_timeout_s=300, persistence_prefix=24))
    assert set(await names(plane, 2, "127.0.0.2")) == set(await names(plane, 2, "127.0.0.99"))
    assert set(await names(plane, 2, "127.0.0.2")) != set(await names(plane, 2, "127.0.1.2"))


async def test_persistence_ends_with_its_timeout_and_with_its_server(
    plane: UserspaceIpvs, real: RealServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(plane, real, Service("rr", persistence_timeout_s=60))
    (first,) = set(await names(plane, 3))
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now + 61)
    (second,) = set(await names(plane, 3))
    assert second != first
    monkeypatch.undo()
    gone = real.keys[int(second[-1]) - 1]
    await apply(plane, DeleteServer(HTTP, gone))
    (third,) = set(await names(plane, 3))
    assert third != second


async def test_a_persistent_client_still_reaches_its_server_at_weight_0_as_in_the_kernel(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr", persistence_timeout_s=60))
    (mine,) = set(await names(plane, 2))
    await apply(plane, SetServer(HTTP, real.keys[int(mine[-1]) - 1], Server(weight=0)))
    assert set(await names(plane, 2)) == {mine}
    assert mine not in await names(plane, 4, "127.0.0.77")


async def test_the_upper_threshold_closes_a_server_and_the_lower_opens_it_again(plane: UserspaceIpvs, real: RealServers) -> None:
    limited = Server(upper_threshold=2, lower_threshold=1)
    await apply(plane, AddService(HTTP, Service("lc")), AddServer(HTTP, real.keys[0], limited))
    callers = [await call(plane) for _ in range(2)]
    with pytest.raises(ConnectionError):
        await call(plane)
    for caller in callers:
        await caller.end()

    async def none_left() -> bool:
        return (await plane.read())[HTTP].counters.active + (await plane.read())[HTTP].counters.inactive == 0

    await until(none_left)
    assert await names(plane, 1) == ["number1"]


async def test_counts_connections_and_bytes(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"), (1,))
    caller = await call(plane)
    await caller.echo(b"x" * 1000)
    entry = (await plane.read())[HTTP]
    expected = Counters(connections=1, bytes_in=1000, bytes_out=1008, active=1)
    assert entry.counters == expected
    assert entry.server_counters == {real.keys[0]: expected}
    await caller.end()

    async def none_open() -> bool:
        return (await plane.read())[HTTP].counters == Counters(connections=1, bytes_in=1000, bytes_out=1011)

    await until(none_open)


async def test_half_closing_passes_through(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"), (1,))
    caller = await call(plane)
    assert await caller.end() == b"bye"


async def test_much_data_passes_both_ways_unharmed(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"), (1,))
    caller = await call(plane)
    sent = os.urandom(1 << 20) * 24
    hearing = asyncio.create_task(caller.reader.readexactly(len(sent)))
    caller.writer.write(sent)
    assert await hearing == sent
    assert await caller.end() == b"bye"


async def test_a_reader_that_stops_stops_the_sender(plane: UserspaceIpvs) -> None:
    """What is buffered for it stays small, however much the other side has to say."""
    sent = 0

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    key = ServerKey("127.0.0.1", server.sockets[0].getsockname()[1])
    await apply(plane, AddService(HTTP, Service("rr")), AddServer(HTTP, key, Server()))
    with socket.create_connection(("127.0.0.100", HTTP.port + OFFSET)):
        before = -1
        while sent != before or not sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 32 << 20
    server.close()
    await apply(plane, DeleteService(HTTP))


async def test_a_client_that_resets_resets_its_server_and_the_other_way_round(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"), (1,))
    caller = await call(plane)
    caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    caller.writer.transport.abort()

    async def nobody() -> bool:
        return real.open == 0 and (await plane.read())[HTTP].counters.active == 0

    await until(nobody)


async def test_a_server_that_refuses_costs_its_client_a_reset_and_nobody_else_anything(plane: UserspaceIpvs, real: RealServers) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = ServerKey("127.0.0.1", unused.getsockname()[1])
        await apply(plane, AddService(HTTP, Service("rr")), AddServer(HTTP, real.keys[0], Server()), AddServer(HTTP, dead, Server()))
        assert await names(plane, 1) == ["number1"]
        with pytest.raises(ConnectionError):
            await call(plane)
        assert await names(plane, 1) == ["number1"]
    assert (await plane.read())[HTTP].server_counters[dead] == Counters(connections=1)


async def test_without_a_real_server_a_client_is_reset(plane: UserspaceIpvs) -> None:
    await apply(plane, AddService(HTTP, Service("rr")))
    with pytest.raises(ConnectionError):
        await call(plane)


async def test_a_removed_server_resets_its_connections_and_its_neighbours_keep_theirs(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    callers = [await call(plane) for _ in range(3)]
    await apply(plane, DeleteServer(HTTP, real.keys[1]))
    with pytest.raises(ConnectionResetError):
        await callers[1].reader.read()
    assert await callers[0].echo() == b"ping"
    assert await callers[2].echo() == b"ping"
    for caller in callers:
        await caller.hang_up()


async def test_other_settings_of_a_virtual_server_leave_its_connections_alone(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    caller = await call(plane)
    await apply(plane, SetService(HTTP, Service("wlc", persistence_timeout_s=30)), SetService(HTTP, Service("sh")))
    assert await caller.echo() == b"ping"
    await caller.end()


async def test_a_deleted_virtual_server_ends_everything_of_its_own(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    caller = await call(plane)
    where = plane.listens(HTTP)
    await apply(plane, DeleteService(HTTP))
    with pytest.raises(ConnectionResetError):
        await caller.reader.read()
    await caller.hang_up()
    host, _, port = where.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    assert plane.listens(HTTP) == ""
    await apply(plane, AddService(HTTP, Service("rr")))


async def test_close_ends_all(real: RealServers) -> None:
    plane = UserspaceIpvs(port_offset=OFFSET)
    await plane.open()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- the folder changes while it is read
    await make(plane, real, Service("rr"))
    callers = [await call(plane) for _ in range(5)]
    await plane.close()
    for caller in callers:
        with pytest.raises(ConnectionResetError):
            await caller.reader.read()
        await caller.hang_up()

    async def all_closed() -> bool:
        return real.open == 0 and len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208

    await until(all_closed)


async def test_idle_connections_end_with_the_timeouts(plane: UserspaceIpvs, real: RealServers, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(plane, real, Service("rr"), (1,))
    await apply(plane, SetTimeouts(Timeouts(tcp_s=100)))
    idle, busy = await call(plane), await call(plane)
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now + 60)
    await busy.echo()
    monkeypatch.setattr(loop, "time", lambda: now + 120)
    plane._end_idle()
    monkeypatch.undo()
    with pytest.raises(ConnectionResetError):
        await idle.reader.read()
    assert await busy.echo() == b"ping"
    await idle.hang_up()
    await busy.end()


async def test_listens_at_the_port_plus_the_offset_on_its_own_address_only(plane: UserspaceIpvs) -> None:
    await apply(plane, AddService(HTTP, Service("rr")))
    assert plane.listens(HTTP) == f"127.0.0.100:{HTTP.port + OFFSET}"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.101", HTTP.port + OFFSET)


async def test_ipv6_to_ipv4_and_back(plane: UserspaceIpvs, real: RealServers) -> None:
    six = ServiceKey(Family.IPV6, Protocol.TCP, "::1", 8180)
    server6 = await real.add("::1")
    await apply(
        plane, AddService(six, Service("rr", persistence_prefix=128)), AddServer(six, server6, Server(forwarding=Forwarding.TUNNEL))
    )
    caller = await call(plane, six, source="::1")
    assert caller.name == "number4"
    await caller.end()
    assert plane.listens(six) == f"[::1]:{8180 + OFFSET}"


@pytest.mark.parametrize(
    ("key", "service", "reason"),
    [
        (ServiceKey(Family.IPV4, Protocol.UDP, "127.0.0.100", 53), Service("rr"), "carries tcp only, not udp"),
        (ServiceKey(Family.IPV4, fwmark=80), Service("rr"), "sees no firewall marks"),
        (HTTP, Service("lblc"), "scheduler lblc: the demonstration data plane has rr, wrr, lc, wlc and sh only"),
        (HTTP, Service("nonesuch"), "scheduler nonesuch: module missing"),
        (HTTP, Service("rr", persistence_engine="sip"), "has no persistence engine sip"),
        (ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80), Service("rr"), "address 192.0.2.100 is not on this machine"),
        (ServiceKey(Family.IPV4, Protocol.TCP, "0.0.0.0", 80), Service("rr"), "0.0.0.0 is no address of a virtual server"),
        (ServiceKey(Family.IPV4, Protocol.TCP, "127.0.0.100", 60000), Service("rr"), "cannot listen on port 80000"),
    ],
)
async def test_refuses_in_words_what_it_cannot_do(plane: UserspaceIpvs, key: ServiceKey, service: Service, reason: str) -> None:
    (refusal,) = await plane.apply([AddService(key, service)])
    assert reason in refusal.reason
    assert await plane.read() == {}


async def test_a_port_that_is_taken_is_refused_in_words(plane: UserspaceIpvs) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.100", HTTP.port + OFFSET))
        other.listen()
        (refusal,) = await plane.apply([AddService(HTTP, Service("rr"))])
    assert f"port {HTTP.port + OFFSET} of 127.0.0.100 is in use by another program" in refusal.reason


def test_a_port_without_permission_is_refused_with_the_remedy() -> None:
    words = listen_words(HTTP, 80, OSError(errno.EACCES, "Permission denied"))
    assert words == "port 80 needs root; set userspace_port_offset"


async def test_a_virtual_server_is_no_real_server_of_its_own(plane: UserspaceIpvs) -> None:
    itself = ServerKey(HTTP.address, HTTP.port + OFFSET)
    (refusal,) = await plane.apply([AddService(HTTP, Service("rr")), AddServer(HTTP, itself, Server())])
    assert "it is the virtual server itself" in refusal.reason


async def test_running_out_of_files_pauses_and_goes_on(plane: UserspaceIpvs, real: RealServers, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(plane, real, Service("rr"))
    accept, failures = socket.socket.accept, 3

    def short(sock: socket.socket) -> Any:
        nonlocal failures
        if sock.getsockname()[0] == HTTP.address and failures:
            failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(sock)

    monkeypatch.setattr(ipvs_userspace, "FILES_SHORT_PAUSE_S", 0.01)
    monkeypatch.setattr(socket.socket, "accept", short)
    assert await names(plane, 1) == ["number1"]
    assert failures == 0


async def test_a_thousand_virtual_servers_are_cheap(plane: UserspaceIpvs, real: RealServers) -> None:
    keys = [ServiceKey(Family.IPV4, Protocol.TCP, f"127.0.{number // 250}.{number % 250 + 1}", 8181) for number in range(1000)]
    operations: list[Operation] = [AddService(key, Service("rr")) for key in keys]
    operations += [AddServer(key, server, Server()) for key in keys for server in real.keys]
    loop = asyncio.get_running_loop()
    started = loop.time()
    await apply(plane, *operations)
    table = await plane.read()
    assert loop.time() - started < 2
    assert len(table) == 1000
    callers = await asyncio.gather(*(call(plane, key) for key in keys[::10]))
    assert {caller.name for caller in callers} == {"number1"}
    for caller in callers:
        await caller.end()


async def test_the_standby_holds_its_table_and_only_the_active_one_listens(plane: UserspaceIpvs, real: RealServers) -> None:
    plane.serve(active=False)
    await make(plane, real, Service("rr"))
    assert len((await plane.read())[HTTP].servers) == 3
    with pytest.raises(ConnectionRefusedError):
        await call(plane)
    assert plane.serve(active=True) == ()
    assert set(await names(plane, 3)) == {"number1", "number2", "number3"}


async def test_open_connections_outlive_the_role(plane: UserspaceIpvs, real: RealServers) -> None:
    await make(plane, real, Service("rr"))
    caller = await call(plane)
    plane.serve(active=False)
    assert await caller.echo(b"still there") == b"still there"
    await caller.end()
    with pytest.raises(ConnectionRefusedError):
        await call(plane)


async def test_two_directors_may_both_listen_while_the_role_moves(plane: UserspaceIpvs, real: RealServers) -> None:
    other = UserspaceIpvs(port_offset=OFFSET)
    await other.open()
    await make(plane, real, Service("rr"))
    await make(other, real, Service("rr"))
    plane.serve(active=False)
    assert len(await names(other, 3)) == 3
    await other.close()


async def test_a_virtual_server_that_cannot_be_opened_leaves_the_table_so_that_adding_it_tells_why(plane: UserspaceIpvs) -> None:
    plane.serve(active=False)
    await apply(plane, AddService(HTTP, Service("rr")))
    with socket.socket() as other:
        other.bind((HTTP.address, HTTP.port + OFFSET))
        other.listen()
        assert plane.serve(active=True) == (HTTP,)
        (refusal,) = await plane.apply([AddService(HTTP, Service("rr"))])
    assert "in use by another program" in refusal.reason
