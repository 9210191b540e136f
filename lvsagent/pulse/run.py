"""pulse as a process: its socket, its signals, its adapters.  Owns how it starts and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import msgspec

from lvsagent import channel
from lvsagent.adapters import lifeline, sysctl
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.commands import run_command
from lvsagent.adapters.no_links import NoAnnouncer, NoLinks
from lvsagent.messages import ToPulse
from lvsagent.ports import Announcer, Links
from lvsagent.pulse.director import Director, Surroundings
from lvsagent.pulse.record import RecordFile
from lvsagent.settings import AgentSettings


def main(settings: AgentSettings) -> int:
    """Run until SIGTERM (addresses go) or SIGUSR1 (everything stays).  Returns the exit status."""
    asyncio.run(_run(settings, *_ports(settings)))
    return 0


def _ports(settings: AgentSettings) -> tuple[Links, Announcer]:
    if settings.dataplane == "userspace":
        return NoLinks(), NoAnnouncer()
    from lvsagent.adapters.garp import PacketAnnouncer  # noqa: PLC0415 -- netlink is not needed without a kernel data plane
    from lvsagent.adapters.links import KernelLinks  # noqa: PLC0415

    return KernelLinks(), PacketAnnouncer()


async def _run(settings: AgentSettings, links: Links, announcer: Announcer) -> None:
    around = Surroundings(
        links=links,
        announcer=announcer,
        clock=SystemClock(),
        record=RecordFile(settings.runtime_dir / "pulse.json"),
        run_command=run_command,
        forwarding_problem=_no_problem if settings.dataplane == "userspace" else sysctl.forwarding_problem,
        root_commands=settings.root_commands,
    )
    listeners: list[channel.ChannelServer] = []

    def say(message: msgspec.Struct) -> bool:
        return bool(listeners) and listeners[0].broadcast(message)

    director = Director(around, say)

    def welcome(connection: channel.Connection) -> None:
        connection.send(director.state())
        for event in director.unsaid():
            connection.send(event)

    server = await channel.serve(
        settings.pulse_socket, decode=ToPulse, on_connect=welcome, on_message=lambda _connection, message: director.handle(message)
    )
    listeners.append(server)
    await _until_signal(director)
    await server.drain()
    server.close()


async def _until_signal(director: Director) -> None:
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[signal.Signals] = loop.create_future()

    def end(number: signal.Signals) -> None:
        if not ending.done():
            ending.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        loop.add_signal_handler(number, end, number)
    work = asyncio.ensure_future(director.run())
    lifeline.keep_beating()
    both: tuple[asyncio.Future[Any], ...] = (work, ending)
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    if ending.result() is not signal.SIGUSR1:
        await director.stop()


def _no_problem(_family: str) -> str:
    return ""
