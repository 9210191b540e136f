"""pulse as a process: its socket, its signals, its adapters.  Owns how it starts and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from lvsagent import channel
from lvsagent.adapters import lifeline, realtime, sysctl
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.commands import run_command
from lvsagent.adapters.heartbeat_key import KeyFile
from lvsagent.adapters.heartbeat_udp import HeartbeatSocket
from lvsagent.adapters.no_links import NoAnnouncer, NoLinkEvents, NoLinks, NoSyncDaemon, NoVirtualMac
from lvsagent.messages import ToPulse
from lvsagent.ports import Announcer, LinkEvents, Links, SyncDaemon, VirtualMac
from lvsagent.pulse.director import Director
from lvsagent.pulse.record import MaintenanceMark, RecordFile
from lvsagent.pulse.surroundings import Surroundings
from lvsagent.settings import AgentSettings

try:
    VERSION = version("piranha")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    links: Links
    announcer: Announcer
    sync: SyncDaemon
    link_events: LinkEvents
    virtual_mac: VirtualMac


def main(settings: AgentSettings) -> int:
    """Run until SIGTERM (addresses go) or SIGUSR1 (everything stays).  Returns the exit status."""
    asyncio.run(_run(settings, _ports(settings)))
    return 0


def _ports(settings: AgentSettings) -> _Ports:
    if settings.dataplane == "userspace":
        return _Ports(links=NoLinks(), announcer=NoAnnouncer(), sync=NoSyncDaemon(), link_events=NoLinkEvents(), virtual_mac=NoVirtualMac())
    from lvsagent.adapters.garp import PacketAnnouncer  # noqa: PLC0415 -- netlink is not needed without a kernel data plane
    from lvsagent.adapters.link_events import KernelLinkEvents  # noqa: PLC0415
    from lvsagent.adapters.links import KernelLinks  # noqa: PLC0415
    from lvsagent.adapters.sync_daemon import KernelSyncDaemon  # noqa: PLC0415
    from lvsagent.adapters.virtual_mac import KernelVirtualMac  # noqa: PLC0415

    return _Ports(
        links=KernelLinks(),
        announcer=PacketAnnouncer(),
        sync=KernelSyncDaemon(),
        link_events=KernelLinkEvents(),
        virtual_mac=KernelVirtualMac(),
    )


async def _run(settings: AgentSettings, ports: _Ports) -> None:
    asyncio.get_running_loop().set_default_executor(realtime.threads())
    listeners: list[channel.ChannelServer] = []
    around = Surroundings(
        links=ports.links,
        announcer=ports.announcer,
        sync=ports.sync,
        link_events=ports.link_events,
        virtual_mac=ports.virtual_mac,
        clock=SystemClock(),
        record=RecordFile(settings.runtime_dir / "pulse.json"),
        maintenance=MaintenanceMark(settings.state_dir / "maintenance"),
        key_file=KeyFile(settings.heartbeat_key_file),
        open_socket=HeartbeatSocket,
        boot_id=secrets.token_hex(16),
        run_command=run_command,
        forwarding_problem=_no_problem if settings.dataplane == "userspace" else sysctl.forwarding_problem,
        root_commands=settings.root_commands,
        version=VERSION,
        name=settings.name or socket.gethostname(),
        attended=lambda: bool(listeners) and listeners[0].attended,
        tidy=realtime.collect,
    )

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
    for refusal in realtime.engage():
        director.note(refusal)
    realtime.tame_collector()
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
