"""A client that asks a virtual server again and again, and measures for how long nobody answered.

Owns the asking and the arithmetic.  It needs no agent and no privileges: it may run on any host that reaches the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from lvsagent.wire import Rehearsal

INTERVAL_S = 0.02
LIMIT_S = 0.1
BEFORE_S = 1.0
"""So long the service is watched before the role is moved."""
MOST_READ = 64


class BadTarget(Exception):
    """What was given cannot be asked; the message says what can."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and what to say there (``b""``: a connection is answer enough)."""

    text: str
    host: str
    port: int
    request: bytes = b""


@dataclass(frozen=True, slots=True)
class Probe:
    """One request: when it began and ended, and whether there was an answer in time.  Monotonic seconds."""

    began: float
    ended: float
    ok: bool


def parse_target(text: str) -> Target:
    """``http://host[:port]/path`` or ``host:port``.  Raises BadTarget."""
    url = text if "://" in text else f"tcp://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadTarget(f"{text}: {error}") from None
    if parts.scheme == "http" and host:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        try:
            return Target(text, host, port or 80, request.encode("ascii"))
        except UnicodeEncodeError:
            raise BadTarget(f"{text}: write what is not ASCII as %XX") from None
    if parts.scheme == "tcp" and host and port:
        return Target(text, host, port)
    raise BadTarget(f"{text}: expected http://HOST[:PORT]/PATH or HOST:PORT")


async def measure(target: Target, duration_s: float, trigger: Callable[[], Awaitable[str]] | None = None) -> Rehearsal:
    """Ask every ``INTERVAL_S`` for ``duration_s``.

    ``trigger`` moves the role once the service has been watched for a moment, and tells which director gave it up; whatever it raises
    ends the measuring.
    """
    loop = asyncio.get_running_loop()
    began, began_at = loop.time(), time.time()
    moving = asyncio.create_task(_later(trigger)) if trigger else None
    probes: list[asyncio.Task[Probe]] = []
    try:
        while (due := began + len(probes) * INTERVAL_S) < began + duration_s:
            await asyncio.sleep(due - loop.time())
            probes.append(asyncio.create_task(_ask(target)))
            if moving and moving.done():
                moving.result()
        results = await asyncio.gather(*probes)
        moved_from = await moving if moving else ""
    finally:
        for task in (*probes, *([moving] if moving else [])):
            task.cancel()
    return Rehearsal(
        target=target.text,
        began_at=began_at,
        duration_s=duration_s,
        interval_s=INTERVAL_S,
        limit_s=LIMIT_S,
        requests=len(results),
        failed=sum(not probe.ok for probe in results),
        longest_gap_s=longest_gap(results),
        triggered=trigger is not None,
        moved_from=moved_from,
        host=socket.gethostname(),
    )


def longest_gap(probes: Sequence[Probe]) -> float:
    """The longest time between two answers, or between an answer and the beginning or end."""
    if not probes:
        return 0.0
    answers = sorted(probe.ended for probe in probes if probe.ok)
    moments = [min(probe.began for probe in probes), *answers]
    if not probes[-1].ok:
        moments.append(probes[-1].ended)
    return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


async def _later(trigger: Callable[[], Awaitable[str]]) -> str:
    await asyncio.sleep(BEFORE_S)
    return await trigger()


async def _ask(target: Target) -> Probe:
    loop = asyncio.get_running_loop()
    began = loop.time()
    ok = False
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            ok = await _answered(target)
    return Probe(began, loop.time(), ok)


async def _answered(target: Target) -> bool:
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        if not target.request:
            return True
        writer.write(target.request)
        answer = await reader.read(MOST_READ)
        return answer.startswith(b"HTTP/") and answer[9:10] not in {b"5", b""}
    finally:
        writer.close()
