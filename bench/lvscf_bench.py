"""How fast lvs.cf is read and written at the size of a large site: 2,277 virtual and 37,205 real servers, and a tenth of that.

``python -m bench.lvscf_bench [RESULTS.json]`` prints a table, and writes the figures as JSON when a path is given.  Each size runs in a
process of its own, so that memory is its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from app.lvscf import Config, parse, read, validate, write

VIRTUAL, REAL = 2277, 37205
ROUNDS = 5
LIMITS = {"load_s": 2.0, "write_s": 0.3, "memory_mb": 400.0}
ROWS = {
    "parse_s": "parse",
    "read_s": "read",
    "validate_s": "validate",
    "load_s": "all three",
    "write_s": "one weight changed, written",
    "memory_mb": "memory of the process",
}

T = TypeVar("T")


def make_file(virtual: int, real: int) -> str:
    """An lvs.cf of this size, with distinct addresses, as the GUI would have written it."""
    lines = ["serial_no = 1", "primary = 192.0.2.11", "service = lvs", "network = direct", "keepalive = 6", "deadtime = 18"]
    made = 0
    for index in range(virtual):
        lines += [
            f"virtual service{index:05d} {{",
            "     active = 1",
            f"     address = 10.{index >> 8}.{index & 255}.1 eth0:{index}",
            "     port = 80",
            '     send = "GET / HTTP/1.0\\r\\n\\r\\n"',
            '     expect = "HTTP"',
            "     use_regex = 0",
            "     load_monitor = none",
            "     scheduler = wlc",
            "     protocol = tcp",
            "     timeout = 6",
            "     reentry = 15",
            "     quiesce_server = 0",
        ]
        until = real * (index + 1) // virtual
        for number in range(made, until):
            lines += [
                f"     server server{number:05d} {{",
                f"         address = 172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",
                "         active = 1",
                "         port = 80",
                f"         weight = {1 + number % 100}",
                "     }",
            ]
        made = until
        lines.append("}")
    return "\n".join(lines) + "\n"


def with_one_weight(config: Config, weight: int) -> Config:
    """The configuration with the weight of one server in the middle changed."""
    middle = len(config.virtual) // 2
    virtual = config.virtual[middle]
    servers = (dataclasses.replace(virtual.servers[0], weight=weight), *virtual.servers[1:])
    changed = dataclasses.replace(virtual, servers=servers)
    return dataclasses.replace(config, virtual=(*config.virtual[:middle], changed, *config.virtual[middle + 1 :]))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """How long it took, and what came out."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def one_round(text: str, weight: int) -> dict[str, float]:
    """Seconds of each step, once; ``cpu_s`` is the processor's share of reading, which other work on the machine disturbs least."""
    cpu_start = time.process_time()
    parse_s, document = timed(lambda: parse(text))
    read_s, reading = timed(lambda: read(document))
    validate_s, _ = timed(lambda: validate(reading.config, document))
    cpu_s = time.process_time() - cpu_start
    new = with_one_weight(reading.config, weight)
    write_s, written = timed(lambda: write(document, new))
    assert len(written) - len(text) in range(5)
    load_s = parse_s + read_s + validate_s
    return {"parse_s": parse_s, "read_s": read_s, "validate_s": validate_s, "write_s": write_s, "load_s": load_s, "cpu_s": cpu_s}


def measure(virtual: int, real: int) -> dict[str, float]:
    """The best of some rounds, in seconds, and the most memory that this process ever had."""
    text = make_file(virtual, real)
    best: dict[str, float] = {}
    for weight in range(1000, 1000 + ROUNDS):
        gc.collect()
        best = {name: min(figure, best.get(name, figure)) for name, figure in one_round(text, weight).items()}
    best["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    best["lines"] = text.count("\n")
    return best


def in_own_process(virtual: int, real: int) -> dict[str, float]:
    """``measure`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.lvscf_bench", "--measure", str(virtual), str(real)], check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure both sizes, print the table (which says what misses its goal), write the figures."""
    options = argparse.ArgumentParser(description="lvs.cf at the size of a large site")
    options.add_argument("results", nargs="?", type=Path, help="write the figures here, as JSON")
    options.add_argument("--measure", nargs=2, type=int, metavar=("VIRTUAL", "REAL"), help=argparse.SUPPRESS)
    chosen = options.parse_args(argv)
    if chosen.measure:
        print(json.dumps(measure(*chosen.measure)))
        return 0
    small, large = in_own_process(VIRTUAL // 10, REAL // 10), in_own_process(VIRTUAL, REAL)
    growth = large["cpu_s"] / small["cpu_s"]
    print(f"## lvs.cf with {VIRTUAL:,} virtual and {REAL:,} real servers\n\n{large['lines']:,.0f} lines; best of {ROUNDS} rounds.\n")
    print("| | a tenth of it | whole | goal |\n| --- | ---: | ---: | --- |")
    for name, label in ROWS.items():
        unit = "MB" if name == "memory_mb" else "s"
        goal = f"at most {LIMITS[name]:g} {unit}: {'met' if large[name] <= LIMITS[name] else '**missed**'}" if name in LIMITS else ""
        print(f"| {label} | {small[name]:.3f} {unit} | {large[name]:.3f} {unit} | {goal} |")
    print(f"| growth of the processor time at ten times the size | | {growth:.1f} × | linear: about 10 × |")
    if chosen.results is not None:
        figures = {"virtual": VIRTUAL, "real": REAL, "tenth": small, "whole": large, "growth": growth, "limits": LIMITS}
        chosen.results.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
