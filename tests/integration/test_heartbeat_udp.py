"""The heartbeat's socket on loopback: what goes wrong is counted in words and mended by itself; and what lets pulse wake up in time."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys

import pytest

from lvsagent.adapters.heartbeat_udp import LARGEST_BYTES, HeartbeatSocket


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.31", 0))
        return int(probe.getsockname()[1])


class End:
    """One end, and all that came in there."""

    def __init__(self, local: str, peer: str, port: int) -> None:
        self.heard: list[tuple[bytes, bool]] = []
        self.more = asyncio.Event()
        self.socket = HeartbeatSocket(local, peer, port, self._hear)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self.more.clear()
                await self.more.wait()

    def _hear(self, data: bytes, from_peer: bool) -> None:
        self.heard.append((data, from_peer))
        self.more.set()


async def test_what_one_sends_the_other_hears_with_whose_it_is() -> None:
    port = free_port()
    one, other = End("127.0.0.31", "127.0.0.32", port), End("127.0.0.32", "127.0.0.31", port)
    assert other.socket.open()
    assert one.socket.send(b"beat")
    await other.until(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.33", 0))
        stranger.sendto(b"me too", ("127.0.0.32", port))
        stranger.sendto(b"x" * 5000, ("127.0.0.32", port))
    await other.until(3)
    assert other.heard == [(b"beat", True), (b"me too", False), (b"x" * LARGEST_BYTES, False)]
    for end in (one, other):
        end.socket.close()
        end.socket.close()


async def test_what_waits_can_be_taken_without_the_loop() -> None:
    port = free_port()
    one, other = End("127.0.0.31", "127.0.0.32", port), End("127.0.0.32", "127.0.0.31", port)
    other.socket.open()
    for _ in range(3):
        one.socket.send(b"beat")
    other.socket.drain()
    assert len(other.heard) == 3
    one.socket.close()
    other.socket.close()


async def test_nobody_listening_there_is_no_error() -> None:
    one = End("127.0.0.31", "127.0.0.32", free_port())
    for _ in range(5):
        assert one.socket.send(b"beat")
        one.socket.drain()
    one.socket.close()


async def test_an_address_that_is_not_there_yet_is_counted_in_words_and_stops_nothing() -> None:
    one = End("192.0.2.231", "192.0.2.232", free_port())
    assert one.socket.open()
    for _ in range(3):
        assert not one.socket.send(b"beat")
    assert one.socket.unsent == {one.socket.problem: 3}
    assert one.socket.problem in {"this host does not have the address 192.0.2.231", "there is no way to 192.0.2.232"}
    one.socket.close()


async def test_a_port_that_is_taken_is_said_and_opened_when_it_is_free() -> None:
    port = free_port()
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.31", port))
    one = End("127.0.0.31", "127.0.0.32", port)
    assert not one.socket.open()
    assert one.socket.problem == f"port {port} of 127.0.0.31 is used by another program"
    other.close()
    assert one.socket.send(b"beat")
    assert one.socket.problem == ""
    one.socket.close()


async def test_version_six() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    one = End("::1", "::1", free_port())
    if not one.socket.send(b"beat"):
        pytest.skip(one.socket.problem)
    await one.until(1)
    assert one.heard == [(b"beat", True)]
    one.socket.close()


REALTIME = """
import gc, os
from lvsagent.adapters import realtime

def policy():
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

realtime.permit()
refused = realtime.engage()
realtime.tame_collector()
pool = realtime.threads()
print(len(refused), policy(), pool.submit(policy).result(), gc.isenabled())
print("\\n".join(refused))
"""


def test_real_time_priority_is_had_or_its_absence_is_said() -> None:
    assert gc.isenabled()
    result = subprocess.run([sys.executable, "-c", REALTIME], capture_output=True, text=True, check=True)
    figures, *words = result.stdout.splitlines()
    refused, ours, threads, collecting = figures.split()
    assert collecting == "False"
    assert ours == threads
    assert (int(ours) == os.SCHED_FIFO) is not any(line.startswith("real-time priority is not permitted here") for line in words)
    assert int(refused) == len([line for line in words if line])


FORGO = """
import resource
from lvsagent.adapters import realtime
realtime.forgo()
print(resource.getrlimit(14))
"""


def test_others_and_what_they_start_can_never_have_it() -> None:
    result = subprocess.run([sys.executable, "-c", FORGO], capture_output=True, text=True, check=True)
    assert result.stdout == "(0, 0)\n"
