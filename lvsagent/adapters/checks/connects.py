"""Connect checks by the thousand, without a task or a timer each.

Owns one epoll for all of them and one timer for their limits.  A check here only connects; whatever speaks is ``sockets``' business.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import itertools
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

from lvsagent.adapters.checks import reasons
from lvsagent.adapters.checks.waiter import STALL_S, address_of
from lvsagent.core.check_spec import CheckSpec, Method, Outcome

Done = Callable[[list[tuple[int, Outcome]]], None]
"""Called with the runs that have ended, and how."""


@dataclass(slots=True)
class _Connecting:
    sock: socket.socket
    spec: CheckSpec
    run: int
    began: float


class Connects:
    """``done`` is never called from within ``begin``."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._ready)
        self._connecting: dict[int, _Connecting] = {}
        self._descriptors: dict[int, int] = {}
        self._limits: list[tuple[float, int, int, int]] = []
        self._tickets = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._ended: list[tuple[int, Outcome]] = []
        self._telling: asyncio.Handle | None = None

    def takes(self, spec: CheckSpec) -> bool:
        """Whether the check is one of these."""
        return spec.method is Method.CONNECT and spec.protocol == "tcp"

    def begin(self, spec: CheckSpec, run: int) -> None:
        """Start connecting; ``run`` is what the outcome is told by."""
        began = self._loop.time()
        where = address_of(spec)
        if where is None:
            self._end(run, Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False))
            return
        try:
            sock = socket.socket(where[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._end(run, _failed(error.errno or 0, 0.0))
            return
        number = sock.connect_ex(where[1])
        if number != errno.EINPROGRESS:
            sock.close()
            self._end(run, _outcome(number, self._loop.time() - began))
            return
        descriptor = sock.fileno()
        self._connecting[descriptor] = _Connecting(sock, spec, run, began)
        self._descriptors[run] = descriptor
        self._epoll.register(descriptor, select.EPOLLOUT)
        self._limit(began + spec.timeout_s, descriptor, run)

    def cancel(self, run: int) -> bool:
        """Nobody wants the outcome of this run any more.  False when it is none of these."""
        descriptor = self._descriptors.pop(run, None)
        if descriptor is not None:
            self._leave(descriptor, self._connecting.pop(descriptor).sock)
            return True
        before = len(self._ended)
        self._ended = [ended for ended in self._ended if ended[0] != run]
        return len(self._ended) < before

    def close(self) -> None:
        """End all of them; nothing is told any more."""
        for handle in (self._timer, self._telling):
            if handle is not None:
                handle.cancel()
        for each in self._connecting.values():
            each.sock.close()
        self._connecting.clear()
        self._descriptors.clear()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    # --- what ends them ------------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Some have connected or been refused."""
        events = self._epoll.poll(0)
        now = self._loop.time()
        for descriptor, _ in events:
            each = self._take(descriptor)
            if each is not None:
                number = each.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self._leave(descriptor, each.sock)
                self._ended.append((each.run, _outcome(number, now - each.began)))
        self._tell()

    def _out_of_time(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._limits and self._limits[0][0] <= now:
            _, _, descriptor, run = heapq.heappop(self._limits)
            if self._descriptors.get(run) == descriptor:
                each = self._take(descriptor)
                if each is not None:
                    self._leave(descriptor, each.sock)
                    self._ended.append((run, _too_late(each.spec, now - each.began)))
        self._set_timer()
        self._tell()

    def _leave(self, descriptor: int, sock: socket.socket) -> None:
        """Out of the epoll first: a process being started may hold a copy of the socket, which would go on reporting under its number."""
        self._epoll.unregister(descriptor)
        sock.close()

    def _take(self, descriptor: int) -> _Connecting | None:
        each = self._connecting.pop(descriptor, None)
        if each is not None:
            del self._descriptors[each.run]
        return each

    def _limit(self, at: float, descriptor: int, run: int) -> None:
        """One timer for all: limits of checks that have ended are dropped when their time comes, or when they are too many."""
        heapq.heappush(self._limits, (at, next(self._tickets), descriptor, run))
        if len(self._limits) > 2 * len(self._connecting) + 64:
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


def _outcome(number: int, took_s: float) -> Outcome:
    if number == 0:
        return Outcome(ok=True, duration_s=took_s, connect_s=took_s)
    if number == errno.EAGAIN:  # connect's word for "no free local port"
        number = errno.EADDRNOTAVAIL
    return _failed(number, took_s)


def _failed(number: int, took_s: float) -> Outcome:
    if number == errno.ETIMEDOUT:
        return Outcome(ok=False, duration_s=took_s, reason=reasons.no_connection(took_s), connect_timed_out=True)
    return Outcome(ok=False, duration_s=took_s, reason=reasons.socket_error(number), conclusive=number not in reasons.OWN_FAILURES)


def _too_late(spec: CheckSpec, took_s: float) -> Outcome:
    if took_s > spec.timeout_s + STALL_S:
        return Outcome(ok=False, duration_s=took_s, reason=reasons.STALLED, conclusive=False)
    return Outcome(ok=False, duration_s=took_s, reason=reasons.no_connection(spec.timeout_s), connect_timed_out=True)
