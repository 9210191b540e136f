"""The check of an lvs.cf's virtual server as a checker of keepalived, for one of its real servers.

Owns which check becomes what: the same rules as the agent's own, so that a file that says little is checked there as it is here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from app.lvscf.check_rules import NEEDS
from app.lvscf.escapes import decode_escapes
from app.lvscf.foreign.http import ANY, Codes, HttpCheck, codes_of, codes_text, from_send_expect, is_portable
from app.lvscf.foreign.missing import Missing, checked_port, server_port
from app.lvscf.model import CheckKind, DnsRecord, Forwarding, Protocol, RealServer, VirtualServer

HTTP_PORT = 80
GREETING = "220"
_CONNECTS = {CheckKind.CONNECT, CheckKind.TLS, CheckKind.AGENT}
_LESS = {CheckKind.TLS: "the port alone is checked", CheckKind.AGENT: "the port alone is checked, and no weight is read"}
_NOT_THERE = {DnsRecord.PTR, DnsRecord.SRV}
"""Types of record that a DNS_CHECK cannot ask for."""
_DNS_NAME = re.compile(r"\.|[A-Za-z0-9_-]{2,63}(\.[A-Za-z0-9_-]{2,63})*")
"""Names that every keepalived takes: 2.2 refuses those with a part of one letter."""
_IN_BRACKETS = frozenset(".[{}()+?|$")

_DEFAULT_STATUS: Codes = ((200, 399),)

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
        needed = NEEDS.get(kind)
        if needed and not getattr(virtual, needed):
            self._missing(f"check = {kind}", f"it has no {needed}, so nothing is checked, as here")
            return
        if kind in _LESS:
            self._missing(f"check = {kind}", _LESS[kind])
        if kind in {CheckKind.HTTP, CheckKind.HTTPS}:
            yield from self._asked()
        elif kind in _CONNECTS:
            if kind is not CheckKind.CONNECT or virtual.protocol is Protocol.TCP:
                yield "TCP_CHECK"
        elif kind is CheckKind.AUTO:
            yield from self._program(virtual.send_program) if virtual.send_program else self._conversation()
        elif kind is CheckKind.PROGRAM:
            yield from self._program(virtual.send_program or "")
        else:
            yield from {CheckKind.DNS: self._dns, CheckKind.SMTP: self._smtp, CheckKind.UDP: self._datagram, CheckKind.PING: self._ping}[
                kind
            ]()

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
        if virtual.hold_down:
            self._missing("hold_down", "a server that fails again and again comes back as soon as it answers")

    def _missing(self, what: str, words: str) -> None:
        self.missing.say(f"{what} of {self.virtual.name}: {words}")

    # --- the kinds ---------------------------------------------------------------------------------------------------------------

    def _asked(self) -> Lines:
        """An HTTP check by its own keywords."""
        virtual = self.virtual
        secure = virtual.check is CheckKind.HTTPS
        yield "SSL_GET" if secure else "HTTP_GET"
        if secure and virtual.check_host:
            yield "enable_sni"
        if secure and virtual.check_verify:
            self._missing("check_verify", "any certificate will do")
        if secure and virtual.check_cert_days > 0:
            self._missing("check_cert_days", "nobody is told that a certificate ends")
        codes = codes_of(virtual.check_status or "") or _DEFAULT_STATUS
        yield from _url(HttpCheck(virtual.check_path or "/", virtual.check_host or "", codes, self._body()))

    def _body(self) -> str:
        """What the body must match, or begin with; ``""`` where nothing is wanted or it cannot be written."""
        virtual = self.virtual
        if not virtual.expect:
            return ""
        pattern = virtual.expect if virtual.use_regex else _beginning(decode_escapes(virtual.expect))
        if _writable(pattern):
            return pattern
        self._missing("expect", "the file cannot hold this pattern; the status alone is compared")
        return ""

    def _smtp(self) -> Lines:
        yield "SMTP_CHECK"
        if self.virtual.check_host:
            yield f"helo_name {self.virtual.check_host}"

    @staticmethod
    def _ping() -> Lines:
        yield "PING_CHECK"

    def _dns(self) -> Lines:
        virtual = self.virtual
        what = f"check_record = {virtual.check_record}" if virtual.check_record in _NOT_THERE else ""
        if what or not _DNS_NAME.fullmatch(virtual.check_host or ""):
            self._missing(what or f"check_host = {virtual.check_host}", "it cannot be asked for there; the host is pinged")
            yield from self._ping()
            return
        yield "DNS_CHECK"
        yield f"type {virtual.check_record}"
        yield f"name {virtual.check_host}"
        if virtual.expect:
            self._missing("expect", "a DNS answer need not be a certain one")
        if virtual.protocol is Protocol.TCP:
            self._missing("check = dns", "it is asked over UDP, not over TCP")

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
        if asked and (not asked.body or _writable(asked.body)):
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


def _url(check: HttpCheck) -> Lines:
    codes: Codes = check.codes
    yield "url {"
    yield f"    path {_quoted(check.path)}"
    if check.host:
        yield f"    virtualhost {_quoted(check.host)}"
    yield f"    status_code {codes_text(codes, ' ')}"
    if check.body:
        yield f'    regex "{check.body}"'
        if "." in check.body:
            yield "    regex_options dotall"
    yield "}"


def _beginning(wanted: bytes) -> str:
    """A pattern for a body that begins with ``wanted``, in which ``*`` is any byte; no backslashes, which a quoted string would eat."""
    return "^" + "".join("." if c == "*" else f"[{c}]" if c in _IN_BRACKETS else c for c in wanted.decode("latin-1"))


def _writable(pattern: str) -> bool:
    """Whether a pattern stands in a quoted string as it is, and is read there as here."""
    return pattern.isascii() and pattern.isprintable() and not set(pattern) & {'"', "\\"} and is_portable(pattern)


def _quoted(text: str) -> str:
    """A path may hold what would begin a comment, a block or a string."""
    return f'"{text}"' if any(c in "#!{}'" for c in text) else text
