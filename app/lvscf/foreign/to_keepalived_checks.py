"""The check of an lvs.cf's virtual server as a checker of keepalived, for one of its real servers.

Owns which check becomes what: the same rules as the agent's own, so that a file that says little is checked there as it is here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from app.lvscf.escapes import decode_escapes
from app.lvscf.foreign.http import ANY, GOOD, Codes, HttpCheck, codes_of, codes_text, from_send_expect
from app.lvscf.foreign.missing import Missing, checked_port, server_port
from app.lvscf.model import CheckKind, Forwarding, Protocol, RealServer, VirtualServer

HTTP_PORT = 80
GREETING = "220"
_KINDS = {
    CheckKind.CONNECT: "TCP_CHECK",
    CheckKind.SMTP: "SMTP_CHECK",
    CheckKind.PING: "PING_CHECK",
    CheckKind.UDP: "UDP_CHECK",
    CheckKind.DNS: "DNS_CHECK",
    CheckKind.TLS: "TCP_CHECK",
    CheckKind.AGENT: "TCP_CHECK",
}
_LESS = {CheckKind.TLS: "the port alone is checked", CheckKind.AGENT: "the port alone is checked, and no weight is read"}

Lines = Iterator[str]


def checker(virtual: VirtualServer, server: RealServer, method: Forwarding, missing: Missing) -> Lines:
    """The checker's lines; none where nothing can be checked."""
    port = virtual.check_port or checked_port(virtual, server)
    made = _Checker(virtual, server, port, missing)
    lines = list(made.lines())
    if not lines:
        return
    head, *inner = lines
    yield f"{head} {{"
    if port != server_port(virtual, server, method) and head not in {"MISC_CHECK", "PING_CHECK"}:
        yield f"    connect_port {port}"
    yield from (f"    {line}" for line in (*inner, *made.times(head)))
    yield "}"


class _Checker:
    def __init__(self, virtual: VirtualServer, server: RealServer, port: int, missing: Missing) -> None:
        self.virtual = virtual
        self.server = server
        self.port = port
        self.missing = missing

    def lines(self) -> Lines:
        """The kind, then what stands inside it beside the times."""
        virtual = self.virtual
        kind = virtual.check
        if kind in _LESS:
            self._missing(f"check = {kind}", _LESS[kind])
        if kind in {CheckKind.HTTP, CheckKind.HTTPS}:
            yield from self._asked()
        elif kind is CheckKind.DNS:
            yield "DNS_CHECK"
            if virtual.check_host:
                yield f"name {virtual.check_host}"
        elif kind in _KINDS:
            if kind is not CheckKind.CONNECT or virtual.protocol is Protocol.TCP:
                yield _KINDS[kind]
        elif virtual.send_program:
            yield from self._program(virtual.send_program)
        else:
            yield from self._conversation()

    def times(self, head: str) -> Lines:
        """How long, how often."""
        virtual = self.virtual
        limit = virtual.check_timeout or max(virtual.timeout, 1)
        if head == "MISC_CHECK":
            yield f"misc_timeout {math.ceil(limit)}"
            if limit != int(limit):
                self._missing(f"check_timeout = {limit:g}", "the limit of a program is whole seconds")
        else:
            yield f"connect_timeout {limit:g}"
        yield f"retry {max(virtual.fall, 1) - 1}"
        interval = virtual.check_interval or max(virtual.timeout, 1)
        yield f"delay_before_retry {interval:g}"
        rise = virtual.rise or max(1, math.ceil(virtual.reentry / interval))
        if rise > 1:
            self._missing("rise" if virtual.rise else "reentry", "a failed server is back after one good check")

    def _missing(self, what: str, words: str) -> None:
        self.missing.say(f"{what} of {self.virtual.name}: {words}")

    # --- the kinds ---------------------------------------------------------------------------------------------------------------

    def _asked(self) -> Lines:
        """An HTTP check by its own keywords."""
        virtual = self.virtual
        yield "SSL_GET" if virtual.check is CheckKind.HTTPS else "HTTP_GET"
        codes = codes_of(virtual.check_status or "")
        yield from _url(HttpCheck(virtual.check_path or "/", virtual.check_host or "", codes or (GOOD,)), named=bool(codes))

    def _program(self, command: str) -> Lines:
        """The agent splits the command line at blanks and fills in %h and %p; keepalived reads quotes, so there may be none."""
        filled = command.replace("%h", self.server.address).replace("%p", str(self.port))
        if '"' in filled or "'" in filled or "\\" in filled:
            self._missing("send_program", "its command line has quotes; the port alone is checked")
            yield "TCP_CHECK"
            return
        yield "MISC_CHECK"
        yield f'misc_path "{filled}"'
        if self.virtual.expect:
            self._missing("expect", "a program's exit status counts, not what it prints")

    def _conversation(self) -> Lines:
        virtual = self.virtual
        if virtual.protocol is Protocol.UDP:
            yield from self._datagram()
        elif virtual.protocol is Protocol.SCTP:
            return
        elif virtual.send is None and virtual.expect is None:
            if self.port == HTTP_PORT:
                yield "HTTP_GET"
                yield from _url(HttpCheck(codes=(ANY,)))
            else:
                yield "TCP_CHECK"
        else:
            yield from self._stream(virtual.send or "", virtual.expect or "")

    def _stream(self, send: str, expect: str) -> Lines:
        asked = from_send_expect(send, expect, use_regex=self.virtual.use_regex)
        if asked and '"' not in asked.body:
            yield "HTTP_GET"
            yield from _url(asked)
        elif not send and expect == GREETING and not self.virtual.use_regex:
            yield "SMTP_CHECK"
        else:
            self._missing("send and expect", "no checker holds such a conversation; the port alone is checked")
            yield "TCP_CHECK"

    def _datagram(self) -> Lines:
        virtual = self.virtual
        if not virtual.expect:
            return
        if virtual.use_regex:
            self._missing("expect", "an answer is compared byte by byte, not with a pattern; it is not checked")
            return
        yield "UDP_CHECK"
        if virtual.send:
            yield f"payload {decode_escapes(virtual.send).hex()}"
        yield f"require_reply {''.join('XX' if byte == ord('*') else f'{byte:02x}' for byte in decode_escapes(virtual.expect))}"


def _url(check: HttpCheck, *, named: bool = True) -> Lines:
    codes: Codes = check.codes
    yield "url {"
    yield f"    path {_quoted(check.path)}"
    if check.host:
        yield f"    virtualhost {_quoted(check.host)}"
    if named:
        yield f"    status_code {codes_text(codes, ' ')}"
    if check.body:
        yield f'    regex "{check.body}"'
    yield "}"


def _quoted(text: str) -> str:
    """A path may hold what would begin a comment or a block."""
    return f'"{text}"' if any(c in "#!{}" for c in text) else text
