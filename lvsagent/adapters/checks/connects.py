"""Plain TCP checks by the thousand, without a task or a timer each.

Owns one epoll for all of them, their sockets, and one timer for their limits.  What is said on a connection, and what an answer means, is
``dialogues``'s; checks of other kinds wait in tasks of their own (``sockets``, ``conversations``).
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import itertools
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from lvsagent.adapters.checks import reasons
from lvsagent.adapters.checks.dialogues import CannotAskError, Dialogue, dialogue, speaks
from lvsagent.adapters.checks.waiter import STALL_S, address_of
from lvsagent.core.check_spec import CheckSpec, Method, Outcome

Done = Callable[[list[tuple[int, Outcome]]], None]
"""Called with the runs that have ended, and how."""
EVENTS_AT_ONCE = 1000


@dataclass(slots=True)
class _Run:
    """A check under way.  ``unsent`` is what is left of its request; ``connect_s`` 0: it is not connected yet."""

    sock: socket.socket
    spec: CheckSpec
    run: int
    began: float
    talk: Dialogue | None
    unsent: bytes = b""
    connect_s: float = 0.0
    first_byte_s: float = 0.0


class Connects:
    """``done`` is never called from within ``begin``."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._ready)
        self._running: dict[int, _Run] = {}
        self._descriptors: dict[int, int] = {}
        self._limits: list[tuple[float, int, int, int]] = []
        self._tickets = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._ended: list[tuple[int, Outcome]] = []
        self._telling: asyncio.Handle | None = None

    def takes(self, spec: CheckSpec) -> bool:
        """Whether the check is one of these."""
        return speaks(spec) or (spec.method is Method.CONNECT and spec.protocol == "tcp")

    def begin(self, spec: CheckSpec, run: int) -> None:
        """Start connecting; ``run`` is what the outcome is told by."""
        began = self._loop.time()
        where = address_of(spec)
        if where is None:
            self._end(run, _unasked(reasons.not_an_address(spec.target)))
            return
        try:
            talk = dialogue(spec)
            sock = socket.socket(where[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except CannotAskError as error:
            self._end(run, _unasked(str(error)))
            return
        except OSError as error:
            self._end(run, _failed(error.errno or 0, 0.0))
            return
        number = sock.connect_ex(where[1])
        if number not in (0, errno.EINPROGRESS):
            sock.close()
            self._end(run, _failed(errno.EADDRNOTAVAIL if number == errno.EAGAIN else number, self._loop.time() - began))
            return
        descriptor = sock.fileno()
        self._running[descriptor] = _Run(sock, spec, run, began, talk)
        self._descriptors[run] = descriptor
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self._limit(began + spec.timeout_s, descriptor, run)

    def cancel(self, run: int) -> bool:
        """Nobody wants the outcome of this run any more.  False when it is none of these."""
        descriptor = self._descriptors.pop(run, None)
        if descriptor is not None:
            self._leave(descriptor, self._running.pop(descriptor).sock)
            return True
        before = len(self._ended)
        self._ended = [ended for ended in self._ended if ended[0] != run]
        return len(self._ended) < before

    def close(self) -> None:
        """End all of them; nothing is told any more."""
        for handle in (self._timer, self._telling):
            if handle is not None:
                handle.cancel()
        for each in self._running.values():
            each.sock.close()
        self._running.clear()
        self._descriptors.clear()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    # --- what happens on their sockets -----------------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Some have connected, been refused, or been answered."""
        self._look()
        self._tell()

    def _look(self) -> bool:
        """Take what the kernel has to say of them; true when there may be more."""
        events = self._epoll.poll(0, EVENTS_AT_ONCE)
        now = self._loop.time()
        for descriptor, _ in events:
            each = self._running.get(descriptor)
            if each is not None:
                outcome = self._outcome(each, now - each.began)
                if outcome is not None:
                    self._finish(descriptor, each, outcome)
        return len(events) == EVENTS_AT_ONCE

    def _outcome(self, each: _Run, elapsed_s: float) -> Outcome | None:
        """How the check has ended, if it has by now."""
        talk = each.talk
        try:
            if not each.connect_s:
                number = each.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number:
                    return _failed(number, elapsed_s)
                each.connect_s = max(elapsed_s, 1e-6)
                if talk is None:
                    return Outcome(ok=True, duration_s=elapsed_s, connect_s=elapsed_s)
                each.unsent = talk.request
            verdict = _converse(each, elapsed_s)
        except ConnectionError:
            verdict = talk.broken() if talk is not None else ""
        except OSError as error:
            return _failed(error.errno or 0, elapsed_s)
        return None if verdict is None else _ended(each, verdict, elapsed_s)

    def _out_of_time(self) -> None:
        self._timer = None
        while self._look():  # whoever has answered by now is not too late, however long this process took to look
            pass
        now = self._loop.time()
        while self._limits and self._limits[0][0] <= now:
            _, _, descriptor, run = heapq.heappop(self._limits)
            if self._descriptors.get(run) == descriptor:
                each = self._running[descriptor]
                self._finish(descriptor, each, _too_late(each, now - each.began))
        self._set_timer()
        self._tell()

    def _finish(self, descriptor: int, each: _Run, outcome: Outcome) -> None:
        del self._running[descriptor]
        del self._descriptors[each.run]
        self._leave(descriptor, each.sock)
        if not outcome.ok and outcome.duration_s > each.spec.timeout_s + STALL_S:
            outcome = replace(outcome, reason=reasons.STALLED, conclusive=False, connect_timed_out=False)
        self._ended.append((each.run, outcome))

    def _leave(self, descriptor: int, sock: socket.socket) -> None:
        """Out of the epoll first: a process being started may hold a copy of the socket, which would go on reporting under its number."""
        self._epoll.unregister(descriptor)
        sock.close()

    # --- limits, and telling -----------------------------------------------------------------------------------------------------

    def _limit(self, at: float, descriptor: int, run: int) -> None:
        """One timer for all: limits of checks that have ended are dropped when their time comes, or when they are too many."""
        heapq.heappush(self._limits, (at, next(self._tickets), descriptor, run))
        if len(self._limits) > 2 * len(self._running) + 64:
            self._limits = [limit for limit in self._limits if self._descriptors.get(limit[3]) == limit[2]]
            heapq.heapify(self._limits)
        if self._timer is None or at < self._timer.when():
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._limits[0][0], self._out_of_time) if self._limits else None

    def _end(self, run: int, outcome: Outcome) -> None:
        self._ended.append((run, outcome))
        if self._telling is None:
            self._telling = self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        ended, self._ended = self._ended, []
        if ended:
            self._done(ended)


def _converse(each: _Run, elapsed_s: float) -> str | None:
    """Send what is left, read what is there; the verdict if there is one.  Raises OSError."""
    talk = each.talk
    if talk is None:
        return ""
    try:
        while each.unsent:
            each.unsent = each.unsent[each.sock.send(each.unsent) :]
        verdict = talk.asked()
        while verdict is None:
            data = each.sock.recv(talk.room)
            if not data:
                return talk.closed()
            if not each.first_byte_s:
                each.first_byte_s = max(elapsed_s - each.connect_s, 1e-6)
            verdict = talk.take(data)
    except BlockingIOError:
        return None
    return verdict


def _ended(each: _Run, reason: str, took_s: float) -> Outcome:
    reply = each.talk.reply if each.talk is not None else b""
    return Outcome(ok=not reason, duration_s=took_s, reason=reason, reply=reply, connect_s=each.connect_s, first_byte_s=each.first_byte_s)


def _unasked(reason: str) -> Outcome:
    return Outcome(ok=False, duration_s=0.0, reason=reason, conclusive=False)


def _failed(number: int, took_s: float) -> Outcome:
    if number == errno.ETIMEDOUT:
        return Outcome(ok=False, duration_s=took_s, reason=reasons.no_connection(took_s), connect_timed_out=True)
    return Outcome(ok=False, duration_s=took_s, reason=reasons.socket_error(number), conclusive=number not in reasons.OWN_FAILURES)


def _too_late(each: _Run, took_s: float) -> Outcome:
    if each.connect_s and each.talk is not None:
        return _ended(each, each.talk.too_late(), took_s)
    return Outcome(ok=False, duration_s=took_s, reason=reasons.no_connection(each.spec.timeout_s), connect_timed_out=True)
