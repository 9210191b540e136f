"""``make bench``: run every piece, or those named, and write their tables into docs/benchmarks.md.

A piece is a module ``bench.<name>_bench`` that prints Markdown on standard output and its progress on standard error; a number that misses
its goal is said in the table, not hidden.  This module owns the file's frame: the machine's description and one section a piece.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "benchmarks.md"
FRAME = """\
# Benchmarks

Written by `make bench`; figures of different machines cannot be compared, those of one table were measured in one run.

"""
SECTION = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def machine() -> str:
    """This machine in a line: processor, how many of them, memory, kernel, Python."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = round(int(memory.group(1)) / 1024**2) if memory else 0
    name = cpu.group(1).strip() if cpu else platform.machine()
    return (
        f"{name}, {os.cpu_count()} processors, {gigabytes} GB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}; {datetime.now(UTC):%Y-%m-%d}"
    )


def main() -> int:
    """Run the pieces one after another; 1 when one could not be run."""
    pieces = sorted(path.stem.removesuffix("_bench") for path in HERE.glob("*_bench.py"))
    parser = argparse.ArgumentParser(prog="make bench", description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"one of: {', '.join(pieces)} (default: all)")
    wanted = parser.parse_args().pieces or pieces
    unknown = sorted(set(wanted) - set(pieces))
    if unknown:
        parser.error(f"no such piece: {', '.join(unknown)} (there are: {', '.join(pieces)})")
    sections = dict(SECTION.findall(RESULTS.read_text())) if RESULTS.exists() else {}
    failed = []
    for piece in wanted:
        print(f"--- {piece}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{piece}_bench"], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            failed.append(piece)
            continue
        print(done.stdout)
        sections[piece] = f"{done.stdout.strip()}\n\n*{machine()}*\n"
        RESULTS.write_text(FRAME + "\n".join(f"<!-- {name} -->\n{text}<!-- end -->\n" for name, text in sorted(sections.items())))
    if failed:
        print(f"make bench: could not be measured: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
