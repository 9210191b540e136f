"""nanny as a process of its own: over its socket, as another user, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lvsagent.channel import ChannelClient
from lvsagent.core.check_spec import CheckSpec, Method
from lvsagent.core.known import Known
from lvsagent.messages import FromNanny, NannyConfigure, NannyReport, NannyTrial, NannyTrialDone
from lvsagent.wire import CheckInfo

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def spec(port: int, **changes: Any) -> CheckSpec:
    return CheckSpec(
        **{
            "key": "http/number1",
            "address": "127.0.0.1",
            "port": port,
            "protocol": "tcp",
            "method": Method.CONNECT,
            "interval_s": 0.05,
            "timeout_s": 2,
            "rise": 2,
            **changes,
        }
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that other users may enter."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


class Nanny:
    """The process and lvsd's side of its socket."""

    def __init__(self, home: Path, check_user: str) -> None:
        self.home = home
        programs = home / "programs"
        programs.mkdir()
        config = home / "agent.toml"
        config.write_text(
            f'runtime_dir = "{home}"\nstate_dir = "{home}"\ndataplane = "userspace"\n'
            f'check_user = "{check_user}"\nprogram_dirs = ["{programs}"]\n'
        )
        self.programs = programs
        self.infos: dict[str, CheckInfo] = {}
        self.trials: dict[int, NannyTrialDone] = {}
        self.connections = 0
        self.wanted: NannyConfigure | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.client = ChannelClient(home / "nanny.sock", decode=FromNanny, on_message=self._heard, on_connect=self._connected)
        self._listening = asyncio.create_task(self.client.run())

    async def start(self) -> None:
        argv = ("-m", "lvsagent.cli", "child", "nanny", "--config", str(self.home / "agent.toml"), "--supervisor", str(os.getpid()))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, cwd=Path(__file__).parents[2], stderr=asyncio.subprocess.PIPE
        )
        before = self.connections
        await self.until(lambda: self.connections > before)

    async def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        _, errors = await self.process.communicate()
        self.log = errors.decode()
        return self.process.returncode or 0

    async def close(self) -> None:
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        if self.process is not None and self.process.returncode is None:
            await self.end()

    def configure(self, *checks: CheckSpec, known: dict[str, Known] | None = None) -> None:
        self.wanted = NannyConfigure(checks=list(checks), known=known or {})
        self.client.send(self.wanted)

    async def trial(self, *checks: CheckSpec) -> NannyTrialDone:
        self.client.send(NannyTrial(id=1, checks=list(checks)))
        await self.until(lambda: 1 in self.trials)
        return self.trials.pop(1)

    async def state(self, wanted: str, key: str = "http/number1") -> CheckInfo:
        await self.until(lambda: key in self.infos and self.infos[key].state == wanted)
        return self.infos[key]

    async def until(self, condition: Any) -> None:
        deadline = asyncio.get_running_loop().time() + 20
        while not condition():
            if self.process is not None and self.process.returncode is not None:
                _, errors = await self.process.communicate()
                pytest.fail(f"nanny has ended: {errors.decode()}")
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.005)

    def _connected(self) -> None:
        self.connections += 1
        if self.wanted is not None:
            self.client.send(self.wanted)

    def _heard(self, message: NannyReport | NannyTrialDone) -> None:
        if isinstance(message, NannyTrialDone):
            self.trials[message.id] = message
            return
        self.infos.update({info.key: info for info in message.checks})


@pytest.fixture
async def nanny(home: Path) -> AsyncIterator[Nanny]:
    made = Nanny(home, "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
    await made.start()
    yield made
    await made.close()


def command(pid: int) -> bytes:
    """The command line of a process; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def running(pid: int) -> bool:
    """Whether that process lives (what is left of a dead one has no command line)."""
    return bool(command(pid))


def children(pid: int) -> list[int]:
    """The processes started by ``pid``."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.asynccontextmanager
async def listener(port: int = 0) -> AsyncIterator[int]:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0)


