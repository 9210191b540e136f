"""Host names: a name server that does not answer holds up nobody but those who ask for a name, and them not for long."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from lvsagent.adapters.clock import SystemClock
from lvsagent.lvsd import names as module
from lvsagent.lvsd.names import AT_ONCE, Names

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]


class Server:
    """A name server that is silent about names with ``dead`` in them until it is let go."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0
        self.busy = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, name: str) -> Sequence[tuple[Any, ...]]:
        if "dead" in name:
            self.asked += 1
            if self.asked == AT_ONCE:
                self._loop.call_soon_threadsafe(self.busy.set)
            self.released.wait()
            raise OSError("no such name")
        return ANSWER


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(module, "WAIT_S", 0.1)
    made = Server()
    yield made
    made.released.set()


async def test_what_else_is_done_in_threads_does_not_wait_for_a_name_server(server: Server) -> None:
    names = Names(SystemClock(), server)
    asking = asyncio.create_task(names.look_up([f"dead{number}" for number in range(100)]))
    async with asyncio.timeout(5):
        await server.busy.wait()
        assert await asyncio.to_thread(lambda: "done") == "done"
    await asking


async def test_however_many_names_there_are_they_are_waited_for_once(server: Server) -> None:
    async with asyncio.timeout(5):  # one after the other, eight at a time, they would take more than a minute
        await Names(SystemClock(), server).look_up([f"dead{number}" for number in range(6000)])


async def test_names_that_were_not_reached_come_first_the_next_time(server: Server) -> None:
    names = Names(SystemClock(), server)
    asked = [*(f"dead{number}" for number in range(AT_ONCE)), "alive"]
    await names.look_up(asked)
    assert names.address("alive") is None
    server.released.set()
    await names.look_up(asked)
    assert names.address("alive") == "192.0.2.7"
