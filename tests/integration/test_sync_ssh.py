"""Two real lvsd over a real sshd: a push arrives, a changed host key and a peer that is stopped are said, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.api import callers
from lvsagent.api.server import ApiServer
from lvsagent.client import AgentClient
from lvsagent.core.introduction import fingerprint
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.service import LvsdService
from lvsagent.messages import PulseState
from lvsagent.settings import AgentSettings
from lvsagent.wire import PeerInfo, Receipt
from tests.fakes.ipvs import FakeIpvs
from tests.integration.sync_lab import PAIR, eventually
from tests.integration.test_sync import changed
from tests.sshd import UID, USER, Sshd, director, folder_for_sshd, needs_sshd, pair, running_sshd

WAITED_S = 0.5
"""A fifth of a second, on a busy machine."""
REVIEW_S = 2.5
"""A second and a half, on a busy machine."""

pytestmark = [pytest.mark.root, needs_sshd]


class Agent:
    """A real lvsd with its own way to the other director."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.client = AgentClient(settings.agent_socket, actor="tester")
        self.director: Director

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        self.director = Director(self.settings, FakeIpvs(), SystemClock())
        await self.director.start()
        api = ApiServer(LvsdService(self.director), self.settings.agent_socket, "nogroup", USER)
        await api.start()
        self.settings.agent_socket.chmod(0o666)  # the user is in the socket's group where it is installed
        task = asyncio.create_task(self.director.sync.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await api.stop()
            await self.director.stop(planned=False)

    async def accept(self, text: str) -> Receipt:
        etag = (await asyncio.to_thread(self.client.config)).etag
        return await asyncio.to_thread(self.client.put_config, text, if_match=etag)

    @property
    def state(self) -> str:
        return self.director.sync.state

    @property
    def words(self) -> str:
        return self.director.sync.words()

    def text(self) -> str:
        return self.settings.lvs_cf.read_text()


class Both:
    """lefty pushes; righty has the sshd."""

    def __init__(self, lefty: Agent, righty: Agent, sshd: Sshd) -> None:
        self.lefty, self.righty, self.sshd = lefty, righty, sshd

    async def in_step(self) -> None:
        await eventually(lambda: self.lefty.state == "in_step", lambda: f"{self.lefty.words}\n{self.sshd.log}")


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    monkeypatch.setattr(callers, "_uid", lambda user: UID if user == USER else None)  # sshd's namespace alone knows the name
    with folder_for_sshd() as folder, running_sshd(folder) as sshd:
        settings, keys = director(tmp_path / "lefty")
        pair(keys, sshd.keys)
        settings.lvs_cf.write_text(PAIR)
        one_way = PeerKeys(sshd.settings)
        assert one_way.peer()
        async with Agent(settings).running() as lefty, Agent(sshd.settings).running() as righty:
            yield Both(lefty, righty, sshd)


async def test_an_accept_is_in_force_on_the_other_director_within_a_second(both: Both) -> None:
    await both.in_step()
    assert both.righty.text() == PAIR
    began = asyncio.get_running_loop().time()
    await both.lefty.accept(changed(2))
    await eventually(lambda: both.righty.director.running.serial == 2)
    assert asyncio.get_running_loop().time() - began < 1.0
    await both.in_step()
    assert both.righty.text() == changed(2)


async def test_a_changed_host_key_stops_the_push_and_both_fingerprints_are_said(both: Both) -> None:
    await both.in_step()
    pinned = fingerprint(both.sshd.keys.own_host_key())
    both.sshd.stop()
    both.sshd.new_host_key()
    both.sshd.start()
    await both.lefty.accept(changed(2))
    await eventually(lambda: both.lefty.state == "refused", lambda: both.lefty.words)
    assert pinned in both.lefty.words
    assert fingerprint(both.sshd.keys.own_host_key()) in both.lefty.words
    assert (both.lefty.text(), both.righty.text()) == (changed(2), PAIR)


async def test_a_peer_that_is_stopped_is_behind_and_catches_up(both: Both) -> None:
    await both.in_step()
    both.sshd.stop()
    for number in (2, 3, 4):
        receipt = await both.lefty.accept(changed(number))
        assert receipt.written
    await eventually(lambda: both.lefty.state == "behind" and not both.lefty.director.sync.machine.reachable, lambda: both.lefty.words)
    assert "behind by 3" in both.lefty.words
    assert both.righty.text() == PAIR
    both.sshd.start()
    both.lefty.director.sync.ask()
    await both.in_step()
    assert both.righty.text() == changed(4)


async def test_a_director_that_takes_everything_and_says_nothing_holds_up_nobody(both: Both) -> None:
    """One accept waits a fifth of a second for it, the next ones not at all, a REVIEW a second and a half; the pages never."""
    await both.in_step()
    clock, client = asyncio.get_running_loop().time, both.lefty.client
    pulse = both.lefty.director.pulse
    peer = PeerInfo(state="alive", role="standby", serial=0)
    pulse._heard(PulseState(etag="", role="active", since=0.0, reason="", addresses=[], announced_at=0.0, peer=peer))
    both.sshd.freeze()
    try:
        waited = []
        for number in (2, 3, 4):
            receipt = await both.lefty.accept(changed(number))
            assert receipt.peer is not None
            assert receipt.peer.state != "applied"
            waited.append(receipt.peer.waited_s)
        assert 0 < waited[0] < WAITED_S
        assert max(waited[1:]) < WAITED_S / 10
        etag = (await asyncio.to_thread(client.config)).etag
        began = clock()
        shown = await asyncio.to_thread(lambda: client.put_config(changed(5), if_match=etag, dry_run=True))
        assert clock() - began < REVIEW_S
        assert shown.peer_plan is not None
        assert shown.peer_plan.words
        began = clock()
        for question in (client.state, client.sync, client.history, client.pairing, client.conflict):
            await asyncio.to_thread(question)
        assert clock() - began < REVIEW_S
    finally:
        both.sshd.freeze(signal.SIGCONT)
    both.lefty.director.sync.ask()
    await both.in_step()
    assert both.righty.text() == changed(4)


async def test_rsh_is_shown_and_refused(both: Both) -> None:
    await both.in_step()
    await both.lefty.accept(changed(2).replace("service = lvs\n", "service = lvs\nrsh_command = rsh\n"))
    await eventually(lambda: both.lefty.state == "refused", lambda: both.lefty.words)
    assert "rsh is not used" in both.lefty.words
    await both.lefty.accept(changed(3).replace("service = lvs\n", "service = lvs\nrsh_command = ssh\n"))
    await both.in_step()
    assert "rsh_command = ssh" in both.righty.text()
