"""What the kernel says of running processes: CPU time and memory.

Owns reading ``/proc/PID/stat``; a process that is gone is simply not in the answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu_s``: CPU seconds used since the process began; ``memory_bytes``: resident."""

    cpu_s: float
    memory_bytes: int


def usage(pids: Iterable[int], proc: Path = Path("/proc")) -> dict[int, Usage]:
    """What each process that is there has used."""
    found = {}
    for pid in pids:
        try:
            line = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = line.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
        ticks = int(fields[11]) + int(fields[12])
        found[pid] = Usage(ticks / _TICKS_PER_S, int(fields[21]) * _PAGE_BYTES)
    return found
