"""Values: from the tokens behind an equals sign to a value of the model, and back.

Owns every type of lvs.cf and what may be wrong with a value.  Driven by the keyword table; knows nothing of lines or blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from app.lvscf.diagnostics import Problem, shown
from app.lvscf.keywords import LOAD_MONITORS, SCHEDULER_FLAGS, Keyword, Level, ValueType
from app.lvscf.lexer import unquoted
from app.lvscf.literals import WORST_INTEGER, host_of, integer_of, ip_of, ipv4_of, ipv6_mask, is_contiguous, is_host_name, service_port
from app.lvscf.model import NO_ADDRESS, HostDevice

FIRST_VALUE = 2
"""The index of the first token behind the equals sign."""

TEXT_LIMIT_BYTES = 255
DEVICE_LIMIT = 15

_DECIMAL = re.compile(r"[ \t]*[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)")

_STATUS_CODES = re.compile(r"[1-5][0-9][0-9](?:-[1-5][0-9][0-9])?(?:,[1-5][0-9][0-9](?:-[1-5][0-9][0-9])?)*")

_CHECKED_BY = {
    "check_status": (_STATUS_CODES, "a list such as 200,204 or 200-299"),
    "check_path": (re.compile(r"/[!-~]*"), "a path such as /health, printable ASCII without blanks"),
    "check_host": (re.compile(r"[A-Za-z0-9_.:-]{1,255}"), "a host name or an address"),
}
"""Strings with a form of their own."""


class Interpretation(NamedTuple):
    """What a value means.  ``used`` is false when it is in error and the directive's default (or an earlier line) counts instead."""

    value: object
    problems: tuple[Problem, ...] = ()
    used: bool = True


class _BadValue(Exception):
    """The value cannot be used."""

    def __init__(self, code: str, message: str, token: int = FIRST_VALUE) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, token)


Notes = list[Problem]


def interpret(keyword: Keyword, args: Sequence[str]) -> Interpretation:
    """Read the raw tokens behind ``keyword =``.  At least one is given."""
    notes: Notes = []
    try:
        _check_count(keyword, args)
        value = _READERS[keyword.type](keyword, args, notes)
    except _BadValue as bad:
        return Interpretation(None, (*notes, bad.problem), used=False)
    return Interpretation(value, tuple(notes))


def _check_count(keyword: Keyword, args: Sequence[str]) -> None:
    wanted = 2 if keyword.type is ValueType.HOST_DEVICE else 1
    if len(args) < wanted:
        raise _BadValue("missing-value", f"{keyword.name} takes an address and an interface, as in `{keyword.name} = 192.0.2.100 eth1:1`")
    if len(args) == wanted:
        return
    if keyword.type is ValueType.HOST:
        hint = "it takes one address" + (" and no interface" if keyword.level is Level.SERVER else "")
    elif keyword.type in _QUOTABLE:
        hint = "quote a value that holds blanks"
    else:
        hint = "delete the rest, or put it behind # on a line of its own"
    raise _BadValue("surplus-text", f"more follows than {keyword.name} takes: {hint}", FIRST_VALUE + wanted)


_QUOTABLE = {ValueType.STRING, ValueType.TEXT, ValueType.COMMAND}


# --- numbers -------------------------------------------------------------------------------------------------------------------


def _integer(keyword: Keyword, args: Sequence[str], notes: Notes) -> int:
    text = unquoted(args[0])
    if text == "":
        notes.append(Problem("empty-value", f"{keyword.name} is empty, which counts as 0", FIRST_VALUE))
        return 0
    number = integer_of(text)
    if number is None:
        raise _BadValue("bad-integer", f"{keyword.name} is a whole number, and {shown(text)} is none")
    if keyword.name == "syncd_id" and number & 0xFF != number:
        notes.append(Problem("masked-value", f"only the lowest 8 bits of syncd_id count: {number} is {number & 0xFF}", FIRST_VALUE))
        return number & 0xFF
    _check_range(keyword, number, notes)
    return number


def _check_range(keyword: Keyword, number: float, notes: Notes) -> None:
    limits = keyword.range
    if limits is None:
        return
    said = _number_text(number)
    if limits.hard is not None and not limits.hard[0] <= number <= limits.hard[1]:
        notes.append(Problem("out-of-range", f"{keyword.name} goes from {_span(limits.hard)}; {said} cannot be used", FIRST_VALUE))
    elif limits.sensible is not None and not limits.sensible[0] <= number <= limits.sensible[1]:
        notes.append(
            Problem("doubtful-value", f"{keyword.name} = {said} is hardly meant: it goes from {_span(limits.sensible)}", FIRST_VALUE)
        )


def _span(limits: tuple[float, float]) -> str:
    return f"{_number_text(limits[0])} to {_number_text(limits[1])}"


