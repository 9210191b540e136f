"""keepalived's checkers as lvs.cf's checks.

Owns which checker becomes what.  keepalived checks each real server in its own way; lvs.cf has one check for a virtual server, so that of
the first real server counts and what differs is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import Server
from app.lvscf.foreign.http import GOOD, codes_of, codes_text, is_portable
from app.lvscf.foreign.keepalived_grammar import Statement
from app.lvscf.foreign.keepalived_words import SERVICE, look_up, say_all
from app.lvscf.foreign.report import Ledger, Verdict
from app.lvscf.foreign.values import Values, can_say, number_of, port_of, seconds_of
from app.lvscf.keywords import Level
from app.lvscf.model import CheckKind, DnsRecord, Forwarding

_NEEDLESS = {
    "delay_before_retry": "a retry is the next check",
    "fast_recovery": "one request is a whole check",
    "http_protocol": "HTTP/1.1 is spoken, and each request has a connection of its own",
    "enable_sni": "check_host is the server name that is asked for",
}
LOST = {
    "connect_ip": "a check goes to the real server's own address",
    "bindto": "a check leaves by the host's own routes",
    "bind_if": "a check leaves by the host's own routes",
    "bind_port": "a check leaves from any port",
    "fwmark": "checks are not marked",
    "digest": "what the page says is compared by a pattern (regex), not by its digest",
    "misc_dynamic": "a program says whether a server is up, not its weight",
    "user": "a program runs as agent.toml's check_user",
}
_SILENT = Ledger.silent()
_TIME_LIMITS = {"connect_timeout", "misc_timeout"}
_DNS_NAME, _DNS_TYPE = ".", "SOA"
"""What a DNS_CHECK asks for where it does not say."""

_RETRIES = {"DNS_CHECK": 3, "MISC_CHECK": 0}
"""How often a checker asks again where nothing says it; all others once."""
CHECKERS = frozenset(
    (
        *("TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "PING_CHECK", "UDP_CHECK"),
        *("BFD_CHECK", "FILE_CHECK"),
    )
)


@dataclass(frozen=True, slots=True)
class CheckedServer:
    """A real server with its checkers."""

    real: Server
    checkers: Sequence[Statement]


def put_check(values: Values, servers: Sequence[CheckedServer], virtual_host: str) -> None:
    """The check of a virtual server: the first checker of its first real server that has one; of the others only what differs is said."""
    ledger = values.ledger
    one_port = len({_own_port(server.real, server.checkers[0]) for server in servers if server.checkers}) == 1
    chosen: dict[str, object] | None = None
    for server in servers:
        for place, checker in enumerate(server.checkers):
            if chosen is not None and place:
                say_all(ledger, checker, Verdict.LOST, "a second checker: lvs.cf has one check for a virtual server")
                continue
            made = _Checker(_SILENT, server.real, virtual_host, one_port=one_port).made(checker)
            if chosen is None:
                chosen = made
                values.found |= chosen
            if made != chosen:
                words = "another check than that of the first real server: lvs.cf has one check for a virtual server"
                say_all(ledger, checker, Verdict.LOST, words)
                continue
            _Checker(ledger, server.real, virtual_host, one_port=one_port).made(checker)
            if not one_port:
                _put_port(ledger, server.real, checker)


def _own_port(server: Server, checker: Statement) -> int | None:
    """The port that a checker connects to where it is not the real server's; ``None`` where it is."""
    port = next((port_of(child.value()) for child in checker.inner if child.word == "connect_port"), None)
    return None if port == server.port else port


def _put_port(ledger: Ledger, server: Server, checker: Statement) -> None:
    """Real servers that are checked at different ports: without NAT the port of a server block is for its checks alone."""
    port = _own_port(server, checker)
    line = next((child.line for child in checker.inner if child.word == "connect_port"), checker.line)
    if port is None:
        return
    if server.method is Forwarding.NAT:
        words = "with NAT a server's port is where its clients go, and check_port is the same for all of a virtual server's"
        ledger.lost(line, f"a port to check that other real servers do not have: {words}")
    else:
        server.values |= {"port": port, "effective_port": port}
        ledger.became(line, f"port = {port} of this server, which without NAT is for its checks alone")


