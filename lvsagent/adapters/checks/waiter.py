"""Waiting for a socket until a check's time limit, and what is said when it has come.

Owns the one timer of a check and the guard around it: whatever a server does, a check ends in an Outcome.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from app.lvscf.posix_regex import BadPatternError
from lvsagent.adapters.checks import reasons
from lvsagent.core.check_spec import CheckSpec, Outcome

STALL_S = 1.0
"""A time limit that is noticed this much too late says that this director stood still, nothing about the server."""

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


def address_of(spec: CheckSpec) -> tuple[int, tuple[str, int]] | None:
    """Family and address for connect; None for what is no literal address (it would have to be looked up) or no port."""
    family = socket.AF_INET6 if ":" in spec.address else socket.AF_INET
    try:
        socket.inet_pton(family, spec.address)
    except (OSError, ValueError):
        return None
    if not 0 < spec.port < 65536:
        return None
    return family, (spec.address, spec.port)


async def guarded(spec: CheckSpec, run: Callable[[Waiter], Awaitable[Outcome]]) -> Outcome:
    """Run a check whose waiting is done by the waiter it is given; nothing that a server does gets out of here as an exception."""
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