def _decimal(keyword: Keyword, args: Sequence[str], notes: Notes) -> float:
    text = unquoted(args[0])
    if _DECIMAL.fullmatch(text) and len(text) <= 100:
        number: float = float(text)
        if number.is_integer():
            number = int(number)
        _check_range(keyword, number, notes)
        return number
    if text and integer_of(text) is None:
        raise _BadValue("bad-number", f"{keyword.name} is a number of seconds such as 6 or 0.5, and {shown(text)} is none")
    return _integer(keyword, args, notes)


def _boolean(keyword: Keyword, args: Sequence[str], notes: Notes) -> bool:
    text = unquoted(args[0])
    if text == "":
        notes.append(Problem("empty-value", f"{keyword.name} is empty, which counts as 0", FIRST_VALUE))
        return False
    number = integer_of(text)
    if number not in (0, 1):
        raise _BadValue("bad-boolean", f"{keyword.name} is 0 or 1, and {shown(text)} is neither")
    return number == 1


# --- words and text ------------------------------------------------------------------------------------------------------------


def _word(keyword: Keyword, args: Sequence[str], notes: Notes) -> str:  # noqa: ARG001 -- one signature for all readers
    text = unquoted(args[0])
    words = keyword.words or StrEnum
    try:
        return words(text)
    except ValueError:
        known = ", ".join(words)
        hint = "; words are lower case" if text.lower() in set(words) else ""
        raise _BadValue("bad-word", f"{keyword.name} is one of {known}, and {shown(text) or 'nothing'} is not{hint}") from None


def _string(keyword: Keyword, args: Sequence[str], notes: Notes) -> str:
    text = unquoted(args[0])
    if keyword.name == "load_monitor" and text not in LOAD_MONITORS:
        notes.append(
            Problem(
                "load-monitor-unknown", f"load_monitor knows {', '.join(LOAD_MONITORS)}; {shown(text) or 'nothing'} means none", FIRST_VALUE
            )
        )
    elif keyword.name == "syncd_iface":
        _check_device(text, FIRST_VALUE, notes)
    elif keyword.name == "scheduler_flags":
        for flag in text.split(","):
            if flag.strip() not in SCHEDULER_FLAGS:
                raise _BadValue(
                    "bad-word", f"scheduler_flags knows {', '.join(SCHEDULER_FLAGS)}, and {shown(flag) or 'nothing'} is not one of them"
                )
    elif keyword.name in _CHECKED_BY:
        pattern, wanted = _CHECKED_BY[keyword.name]
        if not pattern.fullmatch(text):
            raise _BadValue("bad-word", f"{keyword.name} is {wanted}, and {shown(text) or 'nothing'} is not")
    return text


def _only_double_unquoted(raw: str) -> str:
    return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == '"' else raw


def _text(keyword: Keyword, args: Sequence[str], notes: Notes) -> str:
    text = _only_double_unquoted(args[0])
    size = len(text.encode("utf-8", "surrogateescape"))
    if size > TEXT_LIMIT_BYTES:
        notes.append(Problem("text-too-long", f"{keyword.name} has {size} bytes, and at most {TEXT_LIMIT_BYTES} are allowed", FIRST_VALUE))
    return text


def _command(keyword: Keyword, args: Sequence[str], notes: Notes) -> str:  # noqa: ARG001 -- one signature for all readers
    return _only_double_unquoted(args[0])


# --- addresses -----------------------------------------------------------------------------------------------------------------


def _host_value(keyword: Keyword, raw: str, notes: Notes) -> str:
    text = unquoted(raw)
    host = host_of(text)
    if host is None:
        if "/" in text:
            raise _BadValue("bad-host", f"{keyword.name} is an address without a prefix length: write {shown(text.partition('/')[0])}")
        raise _BadValue("bad-host", f"{keyword.name} is an IP address or a host name, and {shown(text) or 'nothing'} is neither")
    if is_host_name(host):
        notes.append(
            Problem("host-name", f"both directors must be able to resolve {host} when they read this; an address is safer", FIRST_VALUE)
        )
    return host


def _host(keyword: Keyword, args: Sequence[str], notes: Notes) -> str:
    host = _host_value(keyword, args[0], notes)
    if host == NO_ADDRESS and keyword.name in ("primary", "primary_private", "backup_private"):
        hint = "delete the line" if keyword.name != "primary" else "name the primary director's address"
        raise _BadValue("no-address", f"{keyword.name} cannot be 0.0.0.0: {hint}")
    return host


def _address(keyword: Keyword, args: Sequence[str], notes: Notes) -> str | None:  # noqa: ARG001 -- one signature for all readers
    text = unquoted(args[0])
    address = ip_of(text)
    if address is None:
        raise _BadValue("bad-host", f"{keyword.name} is an IP address, not a name, and {shown(text) or 'nothing'} is none")
    return None if keyword.zero_is_none and address == NO_ADDRESS else address


def _host_device(keyword: Keyword, args: Sequence[str], notes: Notes) -> HostDevice:
    host = _host_value(keyword, args[0], notes)
    device = unquoted(args[1])
    _check_device(device, FIRST_VALUE + 1, notes)
    return HostDevice(host, device)


