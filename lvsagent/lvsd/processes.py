"""supervisor, lvsd, pulse and every nanny: how much CPU and memory each uses.

Owns the two samples that a share of CPU needs.  Which processes there are is the supervisor's word; without one, what lvsd can see itself.
"""

from __future__ import annotations

import os

import msgspec

from lvsagent.adapters.procfs import Usage, usage
from lvsagent.lvsd.nannies import Nannies
from lvsagent.lvsd.neighbours import Pulse, Supervisor
from lvsagent.ports import Clock
from lvsagent.wire import ProcessInfo

SAMPLE_S = 1.0


class Processes:
    """The agent's processes as the console shows them."""

    def __init__(self, clock: Clock, supervisor: Supervisor, pulse: Pulse, nannies: Nannies) -> None:
        self._clock = clock
        self._supervisor = supervisor
        self._pulse = pulse
        self._nannies = nannies
        self._started_at = clock.wall()
        self._at = clock.now()
        self._usage: dict[int, Usage] = {}
        self._cpu: dict[int, float] = {}

    def infos(self) -> list[ProcessInfo]:
        """Each process with its share of a core since the last look (a second apart at least)."""
        infos = self._supervisor.processes or self._seen()
        self._sample([info.pid for info in infos if info.pid])
        return [self._with_usage(info) for info in infos]

    def _seen(self) -> list[ProcessInfo]:
        neighbours = (("pulse", self._pulse.channel.connected), *self._nannies.standing())
        lvsd = ProcessInfo(name="lvsd", state="running", pid=os.getpid(), since=self._started_at)
        return [lvsd, *(ProcessInfo(name=name, state="running" if connected else "stopped") for name, connected in neighbours)]

    def _sample(self, pids: list[int]) -> None:
        now = self._clock.now()
        elapsed_s = now - self._at
        if self._usage.keys() >= set(pids) and elapsed_s < SAMPLE_S:
            return
        found = usage(pids)
        self._cpu = {pid: self._share(pid, one, elapsed_s) for pid, one in found.items()}
        self._usage = found
        self._at = now

    def _share(self, pid: int, found: Usage, elapsed_s: float) -> float:
        before = self._usage.get(pid)
        if before is None or elapsed_s <= 0:
            return self._cpu.get(pid, 0.0)
        return max(found.cpu_s - before.cpu_s, 0.0) / elapsed_s

    def _with_usage(self, info: ProcessInfo) -> ProcessInfo:
        found = self._usage.get(info.pid)
        if found is None:
            return info
        return msgspec.structs.replace(info, cpu=self._cpu.get(info.pid, 0.0), memory_bytes=found.memory_bytes)
