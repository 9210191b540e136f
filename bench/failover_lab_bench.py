"""Two directors: how long nobody answers when one crashes, steps down, loses a cable or has its processes killed; beside keepalived.

All in one boot of User-Mode Linux, both at the same interval, seen by a client that starts a request every 20 ms; a crash also at
Piranha's own interval.  After that, a director pair under load: the processor saturated by other work and 30 % of all packets lost, and
how often the role moved (it must not).  ``FAILOVER_ROUNDS`` and ``FAILOVER_LOAD_S`` change how often and how long.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lvsagent.client import AgentRefused
from tests.kernel import cluster as lab
from tests.kernel import keepalived_pair, net, two_directors, uml
from tests.kernel.gap import GapClient, Seen
from tests.kernel.keepalived_pair import KeepalivedPair
from tests.kernel.two_directors import Pair
from tests.waiting import until

LIMIT_S = 2700.0
ROUNDS = 7
LOAD_S = 60.0
INTERVAL_S = 0.1
PIRANHAS_INTERVAL_S, PIRANHAS_DEADTIME_S = 6.0, 18.0
PATIENCE_S = 60.0
RESTART_AFTER_S = 0.5
LOSS = "30%"
HOGS = 2
HELD_UP_S = 0.05
SETTINGS = ("monitor_links = 1",)
BEFORE_S, AFTER_S = 0.3, 1.5
"""How long the client asks before anything happens, and after all is well again."""

Figures = dict[str, list[Seen]]
SLOW_CRASH = "crash at Piranha's numbers"


def pause(seconds: float) -> None:
    """Let the client ask for a while: the only thing here that takes a fixed time."""
    time.sleep(seconds)


@contextmanager
def watched(found: list[Seen]) -> Iterator[None]:
    """A client asks meanwhile; what it saw is added."""
    client = GapClient()
    try:
        pause(BEFORE_S)
        yield
        pause(AFTER_S)
    finally:
        seen = client.stop()
    found.append(seen)


def clean(found: list[Seen]) -> list[Seen]:
    """Those in which the client itself was not held up: the others tell more about the machine than about the directors.

    Beside a gap of many seconds a moment more is nothing.
    """
    return [seen for seen in found if seen.standstill_s <= max(HELD_UP_S, seen.longest_gap_s / 20)]


def enough(found: list[Seen], rounds: int) -> bool:
    return len(clean(found)) >= rounds or len(found) >= 2 * rounds


# --- ours ------------------------------------------------------------------------------------------------------------------------


def measure_ours(rounds: int) -> Figures:
    """Each kind of failover, ``rounds`` times."""
    kinds: dict[str, Callable[[Pair, list[Seen]], None]] = {
        "step down": step_down,
        "link cut": link_cut,
        "restart": restart,
        "crash": crash,
    }
    figures: Figures = {}
    with two_directors.pair(two_directors.lvs_cf(*SETTINGS)) as pair:
        for kind, work in kinds.items():
            figures[kind] = []
            while not enough(figures[kind], rounds):
                pair.settle()
                with contextlib.suppress(AgentRefused):  # the role moved in between: the guest stood still for longer than the dead time
                    work(pair, figures[kind])
            say("lvsagent", kind, figures[kind])
    return figures


def measure_ours_at_piranhas(rounds: int) -> Figures:
    """A crash, at the numbers of Piranha's screens."""
    text = two_directors.lvs_cf().replace("keepalive = 0.1", f"keepalive = {PIRANHAS_INTERVAL_S:g}")
    figures: Figures = {SLOW_CRASH: []}
    with two_directors.pair(text.replace("deadtime = 0.3", f"deadtime = {PIRANHAS_DEADTIME_S:g}")) as pair:
        while not enough(figures[SLOW_CRASH], rounds):
            pair.settle()
            crash(pair, figures[SLOW_CRASH])
    say("lvsagent", SLOW_CRASH, figures[SLOW_CRASH])
    return figures


def step_down(pair: Pair, found: list[Seen]) -> None:
    """Planned."""
    active = pair.active
    with watched(found):
        active.client.failover("step_down", actor="the bench")


def link_cut(pair: Pair, found: list[Seen]) -> None:
    """The active director's public cable is pulled."""
    active = pair.active
    with watched(found):
        two_directors.cut(active.director, "pub")
    two_directors.heal(active.director, "pub")


