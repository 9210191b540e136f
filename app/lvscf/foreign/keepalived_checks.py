"""keepalived's checkers as lvs.cf's checks.

Owns which checker becomes what.  keepalived checks each real server in its own way; lvs.cf has one check for a virtual server, so that of
the first real server counts and what differs is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.http import GOOD, Codes, HttpCheck, codes_of, codes_text, is_portable, to_send_expect
from app.lvscf.foreign.keepalived_grammar import Statement
from app.lvscf.foreign.keepalived_words import SERVICE, look_up, say_all
from app.lvscf.foreign.report import Ledger, Verdict
from app.lvscf.foreign.values import Unusable, Values, as_line, number_of, port_of, seconds_of
from app.lvscf.keywords import Level
from app.lvscf.model import CheckKind

GREETING = "220"
_NEEDLESS = {"delay_before_retry": "a retry is the next check", "fast_recovery": "one request is a whole check"}
LOST = {
    "connect_ip": "a check goes to the real server's own address",
    "bindto": "a check leaves by the host's own routes",
    "bind_if": "a check leaves by the host's own routes",
    "bind_port": "a check leaves from any port",
    "fwmark": "checks are not marked",
    "http_protocol": "HTTP/1.0 is spoken",
    "digest": "what the page says is compared by a pattern (regex), not by its digest",
    "helo_name": "the greeting alone is waited for",
    "misc_dynamic": "a program says whether a server is up, not its weight",
    "user": "a program runs as agent.toml's check_user",
    "enable_sni": "this version makes no TLS checks",
    "type": "this version makes no DNS checks",
}
_SILENT = Ledger.silent()
_TIME_LIMITS = {"connect_timeout", "misc_timeout"}

CHECKERS = frozenset(
    (
        *("TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "PING_CHECK", "UDP_CHECK"),
        *("BFD_CHECK", "FILE_CHECK"),
    )
)


@dataclass(frozen=True, slots=True)
class CheckedServer:
    """A real server with its checkers."""

    host: str
    port: int
    checkers: Sequence[Statement]


def put_check(values: Values, servers: Sequence[CheckedServer], virtual_host: str) -> None:
    """The check of a virtual server: the first checker of its first real server that has one; of the others only what differs is said."""
    chosen: dict[str, object] | None = None
    for server in servers:
        for place, checker in enumerate(server.checkers):
            if chosen is not None and place:
                say_all(values.ledger, checker, Verdict.LOST, "a second checker: lvs.cf has one check for a virtual server")
                continue
            if chosen is None:
                chosen = _Checker(values.ledger, server, virtual_host).made(checker)
                values.found |= chosen
            elif _Checker(_SILENT, server, virtual_host).made(checker) == chosen:
                _Checker(values.ledger, server, virtual_host).made(checker)
            else:
                words = "another check than that of the first real server: lvs.cf has one check for a virtual server"
                say_all(values.ledger, checker, Verdict.LOST, words)


class _Checker:
    """One checker, read."""

    def __init__(self, ledger: Ledger, server: CheckedServer, virtual_host: str) -> None:
        self.ledger = ledger
        self.server = server
        self.virtual_host = virtual_host
        self.values = Values(ledger, Level.BLOCK)
        self.own: dict[str, Statement] = {}

    def made(self, checker: Statement) -> dict[str, object]:
        kinds: dict[str, Callable[[int], None]] = {
            "TCP_CHECK": self._connect,
            "HTTP_GET": lambda line: self._http(line, checker),
            "SSL_GET": lambda line: self._tls(line, checker),
            "SMTP_CHECK": lambda line: self._put(line, "expect", GREETING, "the greeting is waited for"),
            "DNS_CHECK": self._dns,
            "PING_CHECK": lambda line: self._kept(line, CheckKind.PING),
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
        else:
            self._put(statement.line, "check_port", port)

    # --- the kinds ---------------------------------------------------------------------------------------------------------------

    def _connect(self, line: int) -> None:
        self._put(line, "check", CheckKind.CONNECT)

    def _kept(self, line: int, kind: CheckKind) -> None:
        self.values.put(line, "check", kind, "this version checks a connection instead, where the protocol is TCP", kept=True)

    def _dns(self, line: int) -> None:
        self._kept(line, CheckKind.DNS)
        if "name" in self.own:
            self._put(self.own["name"].line, "check_host", self.own["name"].value())

    def _program(self, line: int) -> None:
        path = self.own.get("misc_path")
        if path is None or not path.rest:
            self.ledger.error(line, "a MISC_CHECK without misc_path; left out")
            return
        words = [word for text in path.rest for word in text.split()]
        filled = [words[0], *(self._placeholders(word) for word in words[1:])]
        self.ledger.became(line, "send_program")
        self._put(path.line, "send_program", " ".join(filled), "the program must be in one of agent.toml's program_dirs")

    def _placeholders(self, word: str) -> str:
        """%h and %p where the real server's address and port stand."""
        host, port = self.server.host, str(self.server.port)
        known = {host: "%h", port: "%p", f"{host}:{port}": "%h:%p", f"[{host}]:{port}": "[%h]:%p"}
        return known.get(word, word)

    def _udp(self, line: int) -> None:
        payload, reply = self.own.get("payload"), self.own.get("require_reply")
        sent = hex_text(payload.rest) if payload else None
        expected = hex_text(reply.rest) if reply else None
        if payload and reply and sent and expected:
            self.ledger.became(line, "send and expect")
            self._put(payload.line, "send", sent)
            self._put(reply.line, "expect", expected)
        else:
            self.values.put(line, "check", CheckKind.UDP, "this version counts its servers as up", kept=True)
            for each in (payload, reply):
                if each:
                    self.ledger.lost(each.line, "lvs.cf has send and expect together, and both are text")
        for word in ("min_reply_length", "max_reply_length"):
            if word in self.own:
                self.ledger.lost(self.own[word].line, "the length of an answer is not looked at")

    # --- HTTP --------------------------------------------------------------------------------------------------------------------

    def _url(self, checker: Statement) -> tuple[dict[str, Statement], HttpCheck]:
        """The first url's own statements, and what it asks for."""
        urls = [child for child in checker.inner if child.word == "url"]
        for more in urls[1:]:
            say_all(self.ledger, more, Verdict.LOST, "a second url: a check makes one request")
        for one in urls[:1]:
            self.ledger.became(one.line, "the request")
        first = {child.word: child for child in urls[0].inner} if urls else {}
        for child in first.values():
            if child.word not in URL_WORDS:
                say_all(self.ledger, child, Verdict.LOST, LOST.get(child.word, "a check has no counterpart of this"))
        codes: Codes = (GOOD,)
        if "status_code" in first:
            codes = codes_of(" ".join(first["status_code"].rest))
            if not codes:
                self.ledger.error(first["status_code"].line, "these are no status codes; 200 to 299 are accepted")
                codes = (GOOD,)
        host = first.get("virtualhost") or self.own.get("virtualhost")
        body = first["regex"].value() if "regex" in first else ""
        path = first["path"].value("/") if "path" in first else "/"
        return first, HttpCheck(path, host.value() if host else self.virtual_host, codes, body)

    def _http(self, line: int, checker: Statement) -> None:
        url, check = self._url(checker)
        if check.body and ("regex_no_match" in url or not is_portable(check.body)):
            self.ledger.lost(url["regex"].line, "no pattern that lvs.cf can hold and that must be found; the status alone is compared")
            check = HttpCheck(check.path, check.host, check.codes)
        found = to_send_expect(check)
        if found is None or not self._sayable(found):
            words = "this request cannot be written in lvs.cf; only that the port accepts is checked"
            for statement in (checker, *(url[word] for word in URL_WORDS & url.keys())):
                self.ledger.lost(statement.line, words)
            self._connect(line)
            return
        for name, value in found.items():
            self._put(line, name, value)
        became = {"path": "send", "virtualhost": "send", "status_code": "expect", "regex": "expect"}
        said = {"virtualhost": self.own["virtualhost"], **url} if "virtualhost" in self.own else url
        for word, keyword in became.items():
            if word in said and (word != "regex" or check.body):
                self.ledger.became(said[word].line, keyword)

    @staticmethod
    def _sayable(found: dict[str, object]) -> bool:
        try:
            for name, value in found.items():
                as_line(Level.BLOCK, name, value)
        except Unusable:
            return False
        return True

    def _tls(self, line: int, checker: Statement) -> None:
        url, check = self._url(checker)
        self.values.put(line, "check", CheckKind.HTTPS, "this version checks only that the port accepts", kept=True)
        self._put(url["path"].line if "path" in url else line, "check_path", check.path)
        if check.host:
            self._put(url["virtualhost"].line if "virtualhost" in url else line, "check_host", check.host)
        if "status_code" in url:
            self._put(url["status_code"].line, "check_status", codes_text(check.codes, ","))
        if "regex" in url:
            self.ledger.lost(url["regex"].line, "what the page says is not compared")


URL_WORDS = frozenset(("path", "virtualhost", "status_code", "regex"))
READ = frozenset(
    (
        *("url", "connect_timeout", "misc_timeout", "delay_loop", "retry", "nb_get_retry", "connect_port", "misc_path", "name"),
        *("payload", "require_reply", "min_reply_length", "max_reply_length", "virtualhost"),
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
