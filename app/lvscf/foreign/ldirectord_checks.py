"""ldirectord's checks as lvs.cf's: checktype, service, request, receive and what belongs to them.

Owns which check becomes what.  A failed server comes back after one good check there, hence ``rise = 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol as Shape

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import Service
from app.lvscf.foreign.http import GOOD, HttpCheck, is_portable, to_send_expect
from app.lvscf.foreign.values import Values, port_of
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

_GREETINGS = {"smtp": "220", "submission": "220", "ftp": "220", "pop": "+OK", "imap": "* OK", "nntp": "20"}
"""How these begin when a client connects, which is what lvs.cf can wait for."""
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
            self.values.put(line, "check", CheckKind.PING, "a UDP service; this version counts its servers as up", kept=True)
        else:
            self.values.put(line, "check", CheckKind.CONNECT)

    def _ping(self, line: int) -> None:
        self.values.put(line, "check", CheckKind.PING, "this version checks a connection instead", kept=True)

    def _external(self, line: int) -> None:
        command = self._text("checkcommand", "/bin/true")
        where = str(self.service.fwmark) if self.service.fwmark else self.service.host
        words = "the same four arguments; the program must be in one of agent.toml's program_dirs"
        self.ledger.became(line, "send_program")
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
        if kind in {"http", "http_proxy"}:
            self._http(kind, at)
        elif kind == "https":
            self._https(at)
        elif kind == "simpletcp":
            self._simple(at)
        elif kind == "dns":
            self.values.put(at, "check", CheckKind.DNS, "this version counts a UDP service's servers as up", kept=True)
            self._kept("request", "check_host")
            self._lost("receive", "the answer is not compared")
        elif kind in _GREETINGS:
            self.values.put(at, "expect", _GREETINGS[kind], f"how {kind} greets")
            self._lost("request", "nothing is asked, the greeting is what counts")
            self._lost("receive", "the greeting is what counts")
        else:
            self._only_connect(kind, at)
        for name in _LOGIN:
            self._lost(name, "no check logs in; a program can (send_program)")
        if kind not in {"http", "http_proxy", "https"}:
            self._idle("virtualhost", "httpmethod")

    def _only_connect(self, kind: str, line: int) -> None:
        if self.service.protocol is Protocol.TCP:
            self.values.put(line, "check", CheckKind.CONNECT)
        if kind != "none":
            self.ledger.lost(line, f"lvs.cf has no check for {shown(kind)}: only that the port accepts is checked; a program can do more")
        self._lost("request", "nothing is asked")
        self._lost("receive", "nothing is compared")

    def _http(self, kind: str, line: int) -> None:
        path = self._text("request", "/")
        host = self._text("virtualhost")
        if kind == "http" and not path.startswith("/"):
            path = f"/{path}"
        check = HttpCheck(path, host, (GOOD,), self._text("receive"))
        found = to_send_expect(check)
        if found is None and check.body:
            self.ledger.lost(self._line("receive"), "receive is no regular expression that lvs.cf can hold; the status alone is compared")
            found = to_send_expect(HttpCheck(path, host))
        if found is None:
            self.ledger.lost(line, "this request cannot be written in lvs.cf; only that the port accepts is checked")
            self._lost("request", "this request cannot be written in lvs.cf")
            self._lost("receive", "nothing is asked")
            self._lost("virtualhost", "nothing is asked")
            self.values.found["check"] = CheckKind.CONNECT
            return
        self._idle_became("service", "send, expect")
        self._put_all(line, found)
        self._idle_became("virtualhost", "send")
        if "receive" in self.checks and found.get("use_regex"):
            self.ledger.became(self._line("receive"), "in the first 4,096 bytes of the answer")
        if self._text("httpmethod", "GET").upper() != "GET":
            self._lost("httpmethod", "GET is asked: its answer begins alike")
        else:
            self._idle_became("httpmethod", "send")

    def _https(self, line: int) -> None:
        words = "this version checks only that the port accepts"
        self.values.put(line, "check", CheckKind.HTTPS, words, kept=True)
        request = self._text("request", "/")
        self.values.put(self._line("request"), "check_path", request if request.startswith("/") else f"/{request}")
        self._kept("virtualhost", "check_host")
        self._lost("receive", "what the page says is not compared")
        self._idle("httpmethod")

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

    def _kept(self, name: str, keyword: str) -> None:
        if name in self.checks:
            self.values.put(self._line(name), keyword, self._text(name))

    def _lost(self, name: str, words: str) -> None:
        if name in self.checks:
            self.ledger.lost(self._line(name), words)

    def _idle_became(self, name: str, words: str) -> None:
        if name in self.checks:
            self.ledger.became(self._line(name), words)
