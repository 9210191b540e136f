"""Thousands of real servers that cost next to nothing, and that stop answering all at the same moment.

A few processes share one port of every address of 127.0.0.0/8; each is one loop around one epoll.  They answer whatever they are asked as
an HTTP server would.  ``refuse`` closes the port; ``silent`` goes on accepting and says nothing more, on no connection; ``full`` leaves the
kernel's queue full, so that a connection is neither made nor refused.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Iterator

ANSWER = b"HTTP/1.0 200 OK\r\nServer: bench\r\nContent-Length: 14\r\n\r\n<html></html>\n"
WELL, REFUSE, SILENT, FULL = range(4)
WAYS = {"refuse": REFUSE, "silent": SILENT, "full": FULL}
TICK_S = 0.005
BACKLOG = 4096


class Farm:
    """The servers, seen from the process that started them."""

    def __init__(self, port: int, mode: mmap.mmap) -> None:
        self.port = port
        self._mode = mode

    def stop(self, way: str) -> float:
        """All stop answering; returns when (monotonic seconds)."""
        self._mode[0] = WAYS[way]
        return time.monotonic()

    def start(self) -> None:
        """All answer again."""
        self._mode[0] = WELL


@contextlib.contextmanager
def farm(processes: int = 2) -> Iterator[Farm]:
    """Start them, and end them."""
    mode = mmap.mmap(-1, 1)
    first = _listener(0)
    port = first.getsockname()[1]
    first.close()
    started: list[int] = []
    try:
        for _ in range(processes):
            child = os.fork()
            if child == 0:
                _serve(port, mode)
            started.append(child)
        _until_answered(port)
        yield Farm(port, mode)
    finally:
        for child in started:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def address(number: int) -> str:
    """The address of a server, each its own."""
    return f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def _until_answered(port: int) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        select.select([], [], [], 0.01)
    raise TimeoutError("the bench's servers do not answer")


def _listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("0.0.0.0", port))  # noqa: S104 -- every address of 127.0.0.0/8 is a server
    made.listen(BACKLOG)
    made.setblocking(False)
    return made


def _serve(port: int, mode: mmap.mmap) -> None:
    """One process's loop, for ever."""
    server = _Server(port)
    while True:
        if mode[0] != server.mode:
            server.change(mode[0])
        server.turn()


class _Server:
    def __init__(self, port: int) -> None:
        self.mode = WELL
        self._port = port
        self._epoll = select.epoll()
        self._callers: dict[int, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._open()

    def change(self, mode: int) -> None:
        self.mode = mode
        if mode == REFUSE:
            self._shut()
        elif mode == FULL and self._listener is not None:
            self._listener.listen(0)
            self._epoll.unregister(self._listener.fileno())
        elif mode == WELL:
            self._shut()
            self._open()

    def turn(self) -> None:
        for descriptor, _ in self._epoll.poll(TICK_S):
            if self._listener is not None and descriptor == self._listener.fileno():
                self._accept()
            else:
                self._answer(descriptor)

    def _open(self) -> None:
        self._listener = _listener(self._port)
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)

    def _shut(self) -> None:
        for caller in self._callers.values():
            caller.close()
        self._callers.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(64):
            try:
                caller = self._listener.accept()[0]
            except OSError:
                return
            caller.setblocking(False)
            self._callers[caller.fileno()] = caller
            self._epoll.register(caller.fileno(), select.EPOLLIN)

    def _answer(self, descriptor: int) -> None:
        caller = self._callers[descriptor]
        with contextlib.suppress(OSError):
            asked = caller.recv(4096)
            if asked and self.mode != WELL:
                return
            if asked:
                caller.send(ANSWER)
        del self._callers[descriptor]
        caller.close()
