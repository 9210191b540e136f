"""The table in the kernel: made from nothing, read back, changed by one weight; beside ipvsadm and keepalived, all in one boot.

The host boots User-Mode Linux and prints the tables; the guest runs this same module and measures.  The guest's kernel makes system calls
slowly, so its figures are compared with one another only.  The floor is the same table from messages that are packed by hand, sent in
batches, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from app.lvscf import Config
from app.lvscf.model import Protocol
from bench.lvscf_bench import REAL, VIRTUAL, make_file, with_one_weight
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.ipvs_kernel import KernelIpvs, resolve
from lvsagent.adapters.netlink import ACK, NETLINK_GENERIC, REQUEST, NetlinkSocket
from lvsagent.core.desired import decide_all
from lvsagent.core.expansion import expand
from lvsagent.core.table import AddServer, AddService, Family, Operation, Refusal, Server, ServerKey, Service, ServiceKey, Table
from lvsagent.core.weights import Sides
from lvsagent.garbage import settled
from lvsagent.lvsd.configuration import read_configuration
from lvsagent.lvsd.keeper import TableKeeper
from lvsagent.lvsd.names import Names
from lvsagent.ports import ConfigFile
from tests.kernel import net, uml

LIMIT_S = 600.0
SMALL = (1_000, 10_000)
LARGE = (VIRTUAL, REAL)
ROUNDS = 5
SO_SNDBUFFORCE = 32
KEEPALIVED_POLL_S = 0.02
BATCH_BYTES = 1 << 16
GOAL_TIMES_FLOOR = 1.2
GOAL_PLAN_S = 0.3
GOAL_NO_OP_CPU_S = 1.0

Figures = dict[str, float]
T = TypeVar("T")


def say(words: str) -> None:
    """Progress, in the guest's output."""
    print(words, flush=True)


def keys(services: int) -> list[ServiceKey]:
    return [ServiceKey(Family.IPV4, Protocol.TCP, f"192.0.{2 + n // 250}.{1 + n % 250}", 80) for n in range(services)]


def server(number: int) -> ServerKey:
    return ServerKey(f"10.{number // 62500}.{number // 250 % 250}.{1 + number % 250}", 80)


def operations(services: int, servers: int) -> list[Operation]:
    """A table of that size, real servers spread evenly."""
    found = keys(services)
    wanted: list[Operation] = [AddService(key, Service("wlc")) for key in found]
    return wanted + [AddServer(found[n % services], server(n), Server()) for n in range(servers)]


# --- made from nothing ---------------------------------------------------------------------------------------------------------


def measure_ours(services: int, servers: int) -> Figures:
    """Seconds to make and read a table through the agent's own data plane."""

    async def run() -> Figures:
        plane = KernelIpvs()
        await plane.open()
        wanted = operations(services, servers)
        make_s, refused = await timed(lambda: plane.apply(wanted))
        assert refused == ()
        read_s, table = await timed(plane.read)
        assert sum(len(entry.servers) for entry in table.values()) == servers
        await plane.close()
        return {"make": make_s, "read": read_s}

    return asyncio.run(run())


def measure_floor(services: int, servers: int) -> Figures:
    """Seconds of messages packed by hand and sent in batches, with nothing else; and of the sending alone."""
    with NetlinkSocket(NETLINK_GENERIC) as asked:
        family = resolve(asked, b"IPVS")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as kernel:
        kernel.bind((0, 0))
        kernel.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
        start = time.perf_counter()
        batches = packed(family, services, servers)
        sending = time.perf_counter()
        for batch in batches:
            kernel.send(batch)
            kernel.recv(1 << 16)
        made = time.perf_counter()
    assert whole(servers)
    return {"make": made - start, "sent": made - sending}


def packed(family: int, services: int, servers: int) -> list[bytes]:
    """Datagrams full of requests, of which the last one asks for an acknowledgement; packed by hand for this one table."""
    batches: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for message in by_hand(family, services, servers):
        if size + len(message) > BATCH_BYTES:
            batches.append(b"".join(acknowledged(parts)))
            parts, size = [], 0
        parts.append(message)
        size += len(message)
    return [*batches, b"".join(acknowledged(parts))]


