"""What can be said about an lvs.cf: every diagnostic's code, severity and meaning, in one registry.

Owns the codes (stable: tests, the console and people's scripts match on them) and the two value types that carry them.  It decides
nothing: the lexer, the parser, the reader and validate find the problems.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """``error``: Piranha or the kernel refuses it. ``warning``: legal but doubtful. ``info``: worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.  ``line`` counts from 1 (0: the file as a whole); ``column`` from 1 (0: the whole line), ``width`` in characters."""

    severity: Severity
    code: str
    line: int
    message: str
    column: int = 0
    width: int = 0


class Problem(NamedTuple):
    """A finding before its place is known.  ``token`` is the index of the offending token in its line (-1: the whole line)."""

    code: str
    message: str
    token: int = -1


E, W, I = Severity.ERROR, Severity.WARNING, Severity.INFO  # noqa: E741 -- the columns of the table below

CODES: dict[str, tuple[Severity, str]] = {
    # --- the file -----------------------------------------------------------------------------------------------------------
    "empty-file": (E, "The file has no text at all."),
    "nul-byte": (E, "A NUL byte stands in the line. The line is not used."),
    "byte-order-mark": (W, "The file starts with a byte order mark, which Piranha refuses. It is kept."),
    "crlf": (W, "Lines end in CR LF, which Piranha refuses. They are kept so."),
    "lone-carriage-return": (W, "A carriage return stands inside a line. Only a line feed ends a line."),
    "not-utf8": (W, "The file holds bytes that are not UTF-8. They are kept as they are."),
    # --- lines --------------------------------------------------------------------------------------------------------------
    "inline-comment": (W, "A comment follows a value. Piranha refuses it: there, a comment has its own line."),
    "quote-then-blank": (
        W,
        "A blank follows the closing quote of a value that has no blank inside. Piranha calls that a quotation mismatch.",
    ),
    "unclosed-quote": (E, "A quote is opened and not closed in its line."),
    "text-after-quote": (E, "Text follows a closing quote without a blank between them."),
    "equals-needs-blanks": (E, "There is no blank before or after the equals sign."),
    "missing-equals": (E, "The line is neither `name = value` nor the head of a block."),
    "missing-value": (E, "Nothing, or too little, follows the equals sign."),
    "surplus-text": (E, "More follows than the keyword takes. A value with blanks needs quotes."),
    # --- blocks -------------------------------------------------------------------------------------------------------------
    "brace-needs-blank": (E, "There is no blank before the opening brace."),
    "missing-brace": (E, "The opening brace is not on the line of the block's name."),
    "missing-name": (E, "The block has no name."),
    "one-line-block": (E, "A block is opened and closed in one line."),
    "unclosed-block": (E, "The block is not closed before the next one begins or the file ends."),
    "stray-brace": (E, "A brace closes or opens nothing."),
    # --- keywords -----------------------------------------------------------------------------------------------------------
    "unknown-keyword": (E, "lvs.cf has no such keyword. The line is kept and not used."),
    "wrong-level": (E, "The keyword belongs in another kind of block. The line is kept and not used."),
    "obsolete-keyword": (E, "A keyword that Piranha's daemons refuse. The line is kept and not used."),
    "unused-keyword": (W, "A keyword that Piranha's screens wrote and its daemons refuse. The line is kept and not used."),
    "repeated-directive": (W, "The directive stands more than once in its block. The last one counts."),
    "repeated-name": (W, "Two blocks of one kind have the same name. Both are kept."),
    # --- values -------------------------------------------------------------------------------------------------------------
    "bad-integer": (E, "The value is not a whole number (decimal, 0x hexadecimal or 0 octal)."),
    "bad-number": (E, "The value is not a number of seconds."),
    "bad-boolean": (E, "The value is neither 0 nor 1."),
    "bad-word": (E, "The value is none of the keyword's words."),
    "bad-host": (E, "The value is neither an IP address nor a host name."),
    "bad-mask": (E, "The value is not a netmask."),
    "bad-port": (E, "The value is not a port number or, where names are allowed, a known TCP service name."),
    "bad-device": (E, "The interface name is one that the kernel cannot take."),
    "bad-regex": (E, "expect is not a valid POSIX extended regular expression."),
    "out-of-range": (E, "The number is one that the kernel or the network cannot take."),
    "text-too-long": (E, "send and expect hold at most 255 bytes."),
    "no-address": (E, "0.0.0.0 stands where an address is needed."),
    "empty-value": (W, "The value is an empty pair of quotes, which counts as 0."),
    "doubtful-value": (W, "The number is legal and hardly meant."),
    "masked-value": (W, "Only the lowest 8 bits of the number count."),
    "doubtful-mask": (W, "The netmask is legal and hardly meant."),
    "host-name": (W, "A host name: every director must be able to resolve it when it reads the file."),
    "unknown-escape": (W, "send and expect know the escapes \\r \\n \\t \\\\ \\' and \\\" only. Others are taken as they stand."),
    "load-monitor-unknown": (W, "load_monitor has a word that means nothing."),
    # --- meaning ------------------------------------------------------------------------------------------------------------
    "nothing-active": (W, "No block of the kind that is in use is active: this director serves nothing."),
    "no-active-server": (W, "An active virtual server has no active real server."),
    "active-without-address": (W, "An active virtual server has neither an address nor a firewall mark."),
    "duplicate-service": (W, "Two virtual servers share one address, port and protocol, or one firewall mark."),
    "duplicate-server": (W, "Two real servers of one virtual server share one address and port."),
    "fwmark-without-persistence": (I, "A firewall mark without persistence: each connection is scheduled on its own."),
    "udp-without-expect": (W, "A UDP service with neither expect nor send_program: its servers cannot be checked."),
    "program-without-expect": (W, "send_program without expect: only the program's exit status counts."),
    "check-incomplete": (E, "The kind of check needs a keyword that the block does not have."),
    "check-keyword-unused": (W, "A keyword that the kind of check does not use."),
    "weight-without-parts": (
        W,
        "A check, slow_start or load_monitor that gives a part of the weight, where every real server's weight is 1.",
    ),
    "load-without-weights": (W, "load_monitor with a scheduler to which weights are no shares."),
    "expect-is-the-body": (W, "An HTTP check whose expect is about the status line, and it is compared with the body."),
    "plain-check-on-tls-port": (W, "A check in clear text on port 443, where servers speak TLS."),
    "reentry-below-timeout": (W, "reentry is shorter than timeout: a server comes back after one good check."),
    "deadtime-too-short": (W, "deadtime is less than three heartbeat intervals: one lost packet or two can move the service."),
    "server-port-differs": (W, "A real server's port differs from the virtual server's, which direct routing and tunnelling cannot do."),
    "port-after-servers": (W, "port stands after server blocks, which it does not reach."),
    "nat-without-router": (W, "NAT with a backup, and no nat_router address that moves between the two."),
    "device-without-alias": (W, "An address on an interface without alias (eth0, not eth0:1)."),
    "tcp-timeout-small": (W, "tcp_timeout is so small that idle sessions are dropped."),
    "backup-active-without-backup": (W, "Redundancy is on and no backup is named."),
    "vip-is-director": (W, "A virtual server has a director's own address."),
    "vip-is-real-server": (W, "A virtual server has a real server's address."),
    "port-zero": (W, "port is 0, which means every port, and that needs persistence."),
    "one-packet-without-udp": (W, "one_packet is for UDP."),
    "no-vip": (W, "The virtual server's address is 0.0.0.0."),
    "mixed-families": (W, "A real server and its virtual server are of different address families."),
    "thresholds-crossed": (W, "lower_threshold is above upper_threshold."),
    "one-packet-with-nat": (W, "one_packet with NAT: answers do not come from the virtual address."),
    "threshold-alone": (W, "lower_threshold without upper_threshold."),
    "pe-without-udp": (W, "A persistence engine for a service that is not UDP."),
    "pe-without-persistence": (W, "A persistence engine without persistence."),
    "pe-without-one-packet": (I, "A persistence engine without one_packet: calls of one client port are not told apart."),
    "flag-of-other-scheduler": (W, "A scheduler flag that the scheduler does not have."),
    "hysteresis-above-servers": (W, "quorum and hysteresis ask for more servers than there are."),
    "sorry-port-alone": (W, "sorry_port without sorry_server."),
    "sorry-port-unused": (W, "sorry_port where the forwarding method cannot change ports."),
    "bad-mark-ports": (E, "mark_ports names no ports."),
    "mark-ports-overlap": (W, "Two virtual servers put different firewall marks on one port."),
    "mark-ports-unused": (W, "mark_ports without fwmark or without a virtual address."),
    "quorum-unreachable": (W, "quorum asks for more servers than there are."),
    "not-in-use-yet": (W, "A keyword that this version keeps and does not obey yet."),
    "hard-shutdown-kept": (I, "hard_shutdown is kept and never obeyed: a checker that dies is restarted."),
    "rsh-refused": (I, "rsh is not used: it sends everything in clear text. ssh is."),
}
"""code → severity, meaning."""


def diagnostic(problem: Problem, line: int, column: int = 0, width: int = 0) -> Diagnostic:
    """The problem at its place, with the severity that the registry gives its code."""
    return Diagnostic(CODES[problem.code][0], problem.code, line, problem.message, column, width)


def shown(text: str, limit: int = 60) -> str:
    """The text as it can be put in a message: control characters and bytes that are not UTF-8 escaped, cut at ``limit``."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
