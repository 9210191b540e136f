"""FakePeer, LocalPeer and SshPeer (over a real sshd): the same promises to whoever asks the other director."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from lvsagent.adapters.peer_local import LocalPeer
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.ports import Peer, PeerRefused, PeerUnreachable
from tests.fakes.peer import FakePeer
from tests.sshd import Sshd, StandIn, director, folder_for_sshd, needs_sshd, pair, running_sshd, stand_in


class World:
    """The other director: ``echo`` is what it says; a test takes it away, brings it back, makes it slow or has it refuse."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.asked: Callable[[], list[bytes]] = list
        self.leave: Callable[[], object] = lambda: None
        self.come_back: Callable[[], object] = lambda: None
        self.fall_silent: Callable[[], None] = lambda: None
        self.refuse: Callable[[], None] = lambda: None


@contextlib.asynccontextmanager
async def in_memory() -> AsyncIterator[World]:
    async def echo(request: bytes) -> bytes:
        return request

    fake = FakePeer(there=echo)
    world = World(fake)
    world.asked = lambda: fake.asked
    world.leave = lambda: setattr(fake, "down", "no route to host")
    world.come_back = lambda: setattr(fake, "down", "")
    world.fall_silent = lambda: setattr(fake, "holds", asyncio.Event())
    world.refuse = lambda: setattr(fake, "refuses", "not you")
    yield world


def _knobs(world: World, agent: StandIn) -> None:
    async def never(_body: bytes) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def no(_body: bytes) -> web.Response:
        return web.json_response({"code": "forbidden", "message": "not you"}, status=403)

    world.asked = lambda: agent.asked
    world.fall_silent = lambda: setattr(agent, "answer", never)
    world.refuse = lambda: setattr(agent, "answer", no)


@contextlib.asynccontextmanager
async def on_this_machine(folder: Path) -> AsyncIterator[World]:
    path = folder / "agent.sock"
    async with stand_in(path) as agent:
        peer = LocalPeer(path)
        world = World(peer)
        _knobs(world, agent)
        world.leave = lambda: path.rename(folder / "away")
        world.come_back = lambda: (folder / "away").rename(path)
        yield world
        await peer.close()


@contextlib.asynccontextmanager
async def over_ssh(folder: Path, sshd: Sshd) -> AsyncIterator[World]:
    _, keys = director(folder / "lefty")
    pair(keys, sshd.keys)
    async with stand_in(sshd.settings.agent_socket) as agent:
        peer = SshPeer(keys)
        world = World(peer)
        _knobs(world, agent)
        world.leave, world.come_back = sshd.stop, sshd.start
        yield world
        await peer.close()


@pytest.fixture(params=["fake", "local", pytest.param("ssh", marks=[pytest.mark.root, needs_sshd])])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "fake":
        async with in_memory() as found:
            yield found
    elif request.param == "local":
        async with on_this_machine(tmp_path) as found:
            yield found
    else:
        with folder_for_sshd() as folder, running_sshd(folder) as sshd:
            async with over_ssh(tmp_path, sshd) as found:
                yield found


async def test_a_request_arrives_whole_and_so_does_its_answer(world: World) -> None:
    request = '{"text": "é \\n \\u0000 ×"}'.encode()
    assert await world.peer.ask(request, 10) == request
    assert world.asked() == [request]


async def test_large_ones_too(world: World) -> None:
    request = b'{"text": "%s"}' % (b"0123456789abcdef" * (12 * 1024 * 1024 // 16))
    assert await world.peer.ask(request, 30) == request


async def test_many_in_a_row_and_many_at_once_each_get_their_own_answer(world: World) -> None:
    for number in range(50):
        assert await world.peer.ask(b"[%d]" % number, 10) == b"[%d]" % number
    answers = await asyncio.gather(*(world.peer.ask(b"[%d]" % number, 10) for number in range(50)))
    assert answers == [b"[%d]" % number for number in range(50)]


async def test_one_that_is_away_is_unreachable_and_answers_again_when_it_is_back(world: World) -> None:
    assert await world.peer.ask(b"[1]", 10) == b"[1]"
    world.leave()
    for _ in range(2):
        with pytest.raises(PeerUnreachable):
            await world.peer.ask(b"[2]", 5)
    world.come_back()
    assert await world.peer.ask(b"[3]", 10) == b"[3]"


async def test_one_that_does_not_answer_costs_the_time_given_and_no_more(world: World) -> None:
    await world.peer.ask(b"[1]", 10)
    world.fall_silent()
    async with asyncio.timeout(3):
        with pytest.raises(PeerUnreachable, match="did not answer"):
            await world.peer.ask(b"[2]", 0.3)


async def test_one_that_will_not_says_why(world: World) -> None:
    world.refuse()
    with pytest.raises(PeerRefused, match="not you"):
        await world.peer.ask(b"[1]", 10)


async def test_whoever_asks_may_go_away(world: World) -> None:
    await world.peer.ask(b"[1]", 10)
    world.fall_silent()
    asking = asyncio.create_task(world.peer.ask(b"[2]", 30))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
