"""nanny: what a check costs, on loopback.

One process answers (not measured), one is nanny's loop with its real checks, measured by its own CPU time.  "Flat out" leaves no pause
between the checks of a server, so that it shows how many a core can do; the others are as many checks a second as their interval says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lvsagent.adapters.checks import Checks
from lvsagent.adapters.clock import SystemClock
from lvsagent.core.health import CheckSpec, Method, Outcome
from lvsagent.messages import NannyConfigure, NannyReport
from lvsagent.nanny.run import raise_file_limit
from lvsagent.nanny.warden import Warden

GOAL_A_CORE = 1000
ANSWER = b"HTTP/1.0 200 OK\r\nServer: bench\r\n\r\n<html></html>\n"
KINDS: dict[str, dict[str, Any]] = {
    "connect": {"method": Method.CONNECT},
    "send and expect": {"method": Method.SEND_EXPECT, "send": b"GET / HTTP/1.0\r\n\r\n", "expect": b"HTTP"},
    "send and pattern": {
        "method": Method.SEND_EXPECT,
        "send": b"GET / HTTP/1.0\r\n\r\n",
        "expect": b"^HTTP/1\\.[01] (200|30[1-8]) ",
        "use_regex": True,
    },
    "program": {"method": Method.PROGRAM},
}
RUNS = [
    # kind, servers, interval, seconds
    ("connect", 200, 0.0, 4.0),
    ("send and expect", 200, 0.0, 4.0),
    ("send and pattern", 200, 0.0, 4.0),
    ("program", 20, 0.0, 4.0),
    ("connect", 500, 1.0, 6.0),
    ("send and expect", 500, 1.0, 6.0),
    ("connect", 5100, 3.0, 9.0),
]


class Counting:
    """The real checks, counted."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self.done = self.failed = 0
        self.slowest_s = 0.0

    async def check(self, spec: CheckSpec) -> Outcome:
        outcome = await self._checks.check(spec)
        self.done += 1
        self.failed += not outcome.ok
        self.slowest_s = max(self.slowest_s, outcome.duration_s)
        return outcome


async def measure(kind: str, servers: int, interval_s: float, seconds: float, port: int) -> dict[str, float]:
    """Run that many checks for that long; what they cost this process and its children."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "check"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        checks = Checks([Path(folder)], own_programs=True)
        counting = Counting(checks)
        said = 0

        def say(message: msgspec.Struct) -> None:
            nonlocal said
            said += len(message.checks) if isinstance(message, NannyReport) else 0
            msgspec.json.encode(message)

        warden = Warden(counting, SystemClock(), say, max_running=min(4000, raise_file_limit() - 256))
        specs = [
            CheckSpec(
                **{
                    "key": f"v{number % 100}/s{number}",
                    "address": f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}",
                    "port": port,
                    "protocol": "tcp",
                    "interval_s": interval_s,
                    "timeout_s": 5.0,
                    "program": (str(program),),
                    **KINDS[kind],
                }
            )
            for number in range(servers)
        ]
        warden.handle(NannyConfigure(checks=specs))
        await asyncio.sleep(max(1.0, interval_s * 1.2))
        before, done, loop = cpu(), counting.done, asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(seconds)
        used, elapsed, count = cpu() - before, loop.time() - started, counting.done - done
        await warden.close()
        checks.close()
    memory_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rate": count / elapsed,
        "cpu_s": used / count,
        "core": used / elapsed,
        "failed": counting.failed,
        "memory_mib": memory_kib / 1024,
        "slowest_s": counting.slowest_s,
    }


def cpu() -> float:
    """CPU seconds of this process and of the programs it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def answer(listener: socket.socket) -> None:
    """Answer whoever calls, for ever."""
    while True:
        client, _ = listener.accept()
        with client, contextlib.suppress(OSError):
            client.settimeout(1)
            if client.recv(100):
                client.sendall(ANSWER)


def main(arguments: Sequence[str]) -> int:
    """Without arguments: all runs, each in a process of its own, as a table."""
    if arguments:
        kind, *numbers = arguments
        servers, interval_s, seconds, port = map(float, numbers)
        print(json.dumps(asyncio.run(measure(kind, int(servers), interval_s, seconds, int(port)))))
        return 0
    listener = socket.create_server(("0.0.0.0", 0), backlog=4096)  # noqa: S104 -- every address of 127.0.0.0/8 is a server
    answering = os.fork()
    if answering == 0:
        answer(listener)
    try:
        print("| check | servers | interval | checks a second | CPU a check | of a core | checks a second and core | memory | failed |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for kind, servers, interval_s, seconds in RUNS:
            port = listener.getsockname()[1]
            argv = [sys.executable, "-m", "bench.nanny_bench", kind, str(servers), str(interval_s), str(seconds), str(port)]
            found = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
            print(row(kind, servers, interval_s, found), flush=True)
    finally:
        os.kill(answering, signal.SIGKILL)
        os.waitpid(answering, 0)
        listener.close()
    return 0


def row(kind: str, servers: int, interval_s: float, found: dict[str, float]) -> str:
    a_core = 1 / found["cpu_s"]
    goal = f" (goal {GOAL_A_CORE:,} missed)" if kind != "program" and a_core < GOAL_A_CORE else ""
    cells = (
        kind,
        f"{servers:,}",
        f"{interval_s:g} s" if interval_s else "flat out",
        f"{found['rate']:,.0f}",
        f"{found['cpu_s'] * 1e6:,.0f} µs",
        f"{found['core']:.0%}",
        f"{a_core:,.0f}{goal}",
        f"{found['memory_mib']:.0f} MiB",
        f"{found['failed']:.0f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
