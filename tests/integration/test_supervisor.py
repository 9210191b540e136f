"""The supervisor over real processes that stand in for its children: started, watched, started again, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lvsagent import channel
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.sd_notify import Notifier
from lvsagent.core.restarts import Patience
from lvsagent.messages import SupervisorState
from lvsagent.settings import AgentSettings
from lvsagent.supervisor import Ending, Supervisor
from lvsagent.wire import ProcessInfo

STANDIN = Path(__file__).with_name("standin.py")
NAMES = ("pulse", "nanny", "lvsd")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sup-") as name:  # a short path: sockets live in it
        yield Path(name)


@dataclass
class Run:
    """A running supervisor, as one of its listeners sees it."""

    folder: Path
    task: asyncio.Task[Ending]
    seen: list[SupervisorState]

    def child(self, name: str) -> ProcessInfo:
        return next(each for each in self.seen[-1].processes if each.name == name)

    def log(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text().splitlines()
        return []

    async def until(self, condition: Callable[[], object], limit_s: float = 10) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110 -- what is waited for happens in other processes
                await asyncio.sleep(0.01)

    async def until_all_run(self) -> None:
        await self.until(lambda: self.seen and all(each.state == "running" for each in self.seen[-1].processes))

    async def end(self, number: signal.Signals = signal.SIGTERM) -> Ending:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            return await self.task


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, patience: Patience | None = None, environment: dict[str, str] | None = None, nannies: int = 1
) -> AsyncIterator[Run]:
    settings = AgentSettings(runtime_dir=folder, nannies=nannies)
    supervisor = Supervisor(
        settings,
        lambda name: [sys.executable, "-P", str(STANDIN), name, str(folder)],
        SystemClock(),
        Notifier(environment or {}),
        patience or Patience(),
    )
    task = asyncio.ensure_future(supervisor.run())
    run = Run(folder, task, [])
    client = channel.ChannelClient(settings.supervisor_socket, decode=SupervisorState, on_message=run.seen.append)
    listening = asyncio.ensure_future(client.run())
    try:
        yield run
    finally:
        if not task.done():
            await run.end()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


def proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def sockets_in(folder: Path) -> list[Path]:
    """What listens there, or listened."""
    return list(folder.glob("*.sock"))


async def test_three_processes_run_under_their_names_and_the_socket_says_so(folder: Path) -> None:
    async with running(folder) as run:
        await run.until_all_run()
        assert [each.name for each in run.seen[-1].processes] == ["supervisor", "pulse", "nanny", "lvsd"]
        assert {name: proc(run.child(name).pid, "comm").decode().strip() for name in NAMES} == {name: name for name in NAMES}
        assert run.child("supervisor").pid == os.getpid()
        assert oct((folder / "supervisor.sock").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("name", NAMES)
async def test_a_killed_child_is_back_at_once_and_the_reason_is_said(folder: Path, name: str) -> None:
    async with running(folder) as run:
        await run.until_all_run()
        before = {each: run.child(each).pid for each in NAMES}
        os.kill(before[name], signal.SIGKILL)
        await run.until(lambda: run.child(name).restarts == 1 and run.child(name).state == "running")
        assert run.child(name).reason == "was killed by SIGKILL; started again at once"
        assert {each for each in NAMES if run.child(each).pid != before[each]} == {name}


async def test_one_that_keeps_failing_waits_longer_and_longer_says_its_own_reason_and_leaves_the_others_alone(folder: Path) -> None:
    (folder / "nanny.mode").write_text("crash")
    async with running(folder, patience=Patience(first_wait_s=0.05, longest_wait_s=0.4)) as run:
        await run.until(lambda: run.seen and run.child("nanny").restarts >= 5)
        assert run.child("nanny").reason.startswith("ended with status 3: the disk is on fire; that is ")
        await run.until(lambda: run.child("pulse").state == run.child("lvsd").state == "running")
        assert run.child("pulse").restarts == run.child("lvsd").restarts == 0
        (folder / "nanny.mode").write_text("well")
        await run.until_all_run()


async def test_one_that_stops_answering_is_killed_and_started_again(folder: Path) -> None:
    (folder / "lvsd.mode").write_text("hang")
    async with running(folder, patience=Patience(silence_limit_s=2)) as run:
        await run.until_all_run()
        (folder / "lvsd.mode").write_text("well")
        await run.until(lambda: run.child("lvsd").restarts == 1 and run.child("lvsd").state == "running")
        assert run.child("lvsd").reason == "did not answer for 2 s and was killed; started again at once"


async def test_a_stopped_process_counts_as_not_answering(folder: Path) -> None:
    async with running(folder, patience=Patience(silence_limit_s=2)) as run:
        await run.until_all_run()
        os.kill(run.child("pulse").pid, signal.SIGSTOP)
        await run.until(lambda: run.child("pulse").restarts == 1 and run.child("pulse").state == "running")


async def test_one_that_never_gets_ready_is_tried_again(folder: Path) -> None:
    (folder / "lvsd.mode").write_text("mute")
    async with running(folder, patience=Patience(start_limit_s=0.5)) as run:
        await run.until(lambda: run.seen and run.child("lvsd").restarts >= 1)
        assert "was not ready within 0.5 s" in run.child("lvsd").reason


async def test_a_planned_stop_ends_pulse_then_lvsd_then_nanny(folder: Path) -> None:
    async with running(folder) as run:
        await run.until_all_run()
        assert await run.end() is Ending.STOP
    assert [line for line in run.log() if not line.endswith("started")] == [
        "pulse SIGTERM",
        "pulse ended",
        "lvsd SIGTERM",
        "lvsd ended",
        "nanny SIGTERM",
        "nanny ended",
    ]
    assert not (folder / "supervisor.sock").exists()


async def test_each_of_several_nannies_is_watched_by_itself_and_all_end_last(folder: Path) -> None:
    async with running(folder, nannies=3) as run:
        await run.until_all_run()
        assert [each.name for each in run.seen[-1].processes] == ["supervisor", "pulse", "nanny", "nanny-2", "nanny-3", "lvsd"]
        before = {name: run.child(name).pid for name in ("nanny", "nanny-2", "nanny-3")}
        assert proc(before["nanny-2"], "comm").decode().strip() == "nanny-2"
        os.kill(before["nanny-2"], signal.SIGKILL)
        await run.until(lambda: run.child("nanny-2").restarts == 1 and run.child("nanny-2").state == "running")
        assert (run.child("nanny").pid, run.child("nanny-3").pid) == (before["nanny"], before["nanny-3"])
        left = {*before, "nanny-4"}  # of an agent that had four
        for name in left:
            (folder / f"{name}.sock").touch()
        await run.end()
    ended = [line for line in run.log() if line.endswith("ended")]
    assert ended[:2] == ["pulse ended", "lvsd ended"]
    assert set(ended[2:]) == {f"{name} ended" for name in before}
    assert not sockets_in(folder)


async def test_a_restart_in_place_tells_every_child_to_leave_everything_as_it_is(folder: Path) -> None:
    async with running(folder) as run:
        await run.until_all_run()
        assert await run.end(signal.SIGUSR1) is Ending.RESTART
    assert sorted(line for line in run.log() if "SIG" in line) == ["lvsd SIGUSR1", "nanny SIGUSR1", "pulse SIGUSR1"]


async def test_one_that_will_not_end_is_made_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvsagent.supervisor.STOP_LIMITS_S", {"pulse": 0.3, "lvsd": 5, "nanny": 5})
    (folder / "pulse.mode").write_text("stubborn")
    async with running(folder) as run:
        await run.until_all_run()
        pid = run.child("pulse").pid
        await run.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "lvsd ended" in run.log()


async def test_sighup_goes_to_lvsd_alone(folder: Path) -> None:
    async with running(folder) as run:
        await run.until_all_run()
        os.kill(os.getpid(), signal.SIGHUP)
        await run.until(lambda: "lvsd SIGHUP" in run.log())
    assert [line for line in run.log() if "SIGHUP" in line] == ["lvsd SIGHUP"]


async def test_sighup_reaches_an_lvsd_that_was_still_starting(folder: Path) -> None:
    async with running(folder) as run:
        await run.until(lambda: run.seen and run.child("lvsd").state == "starting")
        os.kill(os.getpid(), signal.SIGHUP)
        await run.until_all_run()
        await run.until(lambda: "lvsd SIGHUP" in run.log())
        assert run.child("lvsd").restarts == 0


class ServiceManager:
    """The other end of NOTIFY_SOCKET, a real one."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(path)
        self.heard: list[dict[str, str]] = []

    def listen(self) -> list[dict[str, str]]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(dict(line.split("=", 1) for line in self._socket.recv(65536).decode().splitlines()))
        return self.heard

    def said(self, **words: str) -> bool:
        return any(words.items() <= message.items() for message in self.listen())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[ServiceManager, dict[str, str]]]:
    path = str(folder / "notify") if request.param == "file" else f"\0piranha-test-{os.getpid()}"
    found = ServiceManager(path)
    yield found, {"NOTIFY_SOCKET": path.replace("\0", "@"), "WATCHDOG_USEC": "1000000"}
    found.close()