class _Checker:
    """One checker, read."""

    def __init__(self, ledger: Ledger, server: Server, virtual_host: str, *, one_port: bool) -> None:
        self.ledger = ledger
        self.server = server
        self.virtual_host = virtual_host
        self.one_port = one_port
        self.values = Values(ledger, Level.BLOCK)
        self.own: dict[str, Statement] = {}

    def made(self, checker: Statement) -> dict[str, object]:
        kinds: dict[str, Callable[[int], None]] = {
            "TCP_CHECK": self._connect,
            "HTTP_GET": lambda line: self._http(line, checker),
            "SSL_GET": lambda line: self._http(line, checker),
            "SMTP_CHECK": self._smtp,
            "DNS_CHECK": self._dns,
            "PING_CHECK": lambda line: self._put(line, "check", CheckKind.PING, "the kernel must permit it: docs/checks.md"),
            "UDP_CHECK": self._udp,
            "MISC_CHECK": self._program,
        }
        self.own = {child.word: child for child in checker.inner}
        if checker.word not in kinds:
            say_all(self.ledger, checker, Verdict.LOST, f"lvs.cf has no check like {checker.word}")
            return {}
        self._common()
        kinds[checker.word](checker.line)
        for child in checker.inner:
            self._rest(child)
        return self.values.found

    def _put(self, line: int, name: str, value: object, words: str = "") -> None:
        self.values.put(line, name, value, words)

    def _rest(self, child: Statement) -> None:
        if child.word in LOST:
            self.ledger.lost(child.line, LOST[child.word])
        elif child.word in _NEEDLESS:
            self.ledger.needless(child.line, _NEEDLESS[child.word])
        elif child.word not in READ:
            look_up(self.ledger, child, SERVICE, "in a checker")

    def _common(self) -> None:
        """When, how long, how often, and which port."""
        for word in _TIME_LIMITS & self.own.keys():
            self.values.seconds(self.own[word].line, "check_timeout", self.own[word].value())
        if "delay_loop" in self.own:
            self.values.seconds(self.own["delay_loop"].line, "check_interval", self.own["delay_loop"].value())
        for word in ("retry", "nb_get_retry"):
            if word in self.own:
                put_retry(self.values, self.own[word])
        if "connect_port" in self.own:
            self._port(self.own["connect_port"])

    def _port(self, statement: Statement) -> None:
        port = port_of(statement.value())
        if port is None:
            self.ledger.error(statement.line, f"{shown(statement.value())} is no port; left out")
        elif port == self.server.port:
            self.ledger.needless(statement.line, "the real server's own port")
        elif self.one_port:
            self._put(statement.line, "check_port", port)

    # --- the kinds ---------------------------------------------------------------------------------------------------------------

    def _connect(self, line: int) -> None:
        self._put(line, "check", CheckKind.CONNECT)

    def _smtp(self, line: int) -> None:
        self._put(line, "check", CheckKind.SMTP)
        if "helo_name" in self.own:
            self._put(self.own["helo_name"].line, "check_host", self.own["helo_name"].value())

    def _dns(self, line: int) -> None:
        name, kind = self.own.get("name"), self.own.get("type")
        asked = name.value(_DNS_NAME) if name else _DNS_NAME
        if not can_say(Level.BLOCK, "check_host", asked):
            for statement in (name, kind):
                if statement:
                    self.ledger.lost(
                        statement.line, f"{shown(asked)} cannot be asked for; only that a TCP service's port accepts is checked"
                    )
            self._connect(line)
            return
        self._put(line, "check", CheckKind.DNS)
        self._put(name.line if name else line, "check_host", asked)
        record = (kind.value(_DNS_TYPE) if kind else _DNS_TYPE).upper()
        if record in set(DnsRecord):
            self._put(kind.line if kind else line, "check_record", DnsRecord(record))
        elif kind:
            self.ledger.lost(kind.line, f"lvs.cf has no check_record {shown(record)}: {DnsRecord.A} is asked for")

    def _program(self, line: int) -> None:
        path = self.own.get("misc_path")
        if path is None or not path.rest:
            self.ledger.error(line, "a MISC_CHECK without misc_path; left out")
            return
        words = [word for text in path.rest for word in text.split()]
        filled = [words[0], *(self._placeholders(word) for word in words[1:])]
        self._put(line, "check", CheckKind.PROGRAM)
        self._put(path.line, "send_program", " ".join(filled), "the program must be in one of agent.toml's program_dirs")

    def _placeholders(self, word: str) -> str:
        """%h and %p where the real server's address and port stand."""
        host, port = self.server.host, str(self.server.port)
        known = {host: "%h", port: "%p", f"{host}:{port}": "%h:%p", f"[{host}]:{port}": "[%h]:%p"}
        return known.get(word, word)

    def _udp(self, line: int) -> None:
        payload, reply = self.own.get("payload"), self.own.get("require_reply")
        sent = hex_text(payload.rest) if payload else ""
        expected = hex_text(reply.rest) if reply else None
        if reply and expected and sent is not None:
            self._put(line, "check", CheckKind.UDP)
            if payload:
                self._put(payload.line, "send", sent)
            self._put(reply.line, "expect", expected)
        else:
            self.ledger.lost(line, "lvs.cf's check waits for an answer that is text: its UDP servers count as up")
            self._connect(line)
            for each in (payload, reply):
                if each:
                    self.ledger.lost(each.line, "send and expect are text, and expect is needed")
        for word in ("min_reply_length", "max_reply_length"):
            if word in self.own:
                self.ledger.lost(self.own[word].line, "the length of an answer is not looked at")

    # --- HTTP --------------------------------------------------------------------------------------------------------------------

    def _http(self, line: int, checker: Statement) -> None:
        """HTTP_GET and SSL_GET; of its urls the first."""
        urls = [child for child in checker.inner if child.word == "url"]
        for more in urls[1:]:
            say_all(self.ledger, more, Verdict.LOST, "a second url: a check makes one request")
        for one in urls[:1]:
            self.ledger.became(one.line, "the request")
        url = {child.word: child for child in urls[0].inner} if urls else {}
        for child in url.values():
            if child.word not in URL_WORDS:
                say_all(self.ledger, child, Verdict.LOST, LOST.get(child.word, "a check has no counterpart of this"))
        if "path" in url and not can_say(Level.BLOCK, "check_path", url["path"].value("/")):
            words = "a path with other than printable ASCII cannot be asked for; only that the port accepts is checked"
            for statement in (checker, *(url[word] for word in URL_WORDS & url.keys())):
                self.ledger.lost(statement.line, words)
            self._connect(line)
            return
        self._put(line, "check", CheckKind.HTTPS if checker.word == "SSL_GET" else CheckKind.HTTP)
        if "path" in url:
            self._put(url["path"].line, "check_path", url["path"].value("/"))
        self._host(line, url.get("virtualhost") or self.own.get("virtualhost"))
        self._status(line, url.get("status_code"))
        if "regex" in url:
            self._regex(url)

    def _host(self, line: int, said: Statement | None) -> None:
        host = said.value() if said else self.virtual_host
        if host:
            self._put(said.line if said else line, "check_host", host)

    def _status(self, line: int, said: Statement | None) -> None:
        codes = codes_of(" ".join(said.rest)) if said else (GOOD,)
        if said and not codes:
            self.ledger.error(said.line, "these are no status codes; 200 to 299 are accepted")
        self._put(said.line if said and codes else line, "check_status", codes_text(codes or (GOOD,), ","))

    def _regex(self, url: dict[str, Statement]) -> None:
        """A pattern in the body; one that must not be found has no counterpart, and options that change its meaning have none."""
        said, text = url["regex"], url["regex"].value()
        options = url.get("regex_options")
        others = set(options.value().split() + list(options.rest[1:])) - _OPTIONS if options else set()
        if options:
            verdict, words = (Verdict.LOST, "a pattern has no options in lvs.cf") if others else (Verdict.NEEDLESS, "it is so in lvs.cf")
            self.ledger.say(options.line, verdict, words)
        if "regex_no_match" in url or others or not is_portable(text):
            self.ledger.lost(said.line, "no pattern that lvs.cf can hold and that must be found; the status alone is compared")
        elif self.values.put(said.line, "expect", text):
            self._put(said.line, "use_regex", value=True, words="in the first 4 KiB of the body")


