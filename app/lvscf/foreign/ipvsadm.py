"""Rules for ipvsadm, as ``ipvsadm -S`` prints them and shell scripts call it, into the services of an lvs.cf.

Owns that command line.  A table knows of no health checks and no interfaces, so both are chosen and said.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import LARGEST_SERVERS, Found, Server, Service
from app.lvscf.foreign.report import Ledger, Source
from app.lvscf.foreign.values import Values, flags_of, host_port, number_of, persistence_mask
from app.lvscf.keywords import Level
from app.lvscf.model import CheckKind, Forwarding, Protocol

_LONG = {
    "--add-service": "-A",
    "--add-server": "-a",
    "--edit-service": "-E",
    "--edit-server": "-e",
    "--delete-service": "-D",
    "--delete-server": "-d",
    "--clear": "-C",
    "--zero": "-Z",
    "--tcp-service": "-t",
    "--udp-service": "-u",
    "--fwmark-service": "-f",
    "--scheduler": "-s",
    "--persistent": "-p",
    "--netmask": "-M",
    "--ipv6": "-6",
    "--ops": "-o",
    "--sched-flags": "-b",
    "--real-server": "-r",
    "--gatewaying": "-g",
    "--ipip": "-i",
    "--masquerading": "-m",
    "--weight": "-w",
    "--u-threshold": "-x",
    "--l-threshold": "-y",
    "--numeric": "-n",
}
_METHODS = {"-g": Forwarding.DIRECT, "-i": Forwarding.TUNNEL, "-m": Forwarding.NAT}
_PROTOCOLS = {"-t": Protocol.TCP, "-u": Protocol.UDP, "--sctp-service": Protocol.SCTP}
_ALONE = {"-A", "-a", "-E", "-e", "-D", "-d", "-C", "-Z", "-g", "-i", "-m", "-6", "-o", "-n", "--tun-nocsum", "--tun-csum", "--tun-remcsum"}
_WITH_VALUE = {"-t", "-u", "--sctp-service", "-f", "-s", "-M", "-b", "--pe", "-r", "-w", "-x", "-y", "--tun-type", "--tun-port"}
_OTHERS = ("-E", "-e", "-D", "-d")
_DEFAULT_PERSISTENCE_S = 300
_COMMAND = re.compile(r"(?:sudo\s+)?(?:\S*/)?ipvsadm\s+(.*)")
_LONGEST_LINE = 4096

Options = dict[str, str]


class _Wrong(Exception):
    """The line cannot be used; the message says why."""


def read(text: str) -> Found:
    """Every rule of ``text``.  Raises NotConvertible."""
    ledger = Ledger(text)
    reading = _Rules(Found(Source.IPVSADM, ledger, Values(ledger, Level.GLOBAL)))
    for number, line in enumerate(ledger.lines, start=1):
        reading.line(number, line)
    return reading.found


class _Rules:
    def __init__(self, found: Found) -> None:
        self.found = found
        self._ledger = found.ledger
        self._by_key: dict[tuple[object, ...], Service] = {}
        self._servers = 0

    def line(self, number: int, text: str) -> None:
        stripped = text.strip()
        if not stripped or stripped.startswith("#"):
            self._ledger.structure(number)
            return
        try:
            options = _options(_words(stripped))
            self._command(number, options)
        except _Wrong as reason:
            self._ledger.error(number, str(reason))

    def _command(self, number: int, options: Options) -> None:
        if "-A" in options:
            self._service(number, options)
        elif "-a" in options:
            self._server(number, options)
        elif "-C" in options or "-Z" in options:
            self._ledger.needless(number, "an lvs.cf is the whole table already")
        elif any(command in options for command in _OTHERS):
            self._ledger.lost(number, "changes and deletions of other rules are not followed: import what `ipvsadm -Sn` prints instead")
        elif "--set" in options:
            self._timeouts(number, options["--set"].split())
        elif "--start-daemon" in options:
            self._daemon(number, options)
        else:
            raise _Wrong("neither a virtual server (-A) nor a real server (-a)")

    # --- a virtual server --------------------------------------------------------------------------------------------------------

    def _service(self, number: int, options: Options) -> None:
        service = _target(number, options)
        if not self.found.add(service):
            return
        values = Values(self._ledger, Level.BLOCK)
        if "-s" in options:
            values.word(number, "scheduler", options["-s"])
        self._persistence(number, options, values, ipv6=service.ipv6)
        if "-o" in options:
            values.put(number, "one_packet", value=True)
        if "-b" in options:
            flags, strange = flags_of(options["-b"].split(","))
            if flags:
                values.put(number, "scheduler_flags", flags)
            if strange:
                self._ledger.lost(number, f"lvs.cf has no scheduler flag {shown(', '.join(strange))}")
        if service.protocol is Protocol.TCP:
            values.found["check"] = CheckKind.CONNECT
            self._ledger.remark("a table has no health checks: a real server of a TCP service is checked by a connection (check = connect)")
        else:
            self._ledger.remark(f"the real servers of {service.protocol} services are not checked until expect or send_program says how")
        service.values = values.found
        self._by_key[service.key] = service

    def _persistence(self, number: int, options: Options, values: Values, *, ipv6: bool) -> None:
        if "-p" in options:
            values.number(number, "persistent", options["-p"] or str(_DEFAULT_PERSISTENCE_S))
        if "-M" in options:
            mask = persistence_mask(options["-M"], ipv6=ipv6)
            if mask is None:
                self._ledger.error(number, f"{shown(options['-M'])} is no netmask; left out")
            else:
                values.put(number, "pmask", mask)
        if "--pe" in options:
            values.word(number, "pe", options["--pe"])

    # --- a real server -----------------------------------------------------------------------------------------------------------

    def _server(self, number: int, options: Options) -> None:
        service = self._by_key.get(_target(number, options).key)
        if service is None:
            raise _Wrong("its virtual server is not above it; left out")
        at = host_port(options.get("-r", ""))
        if at is None:
            raise _Wrong(f"{shown(options.get('-r', 'no -r'))} is no real server's address; left out")
        values = Values(self._ledger, Level.SERVER)
        for option, keyword in (("-w", "weight"), ("-x", "upper_threshold"), ("-y", "lower_threshold")):
            if option in options:
                values.number(number, keyword, options[option])
        kind = options.get("--tun-type", "ipip")
        if kind != "ipip":
            self._ledger.lost(number, f"tunnel type {shown(kind)}: lvs.cf's tunnels are IP in IP")
        method = next((method for option, method in _METHODS.items() if option in options), Forwarding.DIRECT)
        if self._servers == LARGEST_SERVERS:
            raise _Wrong(f"more than {LARGEST_SERVERS:,} real servers; left out")
        self._servers += 1
        service.servers.append(Server(number, at[0], at[1], method, values=values.found))

    # --- the rest ----------------------------------------------------------------------------------------------------------------

    def _timeouts(self, number: int, words: list[str]) -> None:
        for keyword, word in zip(("tcp_timeout", "tcpfin_timeout", "udp_timeout"), words, strict=False):
            self.found.settings.number(number, keyword, word)

    def _daemon(self, number: int, options: Options) -> None:
        self.found.settings.put(number, "syncdaemon", value=True)
        if "--mcast-interface" in options:
            self.found.settings.put(number, "syncd_iface", options["--mcast-interface"])
        if "--syncid" in options:
            self.found.settings.number(number, "syncd_id", options["--syncid"])


def _target(number: int, options: Options) -> Service:
    """The virtual server that a rule speaks of."""
    if "-f" in options:
        mark = number_of(options["-f"])
        if not mark:
            raise _Wrong(f"{shown(options['-f'])} is no firewall mark; left out")
        return Service(number, fwmark=mark, ipv6="-6" in options)
    for option, protocol in _PROTOCOLS.items():
        if option in options:
            at = host_port(options[option])
            if at is None:
                raise _Wrong(f"{shown(options[option])} is no address and port; left out")
            return Service(number, at[0], at[1], ipv6=":" in at[0], protocol=protocol)
    raise _Wrong("it names no virtual server (-t, -u, --sctp-service or -f)")


def _words(text: str) -> list[str]:
    """The arguments, without the program's name where a shell script calls it."""
    if len(text) > _LONGEST_LINE:
        raise _Wrong(f"the line is longer than {_LONGEST_LINE} characters")
    called = _COMMAND.fullmatch(text)
    try:
        return shlex.split(called[1] if called else text, comments=True)
    except ValueError:
        raise _Wrong("a quote is opened and not closed") from None


