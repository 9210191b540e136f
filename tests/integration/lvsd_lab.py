"""lvsd on real sockets and real files, over a data plane in memory: what the tests of the agent's API stand on.

``Lab`` runs it inside the test's own loop, so that a test can look at the table and tamper with it.  nanny is played by the test through
``report``; everything else is the real thing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import grp
import os
import stat
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.config_files import ConfigFilesOnDisk, FileOperations
from lvsagent.api.server import ApiServer
from lvsagent.client import AgentClient
from lvsagent.core.table import ServerKey
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.service import LvsdService
from lvsagent.settings import AgentSettings
from lvsagent.wire import CheckInfo
from tests.fakes.examiner import FakeExaminer
from tests.fakes.ipvs import FakeIpvs

T = TypeVar("T")

TUTORIAL = """\
# the tutorial's cluster
serial_no = 1
primary = 127.0.0.1
service = lvs
backup_active = 0
network = nat
virtual http {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 80
     scheduler = rr
     send = "GET / HTTP/1.0\\r\\n\\r\\n"
     expect = "HTTP"
     server number1 {
         address = 127.0.0.21
         active = 1
         port = 8080
         weight = 1
     }
     server number2 {
         address = 127.0.0.22
         active = 1
         port = 8080
         weight = 1
     }
     server number3 {
         address = 127.0.0.23
         active = 1
         port = 8080
         weight = 1
     }
}
"""
NUMBERS = [ServerKey(f"127.0.0.2{number}", 8080) for number in (1, 2, 3)]


class Lab:
    """One lvsd and what a test needs to drive it."""

    def __init__(self, folder: Path, plane: FakeIpvs, files: FileOperations | None = None, **settings: Any) -> None:
        self.folder = folder
        self.plane = plane
        self.settings = AgentSettings(
            lvs_cf=folder / "etc" / "lvs.cf",
            state_dir=folder / "state",
            runtime_dir=folder / "run",
            socket_group=grp.getgrgid(os.getgid()).gr_name,
            **{"confirm_share": 1.0, **settings},  # tests take everything out and put it back all the time
        )
        for path in (self.settings.lvs_cf.parent, self.settings.state_dir, self.settings.runtime_dir):
            path.mkdir(parents=True, exist_ok=True)
        self._files = files
        self._callers = ThreadPoolExecutor(32, "caller")
        self.director: Director
        self.api: ApiServer
        self.service: LvsdService
        self.examiner = FakeExaminer()
        self.client = AgentClient(self.settings.agent_socket, actor="tester")

    @property
    def lvs_cf(self) -> Path:
        return self.settings.lvs_cf

    async def start(self) -> None:
        files = ConfigFilesOnDisk(self.settings.lvs_cf, self.settings.state_dir, self._files)
        self.director = Director(self.settings, self.plane, SystemClock(), files)
        await self.director.start()
        self.service = LvsdService(self.director, self.examiner)
        self.api = ApiServer(self.service, self.settings.agent_socket, self.settings.socket_group)
        await self.api.start()

    async def stop(self, *, planned: bool = False) -> None:
        await self.api.stop()
        await self.service.close()
        await self.director.stop(planned=planned)
        self._callers.shutdown()

    async def ask(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """A call of the synchronous client, from a thread as the console makes it."""
        return await asyncio.get_running_loop().run_in_executor(self._callers, functools.partial(call, *arguments, **named))

    def text(self) -> str:
        return self.lvs_cf.read_bytes().decode("utf-8", "surrogateescape")

    def weights(self) -> dict[str, dict[str, int]]:
        """What is in the table: virtual server → real server → weight."""
        return {
            str(key): {str(server): settings.weight for server, settings in sorted(entry.servers.items())}
            for key, entry in self.plane.table.items()
        }

    async def report(self, state: str, *servers: str, virtual: str = "http", reason: str = "") -> None:
        """Be nanny: these servers are in this state now."""
        specs = {spec.key: spec for spec in self.director.running.expansion.checks}
        chosen = [specs[f"{virtual}/{server}"] for server in servers] if servers else list(specs.values())
        infos = [CheckInfo(key=spec.key, target=spec.target, what="", state=state, reason=reason) for spec in chosen]
        self.director.nanny._on_report(infos)
        await self.director.settle()


@contextlib.asynccontextmanager
async def running(folder: Path, text: str | None = TUTORIAL, plane: FakeIpvs | None = None, **settings: Any) -> AsyncIterator[Lab]:
    """A started lab, ended like a hitless restart."""
    lab = Lab(folder, plane or FakeIpvs(), **settings)
    if text is not None:
        lab.lvs_cf.write_bytes(text.encode("utf-8", "surrogateescape"))
    await lab.start()
    try:
        yield lab
    finally:
        await lab.stop()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


__all__ = ["NUMBERS", "TUTORIAL", "Lab", "mode_of", "running"]
