"""A ping without privilege, in a kernel that forbids it and then permits it."""

from __future__ import annotations

import asyncio
import os

import pytest

from lvsagent.adapters.checks import Checks
from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from tests.kernel import net

pytestmark = pytest.mark.kernel


def ping(address: str, timeout_s: float = 5) -> Outcome:
    async def run() -> Outcome:
        checks = Checks()
        try:
            return await checks.check(CheckSpec("v/one", address, 0, "icmp", Method.PING, timeout_s=timeout_s))
        finally:
            checks.close()

    return asyncio.run(run())


def test_the_kernel_decides_who_may_ping() -> None:
    with net.fresh_namespace():
        net.sysctl("net/ipv4/ping_group_range", "1 0")
        refused = ping("127.0.0.1")
        assert (refused.ok, refused.conclusive) == (False, False)
        assert "net.ipv4.ping_group_range is 1 0" in refused.reason
        net.sysctl("net/ipv4/ping_group_range", f"{os.getegid()} {os.getegid()}")
        for address in ("127.0.0.1", "::1"):
            found = ping(address)
            assert (found.ok, found.reason) == (True, "")


def test_an_address_that_nobody_has_is_down() -> None:
    with net.fresh_namespace():
        net.sysctl("net/ipv4/ping_group_range", f"{os.getegid()} {os.getegid()}")
        net.ip("link add dummy0 type dummy", "addr add 192.0.2.1/24 dev dummy0", "link set dummy0 up")
        silent = ping("192.0.2.77", timeout_s=0.5)
        assert (silent.ok, silent.conclusive, silent.reason) == (False, True, "no echo within 0.5 s")
        unreachable = ping("198.51.100.1")
        assert (unreachable.ok, unreachable.reason) == (False, "network unreachable")
