"""Searching a pattern in a hostile answer, in a process of its own that can be killed.

Owns that process: started at the first pattern, replaced when it does not answer in time, ended with its parent.  It is forked, not
started afresh, since the checks' user may not be able to read the interpreter any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import signal
import socket
import struct

import regex

from lvsagent.adapters import process

SEARCH_LIMIT_S = 0.1
"""CPU time for a search; what takes longer counts as no match, with its reason."""
KILL_AFTER_S = 0.3
"""CPU time for compiling and searching, after which the kernel ends the process, whatever it is doing."""
WAIT_LIMIT_S = 10.0
"""Real time: much longer, since a busy director is no fault of the pattern's."""
TITLE = "nanny-regex"
MEMORY_LIMIT_BYTES = 1 << 30
_HEADER = struct.Struct("!II")
_FOUND, _NOT_FOUND, _TOO_SLOW = b"1", b"0", b"t"


class RegexWorker:
    """``await search(pattern, text)``, one at a time: a slow pattern delays other patterns' verdicts, nothing else."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._socket: socket.socket | None = None
        self._pid = 0

    async def search(self, pattern: bytes, text: bytes) -> bool:
        """Whether ``pattern`` (of the ``regex`` module) is found in ``text``.  Raises TimeoutError when that takes too long."""
        async with self._lock:
            sock = self._socket or self._start()
            try:
                async with asyncio.timeout(WAIT_LIMIT_S):
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(sock, _HEADER.pack(len(pattern), len(text)) + pattern + text)
                    verdict = await loop.sock_recv(sock, 1)
            except BaseException as error:
                self.close()
                if isinstance(error, OSError):
                    raise TimeoutError from error
                raise
            if verdict == b"":  # it ran out of time or memory
                self.close()
            if verdict not in {_FOUND, _NOT_FOUND}:
                raise TimeoutError
            return verdict == _FOUND

    def close(self) -> None:
        """End the process."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._pid = os.fork()
        if self._pid == 0:
            _child(theirs)
        theirs.close()
        self._socket = ours
        return ours


def _child(theirs: socket.socket) -> None:
    """The worker's life; it never returns into its parent's code."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        descriptor = os.dup2(theirs.fileno(), 3) if theirs.fileno() != 3 else 3
        process.set_title(TITLE)
        os.closerange(4, min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
        _serve(descriptor)
    finally:
        os._exit(0)


def _serve(descriptor: int) -> None:
    while header := _read(descriptor, _HEADER.size):
        pattern_bytes, text_bytes = _HEADER.unpack(header)
        pattern, text = _read(descriptor, pattern_bytes), _read(descriptor, text_bytes)
        signal.setitimer(signal.ITIMER_PROF, KILL_AFTER_S)
        verdict = _verdict(pattern, text)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(descriptor, verdict)


def _verdict(pattern: bytes, text: bytes) -> bytes:
    try:
        return _FOUND if _compiled(pattern).search(text, timeout=SEARCH_LIMIT_S) else _NOT_FOUND
    except (TimeoutError, regex.error, MemoryError, RecursionError):
        return _TOO_SLOW


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: bytes) -> regex.Pattern[bytes]:
    return regex.compile(pattern)


def _read(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            return b""
        data += more
    return data
