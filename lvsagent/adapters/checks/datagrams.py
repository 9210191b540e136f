"""DNS over UDP and ping: one question in a datagram, and the one answer that belongs to it.

Owns the sockets of these checks and how many datagrams are looked at.  What they mean is ``lvsagent.core``'s.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.lvscf.posix_regex import translate
from lvsagent.adapters.checks import reasons
from lvsagent.adapters.checks.waiter import OutOfTimeError, Search, Waiter, address_of, guarded
from lvsagent.core.check_dns import MOST_BYTES, BadQueryError, DnsQuestion, NotDnsError, same_record, unexpected_records
from lvsagent.core.check_ping import echo_request, is_echo_reply
from lvsagent.core.check_spec import CheckSpec, Outcome
from lvsagent.core.expect import ANSWER_LIMIT_BYTES, REPLY_LIMIT_BYTES

MOST_DATAGRAMS = 64
"""How many answers to other questions are passed over."""
PING_BYTES = 32
GROUP_RANGE = Path("/proc/sys/net/ipv4/ping_group_range")


async def check_dns(spec: CheckSpec, search: Search) -> Outcome:
    """Ask in a datagram; an answer that is none to this question (its id, its name) is passed over."""
    try:
        question = DnsQuestion(spec, secrets.randbelow(65536))
    except BadQueryError as error:
        return Outcome(ok=False, duration_s=0.0, reason=str(error), conclusive=False)
    return await guarded(spec, lambda waiter: _asked(spec, question, search, waiter))


async def _asked(spec: CheckSpec, question: DnsQuestion, search: Search, waiter: Waiter) -> Outcome:
    where = address_of(spec)
    if where is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
    last = ""
    with socket.socket(where[0], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(where[1])
        sock.send(question.wire)
        for _ in range(MOST_DATAGRAMS):
            try:
                data = await receive(sock, MOST_BYTES, waiter)
                answer = question.answer(data)
            except OutOfTimeError:
                break
            except NotDnsError as error:
                last = str(error)
                continue
            if answer is not None:
                first_byte_s = waiter.elapsed
                reason, records = answer
                reason = reason or await records_reason(spec, records, search)
                reply = b"\n".join(records)[:REPLY_LIMIT_BYTES]
                return Outcome(ok=not reason, duration_s=waiter.elapsed, reason=reason, reply=reply, first_byte_s=first_byte_s)
    return Outcome(ok=False, duration_s=waiter.elapsed, reason=last or f"no answer within {reasons.seconds(spec.timeout_s)}")


async def records_reason(spec: CheckSpec, records: list[bytes], search: Search) -> str:
    """Why none of the records is the expected one (``""``: one is, or any will do).  Raises BadPatternError, TimeoutError."""
    if spec.expect is None:
        return ""
    if spec.use_regex:
        found = await search(translate(spec.expect).pattern, b"\n".join(records)[:ANSWER_LIMIT_BYTES])
    else:
        found = any(same_record(spec.expect, record) for record in records)
    return "" if found else unexpected_records(spec.expect, records, use_regex=spec.use_regex)


async def receive(sock: socket.socket, most: int, waiter: Waiter) -> bytes:
    """The next datagram.  Raises OutOfTimeError, OSError."""
    while True:
        await waiter.readable(sock)
        try:
            return sock.recv(most)
        except BlockingIOError:  # the kernel threw the datagram away (its checksum)
            continue


# --- ping ----------------------------------------------------------------------------------------------------------------------


async def check_ping(spec: CheckSpec) -> Outcome:
    """One ICMP echo; nanny has no privilege, so the kernel must permit it to nanny's group (``net.ipv4.ping_group_range``)."""
    return await guarded(spec, _pinging(spec))


def _pinging(spec: CheckSpec) -> Callable[[Waiter], Awaitable[Outcome]]:
    async def run(waiter: Waiter) -> Outcome:
        version = 6 if ":" in spec.address else 4
        family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if version == 6 else (socket.AF_INET, socket.IPPROTO_ICMP)
        try:
            socket.inet_pton(family, spec.address)
        except (OSError, ValueError):
            return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
        except PermissionError:
            return Outcome(ok=False, duration_s=0.0, reason=not_permitted(os.getegid(), _group_range()), conclusive=False)
        payload = secrets.token_bytes(PING_BYTES)
        with sock:
            sock.connect((spec.address, 0))
            sock.send(echo_request(version, 1, payload))
            try:
                for _ in range(MOST_DATAGRAMS):
                    if is_echo_reply(version, await receive(sock, ANSWER_LIMIT_BYTES, waiter), 1, payload):
                        took_s = waiter.elapsed
                        return Outcome(ok=True, duration_s=took_s, first_byte_s=took_s)
            except OutOfTimeError:
                pass
        return Outcome(ok=False, duration_s=waiter.elapsed, reason=f"no echo within {reasons.seconds(spec.timeout_s)}")

    return run


def not_permitted(group: int, permitted: str) -> str:
    """Why no ping can be sent, and what to do about it."""
    return (
        f"this director may not send pings from group {group}: net.ipv4.ping_group_range is {permitted or 'not known'}; "
        f"sysctl -w net.ipv4.ping_group_range='{group} {group}' permits it"
    )


def _group_range() -> str:
    try:
        return " ".join(GROUP_RANGE.read_text(encoding="ascii").split())
    except OSError:
        return ""
