"""How much of the machine other programs used during a measurement, so that a figure from a busy machine says so.

Owns reading /proc; what is measured is the caller's business.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path


class Neighbours:
    """Counts from when it is made; ``roots`` are the processes under measurement, with their children, besides this one."""

    def __init__(self, roots: Sequence[int]) -> None:
        children = [pid for pid in _processes() if _words(pid)[1:2] in [[str(root)] for root in roots]]
        self._ours = [os.getpid(), *roots, *children]
        self._before = self._ticks()

    def share(self) -> float:
        """The share of all processors that nobody of ours used, 0 to 1."""
        ours, busy, whole = (now - before for now, before in zip(self._ticks(), self._before, strict=True))
        return max(0.0, (busy - ours) / whole)

    def _ticks(self) -> tuple[int, int, int]:
        """Clock ticks that ours used, that the machine's processors were busy, and all there were."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
        ours = sum(int(word) for pid in self._ours for word in _words(pid)[11:13])
        return ours, sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def _words(pid: int) -> list[str]:
    """What /proc/PID/stat says after the command's name: state, parent, …; nothing for a process that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