async def test_the_service_manager_hears_ready_watchdog_reload_and_stopping(
    folder: Path, manager: tuple[ServiceManager, dict[str, str]]
) -> None:
    heard, environment = manager
    async with running(folder, environment=environment) as run:
        await run.until(lambda: heard.said(READY="1"))
        await run.until_all_run()
        await run.until(lambda: heard.said(WATCHDOG="1"))
        os.kill(os.getpid(), signal.SIGHUP)
        await run.until(lambda: heard.said(RELOADING="1"))
        await run.end()
    assert heard.said(STOPPING="1")
    assert next(message for message in heard.heard if "RELOADING" in message)["MONOTONIC_USEC"].isdigit()
    ready = [index for index, message in enumerate(heard.heard) if "READY" in message]
    assert ready[1] > next(index for index, message in enumerate(heard.heard) if "RELOADING" in message)


async def test_the_watchdog_is_not_fed_while_a_child_does_not_answer(folder: Path, manager: tuple[ServiceManager, dict[str, str]]) -> None:
    heard, environment = manager
    async with running(folder, environment=environment, patience=Patience(silence_limit_s=1.5, first_wait_s=60, longest_wait_s=60)) as run:
        await run.until(lambda: heard.said(WATCHDOG="1"))
        (folder / "nanny.mode").write_text("crash")
        os.kill(run.child("nanny").pid, signal.SIGKILL)
        await run.until(lambda: run.child("nanny").restarts == 2)
        loop = asyncio.get_running_loop()
        counts: list[tuple[float, int]] = []

        def quiet_for_a_second() -> bool:
            fed = sum("WATCHDOG" in message for message in heard.listen())
            if not counts or counts[-1][1] != fed:
                counts.append((loop.time(), fed))
            return loop.time() - counts[-1][0] > 1

        await run.until(quiet_for_a_second)


async def test_without_a_service_manager_nothing_is_said_and_children_never_see_its_variables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "nobody"))
    async with running(folder) as run:
        await run.until_all_run()
        assert b"NOTIFY_SOCKET" not in proc(run.child("pulse").pid, "environ")
