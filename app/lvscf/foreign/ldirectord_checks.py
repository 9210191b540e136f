"""ldirectord's checks as lvs.cf's: checktype, service, request, receive and what belongs to them.

Owns which check becomes what.  A failed server comes back after one good check there, hence ``rise = 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol as Shape

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import Service
from app.lvscf.foreign.http import GOOD, HttpCheck, codes_text, is_portable, to_send_expect
from app.lvscf.foreign.values import Values, can_say, port_of
from app.lvscf.keywords import Level
from app.lvscf.model import CheckKind, Protocol

DEFAULT_SERVICE = {
    21: "ftp",
    25: "smtp",
    53: "dns",
    80: "http",
    110: "pop",
    119: "nntp",
    143: "imap",
    389: "ldap",
    443: "https",
    587: "submission",
    993: "imaps",
    995: "pops",
    1521: "oracle",
    1812: "radius",
    3128: "http_proxy",
    3306: "mysql",
    5432: "pgsql",
    5060: "sip",
}
"""What a virtual server's port says of its service where nothing else does."""

_GREETINGS = {"ftp": "220", "pop": "+OK", "imap": "* OK", "nntp": "20"}
"""How these begin when a client connects, which is what lvs.cf can wait for."""
_TLS_GREETINGS = {"pops": "+OK", "imaps": "* OK"}
_MAIL = {"smtp", "submission"}
_STATUS = codes_text((GOOD,), ",")
_PERMITTED = "the kernel must permit it: docs/checks.md"
_LOGIN = ("login", "passwd", "database", "secret")
_TIMES = {"checkinterval": "check_interval", "failurecount": "fall"}


class _Directive(Shape):
    line: int
    name: str
    value: str


Checks = Mapping[str, _Directive]


def check_values(values: Values, service: Service, checks: Checks, head: int) -> None:
    """Put the check of one virtual server into ``values``.  ``head``: the line of its ``virtual``."""
    _Check(values, service, checks, head).all()


