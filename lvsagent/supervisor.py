"""The supervisor: starts lvsd, pulse and each nanny, watches them, starts them again, ends them in the right order.

It decides nothing about the cluster.  When to start and when to kill is ``lvsagent.core.restarts``' decision; this is the loop around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from lvsagent import channel
from lvsagent.adapters import lifeline, process
from lvsagent.adapters.sd_notify import VARIABLES, Notifier
from lvsagent.core.restarts import Action, ChildMachine, ChildState, Patience, how_it_ended
from lvsagent.core.spread import MOST_NANNIES, NANNY, kind_of, nanny_names
from lvsagent.messages import SupervisorState
from lvsagent.ports import AdapterError, Clock
from lvsagent.settings import AgentSettings
from lvsagent.wire import ProcessInfo

STOP_LIMITS_S: Mapping[str, float] = {"pulse": 25, "lvsd": 10, NANNY: 5}
"""pulse may run a command on the way out, which has its own, shorter limit."""
LEAVE_LIMIT_S = 5.0
START_LIMIT_S = 15.0
"""An end that was asked for during a restart in place waits so long for the children, who then take everything down in order."""
ENDS = (signal.SIGTERM, signal.SIGINT)
TICK_S = 0.2
DEFAULT_PATIENCE = Patience()

log = logging.getLogger(__name__)


class Ending(Enum):
    """Why the supervisor's loop ends."""

    STOP = "stop"
    RESTART = "restart"


@dataclass
class Child:
    """A child's machine and its process, if it has one."""

    machine: ChildMachine
    pid: int = 0
    lifeline: int = -1
    since: float = 0.0
    last_words: str = ""
    reload_wanted: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def info(self) -> ProcessInfo:
        """As the console shows it."""
        return ProcessInfo(
            name=self.machine.name,
            state=str(self.machine.state),
            pid=self.pid,
            since=self.since,
            restarts=self.machine.restarts,
            reason=self.machine.reason,
        )


