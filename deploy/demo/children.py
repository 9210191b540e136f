"""The demonstration's processes: started, waited for, ended, and never left behind.

Owns process handling only.  A child has a session of its own, so that Ctrl-C reaches the launcher alone, and is told by the kernel
when the launcher dies, however it dies.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int, signal_number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process ``signal_number`` when ``parent`` (its parent) dies; at once when it is dead already."""
    _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


@dataclass(frozen=True, slots=True)
class Child:
    """A running process of the demonstration and the file that has its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self, lines: int = 15) -> str:
        """The end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def start(name: str, argv: Sequence[str], log: Path, cwd: Path) -> Child:
    """Start a program with no standard input and its output in ``log``."""
    launcher = os.getpid()
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(launcher),  # noqa: PLW1509 -- the launcher has one thread
        )
    return Child(name, process, log)


def wait_for_end(children: Sequence[Child]) -> Child:
    """Sleep until one of ``children`` has ended, and say which."""
    handles = {os.pidfd_open(child.process.pid): child for child in children}
    try:
        ended, _, _ = select.select(list(handles), [], [])
        return handles[ended[0]]
    finally:
        for handle in handles:
            os.close(handle)


def stop(children: Sequence[Child], limit_s: float = 8.0) -> None:
    """End ``children`` one after another, in the order given; whoever is there after ``limit_s`` is killed with its family."""
    deadline = monotonic() + limit_s
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
            try:
                child.process.wait(max(0.1, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{child.name} does not end by itself; killed", file=sys.stderr)
        _kill_family(child)


def _kill_family(child: Child) -> None:
    try:
        os.killpg(child.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        child.process.wait()