async def test_a_server_that_dies_and_returns_is_told_with_the_reason(nanny: Nanny) -> None:
    async with listener() as port:
        nanny.configure(spec(port))
        up = await nanny.state("up")
        assert (up.target, up.what, up.reason) == (f"127.0.0.1:{port}", "connects", "")
    down = await nanny.state("down")
    assert down.reason == "connection refused"
    async with listener(port):
        await nanny.state("up")
    assert await nanny.end() == 0
    phrases = [f"[ active ] making 127.0.0.1:{port} available", f"[inactive] shutting down 127.0.0.1:{port} due to connection failure"]
    assert all(phrase in nanny.log for phrase in phrases)


async def test_a_nanny_that_was_killed_goes_on_where_the_last_one_was(nanny: Nanny) -> None:
    async with listener() as port:
        nanny.configure(spec(port, interval_s=600, timeout_s=5))
        await nanny.state("up")
        await nanny.end(signal.SIGKILL)
        nanny.infos.clear()
        nanny.wanted = NannyConfigure(checks=[spec(port, interval_s=600, rise=1000)], known={"http/number1": Known("up")})
        await nanny.start()
        info = await nanny.state("up")
        assert info.reason in {"", "as before the restart"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
async def test_ends_cleanly_and_leaves_no_program(nanny: Nanny, number: int) -> None:
    program = nanny.programs / "long"
    pids = nanny.home / "pids"
    pids.touch()
    pids.chmod(0o666)
    program.write_text(f"#!/bin/sh\nsleep 600 & echo $$ $! > {pids}\nwait\n")
    program.chmod(0o755)
    nanny.configure(spec(1, method=Method.PROGRAM, program=(str(program),), interval_s=60, timeout_s=60))
    await nanny.until(lambda: len(pids.read_text().split()) == 2)
    started = [int(pid) for pid in pids.read_text().split()]
    assert await nanny.end(number) == 0
    deadline = asyncio.get_running_loop().time() + 5
    while any(map(running, started)):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_test_now_runs_beside_the_checks(nanny: Nanny) -> None:
    async with listener() as port:
        done = await nanny.trial(spec(port, key="a"), spec(port, key="b", method=Method.SEND_EXPECT, expect=b"HTTP"))
    assert [(outcome.key, outcome.ok, outcome.reason) for outcome in done.outcomes] == [
        ("a", True, ""),
        ("b", False, "the connection was closed without an answer"),
    ]
    assert nanny.infos == {}


@as_root
async def test_programs_run_as_the_check_user_without_any_privilege(nanny: Nanny) -> None:
    program = nanny.programs / "who"
    program.write_text("#!/bin/sh\nid -u; id -G; grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status | tr -s '\\t\\n' '  '\n")
    program.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    done = await nanny.trial(spec(1, method=Method.PROGRAM, program=(str(program),)))
    (outcome,) = done.outcomes
    assert outcome.ok, outcome.reason
    nothing = "0" * 16
    assert outcome.reply.decode().split() == [
        str(nobody.pw_uid),
        str(nobody.pw_gid),
        *("CapPrm:", nothing, "CapEff:", nothing, "CapBnd:", nothing, "CapAmb:", nothing),
        *("NoNewPrivs:", "1"),
    ]


@as_root
async def test_programs_that_the_check_user_could_change_are_not_run(nanny: Nanny) -> None:
    program = nanny.programs / "mine"
    program.write_text("#!/bin/sh\nexit 0\n")
    os.chown(program, pwd.getpwnam("nobody").pw_uid, -1)
    program.chmod(0o555)
    done = await nanny.trial(
        spec(1, method=Method.PROGRAM, program=(str(program),)), spec(1, method=Method.PROGRAM, program=("/bin/true",))
    )
    assert [outcome.ok for outcome in done.outcomes] == [False, False]
    assert "can be changed by the check user" in done.outcomes[0].reason
    assert "it is not in one of program_dirs" in done.outcomes[1].reason


async def test_patterns_work_without_privileges_and_their_process_ends_with_nanny(nanny: Nanny) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    check = spec(port, method=Method.SEND_EXPECT, expect=b"^HTTP/[0-9.]+ 2[[:digit:]]{2} ", use_regex=True)
    done = await nanny.trial(check)
    server.close()
    assert done.outcomes[0].ok, done.outcomes[0].reason
    assert nanny.process is not None
    (worker,) = children(nanny.process.pid)
    assert command(worker).startswith(b"nanny-regex")
    await nanny.end(signal.SIGKILL)
    deadline = asyncio.get_running_loop().time() + 5
    while running(worker):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
