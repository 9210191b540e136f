"""nanny: what a check costs, on loopback.

One process answers (not measured), one is nanny's loop with its real checks, measured by its own CPU time.  "Flat out" leaves no pause
between the checks of a server, so that it shows how many a core can do; the others are as many checks a second as their interval says.
How soon thousands of servers that stop at once are seen is ``bench.nanny_detection``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import nanny_detection
from bench.farm import address
from lvsagent.adapters.checks import Checks
from lvsagent.adapters.checks.connects import Done
from lvsagent.adapters.clock import SystemClock
from lvsagent.core.check_spec import CheckSpec, Details, Method, Outcome
from lvsagent.messages import NannyConfigure, NannyReport
from lvsagent.nanny.run import KEPT_FILES, MAX_RUNNING, raise_file_limit
from lvsagent.nanny.warden import Warden
from lvsagent.ports import QuickChecks
from tests.kernel import net, uml

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
    "http": {"method": Method.HTTP, "details": Details(path="/health", host="www.example.com")},
    "program": {"method": Method.PROGRAM},
}
RUNS = [
    # kind, servers, interval, seconds
    ("connect", 200, 0.0, 4.0),
    ("send and expect", 200, 0.0, 4.0),
    ("send and pattern", 200, 0.0, 4.0),
    ("http", 200, 0.0, 4.0),
    ("program", 20, 0.0, 4.0),
    ("connect", 500, 1.0, 6.0),
    ("send and expect", 500, 1.0, 6.0),
    ("connect", 5100, 3.0, 9.0),
    ("send and expect", 5100, 3.0, 9.0),
    ("http", 5100, 3.0, 9.0),
]


class Counting:
    """The real checks, counted."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self.done = self.failed = 0
        self.slowest_s = 0.0

    async def check(self, spec: CheckSpec) -> Outcome:
        outcome = await self._checks.check(spec)
        self._count(outcome)
        return outcome

    def quick(self, done: Done) -> QuickChecks:
        def counted(ended: list[tuple[int, Outcome]]) -> None:
            for _, outcome in ended:
                self._count(outcome)
            done(ended)

        return self._checks.quick(counted)

    def _count(self, outcome: Outcome) -> None:
        self.done += 1
        self.failed += not outcome.ok
        self.slowest_s = max(self.slowest_s, outcome.duration_s)


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

        warden = Warden(counting, SystemClock(), say, max_running=min(MAX_RUNNING, raise_file_limit() - KEPT_FILES))
        specs = [
            CheckSpec(
                **{
                    "key": f"v{number % 100}/s{number}",
                    "address": address(number),
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


@contextlib.contextmanager
def answering() -> Iterator[tuple[int, mmap.mmap]]:
    """Somebody who answers on every address of 127.0.0.0/8: the port, and shared memory in which the callers are counted."""
    counted = mmap.mmap(-1, 8)
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as listener:  # noqa: S104 -- every address of 127.0.0.0/8 is a server
        child = os.fork()
        if child == 0:
            answer(listener, counted)
        try:
            yield listener.getsockname()[1], counted
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def answer(listener: socket.socket, counted: mmap.mmap) -> None:
    """Answer whoever calls, for ever."""
    for number in itertools.count(1):
        client, _ = listener.accept()
        counted[:8] = struct.pack("q", number)
        with client, contextlib.suppress(OSError):
            client.settimeout(1)
            if client.recv(100):
                client.sendall(ANSWER)


def run_measure(kind: str, servers: int, interval_s: float, seconds: float, port: int) -> dict[str, float]:
    """``measure`` in a process of its own."""
    argv = measuring(kind, servers, interval_s, seconds, port)
    found: dict[str, float] = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    return found


def measuring(kind: str, servers: int, interval_s: float, seconds: float, port: int) -> list[str]:
    """The command for it."""
    return [sys.executable, "-m", "bench.nanny_bench", kind, str(servers), str(interval_s), str(seconds), str(port)]


# --- beside keepalived, in one boot of User-Mode Linux -------------------------------------------------------------------------

SIDE_BY_SIDE = (500, 1.0, 14.0)
WATCHED_S = 6.0
GUEST_LIMIT_S = 180.0
PATIENCE_S = 60.0


@contextlib.contextmanager
def spinning() -> Iterator[mmap.mmap]:
    """A process that takes what nobody else wants of the only processor, and counts its rounds in shared memory.

    What it loses is what others used: the guest's kernel counts CPU time by the tick, and work that begins with a tick escapes that.
    """
    rounds = mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        for number in itertools.count(1):
            rounds[:8] = struct.pack("q", number)
    try:
        yield rounds
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def watch(counted: mmap.mmap, rounds: mmap.mmap, alone: float, servers: int) -> dict[str, float]:
    """Once the checks run: how many there are a second, and what they and their answers take of the processor."""
    first, since = callers(counted), time.monotonic()
    while callers(counted) - first < 2 * servers:
        assert time.monotonic() - since < PATIENCE_S, "there are no checks"
        time.sleep(0.1)
    calls, rate = callers(counted), pace(rounds, WATCHED_S)
    calls = callers(counted) - calls
    used = max(0.0, 1 - rate / alone)
    return {"rate": calls / WATCHED_S, "cpu_s": used * WATCHED_S / calls, "core": used, "failed": 0}


def pace(rounds: mmap.mmap, seconds: float) -> float:
    """Rounds a second."""
    before, since = callers(rounds), time.monotonic()
    time.sleep(seconds)
    return (callers(rounds) - before) / (time.monotonic() - since)


def keepalived(servers: int, interval_s: float, port: int) -> subprocess.Popen[bytes]:
    """keepalived's TCP_CHECK of the same servers at the same interval."""
    blocks = []
    for virtual in range(servers // 10):
        check = f"TCP_CHECK {{ connect_timeout 5\n connect_port {port}\n }}"
        reals = "\n".join(f" real_server {address(virtual * 10 + n)} 80 {{\n weight 1\n {check}\n }}" for n in range(10))
        blocks.append(f"virtual_server 192.0.2.{1 + virtual} 80 {{\n delay_loop {interval_s:g}\n lb_algo wlc\n lb_kind NAT\n{reals}\n}}")
    config = Path("/run/tmp/keepalived.conf")
    config.write_text("\n".join(blocks))
    command = ["keepalived", "-n", "-C", "-f", str(config), "-p", "/run/tmp/ka.pid", "-c", "/run/tmp/kac.pid"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def callers(counted: mmap.mmap) -> int:
    return int(struct.unpack("q", counted[:8])[0])


def children(pid: int) -> list[int]:
    """The processes started by ``pid``."""
    return [
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if path.read_text().rpartition(")")[2].split()[1] == str(pid)
    ]


def ticks(processes: list[int]) -> float:
    """CPU seconds of these processes so far."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def inside() -> None:
    """In the guest: keepalived and nanny, one after the other, against the same servers."""
    servers, interval_s, seconds = SIDE_BY_SIDE
    with net.fresh_namespace(), answering() as (port, counted), spinning() as rounds:
        alone = pace(rounds, WATCHED_S)
        with keepalived(servers, interval_s, port) as daemon:
            theirs = watch(counted, rounds, alone, servers)
            theirs["memory_mib"] = max(resident_mib(pid) for pid in [daemon.pid, *children(daemon.pid)])
            daemon.terminate()
        with subprocess.Popen(measuring("connect", servers, interval_s, seconds, port), stdout=subprocess.PIPE) as nanny:
            ours = watch(counted, rounds, alone, servers)
            ours["memory_mib"] = json.loads(nanny.communicate()[0])["memory_mib"]
    (Path(os.environ["LAB_DIR"]) / "figures").write_text(json.dumps({"keepalived": theirs, "nanny": ours}))


def beside_keepalived() -> int:
    """Boot, wait, print."""
    if why_not := uml.missing():
        print(f"nanny beside keepalived: {why_not}", file=sys.stderr)
        return 1
    with uml.Guest(limit_s=GUEST_LIMIT_S) as guest:
        guest.start(run="bench.nanny_bench")
        status = guest.wait()
        if status:
            print(guest.last_words(), file=sys.stderr)
            return status
        figures = json.loads((guest.folder / "figures").read_text())
    print("\nBeside keepalived's TCP_CHECK, in one boot of User-Mode Linux (its system calls are slow; compare within the table only).")
    print("CPU is what a third process, which takes what is left, loses: the answers are in it, the same for both.\n")
    heading()
    for name, found in figures.items():
        print(row(f"{name}, connect", SIDE_BY_SIDE[0], SIDE_BY_SIDE[1], found))
    times = figures["nanny"]["cpu_s"] / figures["keepalived"]["cpu_s"]
    print(f"\nA check of nanny's costs {times:.2f} times keepalived's CPU (goal: at most 1): {'met' if times <= 1 else 'missed'}.")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Without arguments: all runs, each in a process of its own, as tables."""
    if arguments:
        kind, *numbers = arguments
        servers, interval_s, seconds, port = map(float, numbers)
        print(json.dumps(asyncio.run(measure(kind, int(servers), interval_s, seconds, int(port)))))
        return 0
    if "LAB_DIR" in os.environ:
        inside()
        return 0
    print("## Health checks\n\nOn loopback; what programs cost is theirs and their starting.\n")
    heading()
    with answering() as (port, _):
        for run in RUNS:
            kind, count, every_s, _seconds = run
            print(row(kind, count, every_s, run_measure(*run, port)), flush=True)
    nanny_detection.table()
    return beside_keepalived()


def heading() -> None:
    """The table's first lines."""
    print("| check | servers | interval | checks a second | CPU a check | of a core | checks a second and core | memory | failed |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")


def row(kind: str, servers: int, interval_s: float, found: dict[str, float]) -> str:
    a_core = 1 / found["cpu_s"]
    goal = f" (goal {GOAL_A_CORE:,} missed)" if kind in KINDS and kind != "program" and a_core < GOAL_A_CORE else ""
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
