"""A whole agent with a large table: its memory as the table grows, and what its partner's heartbeats notice of it.

In one boot of User-Mode Linux: the real agent on an active director, with its table in the kernel and every real server checked, beside a
standby that counts the heartbeats it misses.  Prints a table and draws docs/memory.svg.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.kernel_bench import verdict
from bench.lvscf_bench import REAL, VIRTUAL
from bench.nanny_bench import resident_mib, ticks
from bench.plot import line_chart
from tests.kernel import cluster as lab
from tests.kernel import net, two_directors, uml
from tests.kernel.two_directors import Director
from tests.waiting import until

LIMIT_S = 1200.0
MEMORY = "3072M"
DISK = "512m"
PICTURE = Path(__file__).parent.parent / "docs" / "memory.svg"
SIZES = (0, 2_000, 5_000, 10_000, 20_000, REAL)
PORTS = 99
"""Virtual servers of one address."""
CHECK_INTERVAL_S = 240
PASSES_S = 60.0
RECONCILE_S = 5.0
PATIENCE_S = 240.0
PROCESSES = ("lvsd", "nanny", "pulse")

Figures = dict[str, float]


def say(words: str) -> None:
    """Progress, in the guest's output."""
    print(words, flush=True)


def lvs_cf(real: int, weight: int = 1) -> str:
    """Both directors' settings, and a site of that size; ``weight`` is that of its first real server."""
    virtual = round(real * VIRTUAL / REAL)
    blocks = []
    for index in range(virtual):
        lines = [
            f"virtual service{index:04d} {{",
            "     active = 1",
            f"     address = 192.0.2.{100 + index // PORTS} eth1:{index // PORTS}",
            f"     port = {1000 + index % PORTS}",
            "     scheduler = wlc",
            f"     timeout = {CHECK_INTERVAL_S}",
            "     check_timeout = 20",
        ]
        for number in range(real * index // virtual, real * (index + 1) // virtual):
            lines += [
                f"     server server{number:05d} {{",
                f"         address = 172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",
                "         active = 1",
                "         port = 8080",
                f"         weight = {weight if number == 0 else 1}",
                "     }",
            ]
        blocks.append("\n".join([*lines, "}\n"]))
    return two_directors.lvs_cf(services=blocks) if blocks else two_directors.lvs_cf(services=[""])


def answer() -> int:
    """Somebody on the director itself who takes the calls for all real servers; the process id."""
    with net.namespace("lefty"):
        net.ip("route add local 172.16.0.0/12 dev lo")
        listener = socket.create_server(("0.0.0.0", 8080), backlog=4096)  # noqa: S104 -- every address of 172.16.0.0/12 is a real server
    pid = lab.forked(lambda: _accept(listener))
    listener.close()
    return pid


def _accept(listener: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            selector.select()
            listener.accept()[0].close()


@contextlib.contextmanager
def directors() -> Iterator[tuple[Director, Director]]:
    """The active one, which will have the large table, and a standby without virtual servers that hears its heartbeats."""
    key = secrets.token_hex(32)
    with two_directors.running():
        # All the real servers are on the director itself, so that every check passes the queue that heartbeats pass too.
        net.sysctl("net/core/netdev_max_backlog", "100000")
        lefty, righty = (Director(name, lvs_cf(0), key, "standby_checks = false\n") for name in two_directors.DIRECTORS)
        answering = answer()
        try:
            for director in (lefty, righty):
                text = director.settings.read_text()  # the tests have it look each second
                director.settings.write_text(text.replace("reconcile_interval = 1\n", f"reconcile_interval = {RECONCILE_S}\n"))
                net.output("mount", "-o", f"remount,size={DISK}", str(director.folder))
                director.launch()
            for director in (lefty, righty):
                until(director.answers, PATIENCE_S, director.log)
            until(lambda: lefty.role == "active" and righty.role == "standby", PATIENCE_S, lefty.log)
            yield lefty, righty
        finally:
            for director in (lefty, righty):
                director.close()
            lab.killed(answering)


def served(director: Director, real: int) -> bool:
    """Whether that many real servers are in the kernel's table."""
    with net.namespace(director.director):
        return Path("/proc/thread-self/net/ip_vs").read_text().count("  -> ") == real + 1


def beats(director: Director) -> tuple[int, int]:
    """Heartbeats that it received and that it missed, on all links."""
    links = director.client.state().role.links
    return sum(link.received for link in links), sum(link.lost for link in links)


def grow(lefty: Director, real: int) -> Figures:
    """Accept a site of that size; how long until the table is whole, and the memory of each process then."""
    start = time.monotonic()
    lefty.put(lvs_cf(real))
    accepted_s = time.monotonic() - start
    until(lambda: served(lefty, real), PATIENCE_S, lambda: f"{lefty.state()}\n{lefty.log()}")
    served_s = time.monotonic() - start
    time.sleep(2 * RECONCILE_S)  # a whole pass and a sample of the counters belong to the memory in use
    pids = lefty.pids()
    return {"real": real, "accepted": accepted_s, "served": served_s} | {name: resident_mib(pids[name]) for name in PROCESSES}


def rest(lefty: Director, righty: Director) -> Figures:
    """With nothing to do: lvsd's CPU a pass, and the beats that the standby missed."""
    pid = lefty.pids()["lvsd"]
    heard, lost, used, start = *beats(righty), ticks([pid]), time.monotonic()
    time.sleep(PASSES_S)
    elapsed_s = time.monotonic() - start
    heard_after, lost_after = beats(righty)
    return {
        "cpu_a_pass": (ticks([pid]) - used) / (elapsed_s / RECONCILE_S),
        "heard": heard_after - heard,
        "lost": lost_after - lost,
    }


def inside() -> None:
    """In the guest: grow, rest, change one weight."""
    with directors() as (lefty, righty):
        growth = []
        before = beats(righty)
        for real in SIZES:
            growth.append(grow(lefty, real))
            say(f"{growth[-1]}, beats heard and lost: {beats(righty)}")
        at_rest = rest(lefty, righty)
        say(f"at rest: {at_rest}")
        changing = beats(righty)
        start = time.monotonic()
        lefty.put(lvs_cf(REAL, weight=7))
        changed_s = time.monotonic() - start
        after = beats(righty)
        figures = {
            "growth": growth,
            "rest": at_rest,
            "change": {"seconds": changed_s, "heard": after[0] - changing[0], "lost": after[1] - changing[1]},
            "whole": {"heard": after[0] - before[0], "lost": after[1] - before[1]},
            "moved": float(lefty.role != "active"),
        }
    (Path(os.environ["LAB_DIR"]) / "figures").write_text(json.dumps(figures))


def a_server(growth: list[Figures], name: str) -> float:
    """KiB a real server, from the empty table to the largest."""
    first, last = growth[0], growth[-1]
    return (last[name] - first[name]) * 1024 / (last["real"] - first["real"])


def tables(figures: dict[str, object]) -> str:
    """The figures as Markdown."""
    growth, at_rest, change, whole = (figures[name] for name in ("growth", "rest", "change", "whole"))
    assert isinstance(growth, list)
    assert isinstance(at_rest, dict)
    assert isinstance(change, dict)
    assert isinstance(whole, dict)
    lines = [
        "## A whole agent with a large table",
        "",
        "In one boot of User-Mode Linux with one processor, all real servers checked; a standby counts heartbeats (each 0.1 s, two links).",
        "",
        "![Memory as the table grows](memory.svg)",
        "",
        "| real servers | accepted after | all in the table after | lvsd | nanny | pulse |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in growth:
        memory = " | ".join(f"{one[name]:.0f} MiB" for name in PROCESSES)
        lines.append(f"| {one['real']:,.0f} | {one['accepted']:.1f} s | {one['served']:.1f} s | {memory} |")
    each = ", ".join(f"{name} {a_server(growth, name):.1f} KiB" for name in PROCESSES)
    lost_met = verdict(met=not whole["lost"] and not figures["moved"])
    idle = f"{at_rest['cpu_a_pass']:.2f} s of CPU every {RECONCILE_S:g} s"
    return "\n".join(
        [
            *lines,
            "",
            f"Memory a real server: {each}.",
            "",
            f"With {REAL:,} real servers: all of lvsd's work with nothing to do, counters sampled, takes {idle}.",
            f"One weight accepted, written to disk, history and kernel, and read back: {change['seconds']:.1f} s.",
            "",
            f"Heartbeats heard all the while: {whole['heard']:,}, lost: {whole['lost']} (goal: none): {lost_met}.",
        ]
    )


def draw(growth: list[Figures]) -> None:
    """docs/memory.svg."""
    lines = {name: [(one["real"], one[name]) for one in growth] for name in PROCESSES}
    PICTURE.write_text(line_chart("Memory of the agent's processes", "real servers", "MiB", lines))


def main() -> int:
    """On the host: boot, wait, print, draw."""
    if "LAB_DIR" in os.environ:
        inside()
        return 0
    if why_not := uml.missing():
        print(f"scale: {why_not}", file=sys.stderr)
        return 1
    with uml.Guest(limit_s=LIMIT_S, memory=MEMORY) as guest:
        guest.start(run="bench.scale_bench")
        status = guest.wait()
        print(guest.last_words(), file=sys.stderr)
        if status:
            return status
        figures = json.loads((guest.folder / "figures").read_text())
    draw(figures["growth"])
    print(tables(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
