"""TCP, SCTP and UDP checks on non-blocking sockets, without the weight of streams.

Owns the sockets of one check from opening to closing.  It decides what an answer means through ``lvsagent.core.expect`` and the given
pattern matcher, and trusts nothing a server sends: at most 4 KiB are kept, and the time limit holds whatever happens.
"""

from __future__ import annotations

import socket

from lvsagent.adapters.checks import reasons
from lvsagent.adapters.checks.datagrams import receive
from lvsagent.adapters.checks.judge import Judge
from lvsagent.adapters.checks.stream import connect
from lvsagent.adapters.checks.waiter import OutOfTimeError, Search, Waiter, address_of, guarded
from lvsagent.core.check_spec import CheckSpec, Method, Outcome
from lvsagent.core.expect import ANSWER_LIMIT_BYTES


async def check_stream(spec: CheckSpec, search: Search) -> Outcome:
    """Connect; send and expect when the spec says so."""
    return await guarded(spec, lambda waiter: _converse(spec, search, waiter))


async def check_datagram(spec: CheckSpec, search: Search) -> Outcome:
    """Send one datagram and judge the first that comes back."""
    if spec.expect is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.UDP_NEEDS_EXPECT, conclusive=False)
    return await guarded(spec, lambda waiter: _exchange(spec, search, waiter))


async def _converse(spec: CheckSpec, search: Search, waiter: Waiter) -> Outcome:
    where = address_of(spec)
    if where is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
    protocol = socket.IPPROTO_SCTP if spec.protocol == "sctp" else socket.IPPROTO_TCP
    with socket.socket(where[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK, protocol) as sock:
        await connect(sock, where[1], waiter)
        connect_s = waiter.elapsed
        if spec.method is Method.CONNECT or (not spec.send and spec.expect is None):
            return Outcome(ok=True, duration_s=connect_s, connect_s=connect_s)
        judge = Judge(spec, search)
        judge.connect_s = connect_s
        try:
            await _send(sock, spec.send, waiter)
            reason = await _read_verdict(sock, judge, waiter)
        except OutOfTimeError:
            reason = "" if await judge.at_end() else reasons.out_of_time(spec, bytes(judge.answer))
        except ConnectionError:
            reason = "" if await judge.at_end() else reasons.reset_early(spec, bytes(judge.answer))
    return judge.outcome(reason, waiter.elapsed)


async def _send(sock: socket.socket, data: bytes, waiter: Waiter) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await waiter.writable(sock)


async def _read_verdict(sock: socket.socket, judge: Judge, waiter: Waiter) -> str:
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
        judge.take(data, waiter.elapsed)
        verdict = judge.look()
    if verdict is None:
        verdict = await judge.at_end()
    return "" if verdict else reasons.unexpected(judge.spec, bytes(judge.answer))


async def _exchange(spec: CheckSpec, search: Search, waiter: Waiter) -> Outcome:
    where = address_of(spec)
    if where is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
    judge = Judge(spec, search)
    with socket.socket(where[0], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(where[1])
        sock.send(spec.send)
        try:
            judge.take(await receive(sock, ANSWER_LIMIT_BYTES, waiter), waiter.elapsed)
            reason = "" if await judge.at_end() else reasons.unexpected(spec, bytes(judge.answer))
        except OutOfTimeError:
            reason = reasons.out_of_time(spec, b"")
    return judge.outcome(reason, waiter.elapsed)
