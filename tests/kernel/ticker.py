"""A client that never stops asking: what it notices while the director's processes come and go."""

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
from tests.kernel.cluster import VIP, forked, killed, serve


@dataclass
class Watch:
    """A client that asks every 20 ms with a limit of 190 ms: how often, what failed when, the longest time between two answers.

    A packet that was lost is sent again after 200 ms at the earliest, so a request that lost one fails.

    Beside every request it asks a server of its own, in its own namespace.  When that one is slow too, the machine as a whole stood still,
    and the request is counted as ``stalled``, not as failed.
    """

    asked: int = 0
    stalled: int = 0
    failures: list[str] = field(default_factory=list)
    longest_gap_s: float = 0.0


class Ticker:
    """Runs such a client from its making to ``stop``, and on until it has asked often enough to say something."""

    INTERVAL_S, LIMIT_S = 0.02, 0.19
    STANDSTILL_S = 0.05
    """A server of the client's own that takes longer says that nothing ran in time."""
    ENOUGH, ENOUGH_LIMIT_S = 50, 20.0
    _first_ports = itertools.count(30_000, 5_000)

    def __init__(self, address: tuple[str, int] = (VIP, 80)) -> None:
        self._address = address
        self._ports = itertools.count(next(self._first_ports))
        self._control = serve("client")  # first: it must not inherit the pipes
        self._stop_read, self._stop_write = os.pipe()
        self._said_read, self._said_write = os.pipe()
        with net.namespace("client"):
            self._pid = forked(self._run)
        os.close(self._said_write)
        os.close(self._stop_read)

    def stop(self) -> Watch:
        """End it; what it saw."""
        os.close(self._stop_write)
        with os.fdopen(self._said_read) as said:
            found = json.load(said)
        os.waitpid(self._pid, 0)
        killed(self._control)
        return Watch(**found)

    def _run(self) -> None:
        os.close(self._stop_write)
        watch = Watch()
        start = last = time.monotonic()
        due = start
        until = float("inf")
        while time.monotonic() < until:
            if select.select([self._stop_read] if until == float("inf") else [], [], [], max(0.0, due - time.monotonic()))[0]:
                until = time.monotonic() + self.ENOUGH_LIMIT_S
            if until < float("inf") and watch.asked - watch.stalled > self.ENOUGH:
                break
            due = max(due + self.INTERVAL_S, time.monotonic())
            watch.asked += 1
            answer, control = race([(self._address, next(self._ports)), (("127.0.0.1", 80), 0)], self.LIMIT_S)
            now = time.monotonic()
            if not answer.error:
                watch.longest_gap_s = max(watch.longest_gap_s, now - last)
                last = now
            elif control.error or control.took_s > self.STANDSTILL_S:
                watch.stalled += 1
            else:
                watch.failures.append(f"{now - start:.2f} s: {answer.error}")
        os.write(self._said_write, json.dumps(watch.__dict__).encode())


@dataclass
class Answer:
    """How one of several requests went."""

    error: str = "no answer in time"
    took_s: float = 0.0


def race(targets: list[tuple[tuple[str, int], int]], limit_s: float) -> list[Answer]:
    """Ask several servers (address; the client's port, 0 for any) at the same time."""
    start = time.monotonic()
    answers = [Answer() for _ in targets]
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for answer, (address, port) in zip(answers, targets, strict=True):
            connection = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET))
            connection.setblocking(False)
            connection.bind(("", port))
            connection.connect_ex(address)
            selector.register(connection, selectors.EVENT_WRITE, answer)
        while selector.get_map() and (left := start + limit_s - time.monotonic()) > 0:
            for key, _events in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                if _ended(key.fileobj, selector, key.data):
                    key.data.took_s = time.monotonic() - start
                    selector.unregister(key.fileobj)
    return answers


def _ended(connection: socket.socket, selector: selectors.BaseSelector, answer: Answer) -> bool:
    """One step of a request; whether it was the last."""
    try:
        if selector.get_key(connection).events & selectors.EVENT_WRITE:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            selector.modify(connection, selectors.EVENT_READ, answer)
            return False
        part = connection.recv(4096)
    except OSError as error:
        answer.error = str(error)
        return True
    if part:
        answer.error = "" if part.startswith(b"HTTP/1.0 200") else "not the answer that was asked for"
    elif answer.error:
        answer.error = "the connection was closed without an answer"
    return bool(not part or not answer.error)
