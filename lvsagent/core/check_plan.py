"""From lvs.cf's words to what is really checked: one ``CheckSpec`` a real server.

Owns the meaning of send, expect, use_regex, send_program, timeout, reentry and of our rise, fall, check_interval, check_timeout.
It runs nothing, and knows neither weights nor the table.
"""

from __future__ import annotations

import math

from app.lvscf import decode_escapes
from app.lvscf.model import Block, CheckKind, Protocol
from lvsagent.core.health import CheckSpec, Method

HTTP_SEND = b"GET / HTTP/1.0\r\n\r\n"
HTTP_EXPECT = b"HTTP"
HTTP_PORT = 80
SHORTEST_INTERVAL_S = 0.1
PIRANHA_TIMEOUT_S = 10.0


def check_spec(virtual: Block, *, key: str, address: str, port: int) -> CheckSpec:
    """The check of the real server at ``address`` and ``port`` that ``virtual`` asks for."""
    checked_port = virtual.check_port or port
    method, send, expect = _conversation(virtual, checked_port)
    interval_s = max(virtual.check_interval or virtual.timeout or PIRANHA_TIMEOUT_S, SHORTEST_INTERVAL_S)
    return CheckSpec(
        key=key,
        address=address,
        port=checked_port,
        protocol=virtual.protocol.value,
        method=method,
        send=send,
        expect=expect,
        use_regex=virtual.use_regex and expect is not None,
        program=_program(virtual, address, checked_port) if method is Method.PROGRAM else (),
        interval_s=float(interval_s),
        timeout_s=float(max(virtual.check_timeout or virtual.timeout or PIRANHA_TIMEOUT_S, SHORTEST_INTERVAL_S)),
        rise=virtual.rise or max(1, math.ceil(virtual.reentry / interval_s)),
        fall=virtual.fall or 1,
    )


def _conversation(virtual: Block, port: int) -> tuple[Method, bytes, bytes | None]:
    """What is done, sent and expected."""
    expect = decode_escapes(virtual.expect) if virtual.expect else None
    if virtual.check is CheckKind.CONNECT:
        return (Method.CONNECT if virtual.protocol is Protocol.TCP else Method.NONE), b"", None
    if virtual.send_program:
        return Method.PROGRAM, b"", expect
    send = decode_escapes(virtual.send) if virtual.send else b""
    if virtual.protocol is not Protocol.TCP:
        speaks = virtual.protocol is Protocol.UDP and expect is not None
        return (Method.SEND_EXPECT, send, expect) if speaks else (Method.NONE, b"", None)
    if send or expect is not None:
        return Method.SEND_EXPECT, send, expect
    if port == HTTP_PORT:
        return Method.SEND_EXPECT, HTTP_SEND, HTTP_EXPECT
    return Method.CONNECT, b"", None


def _program(virtual: Block, address: str, port: int) -> tuple[str, ...]:
    """The argv: split on blanks, no shell, then ``%h`` and ``%p`` filled in."""
    return tuple(word.replace("%h", address).replace("%p", str(port)) for word in (virtual.send_program or "").split())


def unchecked(virtual: Block) -> str:
    """Why the real servers of ``virtual`` are not checked as asked, in words (``""``: they are)."""
    if virtual.check not in {CheckKind.AUTO, CheckKind.CONNECT}:
        return f"check = {virtual.check} is not available in this version: the check follows send, expect and send_program"
    method, _, _ = _conversation(virtual, virtual.check_port or virtual.port)
    if method is not Method.NONE:
        return ""
    wanted = "send_program" if virtual.protocol is Protocol.SCTP else "expect or send_program"
    return f"nothing can be checked with protocol {virtual.protocol} and no {wanted}: its real servers count as up"
