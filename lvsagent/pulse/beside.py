"""Waiting for an event or a moment, and work beside the beats: what takes time is done in a thread, what fails is said.

Owns the tasks that it has begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lvsagent.ports import AdapterError
from lvsagent.pulse.holder import Tell


class Beside:
    """``tell`` is for the event log."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Callable[[], None]) -> None:
        """In a thread, for a disk may take its time; returns at once."""
        task = asyncio.ensure_future(self._do(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def end(self) -> None:
        """When everything that was begun is done."""
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def _do(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except AdapterError as error:
            self._tell("problem", "error", str(error))


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Until the event or the time, whichever comes first; says whether it was the event."""
    if seconds == float("inf"):
        return await event.wait()
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await event.wait()
    except TimeoutError:
        return False
