"""Running a program to its end: argv without a shell, clean environment, time limit, killed with everything it started.

Owns the how.  Whether a command may be run at all is decided in ``lvsagent.core.root_commands``.
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


async def run_command(argv: Sequence[str], limit_s: float) -> CommandResult:
    """Run ``argv``; never raises for anything the program does.  Its whole process group is gone afterwards."""
    try:
        running = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return CommandResult(ok=False, words=f"could not be started: {getattr(error, 'strerror', None) or error}")
    output = bytearray()
    reading = asyncio.ensure_future(_read(running.stdout, output))
    try:
        async with asyncio.timeout(limit_s):
            status = await running.wait()
        words = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
    except TimeoutError:
        status, words = -1, f"killed after {limit_s:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        await running.wait()
        await reading
    return CommandResult(ok=status == 0, words=words, output=output.decode(errors="replace").strip())


async def _read(stream: asyncio.StreamReader | None, output: bytearray) -> None:
    """Keep the beginning, read and forget the rest."""
    while stream is not None and (part := await stream.read(65536)):
        output += part[: OUTPUT_LIMIT_BYTES - len(output)]
