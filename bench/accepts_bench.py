"""A thousand accepts back to back on the active one of two directors, keepalive 0.1 s: does a heartbeat stay away?

Two real agents on loopback with the userspace data plane.  What counts is the standby's own count of the heartbeats that it misses.
"""

from __future__ import annotations

import re
import sys
from time import perf_counter

from tests.pair import KEEPALIVE_S, Pair, running_pair

ACCEPTS = 1000


def say(words: str) -> None:
    """Progress."""
    print(words, file=sys.stderr, flush=True)


def lost(pair: Pair) -> dict[str, int]:
    """What the standby missed so far, by link."""
    return {link.name: link.lost for link in pair.righty.client.state().role.links}


def measure(pair: Pair) -> tuple[dict[str, int], int, float]:
    """Heartbeats lost by link, heartbeats received, and seconds."""
    before = lost(pair)
    config = pair.lefty.client.config()
    text, etag = config.text, config.etag
    since = perf_counter()
    for number in range(ACCEPTS):
        text = re.sub(r"serial_no = \d+", f"serial_no = {number + 2}", text)
        etag = pair.lefty.client.put_config(text, if_match=etag).etag
    elapsed_s = perf_counter() - since
    received = sum(link.received for link in pair.righty.client.state().role.links)
    return {name: count - before[name] for name, count in lost(pair).items()}, received, elapsed_s


def main() -> int:
    """One row."""
    say(f"{ACCEPTS} accepts back to back, keepalive {KEEPALIVE_S} s")
    with running_pair() as pair:
        pair.wait_until_settled(pair.lefty)
        missed, received, elapsed_s = measure(pair)
        moved = pair.active() is not pair.lefty
    total = sum(missed.values())
    print(f"## {ACCEPTS:,} accepts back to back on the active director")
    print()
    print(f"Keepalive {KEEPALIVE_S} s, two heartbeat links. Goal: no heartbeat lost, the role stays.")
    print()
    print("| accepts | seconds | heartbeats received | lost | role moved | goal |")
    print("| ---: | ---: | ---: | ---: | --- | --- |")
    goal = "met" if not total and not moved else "**missed**"
    print(f"| {ACCEPTS} | {elapsed_s:.1f} | {received} | {total} | {'yes' if moved else 'no'} | {goal} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