def restart(pair: Pair, found: list[Seen]) -> None:
    """All of the active director's processes are killed, and started again half a second later."""
    active = pair.active
    with watched(found):
        active.kill_all()
        pause(RESTART_AFTER_S)
        active.start()


def crash(pair: Pair, found: list[Seen]) -> None:
    """The active director is gone without a word."""
    active, other = pair.active, pair.standby
    with watched(found):
        active.crash()
        until(lambda: other.role == "active", PATIENCE_S, pair.words)
    two_directors.release(active.director)
    active.start()


# --- keepalived ------------------------------------------------------------------------------------------------------------------


def measure_keepalived(rounds: int) -> Figures:
    """The same kinds; a planned step down is keepalived's own end."""
    kinds: dict[str, Callable[[KeepalivedPair, list[Seen]], None]] = {
        "step down": keepalived_step_down,
        "link cut": keepalived_link_cut,
        "restart": keepalived_restart,
        "crash": keepalived_crash,
    }
    figures: Figures = {}
    with keepalived_pair.running(INTERVAL_S) as pair:
        for kind, work in kinds.items():
            figures[kind] = []
            while not enough(figures[kind], rounds):
                pair.settle()
                work(pair, figures[kind])
            say("keepalived", kind, figures[kind])
    return figures


def measure_keepalived_at_piranhas(rounds: int) -> Figures:
    """A crash, with adverts at Piranha's interval; keepalived waits for three of them and a little more."""
    figures: Figures = {SLOW_CRASH: []}
    with keepalived_pair.running(PIRANHAS_INTERVAL_S) as pair:
        while not enough(figures[SLOW_CRASH], rounds):
            pair.settle()
            keepalived_crash(pair, figures[SLOW_CRASH])
    say("keepalived", SLOW_CRASH, figures[SLOW_CRASH])
    return figures


def keepalived_step_down(pair: KeepalivedPair, found: list[Seen]) -> None:
    active = pair.active
    with watched(found):
        active.close()
    active.start()


def keepalived_link_cut(pair: KeepalivedPair, found: list[Seen]) -> None:
    active = pair.active
    with watched(found):
        two_directors.cut(active.director, "pub")
    two_directors.heal(active.director, "pub")


def keepalived_restart(pair: KeepalivedPair, found: list[Seen]) -> None:
    active = pair.active
    with watched(found):
        active.kill_all()
        pause(RESTART_AFTER_S)
        active.start()
        pause(2 * RESTART_AFTER_S)
        pair.settle()


def keepalived_crash(pair: KeepalivedPair, found: list[Seen]) -> None:
    active = pair.active
    with watched(found):
        two_directors.swallow(active.director)
        active.kill_all()
        until(lambda: set(two_directors.holders(lab.VIP)) - {active.director}, PATIENCE_S)
    for address, device in ((lab.VIP, "eth1"), (lab.NAT_ROUTER, "eth0")):  # as after a reboot
        if active.director in two_directors.holders(address):
            with net.namespace(active.director):
                net.ip(f"address delete {address}/24 dev {device}")
    two_directors.release(active.director)
    active.start()


# --- under load ------------------------------------------------------------------------------------------------------------------


def measure_load(seconds: float) -> dict[str, float]:
    """keepalive 0.1 and deadtime 1.0, the processor saturated, packets lost both ways: how often the role moved."""
    text = two_directors.lvs_cf().replace("deadtime = 0.3", "deadtime = 1.0")
    with two_directors.pair(text) as pair:
        before = [(director.role, director.state().role.since) for director in pair]
        for name in two_directors.DIRECTORS:
            with net.namespace(name):
                for device in two_directors.DEVICES.values():
                    net.output("tc", "qdisc", "add", "dev", device, "root", "netem", "loss", LOSS)
        hogs = [lab.forked(hog) for _ in range(HOGS)]
        try:
            pause(seconds)
        finally:
            for pid in hogs:
                lab.killed(pid)
        after = [(director.role, director.state().role.since) for director in pair]
        if before != after:
            print(pair.words(), flush=True)
        lost = sum(link.lost for director in pair for link in director.state().role.links)
    return {"seconds": seconds, "moves": sum(a != b for a, b in zip(before, after, strict=True)), "lost": lost}


def hog() -> None:
    """Other people's work, at the usual priority."""
    os.nice(10)
    while True:
        pass


