"""keepalived.conf into the services of an lvs.cf: the top level, virtual server groups, virtual servers and real servers.

Owns what these blocks mean.  The grammar is ``keepalived_grammar``'s, the checkers are ``keepalived_checks``', VRRP and the global
definitions are ``keepalived_vrrp``'s.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, replace

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import Found, Server, Service
from app.lvscf.foreign.keepalived_checks import CHECKERS, CheckedServer, put_check, put_retry_unsaid, put_times
from app.lvscf.foreign.keepalived_grammar import Statement, parse
from app.lvscf.foreign.keepalived_vrrp import Vrrp
from app.lvscf.foreign.keepalived_words import SERVICE, TOP, look_up, say_all
from app.lvscf.foreign.report import Ledger, Source, Verdict
from app.lvscf.foreign.values import Values, flags_of, method_of, number_of, persistence_mask, port_of
from app.lvscf.keywords import SCHEDULER_FLAGS, Level
from app.lvscf.literals import ip_of
from app.lvscf.model import NO_ADDRESS, Forwarding, Protocol

LARGEST_RANGE = 256
PERSISTENCE_S = 360
"""What ``persistence_timeout`` without a number means there."""
_METHOD_WORDS = frozenset(("lb_kind", "lvs_method", "forwarding_method"))
_SAID = {
    "snmp_name": (Verdict.BECAME, "the virtual server's name"),
    "virtualhost": (Verdict.BECAME, "the host of its HTTP checks"),
    "sorry_server_lvs_method": (Verdict.NEEDLESS, "a sorry server is reached by `network`'s method"),
    "ip_family": (Verdict.NEEDLESS, "a firewall mark has the family of its real servers"),
}
_TIMES = frozenset(("delay_loop", "connect_timeout", "retry", "delay_before_retry"))


def read(text: str) -> Found:
    """Every block of ``text``.  Raises NotConvertible."""
    ledger = Ledger(text)
    return _Reading(Found(Source.KEEPALIVED, ledger, Values(ledger, Level.GLOBAL))).all(parse(ledger))


@dataclass(frozen=True, slots=True)
class _Address:
    """One address and port, or a firewall mark, of a virtual server."""

    host: str = ""
    port: int = 0
    fwmark: int = 0
    ipv6: bool = False


class _Reading:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.ledger = found.ledger
        self.groups: dict[str, tuple[_Address, ...]] = {}
        self.methods: Counter[Forwarding] = Counter()

    def all(self, statements: list[Statement]) -> Found:
        vrrp = Vrrp(self.found)
        for statement in statements:
            if statement.word == "virtual_server_group":
                self.groups[statement.value()] = self._group(statement)
        for statement in statements:
            if statement.word == "virtual_server":
                self._virtual(statement)
            elif statement.word != "virtual_server_group" and not vrrp.took(statement):
                look_up(self.ledger, statement, TOP, "at the top level")
        vrrp.end()
        if self.methods:
            self.found.network = self.methods.most_common(1)[0][0]
        return self.found

    # --- which service -----------------------------------------------------------------------------------------------------------

    def _group(self, group: Statement) -> tuple[_Address, ...]:
        """Every address of a group; each becomes a virtual server of its own where the group is used."""
        self.ledger.needless(group.line, "a virtual server of its own for each address")
        found: list[_Address] = []
        for child in group.inner:
            made = self._mark(child, child.words) if child.word == "fwmark" else _range(child.words)
            if made:
                self.ledger.became(child.line, "part of the virtual servers of this group")
                found += made
            else:
                self.ledger.error(child.line, f"neither an address, a range of at most {LARGEST_RANGE} nor a firewall mark; left out")
        return tuple(found)

    def _addresses(self, head: Statement) -> tuple[_Address, ...]:
        kind = head.value()
        if kind == "group":
            return self.groups.get(" ".join(head.rest[1:]), ())
        if kind == "fwmark":
            return tuple(self._mark(head, head.rest))
        return tuple(_range(head.rest) if ip_of(kind) else ())

    @staticmethod
    def _mark(statement: Statement, words: tuple[str, ...]) -> list[_Address]:
        number = number_of(words[1]) if len(words) > 1 else None
        inet6 = any(child.word == "ip_family" and child.value() == "inet6" for child in statement.inner) or "inet6" in words
        return [_Address(fwmark=number, ipv6=inet6)] if number else []

    # --- one virtual server ------------------------------------------------------------------------------------------------------

    def _virtual(self, head: Statement) -> None:
        addresses = self._addresses(head)
        if not addresses or head.children is None:
            words = (
                "neither an address, a firewall mark nor a known group; left out" if not addresses else "a virtual server without braces"
            )
            say_all(self.ledger, head, Verdict.ERROR, words)
            return
        made = _Virtual(self.ledger, head, ipv6=addresses[0].ipv6)
        made.read()
        self.methods[made.method] += 1
        for address in addresses:
            if self.found.full:
                self.ledger.error(head.line, "more virtual or real servers than can be read; the rest of them is left out")
                return
            service = Service(head.line, address.host, address.port, address.fwmark, address.ipv6)
            service.protocol, service.values = made.protocol, dict(made.values.found)
            service.name = made.name if len(addresses) == 1 else ""
            service.servers = [replace(server, port=server.port or address.port) for server in made.servers]
            made.sorry(service)
            self.found.add(service)


class _Virtual:
    """The inside of a virtual_server block."""

    def __init__(self, ledger: Ledger, head: Statement, *, ipv6: bool) -> None:
        self.ledger = ledger
        self.head = head
        self.ipv6 = ipv6
        self.values = Values(ledger, Level.BLOCK)
        self.protocol = Protocol.TCP
        self.name = ""
        self.method = Forwarding.NAT
        self.servers: list[Server] = []
        self._checked: list[CheckedServer] = []
        self._flags: list[str] = []
        self._inhibited: list[Statement] = []
        self._virtual_host = ""
        self._sorry: Statement | None = None
        self._times: dict[str, Statement] = {}

    def read(self) -> None:
        for child in self.head.inner:
            if child.word in _METHOD_WORDS:
                self.method = self._method(child) or self.method
        for child in self.head.inner:
            if child.word not in _METHOD_WORDS:
                self._child(child)
        if self._flags:
            flags, _strange = flags_of(self._flags)
            self.values.put(self.head.line, "scheduler_flags", flags)
        self._inhibit()
        put_check(self.values, self._checked, self._virtual_host)
        put_times(self.values, self._times)
        put_retry_unsaid(self.values, self._checked)
        if self.servers:
            self.values.put(self.head.line, "rise", 1, "a server comes back after one good check, as there")
        if "check_interval" not in self.values.found:
            self.ledger.remark("where delay_loop is not set, lvs.cf checks every 10 seconds (keepalived: every 60)")

    def _child(self, child: Statement) -> None:
        word = child.word
        if word == "real_server":
            self._real(child)
        elif word in _TIMES:
            self._times[word] = child
        elif word in SCHEDULER_FLAGS:
            self._flags.append(word)
            self.ledger.became(child.line, "scheduler_flags")
        elif word == "inhibit_on_failure":
            self._inhibited.append(child)
        elif not self._setting(child):
            look_up(self.ledger, child, SERVICE, "in a virtual_server block")

    def _setting(self, child: Statement) -> bool:
        line, value = child.line, child.value()
        match child.word:
            case "lb_algo" | "lvs_sched":
                self.values.word(line, "scheduler", value)
            case "persistence_timeout":
                self.values.number(line, "persistent", value or str(PERSISTENCE_S))
            case "persistence_granularity":
                self._granularity(line, value)
            case "protocol":
                self._protocol(line, value)
            case "ops":
                self.values.put(line, "one_packet", value=True)
            case "quorum" | "hysteresis":
                self.values.number(line, child.word, value)
            case "persistence_engine":
                self.values.word(line, "pe", value)
            case "sorry_server":
                self._sorry = child
            case _:
                return self._words(child)
        return True

    def _words(self, child: Statement) -> bool:
        """Settings that are no keyword of their own."""
        if child.word not in _SAID:
            return False
        if child.word == "snmp_name":
            self.name = child.value()
        elif child.word == "virtualhost":
            self._virtual_host = child.value()
        self.ledger.say(child.line, *_SAID[child.word])
        return True

    def _granularity(self, line: int, value: str) -> None:
        mask = persistence_mask(value, ipv6=self.ipv6)
        if mask is None:
            self.ledger.error(line, f"{shown(value)} is no netmask; left out")
        else:
            self.values.put(line, "pmask", mask)

    def _protocol(self, line: int, value: str) -> None:
        if value.lower() in set(Protocol):
            self.protocol = Protocol(value.lower())
            self.ledger.became(line, f"protocol = {self.protocol}")
        else:
            self.ledger.lost(line, f"lvs.cf has no protocol {shown(value)}")

    def _method(self, child: Statement) -> Forwarding | None:
        found = method_of(child.value())
        if found is None:
            self.ledger.error(child.line, f"{shown(child.value())} is no forwarding method; left out")
        elif len(child.words) > 2 and child.words[2:4] != ("type", "ipip"):
            self.ledger.lost(child.line, "lvs.cf's tunnels are IP in IP")
        else:
            self.ledger.became(child.line, f"{found}, as network or forward")
        return found

    def _inhibit(self) -> None:
        """One word for the virtual server in lvs.cf, for the virtual server or each real server in keepalived."""
        if not self._inhibited:
            return
        lines = {statement.line for statement in self._inhibited}
        whole = any(statement in self.head.inner for statement in self._inhibited)
        if whole or len(lines) >= len(self.servers):
            for line in lines:
                self.values.put(line, "quiesce_server", value=True)
            return
        for line in lines:
            self.ledger.lost(line, "quiesce_server is for all real servers of a virtual server, and others here have it not")

    def sorry(self, service: Service) -> None:
        """``sorry_server`` for one of the services that this block makes."""
        if self._sorry is None:
            return
        line, words = self._sorry.line, self._sorry.rest
        host = ip_of(words[0]) if words else None
        port = port_of(words[1]) if len(words) > 1 else service.port
        if host is None or host == NO_ADDRESS:
            self.ledger.error(line, "a sorry server is an IP address; left out")
        else:
            values = Values(self.ledger, Level.BLOCK)
            if values.put(line, "sorry_server", host) and port not in {service.port, 0}:
                values.put(line, "sorry_port", port)
            service.values |= values.found

    # --- one real server ---------------------------------------------------------------------------------------------------------

    def _real(self, block: Statement) -> None:
        host = ip_of(block.value())
        port = port_of(block.words[2]) if len(block.words) > 2 else 0
        if host is None or port is None or host == NO_ADDRESS:
            say_all(self.ledger, block, Verdict.ERROR, "a real server is `real_server ADDRESS PORT`; left out")
            return
        values = Values(self.ledger, Level.SERVER)
        server = Server(block.line, host, port, self.method)
        for child in block.inner:
            self._server_word(child, server, values)
        server.values = values.found
        self.servers.append(server)
        self._checked.append(CheckedServer(server, [child for child in block.inner if child.word in CHECKERS]))

    def _server_word(self, child: Statement, server: Server, values: Values) -> None:
        line, value = child.line, child.value()
        match child.word:
            case "weight":
                values.number(line, "weight", value)
            case "uthreshold":
                values.number(line, "upper_threshold", value)
            case "lthreshold":
                values.number(line, "lower_threshold", value)
            case "snmp_name":
                server.name = value
                self.ledger.became(line, "the real server's name")
            case word if word in _METHOD_WORDS:
                server.method = self._method(child) or server.method
            case "inhibit_on_failure":
                self._inhibited.append(child)
            case "virtualhost":
                self._virtual_host = self._virtual_host or value
                self.ledger.became(line, "the host of its HTTP checks, if it is the first real server's")
            case word if word in _TIMES:
                self._times.setdefault(word, child)
                self.ledger.needless(line, "the first real server's times are those of the virtual server's check")
            case word if word not in CHECKERS:
                look_up(self.ledger, child, SERVICE, "in a real_server block")


def _range(words: tuple[str, ...]) -> list[_Address]:
    """``192.0.2.1``, ``192.0.2.1-9``, ``192.0.2.1-192.0.2.9`` or ``192.0.2.0/29`` with a port; empty when it is none of them."""
    port = port_of(words[1]) if len(words) > 1 else 0
    if port is None:
        return []
    first, dash, last = words[0].partition("-")
    try:
        if "/" in words[0]:
            network = ipaddress.ip_network(words[0], strict=False)
            low, high = int(network.network_address), int(network.broadcast_address)
            version = network.version
        else:
            begin = ipaddress.ip_address(first)
            end = ipaddress.ip_address(_completed(first, last)) if dash else begin
            low, high, version = int(begin), int(end), begin.version
            if end.version != version:
                return []
    except ValueError:
        return []
    if not 0 <= high - low < LARGEST_RANGE or low == 0:
        return []
    kind = ipaddress.IPv6Address if version == 6 else ipaddress.IPv4Address
    return [_Address(str(kind(number)), port, ipv6=version == 6) for number in range(low, high + 1)]


def _completed(first: str, last: str) -> str:
    """The end of a range, of which only the last part may be written."""
    if "." in last or ":" in last:
        return last
    separator = ":" if ":" in first else "."
    return first.rpartition(separator)[0] + separator + last
