"""nanny as a process: its socket, its signals, its limits.  Owns how it starts and how it ends.

Privileges are gone before ``main`` is called; everything it will ever need is imported by importing this module.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal

from lvsagent import channel
from lvsagent.adapters import lifeline
from lvsagent.adapters.checks import Checks
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.load_programs import LoadPrograms
from lvsagent.messages import NannyReadLoads, ToNanny
from lvsagent.nanny.load_rounds import LoadRounds
from lvsagent.nanny.warden import Warden
from lvsagent.settings import AgentSettings

MAX_RUNNING = 4000
KEPT_FILES = 256
"""Files not used for sockets of checks: the channel, programs' pipes, the libraries."""


def main(settings: AgentSettings) -> int:
    """Run until SIGTERM, SIGINT or SIGUSR1: nanny leaves nothing behind, so both kinds of end are alike to it.  Returns the exit status."""
    asyncio.run(_run(settings))
    return 0


async def _run(settings: AgentSettings) -> None:
    ending = _signalled()
    checks = Checks(settings.program_dirs, own_programs=_own_programs(settings))
    listeners: list[channel.ChannelServer] = []
    clock = SystemClock()
    loads = LoadRounds(LoadPrograms(settings.load_dir), clock, lambda message: [listener.broadcast(message) for listener in listeners])
    warden = Warden(
        checks,
        clock,
        lambda message: [listener.broadcast(message) for listener in listeners],
        max_running=max(1, min(MAX_RUNNING, raise_file_limit() - KEPT_FILES)),
    )

    def welcome(connection: channel.Connection) -> None:
        for message in warden.reports():
            connection.send(message)
        connection.send(loads.reports())

    def told(_connection: channel.Connection, message: ToNanny) -> None:
        if isinstance(message, NannyReadLoads):
            loads.configure(message.specs)
        else:
            warden.handle(message)

    server = await channel.serve(settings.nanny_socket, decode=ToNanny, on_connect=welcome, on_message=told)
    listeners.append(server)
    gc.freeze()  # what is here now stays: the collector need not look at it again
    lifeline.keep_beating()
    await ending
    server.close()
    await warden.close()
    await loads.close()
    checks.close()


def _signalled() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ending.done():
            ending.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        loop.add_signal_handler(number, end)
    return ending


def _own_programs(settings: AgentSettings) -> bool:
    """Whether the agent itself runs as this user (without root), so that there is no other user to keep the programs from."""
    try:
        return os.geteuid() != 0 and settings.runtime_dir.stat().st_uid == os.geteuid()
    except OSError:
        return False


def raise_file_limit() -> int:
    """As many open files as this process may have; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
