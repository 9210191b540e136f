"""A connect check by itself and one of thousands: the same outcome for the same server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from lvsagent.adapters.checks import Checks
from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from lvsagent.messages import NannyConfigure, NannyReport
from lvsagent.nanny.warden import Warden
from tests.misbehaving import resets, serving, stays
from tests.unit.lvsagent.test_warden import LoopClock

Run = Callable[[CheckSpec], Awaitable[Outcome]]


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


def spec(port: int, **changes: Any) -> CheckSpec:
    return replace(CheckSpec("v/one", "127.0.0.1", port, "tcp", Method.CONNECT, timeout_s=5), **changes)


@pytest.fixture(params=["alone", "of many"])
async def run(request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    checks = Checks()
    if request.param == "alone":
        yield checks.check
        checks.close()
        return
    waiting: dict[int, asyncio.Future[Outcome]] = {}

    def done(ended: list[tuple[int, Outcome]]) -> None:
        for number, outcome in ended:
            waiting.pop(number).set_result(outcome)

    quick = checks.quick(done)

    async def check(asked: CheckSpec) -> Outcome:
        assert quick.takes(asked)
        number = len(waiting) + 1
        waiting[number] = asyncio.get_running_loop().create_future()
        quick.begin(asked, number)
        return await waiting[number]

    yield check
    quick.close()
    checks.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_server_that_listens_is_up(run: Run, host: str) -> None:
    async with serving(stays, host=host) as port:
        outcome = await run(spec(port, address=host))
    assert (outcome.ok, outcome.reason, outcome.reply) == (True, "", b"")
    assert 0 < outcome.connect_s <= outcome.duration_s < 1


async def test_a_server_that_resets_has_connected(run: Run) -> None:
    async with serving(resets) as port:
        assert (await run(spec(port))).ok


async def test_nobody_listens(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = await run(spec(unused.getsockname()[1]))
    assert (outcome.ok, outcome.reason, outcome.conclusive) == (False, "connection refused", True)


@contextlib.contextmanager
def full_listener() -> Any:
    """A port on which a connection is neither made nor refused."""
    with socket.socket() as full, contextlib.ExitStack() as callers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        yield full.getsockname()[1]


async def test_a_server_that_accepts_nothing_is_given_up_at_the_limit(run: Run) -> None:
    with full_listener() as port:
        outcomes = await asyncio.gather(run(spec(port, timeout_s=0.2)), run(spec(port, timeout_s=0.1)))
    assert [outcome.reason for outcome in outcomes] == ["no connection within 0.2 s", "no connection within 0.1 s"]
    assert all(outcome.connect_timed_out and not outcome.ok and outcome.duration_s < 1 for outcome in outcomes)


async def test_a_director_that_stood_still_blames_no_server(run: Run) -> None:
    with full_listener() as port:
        asyncio.get_running_loop().call_later(0.05, select.select, [], [], [], 1.3)
        outcome = await run(spec(port, timeout_s=0.1))
    assert (outcome.ok, outcome.conclusive, outcome.reason) == (False, False, "this director stood still during the check")


@pytest.mark.parametrize(("address", "port"), [("nosuch.example", 80), ("127.0.0.1", 0), ("127.0.0.1", 70000)])
async def test_what_is_no_address_is_never_looked_up(run: Run, address: str, port: int) -> None:
    outcome = await run(spec(port, address=address))
    assert (outcome.ok, outcome.conclusive) == (False, False)
    assert "is not an address" in outcome.reason


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EMFILE, "too many open files on this director"), (errno.ENOBUFS, "no memory for sockets on this director")]
)
async def test_a_director_without_means_blames_no_server(run: Run, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    def no_socket(*_arguments: object) -> socket.socket:
        raise OSError(number, "no")

    for module in ("sockets", "connects"):
        monkeypatch.setattr(f"lvsagent.adapters.checks.{module}.socket.socket", no_socket)
    outcome = await run(spec(80))
    assert (outcome.ok, outcome.conclusive, outcome.reason) == (False, False, words)


@pytest.mark.parametrize(
    ("number", "reason", "conclusive"),
    [
        (errno.EAGAIN, "no free local port on this director", False),
        (errno.EHOSTUNREACH, "no route to host", True),
        (errno.ECONNREFUSED, "connection refused", True),
    ],
)
async def test_what_connect_says_at_once(run: Run, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, conclusive: bool) -> None:
    monkeypatch.setattr("lvsagent.adapters.checks.connects.socket.socket.connect_ex", lambda _self, _address: number)
    outcome = await run(spec(80))
    assert (outcome.ok, outcome.reason, outcome.conclusive) == (False, reason, conclusive)


async def test_nothing_stays_open(run: Run) -> None:
    async with serving(stays) as port:
        await run(spec(port))
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- the folder changes while it is read
        for _ in range(20):
            assert (await run(spec(port))).ok
        with full_listener() as full:
            await run(spec(full, timeout_s=0.05))
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before + 25  # noqa: PTH208 -- the server's side of those that have just ended


# --- of many alone -------------------------------------------------------------------------------------------------------------


async def test_a_cancelled_run_is_never_told() -> None:
    told: list[int] = []
    checks = Checks()
    quick = checks.quick(lambda ended: told.extend(number for number, _ in ended))
    with full_listener() as port:
        quick.begin(spec(port, timeout_s=0.1), 1)
        quick.begin(spec(port, timeout_s=0.1), 2)
        quick.begin(spec(0), 3)  # has ended, and is not told yet
        assert [quick.cancel(number) for number in (1, 3, 9)] == [True, True, False]
        await until(lambda: bool(told))
    assert told == [2]
    quick.close()
    checks.close()


async def test_a_copy_of_a_socket_in_another_process_confuses_nobody() -> None:
    """A program being started holds copies of every socket for a moment; the next socket gets the same number."""
    outcomes: dict[int, Outcome] = {}
    checks = Checks()
    quick = checks.quick(outcomes.update)
    with full_listener() as port:
        quick.begin(spec(port, timeout_s=30), 1)
        (descriptor,) = quick._running
        with subprocess.Popen(["cat"], pass_fds=[descriptor], stdin=subprocess.PIPE) as holder:  # noqa: ASYNC220 -- it ends with its input
            quick.cancel(1)
            quick.begin(spec(port, timeout_s=0.2), 2)
            assert list(quick._running) == [descriptor]
            await until(lambda: 2 in outcomes)
            assert holder.stdin is not None
            holder.stdin.close()
    assert outcomes[2].reason == "no connection within 0.2 s"
    quick.close()
    checks.close()


async def test_the_warden_runs_connect_checks_so_and_the_others_with_them() -> None:
    states: dict[str, str] = {}

    def say(message: object) -> None:
        if isinstance(message, NannyReport):
            states.update({info.key: info.state for info in message.checks})

    checks = Checks()
    warden = Warden(checks, LoopClock(), say, max_running=100)
    async with serving(stays) as port:
        many = [spec(port, key=f"v/{number}", interval_s=0.05) for number in range(200)]
        speaks = spec(port, key="v/speaks", method=Method.SEND_EXPECT, send=b"x", expect=None)
        warden.handle(NannyConfigure(checks=[*many, speaks]))
        await until(lambda: list(states.values()).count("up") == 201)
        assert warden._tasks == {}
        with full_listener() as full:
            warden.handle(NannyConfigure(checks=[spec(full, timeout_s=30)]))
            await until(lambda: bool(warden._quick_runs))
            warden.handle(NannyConfigure(checks=[]))
            assert warden._quick_runs == {}
    await warden.close()
    checks.close()
