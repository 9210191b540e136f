"""A client that starts a request every 20 ms, whatever became of those before: how long nobody answered, and which requests failed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import selectors
import socket
import time
from dataclasses import dataclass, field

from tests.kernel import net
from tests.kernel.cluster import VIP, forked

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@dataclass
class Seen:
    """What the client saw.  ``longest_gap_s``: the longest time between two answers; ``refused``: requests with another end than an
    answer within ``LIMIT_S``; ``standstill_s``: the longest time in which the client itself could not run, so no gap means anything below.
    """

    asked: int = 0
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    longest_gap_s: float = 0.0
    standstill_s: float = 0.0
    gap_from: float = 0.0
    """When the longest gap began (monotonic)."""


class GapClient:
    """Runs from its making to ``stop``."""

    INTERVAL_S, LIMIT_S = 0.02, 2.0
    _first_port = 23_000
    """No port is used twice: for minutes the kernel would send it the way the earlier connection went."""

    def __init__(self, address: tuple[str, int] = (VIP, 80)) -> None:
        self._address = address
        self._ports = itertools.count(self._first_port)
        self._stop_read, self._stop_write = os.pipe()
        self._said_read, self._said_write = os.pipe()
        with net.namespace("client"):
            self._pid = forked(self._run)
        os.close(self._said_write)
        os.close(self._stop_read)

    def stop(self) -> Seen:
        """Ask until a request that begins from now on is answered (or none is within the limit), wait for the others; what was seen.

        Whoever stopped in the middle of a takeover would only have requests left whose first packet was lost, and would take the second
        until the kernel sends it again for a gap in the service.
        """
        os.close(self._stop_write)
        with os.fdopen(self._said_read) as said:
            found = json.load(said)
        os.waitpid(self._pid, 0)
        seen = Seen(**found)
        GapClient._first_port += seen.asked
        return seen

    def _run(self) -> None:
        os.close(self._stop_write)
        self._seen, self._last = Seen(), time.monotonic()
        self._start = awake = due = self._newest = self._last
        stopped_at = float("inf")
        with selectors.DefaultSelector() as selector:
            self._selector = selector
            self._asking = True
            while self._asking or selector.get_map():
                now = time.monotonic()
                self._seen.standstill_s = max(self._seen.standstill_s, now - awake)
                if self._asking and now >= due:
                    self._ask(now)
                    due = max(due + self.INTERVAL_S, now)
                wait_s = max(0.0, due - now) if self._asking else 0.05
                for key, _events in selector.select(wait_s):
                    self._go_on(key)
                awake = now + wait_s
                self._give_up(time.monotonic())
                if stopped_at == float("inf") and select.select([self._stop_read], [], [], 0)[0]:
                    stopped_at = time.monotonic()
                self._asking = self._newest < stopped_at and now < stopped_at + self.LIMIT_S
        os.write(self._said_write, json.dumps(self._seen.__dict__).encode())

    def _ask(self, now: float) -> None:
        self._seen.asked += 1
        connection = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET)
        connection.setblocking(False)
        connection.bind(("", next(self._ports)))
        connection.connect_ex(self._address)
        self._selector.register(connection, selectors.EVENT_WRITE, now)

    def _go_on(self, key: selectors.SelectorKey) -> None:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        try:
            if key.events & selectors.EVENT_WRITE:
                connection.sendall(REQUEST)
                self._selector.modify(connection, selectors.EVENT_READ, key.data)
                return
            answer = connection.recv(4096)
        except OSError as error:
            self._end(connection, key.data, str(error))
            return
        self._end(connection, key.data, "" if answer.startswith(b"HTTP/1.0 200") else "closed without an answer")

    def _give_up(self, now: float) -> None:
        late = [key for key in self._selector.get_map().values() if now - key.data > self.LIMIT_S]
        for key in late:
            assert isinstance(key.fileobj, socket.socket)
            self._end(key.fileobj, key.data, "no answer in time")

    def _end(self, connection: socket.socket, asked_at: float, error: str) -> None:
        self._selector.unregister(connection)
        with contextlib.suppress(OSError):
            connection.close()
        if error:
            self._seen.failures.append(f"{asked_at - self._start:.2f} s: {error}")
            return
        now = time.monotonic()
        self._newest = max(self._newest, asked_at)
        self._seen.answered += 1
        if self._asking and now - self._last > self._seen.longest_gap_s:  # later, nobody asks in between
            self._seen.longest_gap_s, self._seen.gap_from = now - self._last, self._last
        self._last = now
