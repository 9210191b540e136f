"""Values on their way into lvs.cf: whether it can say them, and the line it would say them with.

Owns the check of every single value and the small words that the languages share (ports, masks, forwarding methods, flags).  It decides
nothing about whole virtual servers.
"""

from __future__ import annotations

import ipaddress
import re
from typing import cast

from app.lvscf.diagnostics import CODES, Severity, shown
from app.lvscf.foreign.report import Ledger, Verdict
from app.lvscf.keywords import BY_LEVEL, SCHEDULER_FLAGS, Level
from app.lvscf.layout import directive_line
from app.lvscf.lexer import lex
from app.lvscf.literals import host_of, ip_of, service_port
from app.lvscf.model import NO_ADDRESS, Forwarding, PersistenceEngine, Protocol, Scheduler
from app.lvscf.quoting import UnwritableValue
from app.lvscf.values import interpret

METHODS = {
    "nat": Forwarding.NAT,
    "masq": Forwarding.NAT,
    "dr": Forwarding.DIRECT,
    "gate": Forwarding.DIRECT,
    "tun": Forwarding.TUNNEL,
    "ipip": Forwarding.TUNNEL,
}
"""What others call the forwarding methods, in lower case."""

PORT_MAX = 65535
_NUMBER = re.compile(r"[0-9]{1,15}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")


class Unusable(Exception):
    """lvs.cf cannot say this value; the message says why."""


def as_line(level: Level, name: str, value: object) -> str:
    """The directive that says ``value``.  Raises Unusable when lvs.cf cannot, or when it would be in error."""
    keyword = BY_LEVEL[level][name]
    try:
        line = directive_line("", keyword, value)
    except UnwritableValue as error:
        raise Unusable(error.reason if error.reason.startswith(name) else f"{name}: {error.reason}") from None
    for problem in interpret(keyword, lex(line).args).problems:
        if CODES[problem.code][0] is Severity.ERROR:
            raise Unusable(problem.message)
    return line


def can_say(level: Level, name: str, value: object) -> bool:
    """Whether lvs.cf can say it."""
    try:
        as_line(level, name, value)
    except Unusable:
        return False
    return True


class Values:
    """The settings of one block (or of the file) while it is put together: keyword → value, each tied to the line that it came from."""

    def __init__(self, ledger: Ledger, level: Level) -> None:
        self.ledger = ledger
        self.level = level
        self.found: dict[str, object] = {}

    def put(self, line: int, name: str, value: object, words: str = "", *, kept: bool = False) -> bool:
        """Set a keyword and say so; what lvs.cf cannot say is reported instead.  ``words`` are added to the report."""
        try:
            became = as_line(self.level, name, value)
        except Unusable as reason:
            self.ledger.error(line, f"{reason}; left out")
            return False
        self.found[name] = value
        kept = kept or not BY_LEVEL[self.level][name].in_use
        self.ledger.say(line, Verdict.KEPT if kept else Verdict.BECAME, f"{became} ({words})" if words else became)
        return True

    def number(self, line: int, name: str, text: str, words: str = "") -> bool:
        """Set a keyword that is a whole number, from the source's text."""
        value = number_of(text)
        if value is None:
            self.ledger.error(line, f"{shown(text)} is no number; left out")
            return False
        return self.put(line, name, value, words)

    def seconds(self, line: int, name: str, text: str, words: str = "") -> bool:
        """Set a keyword of seconds with decimals, from the source's text."""
        value = seconds_of(text)
        if value is None:
            self.ledger.error(line, f"{shown(text)} is no number of seconds; left out")
            return False
        return self.put(line, name, value, words)

    def word(self, line: int, name: str, text: str) -> bool:
        """Set a keyword that has a list of words (``scheduler``, ``protocol``, ``pe``)."""
        words = {"scheduler": Scheduler, "protocol": Protocol, "pe": PersistenceEngine}[name]
        try:
            value: object = words(text.lower())
        except ValueError:
            self.ledger.lost(line, f"lvs.cf has no {'persistence engine' if name == 'pe' else name} {shown(text)}")
            return False
        return self.put(line, name, value)


def number_of(text: str) -> int | None:
    """A whole number, not negative."""
    return int(text) if _NUMBER.fullmatch(text) else None


def seconds_of(text: str) -> float | None:
    """A number of seconds, decimals allowed; whole ones as an int."""
    if not _DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return int(value) if value.is_integer() else value


def port_of(text: str) -> int | None:
    """A port by number or by service name."""
    value = number_of(text)
    if value is not None:
        return value if value <= PORT_MAX else None
    return service_port(text)


def host_port(text: str) -> tuple[str, int] | None:
    """``192.0.2.1:80``, ``www:http``, ``[2001:db8::1]:80``; without a port it is 0.  ``None`` when it is neither."""
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        host = ip_of(inner) if ":" in inner else None
        port = rest.removeprefix(":") if bracket and (not rest or rest.startswith(":")) else "?"
    else:
        name, _colon, port = text.partition(":")
        host = host_of(name)
    number = port_of(port) if port else 0
    return None if host is None or host == NO_ADDRESS or number is None else (host, number)


def joined(host: str, port: int) -> str:
    """The opposite of ``host_port``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def mask_of(length: int, *, ipv6: bool) -> str:
    """The netmask of a prefix length as lvs.cf writes it; one address alone is lvs.cf's default."""
    if length == (128 if ipv6 else 32):
        return NO_ADDRESS
    network = ipaddress.ip_network(("::" if ipv6 else NO_ADDRESS, length))
    return str(network.netmask)


def length_of(mask: str, *, ipv6: bool) -> int | None:
    """A netmask (or, for IPv6, a length) as a prefix length; 0.0.0.0 is one address alone; ``None`` when it is no netmask."""
    width = 128 if ipv6 else 32
    if mask in {NO_ADDRESS, ""}:
        return width
    if mask.isascii() and mask.isdigit():
        return int(mask) if ipv6 and 1 <= int(mask[:4]) <= width else None
    address = ip_of(mask)
    if address is None or (":" in address) is not ipv6:
        return None
    bits = int(ipaddress.ip_address(address))
    length = bits.bit_count()
    return length if bits == ((1 << length) - 1) << (width - length) and bits else None


def persistence_mask(text: str, *, ipv6: bool) -> str | None:
    """A persistence netmask in the source's form as lvs.cf's ``pmask``; ``None`` when it is none."""
    length = length_of(text, ipv6=ipv6)
    return None if length is None else mask_of(length, ipv6=ipv6)


def flags_of(words: list[str]) -> tuple[str | None, list[str]]:
    """Scheduler flags as lvs.cf writes them (``None``: there are none), and the words that are no flags."""
    known = [word for word in words if word in SCHEDULER_FLAGS]
    return ",".join(known) or None, [word for word in words if word not in SCHEDULER_FLAGS]


def method_of(text: str) -> Forwarding | None:
    """A forwarding method in another program's word."""
    return METHODS.get(text.lower())


def text_of(values: dict[str, object], name: str) -> str:
    """A value that is text or absent."""
    return cast("str", values.get(name) or "")
