"""The table in the kernel: made from nothing, read back, changed by one weight; beside ipvsadm and keepalived, all in one boot.

The host boots User-Mode Linux and prints the table; the guest runs this same module and measures.  The guest's kernel makes system calls
slowly, so its figures are compared with one another only.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.lvscf.model import Protocol
from lvsagent.adapters.ipvs_kernel import KernelIpvs
from lvsagent.core.table import AddServer, AddService, Family, Operation, Server, ServerKey, Service, ServiceKey, SetServer
from tests.kernel import net, uml

LIMIT_S = 400.0
SMALL = (1_000, 10_000)
LARGE = (2_277, 37_205)
KEEPALIVED_POLL_S = 0.1


def keys(services: int) -> list[ServiceKey]:
    return [ServiceKey(Family.IPV4, Protocol.TCP, f"192.0.{2 + n // 250}.{1 + n % 250}", 80) for n in range(services)]


def server(number: int) -> ServerKey:
    return ServerKey(f"10.{number // 62500}.{number // 250 % 250}.{1 + number % 250}", 80)


def operations(services: int, servers: int) -> list[Operation]:
    """A table of that size, real servers spread evenly."""
    found = keys(services)
    wanted: list[Operation] = [AddService(key, Service("wlc")) for key in found]
    return wanted + [AddServer(found[n % services], server(n), Server()) for n in range(servers)]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_ours(services: int, servers: int) -> dict[str, float]:
    """Seconds to make, read and change a table through the agent's own data plane."""

    async def run() -> dict[str, float]:
        plane = KernelIpvs()
        await plane.open()
        wanted = operations(services, servers)
        start = time.perf_counter()
        assert await plane.apply(wanted) == ()
        made = time.perf_counter()
        table = await plane.read()
        read = time.perf_counter()
        assert sum(len(entry.servers) for entry in table.values()) == servers
        change = SetServer(keys(services)[services // 2], server(services // 2), Server(weight=2))
        changing = time.perf_counter()
        assert await plane.apply([change]) == ()
        changed = time.perf_counter()
        await plane.close()
        return {"make": made - start, "read": read - made, "change": changed - changing}

    return asyncio.run(run())


def measure_ipvsadm(services: int, servers: int) -> dict[str, float]:
    """Seconds for ``ipvsadm -R`` to make the same table, and for ``ipvsadm -S`` to read it."""
    lines = [f"-A -t {key.address}:{key.port} -s wlc" for key in keys(services)]
    found = keys(services)
    lines += [f"-a -t {found[n % services].address}:80 -r {server(n)} -m -w 1" for n in range(servers)]
    rules = "\n".join(lines) + "\n"
    made = timed(lambda: subprocess.run(["ipvsadm", "-R"], input=rules, text=True, check=True))
    read = timed(lambda: net.output("ipvsadm", "-S", "-n"))
    return {"make": made, "read": read}


def measure_keepalived(services: int, servers: int) -> dict[str, float]:
    """Seconds from keepalived's start until the table is whole (no health checks: every real server is added at once)."""
    found = keys(services)
    blocks = []
    for n, key in enumerate(found):
        reals = "\n".join(f"  real_server {server(m).address} 80 {{ weight 1\n }}" for m in range(n, servers, services))
        blocks.append(f"virtual_server {key.address} 80 {{\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n{reals}\n}}")
    config = Path("/run/tmp/keepalived.conf")
    config.write_text("global_defs {\n checker_log_all_failures off\n}\n" + "\n".join(blocks))
    command = ["keepalived", "-n", "-D", "-C", "-f", str(config), "-p", "/run/tmp/ka.pid", "-c", "/run/tmp/kac.pid"]
    table = Path("/proc/thread-self/net/ip_vs")
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        while table.read_text().count("  -> ") < servers + 1:
            assert daemon.poll() is None, "keepalived ended"
            assert time.perf_counter() - start < 120, "keepalived takes too long"
            time.sleep(KEEPALIVED_POLL_S)
        made = time.perf_counter() - start
        daemon.terminate()
    return {"make": made}


def inside() -> None:
    """In the guest: measure each in a network namespace, and so a table, of its own."""
    results: dict[str, object] = {}
    for name, work, size in (
        ("ours", measure_ours, SMALL),
        ("ipvsadm", measure_ipvsadm, SMALL),
        ("keepalived", measure_keepalived, SMALL),
        ("large", measure_ours, LARGE),
    ):
        with net.fresh_namespace():
            results[name] = work(*size)
        print(name, results[name], flush=True)
    (Path(os.environ["LAB_DIR"]) / "figures").write_text(json.dumps(results))


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as Markdown."""

    def cell(name: str, what: str) -> str:
        if what not in figures[name]:
            return "–"
        seconds = figures[name][what]
        return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"

    rows = [
        ("1,000 virtual × 10 real servers, made from nothing", "make", ("ours", "ipvsadm", "keepalived")),
        ("that table read back, with counters", "read", ("ours", "ipvsadm")),
        ("one weight changed in it, at the data plane", "change", ("ours",)),
        ("2,277 virtual, 37,205 real servers, made from nothing", "make", ("large",)),
        ("that table read back, with counters", "read", ("large",)),
    ]
    lines = ["## The kernel's table", "", "In one boot of User-Mode Linux (its system calls are slow; compare within the table only).", ""]
    lines += ["| what | lvsagent | ipvsadm (`-R`, `-S`) | keepalived |", "| --- | --- | --- | --- |"]
    for words, what, names in rows:
        cells = [cell(name, what) for name in names] + ["–"] * (3 - len(names))
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """On the host: boot, wait, print."""
    if "LAB_DIR" in os.environ:
        inside()
        return 0
    if why_not := uml.missing():
        print(f"kernel: {why_not}", file=sys.stderr)
        return 1
    with uml.Guest(limit_s=LIMIT_S) as guest:
        guest.start(run="bench.kernel_bench")
        status = guest.wait()
        if status:
            print(guest.last_words(), file=sys.stderr)
            return status
        print(table(json.loads((guest.folder / "figures").read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
