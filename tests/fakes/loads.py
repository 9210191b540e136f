"""FakeLoads: hosts that tell how busy they are, or do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from lvsagent.core.load_plan import LoadReading, LoadSpec


class FakeLoads:
    """``tell(host, load)`` sets what a host says, ``fall_silent(host, reason)`` why it says nothing.

    ``held``: clear it to let readings hang; ``fault``: every reading fails by the reader's own fault.
    """

    def __init__(self) -> None:
        self._told: dict[str, float | str] = {}
        self.held = asyncio.Event()
        self.held.set()
        self.jobs: list[list[str]] = []
        self.running = 0
        self.most = 0
        self.fault = False

    def tell(self, host: str, load: float) -> None:
        """From now on."""
        self._told[host] = load

    def fall_silent(self, host: str, reason: str) -> None:
        """From now on."""
        self._told[host] = reason

    async def read(self, specs: Sequence[LoadSpec]) -> list[LoadReading]:
        """See ``lvsagent.ports.LoadReader``."""
        self.jobs.append([spec.host for spec in specs])
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.held.wait()
        finally:
            self.running -= 1
        if self.fault:
            raise RuntimeError("a fault of its own")
        return [self._reading(spec) for spec in specs]

    def _reading(self, spec: LoadSpec) -> LoadReading:
        told = self._told.get(spec.host, f"nobody knows {spec.host}")
        if isinstance(told, str):
            return LoadReading(spec.key, None, told)
        return LoadReading(spec.key, told, "", f"load {told:.2f}")
