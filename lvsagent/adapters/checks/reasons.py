"""Why a check failed, in words: the one place where they are written.

Owns the words and which failures are the director's own, saying nothing about the real server.  Everything that comes from outside is
shown escaped and cut.
"""

from __future__ import annotations

import errno
import os
import signal

from lvsagent.core.check_spec import CheckSpec, shown

CONNECTION_REFUSED = "connection refused"
CLOSED_WITHOUT_ANSWER = "the connection was closed without an answer"
RESET_WITHOUT_ANSWER = "the connection was reset without an answer"
UDP_NEEDS_EXPECT = "a UDP server can only be checked with an expect string"
STALLED = "this director stood still during the check"
PATTERN_TOO_SLOW = "the answer could not be matched in time: the regular expression is too slow for it"

OWN_FAILURES = {
    errno.EMFILE: "too many open files on this director",
    errno.ENFILE: "too many open files on this director",
    errno.ENOBUFS: "no memory for sockets on this director",
    errno.ENOMEM: "no memory on this director",
    errno.EAGAIN: "nothing left to run a check with on this director",
    errno.EADDRNOTAVAIL: "no free local port on this director",
    errno.EPROTONOSUPPORT: "this director's kernel does not speak the protocol",
    errno.ESOCKTNOSUPPORT: "this director's kernel does not speak the protocol",
    errno.EAFNOSUPPORT: "this director's kernel does not speak the address family",
}
_NETWORK = {
    errno.ECONNREFUSED: CONNECTION_REFUSED,
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.EPERM: "forbidden by this director's firewall",
    errno.EACCES: "forbidden by this director's firewall or routes",
}


def seconds(value: float) -> str:
    """A time limit as people write it."""
    return f"{value:g} s"


def socket_error(number: int | None) -> str:
    """An errno of a socket in words."""
    known = OWN_FAILURES.get(number or 0) or _NETWORK.get(number or 0)
    if known is not None:
        return known
    return os.strerror(number).lower() if number else "unknown network error"


def not_an_address(text: str) -> str:
    """The spec's address and port cannot be connected to."""
    return f"{shown(text.encode('utf-8', 'surrogateescape'))} is not an address and a port"


def no_connection(limit_s: float) -> str:
    """The connection was neither made nor refused."""
    return f"no connection within {seconds(limit_s)}"


def out_of_time(spec: CheckSpec, answer: bytes) -> str:
    """Connected, and the time limit came before the verdict."""
    if not answer:
        return f"no answer within {seconds(spec.timeout_s)}"
    return f"{unexpected(spec, answer)} within {seconds(spec.timeout_s)}"


def not_whole_in_time(spec: CheckSpec, answer: bytes) -> str:
    """Connected, and the time limit came before there was an answer of the protocol's own."""
    limit = seconds(spec.timeout_s)
    return f"no whole answer within {limit}: got {shown(answer)}" if answer else f"no answer within {limit}"


def ended_early(spec: CheckSpec, answer: bytes) -> str:
    """The server closed before the verdict."""
    return f"{unexpected(spec, answer)} and the end" if answer else CLOSED_WITHOUT_ANSWER


def reset_early(spec: CheckSpec, answer: bytes) -> str:
    """The server reset before the verdict."""
    return f"{unexpected(spec, answer)} and a reset" if answer else RESET_WITHOUT_ANSWER


def unexpected(spec: CheckSpec, answer: bytes) -> str:
    """An answer that is not the expected one."""
    return f"expected {'a match of ' if spec.use_regex else ''}{shown(spec.expect or b'')}, got {shown(answer) or 'nothing'}"


def bad_pattern(words: str) -> str:
    """``use_regex`` with something that is no regular expression."""
    return f"the expect string is not a regular expression: {words}"


# --- programs ------------------------------------------------------------------------------------------------------------------


def program_not_absolute(program: str) -> str:
    """Only whole paths can be judged."""
    return f"{_text(program)}: not run: give the program's whole path"


def program_missing(program: str) -> str:
    """There is no such file, or it cannot be reached."""
    return f"{_text(program)}: no such program"


def program_outside(program: str) -> str:
    """The file lies, links resolved, in none of agent.toml's program_dirs."""
    return f"{_text(program)}: not run: it is not in one of program_dirs"


def program_writable(program: str, path: str) -> str:
    """Somebody without privileges could replace what is run."""
    return f"{_text(program)}: not run: {_text(path)} can be changed by the check user or by anybody"


def program_not_started(program: str, error: OSError) -> str:
    """exec failed."""
    return f"{_text(program)}: cannot be run: {(error.strerror or 'unknown error').lower()}"


def program_arguments(program: str) -> str:
    """An argument that no program can get."""
    return f"{_text(program)}: not run: a NUL byte cannot be part of an argument"


def program_out_of_time(limit_s: float) -> str:
    """Killed with its children at the limit."""
    return f"did not end within {seconds(limit_s)}"


def program_talks_too_much(limit_bytes: int) -> str:
    """Killed with its children for its output."""
    return f"printed more than {limit_bytes // 1024} KiB"


def program_status(returncode: int, complaint: bytes) -> str:
    """A program that ended otherwise than with 0; ``complaint`` is what it wrote to its standard error."""
    said = f": {shown(complaint.strip())}" if complaint.strip() else ""
    if returncode < 0:
        try:
            return f"killed by {signal.Signals(-returncode).name}{said}"
        except ValueError:
            return f"killed by signal {-returncode}{said}"
    return f"exit status {returncode}{said}"


def _text(path: str) -> str:
    return shown(path.encode("utf-8", "surrogateescape"))
