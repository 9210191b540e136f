"""From lvs.cf's words to what is really checked: one ``CheckSpec`` a real server.

Owns the meaning of check and its keywords, of send, expect, use_regex, send_program, timeout, reentry and of our rise, fall,
check_interval, check_timeout.  It runs nothing, and knows neither weights nor the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from app.lvscf import decode_escapes
from app.lvscf.check_rules import NEEDS
from app.lvscf.model import Block, CheckKind, Protocol
from lvsagent.core.check_spec import CheckSpec, Details, Method

HTTP_SEND = b"GET / HTTP/1.0\r\n\r\n"
HTTP_EXPECT = b"HTTP"
HTTP_PORT = 80
SHORTEST_INTERVAL_S = 0.1
PIRANHA_TIMEOUT_S = 10.0
TCP, UDP = Protocol.TCP.value, Protocol.UDP.value


class _Asked(NamedTuple):
    """What is done, over which protocol, with what."""

    method: Method
    protocol: str
    send: bytes = b""
    expect: bytes | None = None
    details: Details | None = None


def check_spec(virtual: Block, *, key: str, address: str, port: int) -> CheckSpec:
    """The check of the real server at ``address`` and ``port`` that ``virtual`` asks for."""
    checked_port = virtual.check_port or port
    asked = _asked(virtual, checked_port)
    interval_s = max(virtual.check_interval or virtual.timeout or PIRANHA_TIMEOUT_S, SHORTEST_INTERVAL_S)
    return CheckSpec(
        key=key,
        address=address,
        port=checked_port,
        protocol=asked.protocol,
        method=asked.method,
        send=asked.send,
        expect=asked.expect,
        use_regex=virtual.use_regex and asked.expect is not None,
        program=_program(virtual, address, checked_port) if asked.method is Method.PROGRAM else (),
        interval_s=float(interval_s),
        timeout_s=float(max(virtual.check_timeout or virtual.timeout or PIRANHA_TIMEOUT_S, SHORTEST_INTERVAL_S)),
        rise=virtual.rise or max(1, math.ceil(virtual.reentry / interval_s)),
        fall=virtual.fall or 1,
        details=asked.details,
        hold_down_s=float(max(virtual.hold_down, 0)),
        slow_start_s=float(max(virtual.slow_start, 0)),
    )


def _asked(virtual: Block, port: int) -> _Asked:
    protocol = virtual.protocol
    if virtual.check is CheckKind.AUTO:
        return _piranhas(virtual, port)
    needed = NEEDS.get(virtual.check)
    if needed is not None and not getattr(virtual, needed):
        return _Asked(Method.NONE, protocol.value)
    return _OURS[virtual.check](virtual, *_texts(virtual))


def _piranhas(virtual: Block, port: int) -> _Asked:
    """Without ``check``: what Piranha would have done."""
    protocol = virtual.protocol
    send, expect = _texts(virtual)
    if virtual.send_program:
        return _Asked(Method.PROGRAM, protocol.value, b"", expect)
    if protocol is not Protocol.TCP:
        speaks = protocol is Protocol.UDP and expect is not None
        return _Asked(Method.SEND_EXPECT, protocol.value, send, expect) if speaks else _Asked(Method.NONE, protocol.value)
    if send or expect is not None:
        return _Asked(Method.SEND_EXPECT, protocol.value, send, expect)
    if port == HTTP_PORT:
        return _Asked(Method.SEND_EXPECT, protocol.value, HTTP_SEND, HTTP_EXPECT)
    return _Asked(Method.CONNECT, protocol.value)


def _texts(virtual: Block) -> tuple[bytes, bytes | None]:
    return (decode_escapes(virtual.send) if virtual.send else b""), (decode_escapes(virtual.expect) if virtual.expect else None)


def _details(virtual: Block) -> Details:
    defaults = Details()
    return Details(
        host=virtual.check_host or "",
        path=virtual.check_path or defaults.path,
        status=virtual.check_status or defaults.status,
        record=virtual.check_record.value,
        tls=virtual.check is CheckKind.HTTPS,
        verify=virtual.check_verify and virtual.check in {CheckKind.HTTPS, CheckKind.TLS},
        certificate_days=max(virtual.check_cert_days, 0),
    )


_OURS: dict[CheckKind, Callable[[Block, bytes, bytes | None], _Asked]] = {
    CheckKind.CONNECT: lambda virtual, _send, _expect: _Asked(
        Method.CONNECT if virtual.protocol is Protocol.TCP else Method.NONE, virtual.protocol.value
    ),
    CheckKind.HTTP: lambda virtual, _send, expect: _Asked(Method.HTTP, TCP, b"", expect, _details(virtual)),
    CheckKind.HTTPS: lambda virtual, _send, expect: _Asked(Method.HTTP, TCP, b"", expect, _details(virtual)),
    CheckKind.TLS: lambda virtual, send, expect: _Asked(Method.TLS, TCP, send, expect, _details(virtual)),
    CheckKind.SMTP: lambda virtual, _send, _expect: _Asked(Method.SMTP, TCP, b"", None, _details(virtual)),
    CheckKind.DNS: lambda virtual, _send, expect: _Asked(
        Method.DNS, TCP if virtual.protocol is Protocol.TCP else UDP, b"", expect, _details(virtual)
    ),
    CheckKind.PING: lambda _virtual, _send, _expect: _Asked(Method.PING, "icmp"),
    CheckKind.UDP: lambda _virtual, send, expect: _Asked(Method.SEND_EXPECT, UDP, send, expect),
    CheckKind.PROGRAM: lambda virtual, _send, expect: _Asked(Method.PROGRAM, virtual.protocol.value, b"", expect),
    CheckKind.AGENT: lambda _virtual, send, _expect: _Asked(Method.AGENT, TCP, send),
}


def _program(virtual: Block, address: str, port: int) -> tuple[str, ...]:
    """The argv: split on blanks, no shell, then ``%h`` and ``%p`` filled in."""
    return tuple(word.replace("%h", address).replace("%p", str(port)) for word in (virtual.send_program or "").split())


def unchecked(virtual: Block) -> str:
    """Why the real servers of ``virtual`` are not checked, in words (``""``: they are)."""
    if _asked(virtual, virtual.check_port or virtual.port).method is not Method.NONE:
        return ""
    needed = NEEDS.get(virtual.check)
    if needed is not None:
        return f"check = {virtual.check} needs {needed}: its real servers count as up"
    wanted = "send_program" if virtual.protocol is Protocol.SCTP else "expect or send_program"
    return f"nothing can be checked with protocol {virtual.protocol} and no {wanted}: its real servers count as up"