class _Check:
    def __init__(self, values: Values, service: Service, checks: Checks, head: int) -> None:
        self.values = values
        self.ledger = values.ledger
        self.service = service
        self.checks = checks
        self.head = head

    def all(self) -> None:
        self._times()
        kind = self._text("checktype", "negotiate")
        line = self._line("checktype")
        methods: dict[str, Callable[[int], None]] = {
            "negotiate": self._negotiate,
            "connect": self._connect,
            "ping": self._ping,
            "external": self._external,
            "external-perl": self._external,
            "off": self._off,
            "on": self._on,
        }
        if kind.isdigit():
            self.ledger.lost(line, "connections and requests in turn: the request is made every time")
            kind = "negotiate"
        if kind not in methods:
            self.ledger.error(line, f"{shown(kind)} is no checktype that is known here; a connection is checked")
            kind = "connect"
        if "checktype" in self.checks and kind == "negotiate":
            self.ledger.needless(line, "a request and its answer are checked wherever send or expect is set")
        methods[kind](line)
        if kind != "negotiate":
            self._idle(*(name for name in ("service", "request", "receive", "virtualhost", "httpmethod", *_LOGIN) if name in self.checks))
        if not kind.startswith("external"):
            self._idle("checkcommand")

    def _line(self, name: str) -> int:
        return self.checks[name].line if name in self.checks else self.head

    def _text(self, name: str, default: str = "") -> str:
        if name not in self.checks:
            return default
        value = self.checks[name].value
        return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value

    def _idle(self, *names: str) -> None:
        """Directives that this kind of check makes no use of."""
        for name in names:
            if name in self.checks:
                self.ledger.needless(self.checks[name].line, "this kind of check makes no use of it")

    # --- when --------------------------------------------------------------------------------------------------------------------

    def _times(self) -> None:
        for name, keyword in _TIMES.items():
            if name in self.checks:
                self.values.number(self._line(name), keyword, self._text(name))
        limits = [name for name in ("checktimeout", "negotiatetimeout", "connecttimeout") if name in self.checks]
        if "checktype" not in self.checks or self._text("checktype") == "negotiate":
            limits.sort(key=lambda name: name != "negotiatetimeout")
        for name in limits[:1]:
            self.values.number(self._line(name), "check_timeout", self._text(name))
        for name in limits[1:]:
            self.ledger.needless(self._line(name), "this kind of check makes no use of it")
        self.values.put(self.head, "rise", 1, "a server comes back after one good check, as there")
        if "checkport" in self.checks:
            port = port_of(self._text("checkport"))
            if port is None:
                self.ledger.error(self._line("checkport"), "that is no port; left out")
            else:
                self.values.put(self._line("checkport"), "check_port", port)

    # --- how ---------------------------------------------------------------------------------------------------------------------

    def _connect(self, line: int) -> None:
        if self.service.protocol is Protocol.UDP:
            self.values.put(line, "check", CheckKind.PING, f"a UDP service, as there; {_PERMITTED}")
        else:
            self.values.put(line, "check", CheckKind.CONNECT)

    def _ping(self, line: int) -> None:
        self.values.put(line, "check", CheckKind.PING, _PERMITTED)

    def _external(self, line: int) -> None:
        command = self._text("checkcommand", "/bin/true")
        where = str(self.service.fwmark) if self.service.fwmark else self.service.host
        words = "the same four arguments; the program must be in one of agent.toml's program_dirs"
        self.values.put(line, "check", CheckKind.PROGRAM)
        self.values.put(self._line("checkcommand"), "send_program", f"{command} {where} {self.service.port} %h %p", words)

    def _off(self, line: int) -> None:
        for server in self.service.servers:
            server.active = False
        self.ledger.became(line, "active = 0 for each of its real servers, which take no part")

    def _on(self, line: int) -> None:
        self.values.found["check"] = CheckKind.CONNECT
        self.ledger.lost(line, "real servers that are never checked: lvs.cf has none, a connection is checked")

    def _negotiate(self, line: int) -> None:
        kind = self._text("service") or ("none" if self.service.fwmark else DEFAULT_SERVICE.get(self.service.port, "none"))
        at = self._line("service") if "service" in self.checks else line
        methods: dict[str, Callable[[int], None]] = {
            "http": lambda at: self._http(CheckKind.HTTP, at),
            "https": lambda at: self._http(CheckKind.HTTPS, at),
            "http_proxy": self._proxy,
            "simpletcp": self._simple,
            "dns": self._dns,
        }
        if kind in methods:
            methods[kind](at)
        elif kind in _MAIL | _GREETINGS.keys() | _TLS_GREETINGS.keys():
            self._greeting(kind, at)
        else:
            self._only_connect(kind, at)
        for name in _LOGIN:
            self._lost(name, "no check logs in; a program can (send_program)")
        if kind not in {"http", "http_proxy", "https"}:
            self._idle("virtualhost", "httpmethod")

    def _greeting(self, kind: str, line: int) -> None:
        """What greets first; SMTP is spoken with as well."""
        if kind in _MAIL:
            self.values.put(line, "check", CheckKind.SMTP)
        elif kind in _TLS_GREETINGS:
            self.values.put(line, "check", CheckKind.TLS)
            self.values.put(line, "expect", _TLS_GREETINGS[kind], f"how {kind} greets")
        else:
            self.values.put(line, "expect", _GREETINGS[kind], f"how {kind} greets")
        self._lost("request", "nothing is asked, the greeting is what counts")
        self._lost("receive", "the greeting is what counts")

    def _dns(self, line: int) -> None:
        """ldirectord asks for an address, and any record of the answer may match."""
        if not can_say(Level.BLOCK, "check_host", self._text("request")):
            self._unaskable(line)
            return
        self.values.put(line, "check", CheckKind.DNS)
        self._copied("request", "check_host")
        self._received("one of the records must match")

    def _only_connect(self, kind: str, line: int) -> None:
        if self.service.protocol is Protocol.TCP:
            self.values.put(line, "check", CheckKind.CONNECT)
        if kind != "none":
            self.ledger.lost(line, f"lvs.cf has no check for {shown(kind)}: only that the port accepts is checked; a program can do more")
        self._lost("request", "nothing is asked")
        self._lost("receive", "nothing is compared")

    def _http(self, kind: CheckKind, line: int) -> None:
        path = self._text("request", "/")
        path = path if path.startswith("/") else f"/{path}"
        if not can_say(Level.BLOCK, "check_path", path):
            self._unaskable(line)
            return
        self.values.put(line, "check", kind)
        self.values.put(line, "check_status", _STATUS, "as there")
        if "request" in self.checks:
            self.values.put(self._line("request"), "check_path", path)
        self._copied("virtualhost", "check_host")
        self._received("in the first 4 KiB of the body")
        self._method(f"check = {kind}")

    def _method(self, became: str) -> None:
        if self._text("httpmethod", "GET").upper() != "GET":
            self._lost("httpmethod", "GET is asked: its answer begins alike")
        elif "httpmethod" in self.checks:
            self.ledger.became(self._line("httpmethod"), became)

    def _proxy(self, line: int) -> None:
        """A proxy is asked for a whole address, which check_path cannot be: the request is written out."""
        host = self._text("virtualhost")
        check = HttpCheck(self._text("request", "/"), host, (GOOD,), self._text("receive"))
        found = to_send_expect(check)
        if found is None and check.body:
            found = to_send_expect(HttpCheck(check.path, host))
            if found:
                words = "receive is no regular expression that lvs.cf can hold; the status alone is compared"
                self.ledger.lost(self._line("receive"), words)
        if found is None:
            self._unaskable(line)
            return
        for name in ("service", "virtualhost"):
            if name in self.checks:
                self.ledger.became(self._line(name), "send")
        self._put_all(line, found)
        self._method("send")

    def _unaskable(self, line: int) -> None:
        self.ledger.lost(line, "this request cannot be written in lvs.cf; only that a TCP service's port accepts is checked")
        self._lost("request", "this request cannot be written in lvs.cf")
        for name in ("receive", "virtualhost", "httpmethod"):
            self._lost(name, "nothing is asked")
        self.values.found["check"] = CheckKind.CONNECT

    def _received(self, words: str) -> None:
        """``receive`` as a pattern for ``expect``."""
        if "receive" not in self.checks:
            return
        line, text = self._line("receive"), self._text("receive")
        if not is_portable(text):
            self.ledger.lost(line, "receive is no regular expression that lvs.cf can hold; it is not compared")
        elif self.values.put(line, "expect", text):
            self.values.put(line, "use_regex", value=True, words=words)

    def _simple(self, line: int) -> None:
        receive = self._text("receive")
        found: dict[str, object] = {}
        if request := self._text("request"):
            found["send"] = request
        if receive and is_portable(receive):
            found |= {"expect": receive, "use_regex": True}
        elif receive:
            self.ledger.lost(self._line("receive"), "receive is no regular expression that lvs.cf can hold")
        self._put_all(line, found)
        self.ledger.became(line, "send, expect" if found else "a connection alone")
        if not found:
            self.values.put(line, "check", CheckKind.CONNECT)

    def _put_all(self, line: int, found: Mapping[str, object]) -> None:
        where = {"send": "request", "expect": "receive", "use_regex": "receive"}
        for name, value in found.items():
            self.values.put(self._line(where[name]) if where.get(name) in self.checks else line, name, value)

    def _copied(self, name: str, keyword: str) -> None:
        if self._text(name):
            self.values.put(self._line(name), keyword, self._text(name))

    def _lost(self, name: str, words: str) -> None:
        if name in self.checks:
            self.ledger.lost(self._line(name), words)