def acknowledged(messages: list[bytes]) -> list[bytes]:
    """The last of them asks for an acknowledgement."""
    last = messages[-1]
    return [*messages[:-1], last[:6] + (REQUEST | ACK).to_bytes(2, "little") + last[8:]]


def by_hand(family: int, services: int, servers: int) -> Iterator[bytes]:
    """The messages, made by the shortest way that Python has: one pack() for each, with everything that is the same written down."""
    virtuals = [
        struct.pack(
            "=HHHxxHHHxxHH4s12xHH2sxx", *(6, 1, 2, 6, 2, 6, 20, 3, socket.inet_aton(key.address), 6, 4, key.port.to_bytes(2, "big"))
        )
        for key in keys(services)
    ]
    settings = struct.pack("=HH4sHHIIHHIHHI", 8, 6, b"wlc", 12, 7, 0, 0xFFFFFFFF, 8, 8, 0, 8, 9, 0xFFFFFFFF)
    for virtual in virtuals:
        body = struct.pack("=BBHHH", 1, 1, 0, 4 + len(virtual) + len(settings), 1) + virtual + settings
        yield struct.pack("=IHHII", 16 + len(body), family, REQUEST, 0, 0) + body
    heads = [struct.pack("=HH", 4 + len(virtual), 1) + virtual for virtual in virtuals]
    message = struct.Struct("=IHHIIBBH48sHHHH4s12xHHHxxHHHxxHHIHHIHHIHHI")
    pack, size, port = message.pack, message.size, 80 << 8
    for number in range(servers):
        address = socket.inet_aton(f"10.{number // 62500}.{number // 250 % 250}.{1 + number % 250}")
        yield pack(
            *(size, family, REQUEST, 0, 0, 5, 1, 0, heads[number % services], 72, 2, 20, 1, address, 6, 2, port, 6, 11, 2),
            *(8, 3, 0, 8, 4, 1, 8, 5, 0, 8, 6, 0),
        )


def measure_ipvsadm(services: int, servers: int) -> Figures:
    """Seconds for ``ipvsadm -R`` to make the same table, and for ``ipvsadm -S`` to read it."""
    found = keys(services)
    lines = [f"-A -t {key.address}:{key.port} -s wlc" for key in found]
    lines += [f"-a -t {found[n % services].address}:80 -r {server(n)} -m -w 1" for n in range(servers)]
    rules = "\n".join(lines) + "\n"
    start = time.perf_counter()
    subprocess.run(["ipvsadm", "-R"], input=rules, text=True, check=True)
    made = time.perf_counter()
    net.output("ipvsadm", "-S", "-n")
    return {"make": made - start, "read": time.perf_counter() - made}