URL_WORDS = frozenset(("path", "virtualhost", "status_code", "regex", "regex_options"))
_OPTIONS = frozenset(("dotall",))
"""Options of a pattern that say what is so in lvs.cf anyway."""
READ = frozenset(
    (
        *("url", "connect_timeout", "misc_timeout", "delay_loop", "retry", "nb_get_retry", "connect_port", "misc_path", "name", "type"),
        *("payload", "require_reply", "min_reply_length", "max_reply_length", "virtualhost", "helo_name"),
    )
)


def put_retry(values: Values, statement: Statement) -> None:
    """``retry N``: the check fails N + 1 times in a row before it counts."""
    times = number_of(statement.value())
    if times is None:
        values.ledger.error(statement.line, f"{shown(statement.value())} is no number; left out")
    else:
        values.put(statement.line, "fall", times + 1)


def put_times(values: Values, own: dict[str, Statement]) -> None:
    """The times that a virtual server gives all of its checks; a checker's own win."""
    for word, keyword in (("delay_loop", "check_interval"), ("connect_timeout", "check_timeout")):
        if word in own and seconds_of(own[word].value()) is not None:
            before = values.found.get(keyword)
            if values.seconds(own[word].line, keyword, own[word].value()) and before is not None:
                values.found[keyword] = before
        elif word in own:
            values.ledger.error(own[word].line, f"{shown(own[word].value())} is no number of seconds; left out")
    if "retry" in own:
        before = values.found.get("fall")
        put_retry(values, own["retry"])
        if before is not None:
            values.found["fall"] = before
    if "delay_before_retry" in own:
        values.ledger.needless(own["delay_before_retry"].line, _NEEDLESS["delay_before_retry"])


