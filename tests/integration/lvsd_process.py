"""lvsd as a process of its own, over a table in a file: it outlives the process, as the kernel's does, and a test can look and tamper."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

from lvsagent.adapters.clock import SystemClock
from lvsagent.core.table import Operation, Refusal, Table
from lvsagent.lvsd.process import run
from lvsagent.settings import load_settings
from tests.fakes.ipvs import FakeIpvs


class IpvsInAFile(FakeIpvs):
    """The table in memory, kept in a file between one call and the next."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def read(self) -> Table:
        """As it is in the file now."""
        self._load()
        return await super().read()

    async def apply(self, operations: Sequence[Operation]) -> tuple[Refusal, ...]:
        """To what is in the file now."""
        self._load()
        refusals = await super().apply(operations)
        self.keep()
        return refusals

    def keep(self) -> None:
        """Into the file, from one moment to the next."""
        fresh = self._path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(pickle.dumps((self._services, self._servers)))
        fresh.replace(self._path)

    def _load(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._services, self._servers = pickle.loads(self._path.read_bytes())  # noqa: S301 -- our own file


class WrongClock(SystemClock):
    """Its wall clock is ``off_s`` away from the right time."""

    def __init__(self, off_s: float) -> None:
        self._off_s = off_s

    def wall(self) -> float:
        """Wrong."""
        return super().wall() + self._off_s


if __name__ == "__main__":
    settings = load_settings(Path(sys.argv[1]))
    off_s = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    sys.exit(asyncio.run(run(settings, IpvsInAFile(Path(sys.argv[2])), WrongClock(off_s))))
