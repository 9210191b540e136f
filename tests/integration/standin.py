"""A process that stands in for lvsd, pulse or nanny in the supervisor's tests: ``standin.py NAME FOLDER``.

``FOLDER/NAME.mode`` says what it does at its next start: ``well`` (the default), ``crash``, ``mute`` (never answers), ``hang`` (answers
once), ``stubborn`` (does not end when asked).  It writes a line to ``FOLDER/log`` for each start and each signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from lvsagent.adapters import lifeline, process


def main() -> int:
    name, folder = sys.argv[1], Path(sys.argv[2])
    line = lifeline.grasp(os.environ)
    process.set_title(name)
    mode_file = folder / f"{name}.mode"
    mode = mode_file.read_text() if mode_file.exists() else "well"
    note(folder, f"{name} started")
    if mode == "crash":
        line.last_words("the disk is on fire")
        return 3
    return asyncio.run(live(name, folder, mode))


async def live(name: str, folder: Path, mode: str) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard(number: signal.Signals) -> None:
        note(folder, f"{name} {number.name}")
        if number is not signal.SIGHUP and mode != "stubborn":
            ended.set()

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        loop.add_signal_handler(number, heard, number)
    if mode == "hang":
        lifeline.keep_beating()
        signal.pause()
    if mode != "mute":
        lifeline.keep_beating()
    await ended.wait()
    note(folder, f"{name} ended")
    return 0


def note(folder: Path, text: str) -> None:
    with (folder / "log").open("a") as log:
        log.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
