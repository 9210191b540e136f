"""A nanny as a process: its socket, its signals, its limits.  Owns how it starts and how it ends.

Privileges are gone before ``main`` is called; everything it will ever need is imported by importing this module.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal

import msgspec

from lvsagent import channel
from lvsagent.adapters import lifeline
from lvsagent.adapters.checks import PROGRAMS_AT_ONCE, Checks
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.load_programs import LoadPrograms
from lvsagent.core.spread import NANNY, share_of
from lvsagent.messages import NannyReadLoads, ToNanny
from lvsagent.nanny.load_rounds import AT_ONCE, LoadRounds
from lvsagent.nanny.warden import Warden
from lvsagent.settings import AgentSettings

MAX_RUNNING = 8000
"""So many checks run at the same time, those of all nannies together."""
KEPT_FILES = 256
"""Files not used for sockets of checks: the channel, programs' pipes, the libraries."""


def main(settings: AgentSettings, name: str = NANNY) -> int:
    """Run until SIGTERM, SIGINT or SIGUSR1: nanny leaves nothing behind, so both kinds of end are alike to it.  Returns the exit status."""
    asyncio.run(_run(settings, name))
    return 0


async def _run(settings: AgentSettings, name: str) -> None:
    ending = _signalled()
    checks = Checks(settings.program_dirs, own_programs=_own_programs(settings), programs=share_of(PROGRAMS_AT_ONCE, settings.nannies))
    listeners: list[channel.ChannelServer] = []
    clock = SystemClock()

    def say(message: msgspec.Struct) -> None:
        for listener in listeners:
            listener.broadcast(message)

    loads = LoadRounds(LoadPrograms(settings.load_dir), clock, say, at_once=share_of(AT_ONCE, settings.nannies))
    warden = Warden(
        checks,
        clock,
        say,
        max_running=max(1, min(share_of(MAX_RUNNING, settings.nannies), raise_file_limit() - KEPT_FILES)),
        nannies=settings.nannies,
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

    server = await channel.serve(settings.nanny_socket(name), decode=ToNanny, on_connect=welcome, on_message=told)
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
