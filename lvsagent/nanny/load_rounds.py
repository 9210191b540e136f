"""How busy the real servers' hosts are: every host is asked again and again, a few at a time, and lvsd is told.

Owns the tasks and the newest reading of each host.  What follows from a load is lvsd's; how it is read is the reader's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from lvsagent.core.load_plan import INTERVAL_S, LoadReading, LoadSpec
from lvsagent.core.schedule import first_start
from lvsagent.messages import NannyLoads
from lvsagent.ports import Clock, LoadReader

AT_ONCE = 16
"""Programs that run at the same time, those of all nannies together; the others wait their turn."""
APART_S = 0.05
"""For every host one more such moment, in which all are asked for the first time: each program costs a start."""
LEAST_PAUSE_S = 1.0
"""Between two readings of a host that takes longer than the interval."""

log = logging.getLogger(__name__)


class LoadRounds:
    """``say`` sends a message to lvsd, if it is there."""

    def __init__(
        self,
        reader: LoadReader,
        clock: Clock,
        say: Callable[[NannyLoads], object],
        *,
        at_once: int = AT_ONCE,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._say = say
        self._interval_s = interval_s
        self._places = asyncio.Semaphore(at_once)
        self._jobs: dict[str, list[LoadSpec]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._newest: dict[str, tuple[LoadReading, float]] = {}

    def configure(self, specs: Sequence[LoadSpec]) -> None:
        """Exactly these hosts are asked from now on."""
        jobs: dict[str, list[LoadSpec]] = {}
        for spec in specs:
            jobs.setdefault(spec.job, []).append(spec)
        for job in self._tasks.keys() - jobs.keys():
            self._tasks.pop(job).cancel()
        self._jobs = jobs
        wanted = {spec.key for spec in specs}
        self._newest = {key: reading for key, reading in self._newest.items() if key in wanted}
        new = jobs.keys() - self._tasks.keys()
        for job in new:
            wait_s = first_start(job, 0.0, self._interval_s, round(len(new) * APART_S * 1000))
            self._tasks[job] = asyncio.get_running_loop().create_task(self._go_round(job, wait_s))

    def reports(self) -> NannyLoads:
        """The newest of all, for somebody who has just connected."""
        now = self._clock.now()
        return NannyLoads(readings=[replace(reading, age_s=max(now - at, 0.0)) for reading, at in self._newest.values()])

    async def close(self) -> None:
        """End every reading.  Nothing is told any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _go_round(self, job: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        while True:
            began = self._clock.now()
            async with self._places:
                readings = await self._read(self._jobs[job])
            self._tell(readings)
            await asyncio.sleep(max(self._interval_s - (self._clock.now() - began), min(LEAST_PAUSE_S, self._interval_s)))

    async def _read(self, specs: Sequence[LoadSpec]) -> list[LoadReading]:
        try:
            return await self._reader.read(specs)
        except Exception:
            log.exception("reading the load of %s failed by a fault of its own", specs[0].key)
            return [LoadReading(spec.key, None, "reading it failed by a fault of nanny's own: see its log") for spec in specs]

    def _tell(self, readings: Sequence[LoadReading]) -> None:
        now = self._clock.now()
        wanted = {spec.key for job in self._jobs.values() for spec in job}
        told = [reading for reading in readings if reading.key in wanted]
        self._newest.update({reading.key: (reading, now) for reading in told})
        if told:
            self._say(NannyLoads(readings=told))
