"""nanny: how soon it has seen that all of several thousand real servers stopped answering at once.

The nanny is the real process (or several), told what to check over its socket as lvsd tells it; the servers are ``bench.farm``'s.  Measured
is the time from the moment they stop to the moment at which lvsd's side of the sockets has heard of the last that it is down, and what the
nannies used meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.farm import Farm, address, farm
from lvsagent.adapters import process
from lvsagent.channel import ChannelClient
from lvsagent.core.check_spec import CheckSpec, Details, Method
from lvsagent.core.spread import nanny_names, nanny_of
from lvsagent.messages import FromNanny, NannyConfigure, NannyReport

SERVERS = 5100
INTERVAL_S = 3.0
TIMEOUT_S = 1.0
GOAL_S = 5.0
GOAL_MIB = 200.0
ROUNDS = 3
STEADY_S = 6.0
ENOUGH_S = 20.0
RUNS = [
    # kind, how they stop, nannies
    ("connect", "refuse", 1),
    ("connect", "full", 1),
    ("send and expect", "refuse", 1),
    ("send and expect", "silent", 1),
    ("http", "refuse", 1),
    ("http", "silent", 1),
    ("connect", "full", 2),
    ("send and expect", "silent", 2),
    ("http", "silent", 2),
]
WORDS = {"refuse": "refuse", "full": "do not even connect", "silent": "accept and say nothing"}


def specs(kind: str, servers: int, port: int) -> list[CheckSpec]:
    """The checks, a hundred virtual servers."""
    asks = {
        "connect": {"method": Method.CONNECT},
        "send and expect": {"method": Method.SEND_EXPECT, "send": b"GET / HTTP/1.0\r\n\r\n", "expect": b"HTTP"},
        "http": {"method": Method.HTTP, "details": Details(path="/health", host="www.example.com")},
    }[kind]
    return [
        CheckSpec(
            key=f"v{number % 100}/s{number}",
            address=address(number),
            port=port,
            protocol="tcp",
            interval_s=INTERVAL_S,
            timeout_s=TIMEOUT_S,
            rise=1,
            **asks,  # type: ignore[arg-type]
        )
        for number in range(servers)
    ]


@dataclass
class Found:
    """``seconds``: of each round, until the last was seen.

    ``core``: of one core, all nannies together, while all is well; ``core_after``: from the stop until the last was seen.
    """

    seconds: list[float]
    core: float
    core_after: float
    memory_mib: float
    rate: float


class Nannies:
    """The processes, and lvsd's side of their sockets."""

    def __init__(self, folder: Path, count: int, checks: Sequence[CheckSpec]) -> None:
        self.names = nanny_names(count)
        self._checks = checks
        self.states: dict[str, str] = {}
        self.down = 0
        self.results = 0
        self._last: dict[str, float] = {}
        folder.chmod(0o755)
        self._config = folder / "agent.toml"
        self._config.write_text(f'runtime_dir = "{folder}"\nstate_dir = "{folder}"\ndataplane = "userspace"\ncheck_user = "nobody"\n')
        self._clients = [self._client(folder / f"{name}.sock", place) for place, name in enumerate(self.names)]
        self._processes: list[asyncio.subprocess.Process] = []
        self.news = asyncio.Event()

    def _client(self, path: Path, place: int) -> ChannelClient:
        return ChannelClient(path, decode=FromNanny, on_message=self._heard, on_connect=lambda: self._configure(place))

    async def start(self) -> list[asyncio.Task[None]]:
        for name in self.names:
            argv = process.child_argv(name, self._config, len(self.names))
            self._processes.append(await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL))
        return [asyncio.create_task(client.run()) for client in self._clients]

    def _configure(self, place: int) -> None:
        share = [spec for spec in self._checks if nanny_of(spec.address, len(self.names)) == place]
        self._clients[place].send(NannyConfigure(checks=share))

    async def end(self) -> None:
        for one in self._processes:
            one.terminate()
            await one.wait()

    async def until_all(self, state: str, count: int) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENOUGH_S):
                while self.count(state) < count:
                    self.news.clear()
                    await self.news.wait()
        return self.count(state) >= count

    def count(self, state: str) -> int:
        return sum(found == state for found in self.states.values())

    def cpu_s(self) -> float:
        fields = (Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split() for one in self._processes)
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """The most that each has ever used, all together."""
        texts = (Path(f"/proc/{one.pid}/status").read_text() for one in self._processes)
        return sum(int(text.partition("VmHWM:")[2].split()[0]) for text in texts) / 1024

    def _heard(self, message: object) -> None:
        if not isinstance(message, NannyReport):
            return
        before = len(self.states)
        moved = False
        for info in message.checks:
            moved = moved or self.states.get(info.key) != info.state
            self.states[info.key] = info.state
            if self._last.get(info.key) != info.last_at:
                self._last[info.key] = info.last_at
                self.results += 1
        if moved or len(self.states) != before:
            self.news.set()


