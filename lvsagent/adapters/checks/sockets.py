"""TCP, SCTP and UDP checks on non-blocking sockets, without the weight of streams.

Owns the sockets of one check from opening to closing.  It decides what an answer means through ``lvsagent.core.expect`` and the given
pattern matcher, and trusts nothing a server sends: at most 4 KiB are kept, and the time limit holds whatever happens.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from app.lvscf.posix_regex import BadPatternError, Translated, translate
from lvsagent.adapters.checks import reasons
from lvsagent.core.expect import ANSWER_LIMIT_BYTES, REPLY_LIMIT_BYTES, prefix_verdict
from lvsagent.core.health import CheckSpec, Method, Outcome

STALL_S = 1.0
"""A time limit that is noticed this much too late says that this director stood still, nothing about the server."""
SEARCH_PAUSE_S = 0.05
"""A pattern is tried again on a longer answer at most this often."""

Search = Callable[[bytes, bytes], Awaitable[bool]]
"""``search(pattern, text)``; raises TimeoutError when it takes too long."""


class OutOfTimeError(Exception):
    """The check's time limit has come."""


class Waiter:
    """Waits for a socket until a deadline; one timer for the whole check."""

    def __init__(self, limit_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self._future: asyncio.Future[None] | None = None
        self._late = False
        self._timer = self.loop.call_at(self.started + limit_s, self._expire)

    @property
    def elapsed(self) -> float:
        return self.loop.time() - self.started

    def cancel(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self._late = True
        if self._future is not None and not self._future.done():
            self._future.set_exception(OutOfTimeError())

    def _wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def writable(self, sock: socket.socket) -> None:
        """Raises OutOfTimeError."""
        await self._wait(sock, self.loop.add_writer, self.loop.remove_writer)

    async def readable(self, sock: socket.socket, at_most_s: float | None = None) -> None:
        """Raises OutOfTimeError.  Returns after ``at_most_s`` in any case."""
        earlier = None if at_most_s is None else self.loop.call_later(at_most_s, self._wake)
        try:
            await self._wait(sock, self.loop.add_reader, self.loop.remove_reader)
        finally:
            if earlier is not None:
                earlier.cancel()

    async def _wait(self, sock: socket.socket, add: Callable[..., None], remove: Callable[..., bool]) -> None:
        if self._late:
            raise OutOfTimeError
        descriptor = sock.fileno()
        self._future = self.loop.create_future()
        add(descriptor, self._wake)
        try:
            await self._future
        finally:
            remove(descriptor)


def _address(spec: CheckSpec) -> tuple[int, tuple[str, int]] | None:
    """Family and address for connect; None for what is no literal address (it would have to be looked up) or no port."""
    family = socket.AF_INET6 if ":" in spec.address else socket.AF_INET
    try:
        socket.inet_pton(family, spec.address)
    except (OSError, ValueError):
        return None
    if not 0 < spec.port < 65536:
        return None
    return family, (spec.address, spec.port)


async def check_stream(spec: CheckSpec, search: Search) -> Outcome:
    """Connect; send and expect when the spec says so."""
    return await _guarded(spec, lambda waiter: _converse(spec, search, waiter))


async def check_datagram(spec: CheckSpec, search: Search) -> Outcome:
    """Send one datagram and judge the first that comes back."""
    if spec.expect is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.UDP_NEEDS_EXPECT, conclusive=False)
    return await _guarded(spec, lambda waiter: _exchange(spec, search, waiter))


async def _guarded(spec: CheckSpec, run: Callable[[Waiter], Awaitable[Outcome]]) -> Outcome:
    waiter = Waiter(spec.timeout_s)
    outcome = await _caught(spec, run, waiter)
    if not outcome.ok and outcome.duration_s > spec.timeout_s + STALL_S:
        return replace(outcome, reason=reasons.STALLED, conclusive=False, connect_timed_out=False)
    return outcome


async def _caught(spec: CheckSpec, run: Callable[[Waiter], Awaitable[Outcome]], waiter: Waiter) -> Outcome:
    try:
        return await run(waiter)
    except OutOfTimeError:
        reason = reasons.no_connection(spec.timeout_s)
        return Outcome(ok=False, duration_s=waiter.elapsed, reason=reason, connect_timed_out=True)
    except BadPatternError as error:
        return Outcome(ok=False, duration_s=waiter.elapsed, reason=reasons.bad_pattern(str(error)), conclusive=False)
    except TimeoutError as error:
        # the kernel's own ETIMEDOUT comes with an errno, the pattern's without
        reason = reasons.no_connection(waiter.elapsed) if error.errno else reasons.PATTERN_TOO_SLOW
        return Outcome(ok=False, duration_s=waiter.elapsed, reason=reason, connect_timed_out=bool(error.errno))
    except OSError as error:
        own = error.errno in reasons.OWN_FAILURES
        return Outcome(ok=False, duration_s=waiter.elapsed, reason=reasons.socket_error(error.errno), conclusive=not own)
    finally:
        waiter.cancel()


async def _converse(spec: CheckSpec, search: Search, waiter: Waiter) -> Outcome:
    where = _address(spec)
    if where is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
    protocol = socket.IPPROTO_SCTP if spec.protocol == "sctp" else socket.IPPROTO_TCP
    with socket.socket(where[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK, protocol) as sock:
        await _connect(sock, where[1], waiter)
        if spec.method is Method.CONNECT or (not spec.send and spec.expect is None):
            return Outcome(ok=True, duration_s=waiter.elapsed)
        judge = _Judge(spec, search)
        try:
            await _send(sock, spec.send, waiter)
            reason = await _read_verdict(sock, judge, waiter)
        except OutOfTimeError:
            reason = "" if await judge.at_end() else reasons.out_of_time(spec, bytes(judge.answer))
        except ConnectionError:
            reason = "" if await judge.at_end() else reasons.reset_early(spec, bytes(judge.answer))
    return judge.outcome(reason, waiter.elapsed)


async def _connect(sock: socket.socket, address: tuple[str, int], waiter: Waiter) -> None:
    number = sock.connect_ex(address)
    if number == errno.EINPROGRESS:
        await waiter.writable(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number == errno.EAGAIN:  # connect's word for "no free local port"
        number = errno.EADDRNOTAVAIL
    if number:
        raise OSError(number, "connect")


async def _send(sock: socket.socket, data: bytes, waiter: Waiter) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await waiter.writable(sock)


async def _read_verdict(sock: socket.socket, judge: _Judge, waiter: Waiter) -> str:
    """Read until the verdict is known: the reason of the failure, ``""`` for success.  Raises OutOfTimeError, OSError."""
    if judge.spec.expect is None:
        return ""
    verdict = judge.look()
    while verdict is None and judge.room:
        try:
            data = sock.recv(judge.room)
        except BlockingIOError:
            pause_s = judge.search_in(waiter)
            if pause_s == 0:
                verdict = await judge.search_now(waiter)
            else:
                await waiter.readable(sock, pause_s)
            continue
        if not data:
            return "" if await judge.at_end() else reasons.ended_early(judge.spec, bytes(judge.answer))
        judge.answer += data
        verdict = judge.look()
    if verdict is None:
        verdict = await judge.at_end()
    return "" if verdict else reasons.unexpected(judge.spec, bytes(judge.answer))


class _Judge:
    """The answer so far, and whether it is the expected one."""

    def __init__(self, spec: CheckSpec, search: Search) -> None:
        self.spec = spec
        self.answer = bytearray()
        self._search = search
        self._pattern: Translated | None = None
        self._searched_bytes = 0
        self._searched_at = float("-inf")
        if spec.use_regex and spec.expect is not None:
            self._pattern = translate(spec.expect)

    @property
    def room(self) -> int:
        """How many more bytes are looked at."""
        return ANSWER_LIMIT_BYTES - len(self.answer)

    def look(self) -> bool | None:
        """The verdict on a prefix as soon as there is one; a pattern is searched when the socket has no more to read."""
        if self._pattern is not None or self.spec.expect is None:
            return None
        return prefix_verdict(self.spec.expect, bytes(self.answer))

    def search_in(self, waiter: Waiter) -> float | None:
        """When a search makes sense: None while the answer has not grown since the last one, else the seconds until that is long ago."""
        if self._pattern is None or self._pattern.needs_end or len(self.answer) == self._searched_bytes:
            return None
        return max(0.0, self._searched_at + SEARCH_PAUSE_S - waiter.loop.time())

    async def search_now(self, waiter: Waiter) -> bool | None:
        """True when the pattern matches what is there; else more may come."""
        self._searched_at = waiter.loop.time()
        return await self.at_end() or None

    async def at_end(self) -> bool:
        """The verdict on all there will ever be.  Raises TimeoutError when the pattern is too slow."""
        if self.spec.expect is None:
            return True
        if self._pattern is None:
            return prefix_verdict(self.spec.expect, bytes(self.answer)) is True
        self._searched_bytes = len(self.answer)
        return bool(self.answer) and await self._search(self._pattern.pattern, bytes(self.answer))

    def outcome(self, reason: str, duration_s: float) -> Outcome:
        """The end of the check."""
        return Outcome(ok=not reason, duration_s=duration_s, reason=reason, reply=bytes(self.answer[:REPLY_LIMIT_BYTES]))


async def _exchange(spec: CheckSpec, search: Search, waiter: Waiter) -> Outcome:
    where = _address(spec)
    if where is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
    judge = _Judge(spec, search)
    with socket.socket(where[0], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(where[1])
        sock.send(spec.send)
        try:
            judge.answer += await _receive(sock, waiter)
            reason = "" if await judge.at_end() else reasons.unexpected(spec, bytes(judge.answer))
        except OutOfTimeError:
            reason = reasons.out_of_time(spec, b"")
    return judge.outcome(reason, waiter.elapsed)


async def _receive(sock: socket.socket, waiter: Waiter) -> bytes:
    while True:
        await waiter.readable(sock)
        try:
            return sock.recv(ANSWER_LIMIT_BYTES)
        except BlockingIOError:  # the kernel threw the datagram away (its checksum)
            continue