class Supervisor:
    """One run of ``lvsagent run``.  ``argv_of(name)`` is the command that starts a child."""

    def __init__(
        self,
        settings: AgentSettings,
        argv_of: Callable[[str], list[str]],
        clock: Clock,
        notifier: Notifier,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self._settings = settings
        self._argv_of = argv_of
        self._clock = clock
        self._notifier = notifier
        self._children = {name: Child(ChildMachine(name, patience)) for name in ("pulse", *settings.nanny_names, "lvsd")}
        self._since = clock.wall()
        self._channel: channel.ChannelServer | None = None
        self._ending: asyncio.Future[Ending] | None = None
        self._let_ends_in_at: float | None = None
        self.end_wanted = False
        """Somebody wants the agent to end, and it was about to start again in place."""
        self._ready = False
        self._fed_at = float("-inf")
        self._stopping = False

    async def run(self) -> Ending:
        """Until a signal says what comes next."""
        self._ending = asyncio.get_running_loop().create_future()
        self._channel = await channel.serve(
            self._settings.supervisor_socket,
            decode=SupervisorState,
            on_connect=lambda connection: connection.send(self._state()),
            on_message=lambda _connection, _message: None,
        )
        self._listen_to_signals()
        self._let_ends_in_at = self._clock.now() + (START_LIMIT_S if process.waits(ENDS) else 0.0)
        ending = Ending.STOP
        try:
            while not self._ending.done():
                self._tick()
                await asyncio.wait([self._ending], timeout=TICK_S)
            ending = self._ending.result()
        finally:
            await self._end(ending)
        return ending

    # --- events ----------------------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, self._finish, Ending.STOP)
        loop.add_signal_handler(signal.SIGINT, self._finish, Ending.STOP)
        loop.add_signal_handler(signal.SIGUSR1, self._finish, Ending.RESTART)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _finish(self, ending: Ending) -> None:
        if self._ending is None:
            return
        if not self._ending.done():
            self._ending.set_result(ending)
        elif ending is Ending.STOP:
            self.end_wanted = True

    def _reload(self) -> None:
        """lvsd reads lvs.cf again."""
        self._notifier.reloading("reading lvs.cf again")
        lvsd = self._children["lvsd"]
        if lvsd.machine.state is ChildState.RUNNING:
            self._kill(lvsd, signal.SIGHUP)
        else:
            lvsd.reload_wanted = True  # one that is still starting has no handler for the signal
        if self._ready:
            self._notifier.ready(self._status())

    def _tick(self) -> None:
        now = self._clock.now()
        for child in self._children.values():
            self._listen(child)
            action = child.machine.tick(now)
            if action is Action.START:
                self._start(child)
            elif action is Action.KILL:
                self._kill(child, signal.SIGKILL)
        if self._let_ends_in_at is not None and (self._ready or now >= self._let_ends_in_at):
            self._let_ends_in_at = None
            process.let_in(ENDS)
        self._feed_watchdog(now)

    def _feed_watchdog(self, now: float) -> None:
        wanted = self._notifier.watchdog_s
        if wanted and now - self._fed_at >= wanted / 4 and all(child.machine.well(now) for child in self._children.values()):
            self._fed_at = now
            self._notifier.alive()

    def _listen(self, child: Child) -> None:
        """Take what has come along the lifeline."""
        if child.lifeline < 0:
            return
        beat, words = lifeline.read_beats(child.lifeline)
        child.last_words = words or child.last_words
        if beat and child.machine.answered(self._clock.now()):
            if child.reload_wanted:
                self._kill(child, signal.SIGHUP)
                child.reload_wanted = False
            self._changed()

    def _reap(self) -> None:
        for child in self._children.values():
            if child.pid:
                with contextlib.suppress(ChildProcessError):
                    pid, status = os.waitpid(child.pid, os.WNOHANG)
                    if pid:
                        self._bury(child, status)

    def _bury(self, child: Child, status: int) -> None:
        self._listen(child)
        self._close_lifeline(child)
        child.pid = 0
        child.since = self._clock.wall()
        child.gone.set()
        if self._stopping:
            return
        child.machine.ended(how_it_ended(status, child.last_words), self._clock.now())
        log.warning("%s %s", child.machine.name, child.machine.reason)
        self._changed()
        self._tick()

    # --- acts ------------------------------------------------------------------------------------------------------------------

    def _start(self, child: Child) -> None:
        name = child.machine.name
        now = self._clock.now()
        theirs = -1
        try:
            ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            child.lifeline = ours
            environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
            environment[lifeline.VARIABLE] = str(theirs)
            child.pid = process.spawn(self._argv_of(name), environment, [theirs])
        except (AdapterError, OSError) as error:
            self._close_lifeline(child)
            child.machine.started(now)
            child.machine.ended(f"could not be started: {error}", now)
            log.error("%s %s", name, child.machine.reason)  # noqa: TRY400 -- in words
        else:
            child.machine.started(now)
            child.since = self._clock.wall()
            child.last_words = ""
            child.gone.clear()
            asyncio.get_running_loop().add_reader(ours, self._listen, child)
        finally:
            if theirs >= 0:
                os.close(theirs)
        self._changed()

    def _close_lifeline(self, child: Child) -> None:
        if child.lifeline >= 0:
            asyncio.get_running_loop().remove_reader(child.lifeline)
            os.close(child.lifeline)
            child.lifeline = -1

    def _kill(self, child: Child, number: signal.Signals) -> None:
        if child.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def _changed(self) -> None:
        if self._channel is not None:
            self._channel.broadcast(self._state())
        if self._stopping:
            return
        if not self._ready and all(child.machine.state is ChildState.RUNNING for child in self._children.values()):
            self._ready = True
            self._notifier.ready(self._status())
            log.info("ready: %s", self._status())
        else:
            self._notifier.status(self._status())

    def _state(self) -> SupervisorState:
        own = ProcessInfo(name="supervisor", state="running", pid=os.getpid(), since=self._since)
        return SupervisorState(processes=[own, *(child.info() for child in self._children.values())])

    def _status(self) -> str:
        return ", ".join(
            f"{child.machine.name} {child.machine.state}" + (f" ({child.machine.reason})" if child.machine.reason else "")
            for child in self._children.values()
        )

    # --- the end ---------------------------------------------------------------------------------------------------------------

    async def _end(self, ending: Ending) -> None:
        self._stopping = True
        if ending is Ending.RESTART:
            process.keep_out(ENDS)
            self._notifier.reloading("restarting in place")
            await asyncio.gather(*(self._let_go(child, signal.SIGUSR1, LEAVE_LIMIT_S) for child in self._children.values()))
        else:
            self._notifier.stopping("stopping: addresses first, then the table")
            for names in (("pulse",), ("lvsd",), self._settings.nanny_names):
                await asyncio.gather(*(self._let_go(self._children[name], signal.SIGTERM, STOP_LIMITS_S[kind_of(name)]) for name in names))
            for name in nanny_names(MOST_NANNIES):  # there may have been more before
                self._settings.nanny_socket(name).unlink(missing_ok=True)  # nanny itself may not write there
        if self._channel is not None:
            self._channel.close()

    async def _let_go(self, child: Child, number: signal.Signals, limit_s: float) -> None:
        """Ask a child to end, and make it when the time is over."""
        for each, limit in ((number, limit_s), (signal.SIGKILL, LEAVE_LIMIT_S)):
            if not child.pid:
                return
            self._kill(child, each)
            try:
                async with asyncio.timeout(limit):
                    await child.gone.wait()
            except TimeoutError:
                log.warning("%s did not end within %g s of %s", child.machine.name, limit, each.name)


def prepare_folders(settings: AgentSettings) -> None:
    """Make ``runtime_dir`` and ``state_dir``.  Raises AdapterError when they cannot be, or are someone else's."""
    for key, path, mode in (("runtime_dir", settings.runtime_dir, 0o755), ("state_dir", settings.state_dir, 0o750)):
        try:
            if not path.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(mode)
            owner = path.stat().st_uid
        except OSError as error:
            raise AdapterError(f"{key} = {path} cannot be made: {error.strerror}") from error
        if owner != os.geteuid():
            raise AdapterError(f"{key} = {path} belongs to user id {owner}, and the agent runs as user id {os.geteuid()}")


def preflight(settings: AgentSettings) -> list[str]:
    """What must be right before anything is started.  Raises AdapterError; returns what is worth saying all the same."""
    prepare_folders(settings)
    remarks: list[str] = []
    if process.is_root():
        process.find_user(settings.check_user)
        process.find_group(settings.socket_group)
        others = [path for path in (settings.lvs_cf, settings.lvs_cf.parent) if path.exists() and path.stat().st_uid != 0]
        remarks.extend(f"{path} is not root's: lvsd, which keeps no right to override that, may be unable to use it" for path in others)
    else:
        remarks.append("not started as root: there are no privileges to drop, and every process runs as this user")
    if not settings.lvs_cf.exists():
        remarks.append(f"{settings.lvs_cf} does not exist yet: nothing is configured until it does")
    return remarks


def run_agent(config: Path, settings: AgentSettings, clock: Clock) -> int:
    """``lvsagent run``: returns the exit status, or does not return at all after SIGUSR1 (a restart in place)."""
    _hold_signals()
    remarks = preflight(settings)
    lock = process.take_lock(settings.runtime_dir / "lvsagent.lock")
    if lock is None:
        raise AdapterError(f"an agent is running already with runtime_dir = {settings.runtime_dir}")
    process.set_title("lvsagent")
    for remark in remarks:
        log.info("%s", remark)
    supervisor = Supervisor(settings, lambda name: process.child_argv(name, config, settings.nannies), clock, Notifier(os.environ))
    ending = asyncio.run(supervisor.run())
    if ending is Ending.RESTART:
        _hold_signals()
        if supervisor.end_wanted:  # it waits in the kernel for the program that this one becomes
            os.kill(os.getpid(), signal.SIGTERM)
        log.info("restarting in place")
        process.become_program(process.restart_argv())
    return 0


def _hold_signals() -> None:
    """Until the loop listens, and between its end and the new beginning, these would be the end of the supervisor alone."""
    for number in (signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    process.keep_out(ENDS)
