"""Running a program to its end: argv without a shell, clean environment, time limit, killed with everything it started.

Owns the how.  Whether a command of lvs.cf may be run at all is decided in ``lvsagent.core.root_commands``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

OUTPUT_LIMIT_BYTES = 4096
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class CommandResult:
    """``words`` say how it ended ("exit status 0", "killed after 10 s", "could not be started: …"); ``output`` is how its output began."""

    ok: bool
    words: str
    output: str = ""


class _Output:
    """The beginning of what a program writes: a pipe of our own, so that nobody who keeps it open holds anything up."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._kept = bytearray()
        self.beyond = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._ours, self._take)

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            part = os.read(self._ours, 65536)
            room = self._limit_bytes - len(self._kept)
            self._kept += part[:room]
            if len(part) > room:
                self.beyond.set()
            if not part:
                asyncio.get_running_loop().remove_reader(self._ours)

    def close(self) -> str:
        """What there was."""
        self._take()
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        return self._kept.decode(errors="replace").strip()


async def run_command(
    argv: Sequence[str],
    limit_s: float,
    *,
    said: str = "",
    limit_bytes: int = OUTPUT_LIMIT_BYTES,
    patient: bool = True,
    niceness: int = 0,
) -> CommandResult:
    """Run ``argv``, which reads ``said``; never raises for anything the program does.  Its whole process group is gone afterwards.

    Not ``patient``: it is ended as soon as it says more than ``limit_bytes``.  ``niceness``: how far behind this process it stands.
    """
    output = _Output(limit_bytes)
    try:
        running = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if said else asyncio.subprocess.DEVNULL,
            stdout=output.theirs,
            stderr=output.theirs,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        output.close()
        return CommandResult(ok=False, words=f"could not be started: {getattr(error, 'strerror', None) or error}")
    finally:
        os.close(output.theirs)
    if niceness:
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, running.pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
    try:
        async with asyncio.timeout(limit_s):
            if running.stdin:
                await _say(running.stdin, said)
            status = await (running.wait() if patient else _ended_or_beyond(running, output))
        words = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
    except _BeyondError:
        status, words = -1, f"killed after {limit_bytes} bytes of output"
    except TimeoutError:
        status, words = -1, f"killed after {limit_s:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        await running.wait()
        text = output.close()
    return CommandResult(ok=status == 0, words=words, output=text)


class _BeyondError(Exception):
    """It says more than it may."""


async def _ended_or_beyond(running: asyncio.subprocess.Process, output: _Output) -> int:
    ended, beyond = asyncio.ensure_future(running.wait()), asyncio.ensure_future(output.beyond.wait())
    try:
        await asyncio.wait([ended, beyond], return_when=asyncio.FIRST_COMPLETED)
    finally:
        beyond.cancel()
        ended.cancel()
    if not ended.done() or ended.cancelled():
        raise _BeyondError
    return ended.result()


async def _say(stdin: asyncio.StreamWriter, said: str) -> None:
    """Whether a program listens to the end is its own affair."""
    with contextlib.suppress(ConnectionError):
        stdin.write(said.encode())
        await stdin.drain()
    stdin.close()
