"""The sockets between the agent's processes: whole messages in order, reconnecting, and callers who may not or talk nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lvsagent import channel
from lvsagent.core.check_spec import CheckSpec, Method
from lvsagent.messages import FromPulse, NannyConfigure, NannyTrial, PulseEvent, ToNanny


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chan-") as name:
        yield Path(name) / "nanny.sock"


class Listener:
    """A server that remembers what it was told and greets with ``greeting``."""

    def __init__(self, greeting: int = 0) -> None:
        self.heard: list[Any] = []
        self.greeting = greeting
        self.server: channel.ChannelServer

    async def start(self, path: Path) -> None:
        self.server = await channel.serve(
            path, decode=ToNanny, on_connect=self.greet, on_message=lambda _, message: self.heard.append(message)
        )

    def greet(self, connection: channel.Connection) -> None:
        for number in range(self.greeting):
            connection.send(event(number))


@contextlib.asynccontextmanager
async def calling(path: Path, on_connect: Callable[[], None] = lambda: None) -> AsyncIterator[tuple[channel.ChannelClient, list[Any]]]:
    heard: list[Any] = []
    client = channel.ChannelClient(path, decode=FromPulse, on_message=heard.append, on_connect=on_connect)
    task = asyncio.ensure_future(client.run())
    yield client, heard
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- what is waited for has no event of its own
            await asyncio.sleep(0.005)


def event(number: int, message: str = "") -> PulseEvent:
    return PulseEvent(at=number, kind="role", severity="info", message=message)


async def test_messages_arrive_whole_and_in_order_both_ways(path: Path) -> None:
    listener = Listener(greeting=3)
    await listener.start(path)
    async with calling(path) as (client, heard):
        await until(lambda: len(heard) == 3)
        assert listener.server.broadcast(event(3))
        assert client.send(NannyTrial(id=1, checks=[]))
        assert client.send(NannyTrial(id=2, checks=[]))
        await until(lambda: len(heard) == 4 and len(listener.heard) == 2)
        assert [message.at for message in heard] == [0, 1, 2, 3]
        assert [message.id for message in listener.heard] == [1, 2]
    listener.server.close()
    assert not os.access(path, os.F_OK)


async def test_a_configuration_of_forty_thousand_checks_is_one_message(path: Path) -> None:
    specs = [CheckSpec(f"v/{n}", "192.0.2.1", 80, "tcp", Method.SEND_EXPECT, b"\x00\xff", b"HTTP") for n in range(40_000)]
    listener = Listener()
    await listener.start(path)
    async with calling(path) as (client, _):
        await until(lambda: client.connected)
        client.send(NannyConfigure(checks=specs))
        await until(lambda: listener.heard)
        assert listener.heard[0].checks == specs
    listener.server.close()


async def test_names_that_are_not_utf_8_travel_unharmed(path: Path) -> None:
    listener = Listener()
    await listener.start(path)
    words = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    async with calling(path) as (client, heard):
        await until(lambda: client.connected)
        client.send(NannyConfigure(checks=[CheckSpec(words, "192.0.2.1", 80, "tcp", Method.CONNECT, b"\xff")]))
        await until(lambda: listener.heard)
        listener.server.broadcast(event(1, words))
        await until(lambda: heard)
    assert (listener.heard[0].checks[0].key, listener.heard[0].checks[0].send) == (words, b"\xff")
    assert heard[0].message == words
    listener.server.close()


async def test_a_listener_that_comes_late_or_comes_back_is_found(path: Path) -> None:
    connects: list[int] = []
    async with calling(path, lambda: connects.append(1)) as (client, heard):
        assert not client.send(NannyTrial(id=1, checks=[]))
        for round_ in (1, 2, 3):
            listener = Listener(greeting=1)
            await listener.start(path)
            await until(lambda: len(heard) == round_)  # noqa: B023 -- awaited within the round
            listener.server.close()
            await until(lambda: not client.connected)
        assert len(connects) == 3


async def test_a_path_prepared_before_privileges_went_is_used(path: Path) -> None:
    channel.prepare(path)
    prepared = os.lstat(path)
    assert stat.S_IMODE(prepared.st_mode) == 0o600
    listener = Listener(greeting=1)
    await listener.start(path)
    assert os.lstat(path).st_ino == prepared.st_ino
    async with calling(path) as (_, heard):
        await until(lambda: heard)
    listener.server.close()


async def test_a_file_left_by_a_killed_process_is_replaced_and_closing_late_does_not_take_the_successors(path: Path) -> None:
    first, second = Listener(), Listener(greeting=1)
    await first.start(path)
    await second.start(path)
    first.server.close()
    async with calling(path) as (_, heard):
        await until(lambda: heard)
    second.server.close()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"null\n",
        b'{"type": "NannyTrial"}\n',
        b'{"type": "Nobody"}\n',
        b'{"type": "NannyTrial", "id": "1", "checks": []}\n',
        b"\xff\n",
    ],
)
async def test_nonsense_ends_that_connection_and_no_other(path: Path, line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    await listener.start(path)
    async with calling(path) as (client, _):
        await until(lambda: client.connected)
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(line)
        assert await reader.read() == b""
        writer.close()
        client.send(NannyTrial(id=9, checks=[]))
        await until(lambda: listener.heard)
    assert [message.id for message in listener.heard] == [9]
    assert "the connection is closed" in caplog.text
    listener.server.close()


async def test_a_line_without_end_is_cut_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "LINE_LIMIT_BYTES", 1000)
    listener = Listener()
    await listener.start(path)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"x" * 5000)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    listener.server.close()


async def test_half_a_message_says_nothing(path: Path) -> None:
    listener = Listener()
    await listener.start(path)
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b'{"type": "NannyTrial", "id": 1, "checks": []}')
    writer.close()
    await writer.wait_closed()
    async with calling(path) as (client, _):
        await until(lambda: client.connected)
        client.send(NannyTrial(id=2, checks=[]))
        await until(lambda: listener.heard)
    assert [message.id for message in listener.heard] == [2]
    listener.server.close()


async def test_a_handler_that_fails_does_not_end_the_connection(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    def fail_first(_: channel.Connection, message: Any) -> None:
        seen.append(message)
        if len(seen) == 1:
            raise RuntimeError("first")

    server = await channel.serve(path, decode=ToNanny, on_connect=lambda _: None, on_message=fail_first)
    async with calling(path) as (client, _):
        await until(lambda: client.connected)
        client.send(NannyTrial(id=1, checks=[]))
        client.send(NannyTrial(id=2, checks=[]))
        await until(lambda: len(seen) == 2)
    assert "could not be handled" in caplog.text
    server.close()


async def test_one_who_does_not_read_is_cut_off_and_the_server_lives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    await listener.start(path)
    monkeypatch.setattr(channel, "LINE_LIMIT_BYTES", 100_000)
    reader, writer = await asyncio.open_unix_connection(str(path))
    await until(lambda: listener.server.broadcast(event(0)))
    rounds = 0
    while listener.server.broadcast(event(1, "x" * 50_000)) and rounds < 100:
        rounds += 1
    assert rounds < 100
    writer.close()
    del reader
    async with calling(path) as (client, heard):
        await until(lambda: client.connected and listener.server.broadcast(event(2)) and heard)
    listener.server.close()


def let_everybody_in(path: Path) -> None:
    path.chmod(0o777)
    path.parent.chmod(0o755)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
async def test_another_user_is_refused_even_if_the_file_lets_it_in(path: Path) -> None:
    listener = Listener(greeting=1)
    await listener.start(path)
    let_everybody_in(path)
    loop = asyncio.get_running_loop()
    stranger = socket.socket(socket.AF_UNIX)
    os.seteuid(65534)
    try:
        stranger.connect(str(path))
    finally:
        os.seteuid(0)
    stranger.setblocking(False)
    async with asyncio.timeout(5):
        assert await loop.sock_recv(stranger, 100) == b""
    stranger.close()
    listener.server.close()
