"""ldirectord.cf into the services of an lvs.cf: the indented blocks, what stands outside of them, and each ``real``.

Owns the grammar and everything but the checks, which are ``ldirectord_checks``'.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import LARGEST_SERVERS, Found, Server, Service
from app.lvscf.foreign.ldirectord_checks import DEFAULT_SERVICE, check_values
from app.lvscf.foreign.report import Ledger, Source, Verdict
from app.lvscf.foreign.values import Values, host_port, method_of, number_of, persistence_mask
from app.lvscf.keywords import Level
from app.lvscf.literals import ip_of
from app.lvscf.model import NO_ADDRESS, Protocol

INDENT = 4
LARGEST_RANGE = 256
DOMAIN_PORT = 53

_DIRECTIVE = re.compile(r"(?P<name>[A-Za-z0-9_-]+)\s*=\s*(?P<value>.*)")
_VIRTUAL = {"virtual", "virtual6"}
_REAL = {"real", "real6"}
_FALLBACK = {"fallback", "fallback6"}
CHECKS = (
    *("checktype", "service", "request", "receive", "httpmethod", "virtualhost", "checkport", "checkcommand", "checkinterval"),
    *("checktimeout", "negotiatetimeout", "connecttimeout", "failurecount", "login", "passwd", "database", "secret"),
)
"""Directives that a check is made of; each may stand outside the blocks as well where ldirectord lets it."""
_OURS = "that is the agent's own business here"
ELSEWHERE: dict[str, tuple[Verdict, str]] = {
    "checkcount": (Verdict.LOST, "an attempt is a check of its own here: see failurecount, which became fall"),
    "autoreload": (Verdict.NEEDLESS, "an edit of lvs.cf by hand is always noticed"),
    "callback": (Verdict.LOST, "no program is run when lvs.cf changes; the other director gets it by itself"),
    "fallbackcommand": (Verdict.LOST, "no program is run when the last real server fails; the events tell it"),
    "logfile": (Verdict.NEEDLESS, _OURS),
    "emailalert": (Verdict.LOST, "no mail is sent; the events tell what a mail would"),
    "emailalertfrom": (Verdict.LOST, "no mail is sent"),
    "emailalertfreq": (Verdict.LOST, "no mail is sent"),
    "emailalertstatus": (Verdict.LOST, "no mail is sent"),
    "smtp": (Verdict.LOST, "no mail is sent"),
    "execute": (Verdict.LOST, "another configuration is not followed: import that file too"),
    "supervised": (Verdict.NEEDLESS, _OURS),
    "fork": (Verdict.NEEDLESS, "checks never wait for each other here"),
    "readdquiescent": (Verdict.NEEDLESS, "a server that somebody removed by hand is put back"),
    "cleanstop": (Verdict.NEEDLESS, "a planned stop removes the table, a restart leaves it"),
    "maintenancedir": (Verdict.LOST, "a server is taken out with (DE)ACTIVATE, not with a file"),
    "monitorfile": (Verdict.NEEDLESS, "every check and its last result are in `lvsctl checks`"),
    "load": (Verdict.LOST, "lvs.cf reads no load this way"),
}


@dataclass(slots=True)
class Directive:
    """``name = value`` and its line."""

    line: int
    name: str
    value: str


@dataclass(slots=True)
class _Block:
    """One ``virtual`` with what is indented below it."""

    head: Directive
    body: list[Directive] = field(default_factory=list)


def read(text: str) -> Found:
    """Every block of ``text``.  Raises NotConvertible."""
    ledger = Ledger(text)
    return _Reading(Found(Source.LDIRECTORD, ledger, Values(ledger, Level.GLOBAL))).all()


class _Reading:
    def __init__(self, found: Found) -> None:
        self._found = found
        self._ledger = found.ledger
        self._common: dict[str, Directive] = {}

    def all(self) -> Found:
        blocks = self._blocks()
        for directive in self._common.values():
            if directive.name in ELSEWHERE:
                self._ledger.say(directive.line, *ELSEWHERE[directive.name])
            elif directive.name not in {*CHECKS, *_FALLBACK, "quiescent"}:
                self._ledger.error(directive.line, f"{shown(directive.name)} is no directive outside a virtual block that is known here")
            elif not blocks:
                self._ledger.needless(directive.line, "there is no virtual block that it could be for")
        for block in blocks:
            self._block(block)
        return self._found

    def _blocks(self) -> list[_Block]:
        """The file by lines: blocks with their bodies, and ``_common``."""
        blocks: list[_Block] = []
        inside = False
        for number, raw in enumerate(self._ledger.lines, start=1):
            line = raw.expandtabs(INDENT)
            bare = line.partition("#")[0].rstrip()
            if not bare.strip():
                self._ledger.structure(number)
                continue
            match = _DIRECTIVE.fullmatch(bare.strip())
            indented = len(bare) - len(bare.lstrip()) >= INDENT
            if match is None:
                self._ledger.error(number, "neither a comment nor `name = value`")
                continue
            directive = Directive(number, match["name"].lower(), match["value"].strip())
            if not indented:
                inside = directive.name in _VIRTUAL
                if inside:
                    blocks.append(_Block(directive))
                else:
                    self._common[directive.name] = directive
            elif inside:
                blocks[-1].body.append(directive)
            else:
                self._ledger.error(number, "an indented line below no virtual")
        return blocks

    # --- one virtual server ------------------------------------------------------------------------------------------------------

    def _block(self, block: _Block) -> None:
        head = block.head
        mark = number_of(head.value)
        at = None if mark else host_port(head.value)
        if not mark and (at is None or not at[1]):
            self._ledger.error(head.line, f"{shown(head.value)} is neither address:port nor a firewall mark")
            for directive in block.body:
                self._ledger.error(directive.line, f"part of the virtual in line {head.line}, which cannot be used")
            return
        service = Service(head.line, ipv6=head.name.endswith("6"), fwmark=mark or 0)
        if at is not None:
            service.host, service.port = at
            service.protocol = Protocol.UDP if service.port == DOMAIN_PORT else Protocol.TCP
        values = Values(self._ledger, Level.BLOCK)
        checks = {name: directive for name, directive in self._common.items() if name in CHECKS}
        for directive in block.body:
            self._directive(directive, service, values, checks)
        self._shared(block, service, values)
        values.found.setdefault("scheduler", "wrr")
        check_values(values, service, checks, head.line)
        service.values = values.found
        self._found.add(service)

    def _directive(self, directive: Directive, service: Service, values: Values, checks: dict[str, Directive]) -> None:
        name = directive.name
        if name in _REAL and (self._found.full or len(service.servers) > LARGEST_SERVERS):
            self._ledger.error(directive.line, "more real servers than can be read; left out")
        elif name in _REAL:
            service.servers.extend(self._real(directive))
        elif name in CHECKS:
            checks[name] = directive
        elif name in ELSEWHERE:
            self._ledger.say(directive.line, *ELSEWHERE[name])
        elif name in _FALLBACK or name == "quiescent":
            pass  # with those outside the block, in _shared
        else:
            self._setting(directive, service, values)

    def _setting(self, directive: Directive, service: Service, values: Values) -> None:
        line, value = directive.line, directive.value.strip('"')
        match directive.name:
            case "scheduler":
                values.word(line, "scheduler", value)
            case "persistent":
                values.number(line, "persistent", value)
            case "netmask":
                mask = persistence_mask(value, ipv6=service.ipv6)
                if mask is None:
                    self._ledger.error(line, f"{shown(value)} is no netmask; left out")
                else:
                    values.put(line, "pmask", mask)
            case "protocol":
                self._protocol(directive, service)
            case "ops":
                values.put(line, "one_packet", value == "yes")
            case _:
                self._ledger.error(line, f"{shown(directive.name)} is no directive of a virtual block that is known here")

    def _protocol(self, directive: Directive, service: Service) -> None:
        if directive.value in {"tcp", "udp"} and not service.fwmark:
            service.protocol = Protocol(directive.value)
            self._ledger.became(directive.line, f"protocol = {directive.value}")
        elif directive.value == "fwm" and service.fwmark:
            self._ledger.became(directive.line, f"fwmark = {service.fwmark}")
        else:
            self._ledger.error(directive.line, f"protocol {shown(directive.value)} does not fit this virtual; left out")

    def _shared(self, block: _Block, service: Service, values: Values) -> None:
        """``fallback`` and ``quiescent``: the block's own, else the file's."""
        own = {directive.name: directive for directive in block.body}
        quiescent = own.get("quiescent") or self._common.get("quiescent")
        if quiescent is None:
            self._ledger.remark("quiescent is not set, and its default differs between ldirectord's versions: quiesce_server = 0 was taken")
        else:
            values.put(quiescent.line, "quiesce_server", quiescent.value == "yes")
        names = ("fallback6",) if service.ipv6 else ("fallback",)
        fallback = next((source[name] for source in (own, self._common) for name in names if name in source), None)
        if fallback is not None:
            self._fallback(fallback, service, values)
        for directive in block.body:
            if directive.name in _FALLBACK - {*names}:
                self._ledger.error(directive.line, f"{directive.name} is for virtual servers of the other address family")

    def _fallback(self, directive: Directive, service: Service, values: Values) -> None:
        words = directive.value.split()
        at = host_port(words[0]) if words else None
        if at is None or ip_of(at[0]) is None:
            self._ledger.lost(directive.line, "a sorry server is an IP address in lvs.cf; left out")
        else:
            values.put(directive.line, "sorry_server", ip_of(at[0]))
            if at[1] not in {0, service.port}:
                values.put(directive.line, "sorry_port", at[1])
            if len(words) > 1:
                self._ledger.needless(directive.line, "a sorry server is reached by `network`'s method")

    # --- a real server -----------------------------------------------------------------------------------------------------------

    def _real(self, directive: Directive) -> Iterator[Server]:
        """``real = host[->host][:port] gate|masq|ipip [weight] ["request", "receive"]``."""
        line = directive.line
        head, quote, own_check = directive.value.partition('"')
        words = head.replace(",", " ").split()
        hosts = _hosts(words[0]) if words else None
        method = method_of(words[1]) if len(words) > 1 else None
        if hosts is None or method is None or words[1] not in {"gate", "masq", "ipip"}:
            self._ledger.error(line, "a real server is `address:port gate|masq|ipip [weight]`; left out")
            return
        if quote and own_check:
            self._ledger.lost(line, "a request of one real server alone: lvs.cf has one check for a virtual server")
        values = Values(self._ledger, Level.SERVER)
        if len(words) > 2:
            values.number(line, "weight", words[2])
        for host, port in hosts:
            yield Server(line, host, port, method, values=dict(values.found))


def _hosts(text: str) -> list[tuple[str, int]] | None:
    """``a``, ``a:80`` or ``a->b:80`` as addresses with their port; ``None`` when it is none of them, or a range of names or too long."""
    first, arrow, last = text.partition("->")
    if not arrow:
        one = host_port(text)
        return None if one is None else [one]
    end = host_port(last)
    begin = ip_of(first.strip("[]"))
    if end is None or begin is None or (final := ip_of(end[0])) is None or begin == NO_ADDRESS:
        return None
    low, high = ipaddress.ip_address(begin), ipaddress.ip_address(final)
    if low.version != high.version or not 0 <= int(high) - int(low) < LARGEST_RANGE:
        return None
    return [(str(low + offset), end[1]) for offset in range(int(high) - int(low) + 1)]


__all__ = ["DEFAULT_SERVICE", "Directive", "read"]