def put_retry_unsaid(values: Values, servers: Sequence[CheckedServer]) -> None:
    """A server that fails is asked again before it leaves, also where no ``retry`` says so."""
    checker = next((checker for server in servers for checker in server.checkers), None)
    if checker is None or "check" not in values.found or "fall" in values.found:
        return
    retries = _RETRIES.get(checker.word, 1)
    if retries:
        values.put(checker.line, "fall", retries + 1, f"{checker.word} asks {retries} more time{'s' * (retries > 1)} when no retry is said")


def hex_text(words: Sequence[str]) -> str | None:
    r"""Hexadecimal digits (``X`` for any) as lvs.cf writes such a text: ``*`` for any byte, ``\r \n \t`` escaped; ``None`` if it cannot."""
    digits = "".join(words)
    if not digits or len(digits) % 2 or len(digits) > 2 * 255:
        return None
    text = []
    for at in range(0, len(digits), 2):
        pair = digits[at : at + 2].upper()
        byte = 0x2A if pair == "XX" else int(pair, 16) if all(c in "0123456789ABCDEF" for c in pair) else -1
        if byte not in _WRITABLE:
            return None
        text.append(_WRITABLE[byte])
    return "".join(text)


_WRITABLE = {**{byte: chr(byte) for byte in range(0x20, 0x7F)}, 0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\", 0x22: '\\"'}
"""Bytes that send and expect can hold."""
