"""A health check as a value: what is asked of a real server, what one run of it found, and both in words.

Owns the shapes and their wording.  What lvs.cf means is ``check_plan``'s, what follows from an outcome is ``health``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """What a check really does; the first four are Piranha's own."""

    CONNECT = "connect"
    SEND_EXPECT = "send_expect"
    PROGRAM = "program"
    NONE = "none"
    HTTP = "http"
    TLS = "tls"
    SMTP = "smtp"
    DNS = "dns"
    PING = "ping"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What only the kinds of checks that Piranha did not have need.

    ``host`` is what is asked for by name (HTTP's Host, TLS's server name, the name of a DNS query, the name said in EHLO; ``""``: none).
    ``status`` are the accepted HTTP status codes (``200-299,301``), ``record`` the type of the DNS query.  ``tls``: HTTP in TLS.
    ``verify``: the certificate must be valid.  ``certificate_days``: warn when it ends in fewer days than this (0: never).
    """

    host: str = ""
    path: str = "/"
    status: str = "200-399"
    record: str = "A"
    tls: bool = False
    verify: bool = False
    certificate_days: int = 0


NO_DETAILS = Details()


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check of one real server.

    ``key`` is ``VIRTUAL/SERVER`` (made unique where names repeat).  ``send`` is the decoded bytes, ``expect`` those of the prefix
    (``*`` matches any byte) or, with ``use_regex``, of a POSIX extended regex.  ``program`` is the argv after ``%h`` and ``%p``.
    All durations are seconds.  ``rise``: successes needed to come back; ``fall``: failures needed to leave.  ``hold_down_s``: the first
    hold-down of a server that keeps failing (0: none); ``slow_start_s``: how long it takes to its full weight when it came back.
    """

    key: str
    address: str
    port: int
    protocol: str
    method: Method
    send: bytes = b""
    expect: bytes | None = None
    use_regex: bool = False
    program: tuple[str, ...] = ()
    interval_s: float = 10
    timeout_s: float = 10
    rise: int = 18
    fall: int = 1
    details: Details | None = None
    hold_down_s: float = 0
    slow_start_s: float = 0

    @property
    def target(self) -> str:
        """``IP:PORT`` as log lines and screens show it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def particulars(self) -> Details:
        """``details``, or the defaults."""
        return self.details or NO_DETAILS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a check found.  ``reason`` is in words ("connection refused"); ``reply`` at most 1 KiB of what came back.

    ``conclusive`` false: the director could not ask (no free socket, no SCTP in its kernel), which says nothing about the server.
    ``connect_timed_out``: no connection within the limit, which Piranha logged in its own words.
    ``connect_s``, ``tls_s`` and ``first_byte_s`` say how long each stage took (0: it was not reached, or there is none).
    ``warning``: something to look after that takes nobody out of service.  ``share_percent``: how much of its weight the server wants.
    """

    ok: bool
    duration_s: float
    reason: str = ""
    reply: bytes = b""
    conclusive: bool = True
    connect_timed_out: bool = False
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    warning: str = ""
    share_percent: int = 100


# --- words ---------------------------------------------------------------------------------------------------------------------

SHOWN_CHARACTERS = 60
_ESCAPES = {"\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\"}


def escaped(data: bytes) -> str:
    """Bytes from lvs.cf or from a real server as one harmless line: printable UTF-8 as it is, the rest in lvs.cf's escapes or ``\\xNN``."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(_ESCAPES.get(character) or (character if character.isprintable() else _hexadecimal(character)) for character in text)


def _hexadecimal(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def shown(data: bytes) -> str:
    """The first characters of what is sent, expected or received; trailing line ends are left out."""
    text = escaped(data[: 4 * SHOWN_CHARACTERS].rstrip(b"\r\n") or data[:SHOWN_CHARACTERS])
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def shown_text(text: str) -> str:
    """``shown`` for text out of lvs.cf."""
    return shown(text.encode("utf-8", "surrogateescape"))


def describe(spec: CheckSpec) -> str:
    """What a check really does (``sends GET / HTTP/1.0, expects HTTP``): the one source for every screen and log."""
    if spec.method is Method.NONE:
        return "nothing to check: counts as up"
    if spec.method is Method.CONNECT:
        return "connects"
    steps = _first_steps(spec)
    if spec.method in (Method.SEND_EXPECT, Method.TLS) and spec.send:
        steps.append(f"sends {shown(spec.send)}")
    if spec.expect is not None and spec.method not in _WITHOUT_EXPECT:
        steps.append(f"expects {'a match of ' if spec.use_regex else ''}{shown(spec.expect)}{_WHERE.get(spec.method, '')}")
    return ", ".join(steps) or "connects"


_WITHOUT_EXPECT = (Method.SMTP, Method.PING, Method.AGENT)
_WHERE = {Method.HTTP: " in the body", Method.DNS: " among the answers"}


def _first_steps(spec: CheckSpec) -> list[str]:
    words = _FIRST.get(spec.method)
    return [words(spec)] if words else []


def _asks_http(spec: CheckSpec) -> str:
    details = spec.particulars
    url = f"{'https' if details.tls else 'http'}://{details.host or spec.target}{details.path}"
    return f"asks for {shown_text(url)}, expects status {details.status}{_verified(details)}"


def _makes_tls(spec: CheckSpec) -> str:
    details = spec.particulars
    return f"makes a TLS connection{f' to {shown_text(details.host)}' if details.host else ''}{_verified(details)}"


def _verified(details: Details) -> str:
    return " and a valid certificate" if details.verify else ""


def _runs(spec: CheckSpec) -> str:
    return "runs " + " ".join(escaped(argument.encode("utf-8", "surrogateescape")) for argument in spec.program)


_FIRST: dict[Method, Callable[[CheckSpec], str]] = {
    Method.PROGRAM: _runs,
    Method.HTTP: _asks_http,
    Method.TLS: _makes_tls,
    Method.SMTP: lambda _spec: "expects 220, sends EHLO, expects 250",
    Method.DNS: lambda spec: f"asks for {shown_text(spec.particulars.host)} {spec.particulars.record} over {spec.protocol}",
    Method.PING: lambda _spec: "sends an ICMP echo request",
    Method.AGENT: lambda _spec: "asks the server's agent for its state and weight",
}
