"""lvsd, the process: its loop around the director's steps, its signals, its sockets.

Owns starting, the rhythm of rounds, and the three ways to end.  It decides nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

from lvsagent.adapters import doctor_room, lifeline
from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.file_watch import FileWatch
from lvsagent.api.server import ApiServer
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.guard import LOOK_S
from lvsagent.lvsd.service import LvsdService
from lvsagent.ports import Clock, Ipvs
from lvsagent.settings import AgentSettings

ROUND_S = 2.0
"""A round is a sample of the counters too: sixty of them are two minutes."""
LARGEST_SHARE = 0.05
"""Of one core: a table that takes long to read is read less often, but never less than every ``reconcile_interval``."""
NAMES_S = 5.0

log = logging.getLogger(__name__)


def main(settings: AgentSettings) -> int:
    """Run lvsd to its end; returns the exit status."""
    settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    settings.runtime_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    return asyncio.run(run(settings, data_plane(settings), SystemClock()))


def data_plane(settings: AgentSettings) -> Ipvs:
    """The data plane that agent.toml asks for; the other one is not even imported."""
    if settings.dataplane == "userspace":
        from lvsagent.adapters.ipvs_userspace import UserspaceIpvs  # noqa: PLC0415 -- see above

        return UserspaceIpvs(port_offset=settings.userspace_port_offset)
    from lvsagent.adapters.ipvs_kernel import KernelIpvs  # noqa: PLC0415 -- see above

    return KernelIpvs()


async def run(settings: AgentSettings, plane: Ipvs, clock: Clock) -> int:
    """Serve until a signal says how to end."""
    ending: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    reread, written = asyncio.Event(), asyncio.Event()
    _listen_to_signals(ending, reread)
    director = Director(settings, plane, clock)
    await director.start()
    service = LvsdService(director, doctor_room.prepared())
    api = ApiServer(service, settings.agent_socket, settings.socket_group, settings.sync_user)
    await api.start()
    lifeline.keep_beating()
    watch = FileWatch(settings.lvs_cf, written.set)
    director.lvs_cf.being_written = watch.being_written
    tasks = [
        asyncio.create_task(work)
        for work in (
            director.supervisor.channel.run(),
            director.pulse.channel.run(),
            director.nanny.run(),
            director.sync.run(),
            _rounds(director, clock, settings.reconcile_interval),
            _whenever(director.health_changed, director, director.settle),
            _whenever(reread, director, lambda: _read_again(director)),
            _whenever(written, director, director.look_at_disk),
            _names(director, watch),
            _guard(director),
        )
    ]
    for task in tasks:
        task.add_done_callback(lambda done: _ended(done, ending))
    try:
        planned = await ending
    finally:
        async with director.keeper.paused():  # nobody is cut off in the middle of a change to the table
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            watch.close()
            await api.stop()
            await service.close()
    await director.stop(planned=planned)
    return 0


def _listen_to_signals(ending: asyncio.Future[bool], reread: asyncio.Event) -> None:
    def end(*, planned: bool) -> None:
        if not ending.done():
            ending.set_result(planned)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: end(planned=True))
    loop.add_signal_handler(signal.SIGUSR1, lambda: end(planned=False))
    loop.add_signal_handler(signal.SIGHUP, reread.set)


def _ended(task: asyncio.Task[None], ending: asyncio.Future[bool]) -> None:
    """A part that ends by itself ends the process, leaving everything in place: a fresh one starts from what it finds."""
    if not task.cancelled() and (error := task.exception()) and not ending.done():
        ending.set_exception(error)


async def _rounds(director: Director, clock: Clock, longest_s: float) -> None:
    """Wall time says little of what a step costs on a busy host, so a slow one may stretch the rhythm no further than was promised."""
    shortest_s = min(longest_s, ROUND_S)
    while True:
        began = clock.now()
        await _safely(director, director.step)
        took_s = clock.now() - began
        await asyncio.sleep(max(min(max(shortest_s, took_s / LARGEST_SHARE), longest_s) - took_s, 0.01))


async def _whenever(event: asyncio.Event, director: Director, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await event.wait()
        event.clear()
        await _safely(director, work)


async def _safely(director: Director, work: Callable[[], Awaitable[None]]) -> None:
    """One round that fails for a reason nobody thought of must not end the API, with which the reason could be mended."""
    try:
        await work()
    except Exception as error:
        log.exception("a round failed")
        director.failed(error)


async def _read_again(director: Director) -> None:
    await director.look_at_disk(again=True)
    await director.step()


async def _names(director: Director, watch: FileWatch) -> None:
    while True:
        await asyncio.sleep(NAMES_S)
        watch.look_around()
        await _safely(director, director.follow_names)


async def _guard(director: Director) -> None:
    while True:
        await _safely(director, director.guard.run)
        await asyncio.sleep(LOOK_S)
