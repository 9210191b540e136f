"""Two real lvsd, each with its own lvs.cf, history and socket, joined by a way that the test can cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.config_files import ConfigFilesOnDisk, FileOperations
from lvsagent.api.server import ApiServer
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.service import LvsdService
from lvsagent.messages import PulseState
from lvsagent.ports import Clock, PeerUnreachable
from lvsagent.wire import PeerInfo
from tests.fakes.ipvs import FakeIpvs
from tests.fakes.peer import FakePeer
from tests.integration.lvsd_lab import TUTORIAL, Lab

PAIR = TUTORIAL.replace("backup_active = 0\n", "backup_active = 1\nbackup = 127.0.0.2\nheartbeat = 1\n")


class OtherClock(SystemClock):
    """Its wall clock is ``off_s`` away from the right time."""

    def __init__(self, off_s: float) -> None:
        self.off_s = off_s

    def wall(self) -> float:
        """Wrong."""
        return super().wall() + self.off_s


class Side(Lab):
    """One of the two.  ``way`` leads to the other one's agent."""

    def __init__(self, folder: Path, name: str, files: FileOperations | None = None, clock: Clock | None = None) -> None:
        super().__init__(folder, FakeIpvs(), files, name=name)
        self.way = FakePeer()
        self.paired = True
        self._clock = clock or SystemClock()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        files = ConfigFilesOnDisk(self.settings.lvs_cf, self.settings.state_dir, self._files)
        self.director = Director(self.settings, self.plane, self._clock, files, lambda: self.way if self.paired else None)
        await self.director.start()
        self.api = ApiServer(LvsdService(self.director), self.settings.agent_socket, self.settings.socket_group)
        await self.api.start()
        self._running = asyncio.create_task(self.director.sync.run())

    async def end(self) -> None:
        """As a crash would: nothing is said to anybody."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.api.stop()
        await self.director.stop(planned=False)

    async def stop(self, *, planned: bool = False) -> None:
        await self.end()
        self._callers.shutdown()

    def be(self, role: str, peer_role: str = "standby") -> None:
        """Be pulse."""
        peer = PeerInfo(state="alive", role=peer_role, serial=0)
        self.director.pulse._heard(PulseState(etag="", role=role, since=0.0, reason="", addresses=[], announced_at=0.0, peer=peer))

    async def accept(self, text: str, **named: str) -> object:
        config = await self.ask(self.client.config)
        return await self.ask(self.client.put_config, text, if_match=config.etag, **named)

    async def state(self) -> str:
        return self.director.sync.state


class Both:
    """lefty and righty."""

    def __init__(self, one: Side, two: Side) -> None:
        self.one, self.two = one, two
        one.way.there, two.way.there = self._to(two), self._to(one)

    @staticmethod
    def _to(side: Side) -> Callable[[bytes], Awaitable[bytes]]:
        """Through the other agent's own socket, as ``lvsagent receive`` does it."""

        async def carry(line: bytes) -> bytes:
            connector = aiohttp.UnixConnector(str(side.settings.agent_socket))
            try:
                async with (
                    aiohttp.ClientSession(connector=connector) as session,
                    session.post("http://agent/v1/peer", data=line) as answer,
                ):
                    return await answer.read()
            except (aiohttp.ClientError, OSError) as error:
                raise PeerUnreachable(str(error)) from error

        return carry

    def cut(self, why: str = "no route to host") -> None:
        self.one.way.down = self.two.way.down = why

    def mend(self) -> None:
        self.one.way.down = self.two.way.down = ""
        for side in (self.one, self.two):
            side.director.sync.ask()

    async def settle(self, state: str) -> None:
        await eventually(lambda: self.one.director.sync.state == state and self.two.director.sync.state == state, self.words)

    def words(self) -> str:
        return f"{self.one.director.sync.words()} / {self.two.director.sync.words()}"

    def whole(self) -> bool:
        """Both files are the head of their histories, byte for byte."""
        return all(
            side.director.files.read().etag == side.director.running.file.etag == side.director.sync.exchange.head()[1]
            for side in (self.one, self.two)
        )


async def eventually(condition: Callable[[], object], words: Callable[[], str] = lambda: "", limit_s: float = 20) -> None:
    """Return as soon as ``condition()`` holds; fail with ``words`` after ``limit_s``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not condition():
        assert loop.time() < deadline, words()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def both(folder: Path, *, off_s: float = 0.0, files: FileOperations | None = None, text: str | None = PAIR) -> AsyncIterator[Both]:
    """lefty with an lvs.cf, righty with none."""
    one, two = Side(folder / "lefty", "lefty"), Side(folder / "righty", "righty", files, OtherClock(off_s))
    if text is not None:
        one.lvs_cf.write_text(text)
    pair = Both(one, two)
    await one.start()
    await two.start()
    try:
        yield pair
    finally:
        await one.stop()
        await two.stop()
