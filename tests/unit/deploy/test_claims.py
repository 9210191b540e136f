"""Demonstrations that start in the same moment: no two have a port in common."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from deploy.demo.__main__ import _choose_ports
from deploy.demo.claims import Claims
from deploy.demo.cluster import CONSOLE, VIP, Ports, next_free
from tests.waiting import until

FAR = Ports(console=28600, peer_console=28601, web=28700, heartbeat=28800)


def test_many_that_choose_at_once_all_choose_differently() -> None:
    barrier = Barrier(8)
    everybody = [Claims() for _ in range(8)]

    def choose(claims: Claims) -> Ports:
        barrier.wait()
        return _choose_ports(FAR, claims)

    with ThreadPoolExecutor(8) as threads:
        chosen = list(threads.map(choose, everybody))
    for claims in everybody:
        claims.__exit__(None, None, None)
    assert len({port for ports in chosen for port in (ports.console, ports.peer_console)}) == 16
    for ports in zip(*((one.web, one.offset, one.heartbeat) for one in chosen), strict=True):
        assert len(set(ports)) == 8


def test_a_claim_ends_with_its_demonstration_and_takes_all_addresses_or_none() -> None:
    with Claims() as first, Claims() as second:
        assert first.take([CONSOLE], 28900)
        assert not second.take([VIP, CONSOLE], 28900)
        with Claims() as third:
            assert third.take([VIP], 28900), "the second has kept nothing"
    with Claims() as again:
        assert again.take([VIP, CONSOLE], 28900)


def test_a_claim_ends_with_a_demonstration_that_is_killed() -> None:
    holds = "from deploy.demo.claims import Claims; c = Claims(); print(c.take(['127.0.0.1'], 28901), flush=True); input()"
    with (
        subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
        Claims() as ours,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert next_free([CONSOLE], 28901, claims=ours) > 28901
        other.kill()
        other.wait()
        until(lambda: ours.take([CONSOLE], 28901), 5)
