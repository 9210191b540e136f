"""An lvsd that is killed in the middle of a change, once for each step: what ``test_history`` looks at afterwards.

``python -m tests.integration.history_crash FOLDER CHANGE`` leaves a folder for each step and side (``FOLDER/7-before``), until a change
gets through alive (``FOLDER/alive``).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lvsagent.adapters.config_files import SystemFiles, etag_of
from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from lvsagent.api.contract import Write
from lvsagent.core.revisions import Revision, link
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import TUTORIAL, Lab, running

NEW = TUTORIAL.replace("serial_no = 1", "serial_no = 2").replace("weight = 1", "weight = 7")
STEPS = ("add", "finish", "retract", "create", "write", "adopt", "sync", "rename", "sync_folder", "apply")


class Countdown:
    """Kills this process before or after the step whose turn it is."""

    def __init__(self, step: int, side: str) -> None:
        self._steps, self._last, self._side = itertools.count(1), step, side

    def end(self) -> None:
        """Nobody dies any more."""
        self._last = 0

    def step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            mine = next(self._steps)  # two threads may be at it
            if mine == self._last and self._side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **named)
            if mine == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    def watch(self, what: Any, steps: Sequence[str] = STEPS) -> None:
        """Each of its steps counts from now on."""
        for name in steps:
            call = getattr(what, name, None)
            if call is None:
                continue
            if not asyncio.iscoroutinefunction(call):
                setattr(what, name, self.step(call))
            else:
                setattr(what, name, self._beside(call))

    def _beside(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*arguments: Any, **named: Any) -> Any:
            self.step(lambda: None)()
            return await call(*arguments, **named)

        return counted


async def put(lab: Lab) -> None:
    """A change by the API."""
    await lab.ask(lab.client.put_config, NEW, if_match=etag_of(TUTORIAL.encode()), comment="heavier", actor="piranha")


async def edit(lab: Lab) -> None:
    """A change with an editor."""
    lab.lvs_cf.write_text(NEW)
    await lab.director.look_at_disk()


async def know(lab: Lab) -> None:
    """The other director's revision is known here, and not taken over yet."""
    await lab.director.history.ask(lambda store: store.add(theirs(lab), NEW.encode(), head=False, outcome="applied"))


async def take(lab: Lab) -> None:
    """Take it over."""
    await lab.director.put(Write(NEW.encode(), if_match=etag_of(TUTORIAL.encode()), actor="righty", revision=theirs(lab)))


def theirs(lab: Lab) -> Revision:
    """What the other director has made of the lvs.cf that both had."""
    store = lab.director.history._store
    first = store.by_number(1)
    assert first is not None
    return link(
        Revision(
            parent=first.revision.id,
            etag=etag_of(NEW.encode()),
            serial=2,
            at=1e9,
            node="righty",
            actor="piranha",
            origin="console",
            comment="there",
        )
    )


async def nothing(_lab: Lab) -> None:
    """Nothing comes first."""


CHANGES = {"put": (nothing, put), "edit": (nothing, edit), "take": (know, take)}


async def one_change(folder: Path, change: str, countdown: Countdown) -> None:
    """Start, change, end."""
    files = SystemFiles()
    async with running(folder, plane=FakeIpvs(), files=files) as lab:
        store = lab.director.history._store
        assert isinstance(store, SqliteRevisions)
        first, then = CHANGES[change]
        await first(lab)
        for what in (files, store, lab.plane):
            countdown.watch(what)
        await then(lab)


def main(root: Path, change: str) -> None:
    """Every step, both sides."""
    step = 1
    while True:
        for side in ("before", "after"):
            folder = root / f"{step}-{side}"
            folder.mkdir()
            child = os.fork()
            if child == 0:
                asyncio.run(one_change(folder, change, Countdown(step, side)))
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0
                folder.rename(root / "alive")
                return
        step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