def _options(words: list[str]) -> Options:
    """Option → value (``""`` for those without).  Raises _Wrong for what ipvsadm has not."""
    found: Options = {}
    queue = list(reversed(words))
    while queue:
        word, value = _split(queue.pop())
        if word in _ALONE:
            found[word] = ""
        elif word in _WITH_VALUE:
            found[word] = value or _next(queue, word)
        elif word in _SPECIAL:
            found[word] = _SPECIAL[word](value, queue)
        else:
            raise _Wrong(f"{shown(word)} is no option of ipvsadm that is known here; the line is left out")
    return found


def _split(word: str) -> tuple[str, str]:
    """``--weight=3`` and ``-w3`` are ``-w 3``."""
    if word.startswith("--"):
        name, _equals, value = word.partition("=")
        return _LONG.get(name, name), value
    return (word[:2], word[2:]) if len(word) > 2 and word.startswith("-") else (word, "")


def _next(queue: list[str], word: str) -> str:
    if not queue or queue[-1].startswith("-"):
        raise _Wrong(f"{word} is without its value")
    return queue.pop()


def _optional(value: str, queue: list[str]) -> str:
    return value or (queue.pop() if queue and not queue[-1].startswith("-") else "")


def _three(_value: str, queue: list[str]) -> str:
    return " ".join(queue.pop() for _ in range(min(3, len(queue))))


_SPECIAL: dict[str, Callable[[str, list[str]], str]] = {
    "-p": _optional,
    "--set": _three,
    "--start-daemon": _optional,
    "--mcast-interface": _optional,
    "--syncid": _optional,
    "--sync-maxlen": _optional,
    "--mcast-group": _optional,
    "--mcast-port": _optional,
    "--mcast-ttl": _optional,
}