def _check_device(device: str, token: int, notes: Notes) -> None:
    size = len(device.encode("utf-8", "surrogateescape"))
    if not device or device in (".", "..") or "/" in device or any(c.isspace() for c in device):
        raise _BadValue("bad-device", f"{shown(device) or 'nothing'} is no name of an interface", token)
    if size > DEVICE_LIMIT:
        text = f"{shown(device)} has {size} characters, and the kernel takes {DEVICE_LIMIT} for an interface with its alias"
        notes.append(Problem("bad-device", text, token))


def _mask(keyword: Keyword, args: Sequence[str], notes: Notes) -> str:
    text = unquoted(args[0])
    mask = ipv4_of(text) or ipv6_mask(text)
    if mask is None:
        if keyword.name == "pmask":
            notes.append(
                Problem("doubtful-mask", f"pmask {shown(text)} is no netmask and counts as 0.0.0.0, each client for itself", FIRST_VALUE)
            )
            return NO_ADDRESS
        hint = f"; write 255.255.255.0, not {shown(text)}" if text.startswith("/") else ""
        raise _BadValue("bad-mask", f"{keyword.name} is a netmask such as 255.255.255.0, and {shown(text) or 'nothing'} is none{hint}")
    if ":" not in mask and not is_contiguous(mask):
        notes.append(
            Problem("doubtful-mask", f"{shown(text)} is the netmask {mask}, which is hardly meant; write it as 255.255.255.0", FIRST_VALUE)
        )
    return mask


# --- ports ---------------------------------------------------------------------------------------------------------------------


def _port(keyword: Keyword, args: Sequence[str], notes: Notes) -> int:
    text = unquoted(args[0])
    number = integer_of(text)
    if number is None:
        _refuse_list(keyword, text)
        number = service_port(text)
    if number is None:
        raise _BadValue(
            "bad-port", f"{keyword.name} is a number or the name of a TCP service, and {shown(text) or 'nothing'} is neither on this host"
        )
    _check_range(keyword, number, notes)
    return number


def _port_number(keyword: Keyword, args: Sequence[str], notes: Notes) -> int:
    text = unquoted(args[0])
    number = integer_of(text)
    if number is None:
        _refuse_list(keyword, text)
        hint = " (a name is allowed for the virtual server's port only)" if service_port(text) else ""
        raise _BadValue("bad-port", f"{keyword.name} is a port number here, and {shown(text) or 'nothing'} is none{hint}")
    _check_range(keyword, number, notes)
    return number


def _refuse_list(keyword: Keyword, text: str) -> None:
    if "," in text:
        raise _BadValue("bad-port", f"{keyword.name} is one port; for several, mark the packets and use fwmark")


_Reader = Callable[[Keyword, Sequence[str], Notes], object]

_READERS: dict[ValueType, _Reader] = {
    ValueType.INTEGER: _integer,
    ValueType.BOOLEAN: _boolean,
    ValueType.SECONDS: _integer,
    ValueType.DECIMAL: _decimal,
    ValueType.PORT: _port,
    ValueType.PORT_NUMBER: _port_number,
    ValueType.WORD: _word,
    ValueType.HOST: _host,
    ValueType.ADDRESS: _address,
    ValueType.HOST_DEVICE: _host_device,
    ValueType.MASK: _mask,
    ValueType.STRING: _string,
    ValueType.TEXT: _text,
    ValueType.COMMAND: _command,
}


# --- back to text --------------------------------------------------------------------------------------------------------------


def value_words(keyword: Keyword, value: object) -> tuple[str, ...]:
    """The words, not yet quoted, that say ``value`` behind ``keyword =``."""
    if isinstance(value, HostDevice):
        return (_canonical_host(value.host), value.device)
    if isinstance(value, bool):
        return (str(int(value)),)
    if isinstance(value, int | float):
        return (_number_text(value),)
    text = str(value)
    return (_canonical_host(text) if keyword.type in (ValueType.HOST, ValueType.ADDRESS) else text,)


def _canonical_host(text: str) -> str:
    return ip_of(text) or text


def _number_text(number: float) -> str:
    if isinstance(number, int):
        return str(number)
    if number.is_integer() and abs(number) < WORST_INTEGER:
        return str(int(number))
    return f"{number:.9f}".rstrip("0") if abs(number) < WORST_INTEGER else str(number)


def same_value(keyword: Keyword, wanted: object, read: object) -> bool:
    """Whether what was read back is what was to be written, short forms of addresses apart."""
    if wanted == read:
        return True
    if isinstance(wanted, HostDevice) and isinstance(read, HostDevice):
        return wanted.device == read.device and _canonical_host(wanted.host) == read.host
    return (
        keyword.type in (ValueType.HOST, ValueType.ADDRESS, ValueType.MASK) and isinstance(wanted, str) and _canonical_host(wanted) == read
    )