def measure_keepalived(services: int, servers: int) -> Figures:
    """Seconds from keepalived's start until the table is whole (no health checks: every real server is added at once)."""
    found = keys(services)
    blocks = []
    for n, key in enumerate(found):
        reals = "\n".join(f"  real_server {server(m).address} 80 {{ weight 1\n }}" for m in range(n, servers, services))
        blocks.append(f"virtual_server {key.address} 80 {{\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n{reals}\n}}")
    config = Path("/run/tmp/keepalived.conf")
    config.write_text("global_defs {\n checker_log_all_failures off\n}\n" + "\n".join(blocks))
    command = ["keepalived", "-n", "-D", "-C", "-f", str(config), "-p", "/run/tmp/ka.pid", "-c", "/run/tmp/kac.pid"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        while not whole(servers):
            assert daemon.poll() is None, "keepalived ended"
            assert time.perf_counter() - start < 120, "keepalived takes too long"
            time.sleep(KEEPALIVED_POLL_S)
        made = time.perf_counter() - start
        daemon.terminate()
    return {"make": made}


def whole(servers: int) -> bool:
    """Whether all the real servers are in the table."""
    return Path("/proc/thread-self/net/ip_vs").read_text().count("  -> ") == servers + 1


# --- a large table and its keeper ----------------------------------------------------------------------------------------------


class Counting(KernelIpvs):
    """The kernel's table; how many operations were sent to it, and how long its answers took."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.reading_s = 0.0

    async def read(self) -> Table:
        seconds, table = await timed(super().read)
        self.reading_s += seconds
        return table

    async def apply(self, operations: Sequence[Operation]) -> tuple[Refusal, ...]:
        self.sent += len(operations)
        return await super().apply(operations)


async def timed(work: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    """How long it took, and what came out."""
    start = time.perf_counter()
    result = await work()
    return time.perf_counter() - start, result


def measure_keeper(services: int, servers: int) -> Figures:
    """The agent's reconciler with an lvs.cf of that size: from nothing, with nothing to do, and with one weight to change."""
    return asyncio.run(_measure_keeper(services, servers))


async def _measure_keeper(services: int, servers: int) -> Figures:
    text = make_file(services, servers)
    configuration_s, configuration = await timed(
        lambda: read_configuration(ConfigFile(text.encode(), "", exists=True), Names(SystemClock()))
    )
    sides = Sides()
    sides.update(dict.fromkeys(configuration.expansion.check_pool, True))
    plane = Counting()
    keeper = TableKeeper(plane, sides, Path("/run/tmp/owned.json"))
    adopt_s, outcome = await timed(lambda: keeper.adopt(configuration.expansion))
    assert plane.sent == len(outcome.operations) == services + servers
    figures = {"configuration": configuration_s, "adopt": adopt_s}
    say(f"large table made: {figures}")
    settled()  # as the agent does
    figures |= await _measure_no_op(keeper, plane)
    rounds = [await _measure_change(keeper, plane, with_one_weight(configuration.config, 1000 + number), sides) for number in range(ROUNDS)]
    return figures | medians(rounds)


async def _measure_no_op(keeper: TableKeeper, plane: Counting) -> Figures:
    """Medians of whole passes that find everything as it should be."""
    rounds = []
    for _ in range(ROUNDS):
        sent, plane.reading_s, cpu = plane.sent, 0.0, time.process_time()
        pass_s, outcome = await timed(keeper.reconcile)
        assert not outcome.operations
        assert plane.sent == sent
        rounds.append({"no_op": pass_s, "no_op_cpu": time.process_time() - cpu, "no_op_beyond": pass_s - plane.reading_s})
    return medians(rounds)


async def _measure_change(keeper: TableKeeper, plane: Counting, config: Config, sides: Sides) -> Figures:
    """One weight: planned, sent, and the table read again; exactly one write, and what is wanted is what the kernel has."""
    changed = expand(config, lambda _name: None)
    plane.reading_s = 0.0
    dry_s, (planned, before) = await timed(lambda: keeper.preview(changed, sides))
    plan_s = dry_s - plane.reading_s
    assert len(planned) == 1
    sent, plane.reading_s = plane.sent, 0.0
    whole_s, outcome = await timed(lambda: keeper.adopt(changed))
    beyond_s = whole_s - plane.reading_s
    assert list(outcome.operations) == planned
    assert settings(await plane.read()) == settings(decide_all(changed, sides, before))
    figures = {"plan": plan_s, "change": whole_s, "change_beyond": beyond_s, "writes": plane.sent - sent}
    say(f"one weight: {figures}")
    return figures


def settings(table: Table) -> dict[ServiceKey, tuple[Service, dict[ServerKey, Server]]]:
    """A table without its counters."""
    return {key: (entry.service, dict(entry.servers)) for key, entry in table.items()}


# --- in the guest, and on the host ---------------------------------------------------------------------------------------------


def medians(rounds: Sequence[Figures]) -> Figures:
    """Figure by figure."""
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def inside() -> None:
    """In the guest: measure each in a network namespace, and so a table, of its own; the rivals take turns."""
    rivals = {"ours": measure_ours, "floor": measure_floor, "ipvsadm": measure_ipvsadm, "keepalived": measure_keepalived}
    rounds: dict[str, list[Figures]] = {name: [] for name in rivals}
    for number in range(ROUNDS + 1):
        for name, work in rivals.items():
            with net.fresh_namespace():
                found = work(*SMALL)
            say(f"round {number}, {name}: {found}")
            if number:  # the first one warms the guest's memory up
                rounds[name].append(found)
    results = {name: medians(found) | {"best": min(one["make"] for one in found)} for name, found in rounds.items()}
    large = {"large": measure_ours, "large floor": measure_floor, "keeper": measure_keeper}
    for name, work in large.items():
        with net.fresh_namespace():
            results[name] = work(*LARGE)
        say(f"{name}: {results[name]}")
    (Path(os.environ["LAB_DIR"]) / "figures").write_text(json.dumps(results))


def shown(seconds: float) -> str:
    """Seconds, or milliseconds when they are few."""
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def verdict(*, met: bool) -> str:
    """Whether a goal was met."""
    return "met" if met else "**missed**"


def from_nothing(figures: dict[str, Figures]) -> list[str]:
    """The first table: beside the others."""

    def cell(name: str, what: str) -> str:
        return shown(figures[name][what]) if what in figures[name] else "–"

    rows = [
        ("1,000 virtual × 10 real servers, made from nothing", "make", ("ours", "floor", "ipvsadm", "keepalived")),
        ("of that the kernel's, once the messages are packed", "sent", ("ours", "floor", "ipvsadm", "keepalived")),
        ("that table read back, with counters", "read", ("ours", "floor", "ipvsadm", "keepalived")),
        (f"{VIRTUAL:,} virtual, {REAL:,} real servers, made from nothing", "make", ("large", "large floor")),
        ("that table read back, with counters", "read", ("large", "large floor")),
    ]
    lines = ["| what | lvsagent | packed by hand | ipvsadm (`-R`, `-S`) | keepalived |", "| --- | --- | --- | --- | --- |"]
    for words, what, names in rows:
        cells = [cell(name, what) for name in names] + ["–"] * (4 - len(names))
        lines.append(f"| {words} | {' | '.join(cells)} |")
    ours, rival = figures["ours"]["make"], figures["keepalived"]["make"]
    best, floor = figures["ours"]["best"], figures["floor"]["best"]
    times_met = verdict(met=best <= GOAL_TIMES_FLOOR * floor)
    goals = (
        f"Goals: at most keepalived's time: {verdict(met=ours <= rival)}; at most {GOAL_TIMES_FLOOR} times messages packed by hand, and "
        f"nothing else: {shown(best)} and {shown(floor)} in the best rounds, {best / floor:.2f} times, {times_met}."
    )
    return [
        *lines,
        "",
        goals,
    ]


def at_work(found: Figures) -> list[str]:
    """The second table: the reconciler."""
    plan_met = found["plan"] <= GOAL_PLAN_S
    rows = [
        ("lvs.cf read and understood", shown(found["configuration"]), ""),
        ("the table made of it, and read back", shown(found["adopt"]), ""),
        ("a whole pass with nothing to do", shown(found["no_op"]), ""),
        ("its CPU", shown(found["no_op_cpu"]), f"at most {GOAL_NO_OP_CPU_S:g} s: {verdict(met=found['no_op_cpu'] <= GOAL_NO_OP_CPU_S)}"),
        ("beyond reading the table", shown(found["no_op_beyond"]), ""),
        (
            "one weight changed: the plan, beyond reading the table",
            shown(found["plan"]),
            f"at most {GOAL_PLAN_S:g} s: {verdict(met=plan_met)}",
        ),
        ("planned, written and read back", shown(found["change"]), ""),
        ("of that beyond reading the table twice", shown(found["change_beyond"]), ""),
        ("writes for it", f"{found['writes']:.0f}", f"exactly 1: {verdict(met=found['writes'] == 1)}"),
    ]
    return ["| what | | goal |", "| --- | ---: | --- |", *(f"| {' | '.join(row)} |" for row in rows)]


def tables(figures: dict[str, Figures]) -> str:
    """The figures as Markdown."""
    return "\n".join(
        [
            "## The kernel's table",
            "",
            f"In one boot of User-Mode Linux (its system calls are slow; compare within the table only); medians of {ROUNDS} rounds.",
            "",
            *from_nothing(figures),
            "",
            f"The agent's reconciler with {VIRTUAL:,} virtual and {REAL:,} real servers, in the same boot:",
            "",
            *at_work(figures["keeper"]),
        ]
    )


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
        print(guest.last_words(), file=sys.stderr)
        if status:
            return status
        print(tables(json.loads((guest.folder / "figures").read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