@contextlib.asynccontextmanager
async def nannies(count: int, checks: Sequence[CheckSpec]) -> AsyncIterator[Nannies]:
    """Started, and told what to check."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        found = Nannies(Path(name), count, checks)
        listening = await found.start()
        try:
            yield found
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            await found.end()


async def detect(kind: str, way: str, count: int, servers: Farm, *, many: int = SERVERS, rounds: int = ROUNDS) -> Found:
    """Let them stop and come back, so many times."""
    checks = specs(kind, many, servers.port)
    seconds: list[float] = []
    core = core_after = rate = 0.0
    async with nannies(count, checks) as found:
        for _ in range(rounds):
            if not await found.until_all("up", many):
                seconds.append(math.inf)
                break
            used, began, results = found.cpu_s(), time.monotonic(), found.results
            await asyncio.sleep(STEADY_S)
            core = (found.cpu_s() - used) / (time.monotonic() - began)
            rate = (found.results - results) / (time.monotonic() - began)
            used, stopped = found.cpu_s(), servers.stop(way)
            seen = await found.until_all("down", many)
            elapsed = time.monotonic() - stopped
            seconds.append(elapsed if seen else math.inf)
            core_after = (found.cpu_s() - used) / elapsed
            servers.start()
        return Found(seconds, core, core_after, found.memory_mib(), rate)


def table() -> None:
    """Every run, as lines of a table."""
    print(
        f"\n{SERVERS:,} real servers, each checked every {INTERVAL_S:g} s, time limit {TIMEOUT_S:g} s; all stop at the same moment.\n"
        f"Measured at lvsd's side of nanny's socket, the longest (and the shortest) of {ROUNDS} rounds.\n"
        f"Goal: the last is seen within {GOAL_S:g} s, on one core, in at most {GOAL_MIB:g} MiB.\n"
    )
    print("| check | they | nannies | checks a second | of a core | of a core meanwhile | memory | all are seen after | goal |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for kind, way, count in RUNS:
        print(row(kind, way, count, _measured(kind, way, count)), flush=True)


def _measured(kind: str, way: str, count: int) -> Found:
    with farm() as servers:
        return asyncio.run(detect(kind, way, count, servers))


def row(kind: str, way: str, count: int, found: Found) -> str:
    worst = max(found.seconds)
    met = worst <= GOAL_S and found.memory_mib <= GOAL_MIB and (count > 1 or max(found.core, found.core_after) <= 1)
    times = f"{worst:.1f} s ({min(found.seconds):.1f} s)" if worst < math.inf else f"more than {ENOUGH_S:g} s"
    cells = (
        kind,
        WORDS[way],
        str(count),
        f"{found.rate:,.0f}",
        f"{found.core:.0%}",
        f"{found.core_after:.0%}",
        f"{found.memory_mib:.0f} MiB",
        times,
        "met" if met else "missed",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(row(sys.argv[1], sys.argv[2], int(sys.argv[3]), _measured(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        table()