# --- in and around the guest -----------------------------------------------------------------------------------------------------


def say(who: str, kind: str, found: list[Seen]) -> None:
    gaps = [round(seen.longest_gap_s * 1000) for seen in found]
    failed = [len(seen.failures) for seen in found]
    print(who, kind, "gaps ms", gaps, "failed", failed, "standstill", [round(seen.standstill_s * 1000) for seen in found], flush=True)


def inside() -> None:
    """In the guest."""
    rounds, seconds = int(os.environ["LAB_ROUNDS"]), float(os.environ["LAB_SECONDS"])
    with two_directors.running():
        keepalived = measure_keepalived(rounds) | measure_keepalived_at_piranhas(rounds)
        ours = measure_ours(rounds) | measure_ours_at_piranhas(rounds)
        load = measure_load(seconds) if seconds else None
    results = {
        name: {kind: [seen.__dict__ for seen in found] for kind, found in figures.items()}
        for name, figures in (("keepalived", keepalived), ("ours", ours))
    }
    (Path(os.environ["LAB_DIR"]) / "figures").write_text(json.dumps(results | {"load": load}))


GOALS = {
    "crash": "crash of the active director",
    SLOW_CRASH: f"the same at Piranha's own numbers ({PIRANHAS_INTERVAL_S:g} and {PIRANHAS_DEADTIME_S:g} s; keepalived: adverts of 6 s)",
    "step down": "planned step down (keepalived: its own end)",
    "link cut": "the active director's public cable is pulled",
    "restart": "all processes killed, started again 0.5 s later",
}


def table(figures: dict[str, dict[str, list[dict[str, Any]]]], load: dict[str, float] | None, rounds: int) -> str:
    """The figures as Markdown."""

    def cell(name: str, kind: str) -> str:
        found = [Seen(**seen) for seen in figures[name][kind]]
        if not clean(found):
            return f"not measured: the machine stood still in all of {len(found)}"
        found = clean(found)
        gaps = sorted(seen.longest_gap_s * 1000 for seen in found)
        failed = statistics.mean(len(seen.failures) for seen in found)
        return f"{statistics.median(gaps):.0f} ms ({gaps[0]:.0f} to {gaps[-1]:.0f}), {failed:.3g} failed, n = {len(found)}"

    lines = [
        "## Two directors",
        "",
        f"The longest time without an answer, median of {rounds} or more (least to most), and how many requests a round had none in 2 s,",
        (
            "as a client sees it that starts a request every 20 ms.  Rounds in which the client itself stood still for more than"
            f" {HELD_UP_S * 1000:.0f} ms (of a gap of seconds: for more than a twentieth of it) are left out.  In one boot of User-Mode"
            " Linux; lvsagent at keepalive 0.1 / deadtime 0.3 s with monitor_links, keepalived with adverts every 0.1 s."
        ),
        "",
        "| what | lvsagent | keepalived |",
        "| --- | --- | --- |",
        *(f"| {words} | {cell('ours', kind)} | {cell('keepalived', kind)} |" for kind, words in GOALS.items()),
    ]
    if load:
        words = (
            f"False takeovers in {load['seconds']:.0f} s at keepalive 0.1 / deadtime 1.0, the processor saturated by other work and {LOSS}"
        )
        lines += ["", f"{words} of all packets lost: {load['moves']:.0f} ({load['lost']:.0f} heartbeats lost)."]
    return "\n".join(lines)


def main() -> int:
    """On the host: boot, wait, print."""
    if "LAB_DIR" in os.environ:
        inside()
        return 0
    if why_not := uml.missing():
        print(f"failover in the lab: {why_not}", file=sys.stderr)
        return 1
    rounds = int(os.environ.get("FAILOVER_ROUNDS", ROUNDS))
    with uml.Guest(limit_s=LIMIT_S) as guest:
        guest.start(run="bench.failover_lab_bench", rounds=str(rounds), seconds=os.environ.get("FAILOVER_LOAD_S", str(LOAD_S)))
        status = guest.wait()
        print((guest.folder / "output").read_text(), file=sys.stderr)
        if status:
            print(guest.last_words(), file=sys.stderr)
            return status
        figures = json.loads((guest.folder / "figures").read_text())
    load = figures.pop("load")
    print(table(figures, load, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
