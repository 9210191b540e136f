"""failover: 100,000 bad days of two directors in the simulation, and what a step of the machine costs.

The histories are split over the processors.  A broken promise is an error, printed with the seed that replays it.
"""

from __future__ import annotations

import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from time import perf_counter, process_time

from lvsagent.core.failover import Heard, Machine, Send, Settings, Started, Tick
from tests.unit.lvsagent.simulation import broken_promises
from tests.unit.lvsagent.test_failover_simulation import FIRST_SEED, HISTORIES

WANTED = 100_000
CHUNK = 500
BEATS = 20_000
ROUNDS = 7


def main() -> int:
    """Print the table; 1 when a promise was broken."""
    print("## Failover: the simulation\n")
    began = perf_counter()
    broken = histories(range(FIRST_SEED + HISTORIES, FIRST_SEED + HISTORIES + WANTED))
    took_s = perf_counter() - began
    steps_us = sorted(step_us() for _ in range(ROUNDS))
    print("| what | figure |\n| --- | --- |")
    print(f"| histories of two directors over a bad network (other seeds than the tests') | {WANTED:,} in {took_s:.0f} s |")
    print(f"| broken promises | {len(broken)} |")
    print(f"| a step of the machine, a beat heard or sent, median of {ROUNDS} | {statistics.median(steps_us):.0f} µs |")
    for seed, words in sorted(broken.items())[:20]:
        print(f"\n`python -m tests.unit.lvsagent.simulation {seed}`: {words}")
    return bool(broken)


def histories(seeds: range) -> dict[int, str]:
    """Play them all; the seeds of those that break a promise, and which."""
    broken: dict[int, str] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        chunks = [pool.submit(chunk, seeds[start : start + CHUNK]) for start in range(0, len(seeds), CHUNK)]
        for done, finished in enumerate(as_completed(chunks), 1):
            broken |= finished.result()
            if done % 10 == 0 or done == len(chunks):
                print(f"\r{done * CHUNK:,} of {len(seeds):,} histories, {len(broken)} broken ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return broken


def chunk(seeds: range) -> dict[int, str]:
    """A part of them, in one process."""
    return {seed: broken[0] for seed in seeds if (broken := broken_promises(seed))}


def step_us() -> float:
    """Processor time of one step, of two directors that hear each other."""
    paths = ("public", "private")
    pair = [
        Machine(Settings(identity=identity, redundant=True, keepalive_s=0.1, deadtime_s=0.3, paths=paths), identity)
        for identity in ("primary", "backup")
    ]
    for machine in pair:
        machine.handle(Started(), 0.0)
    steps, began = 0, process_time()
    for beat in range(1, BEATS // 2):
        now = beat * 0.1
        for sender, receiver in ((pair[0], pair[1]), (pair[1], pair[0])):
            steps += 1
            for command in sender.handle(Tick(), now):
                if isinstance(command, Send):
                    for path in paths:
                        steps += 1
                        receiver.handle(Heard(path, command.beat), now)
    return (process_time() - began) / steps * 1e6


if __name__ == "__main__":
    sys.exit(main())
