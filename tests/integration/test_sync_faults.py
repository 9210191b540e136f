"""Two real lvsd, and what goes wrong between any two steps of a push: afterwards both files are whole, and the lamp is right."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lvsagent.adapters.config_files import SystemFiles
from lvsagent.lvsd.exchange import Exchange
from lvsagent.lvsd.history import History
from lvsagent.lvsd.keeper import TableKeeper
from tests.integration.sync_lab import PAIR, Both, both, eventually
from tests.integration.test_sync import changed

DISK_STEPS = ("create", "write", "adopt", "sync", "rename", "sync_folder")


class FullDisk(SystemFiles):
    """The operating system, with no space left at one step of replacing lvs.cf while ``full``."""

    def __init__(self) -> None:
        self._step = ""

    def fill(self, step: str) -> None:
        self._step = step

    def __getattribute__(self, name: str) -> object:
        if name.startswith("_") or name != self._step:
            return super().__getattribute__(name)

        def fail(*_arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return fail


async def lamp_is_right(pair: Both) -> None:
    """What each says of itself and of the other is what the files say."""
    await pair.settle("in_step")
    await eventually(pair.whole, pair.words)  # the heads are alike before each has put its own in force
    assert pair.one.text() == pair.two.text()
    for side in (pair.one, pair.two):
        await eventually(lambda: side.director.both.info().equal, pair.words)  # noqa: B023 -- called in this round
        info = await side.ask(side.client.sync)
        assert (info.equal, info.differences) == (True, [])
        assert info.peer is not None
        assert (info.here.file, info.here.applied) == (info.peer.file, info.peer.applied)


@pytest.mark.parametrize("step", DISK_STEPS)
async def test_a_full_disk_over_there_is_said_and_mended_when_there_is_room(tmp_path: Path, step: str) -> None:
    disk = FullDisk()
    async with both(tmp_path, files=disk) as pair:
        await pair.settle("in_step")
        disk.fill(step)
        await pair.one.accept(changed(2))
        if step == "sync_folder":  # it has been written by then, and is one that was found on the disk
            await pair.two.director.step()
        else:
            await eventually(lambda: pair.one.director.sync.state == "refused", pair.words)
            assert "no space left" in pair.one.director.sync.words()
            assert pair.two.text() == PAIR
        assert pair.one.text() == changed(2)
        disk.fill("")
        await pair.two.director.step()
        await lamp_is_right(pair)
        assert pair.two.text() == changed(2)


class Dies(Exception):
    """The process is gone at this point."""


Steps = list[tuple[type, str, str]]
STEPS: Steps = [
    (Exchange, "_pushed", "before the push is looked at"),
    (History, "ask", "before the older revisions are kept"),
    (History, "begin", "before the revision is kept"),
    (TableKeeper, "adopt", "after the file is written, before it is applied"),
    (History, "ended", "before its end is noted"),
]


@pytest.mark.parametrize(("kind", "method", "when"), STEPS, ids=[each[1] for each in STEPS])
async def test_a_director_that_dies_while_it_takes_a_push_comes_back_whole(
    tmp_path: Path, kind: type, method: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        victim = pair.two
        mine = {Exchange: victim.director.sync.exchange, History: victim.director.history, TableKeeper: victim.director.keeper}[kind]
        call: Callable[..., Awaitable[object]] = getattr(mine, method)
        died: list[str] = []

        async def die(*arguments: object) -> object:
            if died:
                return await call(*arguments)
            died.append(when)
            pair.cut("the connection broke")
            raise Dies

        monkeypatch.setattr(mine, method, die)
        await pair.one.accept(changed(2))
        await eventually(lambda: died and not pair.one.director.sync.machine.reachable, pair.words)
        await victim.end()
        await victim.start()
        pair.mend()
        await lamp_is_right(pair)
        assert pair.two.text() == changed(2)


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_push_whose_answer_is_lost_is_not_made_twice(tmp_path: Path, lost: int) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.one.way.loses_answers = lost
        await pair.one.accept(changed(2))
        await lamp_is_right(pair)
        assert (await pair.two.ask(pair.two.client.history)).total == 2


async def test_a_director_that_dies_right_after_an_accept_pushes_it_when_it_is_back(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        pair.cut()
        await pair.one.accept(changed(2))
        await pair.one.end()
        pair.mend()
        await pair.one.start()
        await lamp_is_right(pair)
        assert pair.two.text() == changed(2)


async def test_both_edited_again_and_again_while_apart_loses_nothing(tmp_path: Path) -> None:
    async with both(tmp_path, off_s=86_400.0) as pair:
        await pair.settle("in_step")
        pair.cut()
        for number in (2, 3, 4):
            await pair.one.accept(changed(number))
            await pair.two.accept(changed(number + 10))
        pair.mend()
        await pair.settle("diverged")
        await eventually(lambda: pair.one.director.sync.conflict() and pair.two.director.sync.conflict(), pair.words)
        for side in (pair.one, pair.two):
            found = {one.serial for one in (await side.ask(side.client.history)).revisions}
            assert found == {1, 2, 3, 4, 12, 13, 14}
        assert (pair.one.text(), pair.two.text()) == (changed(4), changed(14))


async def test_a_conversation_that_fails_for_a_reason_nobody_thought_of_is_had_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        exchange = pair.one.director.sync.exchange

        async def fail(_peer: object) -> None:
            raise RuntimeError("nobody thought of this")

        with monkeypatch.context() as patch:
            patch.setattr(exchange, "push", fail)
            await pair.one.accept(changed(2))
            await eventually(lambda: pair.one.director.sync.state == "refused", pair.words)
        assert "nobody thought of this" in pair.one.director.sync.words()
        await lamp_is_right(pair)
