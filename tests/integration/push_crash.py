"""Two lvsd, and one is killed in the middle of a change or of its push, once for each step: ``test_push_crash`` looks at what is left.

``python -m tests.integration.push_crash FOLDER VICTIM`` (``lefty``, which pushes; ``righty``, which receives; ``both`` at once) leaves a
folder for each step and side (``FOLDER/7-before``), in which who had died was started again and both have settled; ``FOLDER/alive`` is
where nobody died.  Each is a process of its own; the other one's socket is the way to it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.config_files import SystemFiles
from lvsagent.adapters.peer_local import LocalPeer
from lvsagent.api.contract import Write
from tests.integration.history_crash import STEPS, Countdown
from tests.integration.sync_lab import PAIR, Side, eventually
from tests.waiting import until

NEW = PAIR.replace("serial_no = 1\n", "serial_no = 2\n").replace("weight = 1", "weight = 7")
LIMIT_S = 30.0
SENDS, RECEIVES = "lefty", "righty"
OTHER = {SENDS: RECEIVES, RECEIVES: SENDS}


Work = Callable[[Side], Coroutine[object, object, None]]


class Process:
    """One of the two as a process.  It lives until ``over`` is in the folder of both."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.pid = 0

    def start(self, work: Work, countdown: Countdown | None = None) -> None:
        """Fork it.  ``settled`` in its folder: ``work`` is done, the other one has the same, and nobody dies any more."""
        self._settled.unlink(missing_ok=True)
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                asyncio.run(self._run(work, countdown))
                status = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(status)

    @property
    def _settled(self) -> Path:
        return self.folder / self.name / "settled"

    def settled(self) -> bool:
        """See ``start``."""
        return self._settled.exists()

    def ended(self, options: int = os.WNOHANG) -> bool:
        """Whether it is dead."""
        if self.pid and os.waitpid(self.pid, options) != (0, 0):
            self.pid = 0
        return not self.pid

    def kill(self) -> None:
        """Now, and wait for it."""
        os.kill(self.pid, signal.SIGKILL)
        self.ended(0)

    async def _run(self, work: Work, countdown: Countdown | None) -> None:
        files = SystemFiles()
        side = Side(self.folder / self.name, self.name, files, SystemClock())
        way = LocalPeer(self.folder / OTHER[self.name] / "run" / "agent.sock")
        side.way = way  # type: ignore[assignment]
        await side.start()
        await eventually(lambda: has_the_same(side), side.director.sync.words, LIMIT_S)
        if countdown is not None:
            for what in (files, side.director.history._store, side.plane, way, side.director.both):
                countdown.watch(what, (*STEPS, "ask", "take_in"))
        await work(side)
        await eventually(lambda: has_the_same(side), side.director.sync.words, LIMIT_S)
        if countdown is not None:
            countdown.end()
        self._settled.touch()
        await eventually((self.folder / "over").exists, side.director.sync.words, LIMIT_S)
        await side.stop()
        await way.close()


def has_the_same(side: Side) -> bool:
    """The other one is in step and runs what this one runs; it is asked, as a heartbeat would have it asked."""
    sync = side.director.sync
    if sync.state == "in_step" and sync.exchange.theirs and sync.exchange.theirs.applied == side.director.running.file.etag:
        return True
    sync.ask()
    return False


async def accept(side: Side) -> None:
    """A change; ``accepted`` is left where the caller was told so."""
    await side.director.put(Write(data=NEW.encode(), if_match=side.director.etag, comment="heavier", actor="piranha"))
    (side.folder / "accepted").touch()


async def receive(side: Side) -> None:
    """Until the change has come, if it comes: whoever has accepted it may be the one who died."""
    accepted = side.folder.parent / SENDS
    await eventually(lambda: side.text() == NEW or (accepted / "settled").exists(), side.director.sync.words, LIMIT_S)


async def nothing(_side: Side) -> None:
    """Started again."""


def one_crash(folder: Path, victim: str, step: int, side: str) -> bool:
    """Whether anybody died: lefty changes, the victim is killed at its step and started again, and both settle."""
    (folder / SENDS / "etc").mkdir(parents=True)
    (folder / SENDS / "etc" / "lvs.cf").write_text(PAIR)
    sends, receives = Process(folder, SENDS), Process(folder, RECEIVES)
    dying, other = (receives, sends) if victim == RECEIVES else (sends, receives)
    receives.start(receive, Countdown(step, side) if dying is receives else None)
    sends.start(accept, Countdown(step, side) if dying is sends else None)
    until(lambda: dying.ended() or (sends.settled() and receives.settled()), LIMIT_S, folder.name)
    died = dying.ended()
    if died:
        if victim == "both":
            other.kill()
            other.start(nothing)
        dying.start(nothing)
        until(lambda: sends.settled() and receives.settled(), LIMIT_S, folder.name)
    (folder / "over").touch()
    until(lambda: sends.ended() and receives.ended(), LIMIT_S, folder.name)
    return died


def main(root: Path, victim: str) -> None:
    """Every step, both sides."""
    step = 1
    while True:
        for side in ("before", "after"):
            folder = root / f"{step}-{side}"
            if not one_crash(folder, victim, step, side):
                folder.rename(root / "alive")
                return
        step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
