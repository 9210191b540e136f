"""Values: from the tokens behind an equals sign to a value of the model, and back.

Owns every type of lvs.cf and what may be wrong with a value.  Driven by the keyword table; knows nothing of lines or blocks.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from app.lvscf.diagnostics import Problem, shown
from app.lvscf.keywords import LOAD_MONITORS, SCHEDULER_FLAGS, Keyword, Level, ValueType
from app.lvscf.lexer import unquoted
from app.lvscf.model import NO_ADDRESS, HostDevice

FIRST_VALUE = 2
"""The index of the first token behind the equals sign."""

TEXT_LIMIT_BYTES = 255
DEVICE_LIMIT = 15

_INTEGER = re.compile(r"[ \t]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[ \t]*[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)")
_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+*/-]*")
_DOTTED_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
"""The form in which nearly every address is written."""

_STATUS_CODES = re.compile(r"[1-5][0-9][0-9](?:-[1-5][0-9][0-9])?(?:,[1-5][0-9][0-9](?:-[1-5][0-9][0-9])?)*")
_WORST_INTEGER = 2**63

_WELL_KNOWN = {
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "http": 80,
    "www": 80,
    "pop3": 110,
    "nntp": 119,
    "imap2": 143,
    "imap": 143,
    "ldap": 389,
    "https": 443,
    "submission": 587,
    "ldaps": 636,
    "imaps": 993,
    "pop3s": 995,
    "mysql": 3306,
    "postgresql": 5432,
    "sip": 5060,
}
"""Services that people balance, for hosts without /etc/services."""


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


def _integer_of(text: str) -> int | None:
    """C's ``strtol`` with base 0 over the whole text; ``None`` when that leaves anything over or does not fit."""
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > 100:
        return None
    digits = match[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    number = int(digits, base)
    if number >= _WORST_INTEGER:
        return None
    return -number if match[1] == "-" else number


def _integer(keyword: Keyword, args: Sequence[str], notes: Notes) -> int:
    text = unquoted(args[0])
    if text == "":
        notes.append(Problem("empty-value", f"{keyword.name} is empty, which counts as 0", FIRST_VALUE))
        return 0
    number = _integer_of(text)
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
    if text and _integer_of(text) is None:
        raise _BadValue("bad-number", f"{keyword.name} is a number of seconds such as 6 or 0.5, and {shown(text)} is none")
    return _integer(keyword, args, notes)


def _boolean(keyword: Keyword, args: Sequence[str], notes: Notes) -> bool:
    text = unquoted(args[0])
    if text == "":
        notes.append(Problem("empty-value", f"{keyword.name} is empty, which counts as 0", FIRST_VALUE))
        return False
    number = _integer_of(text)
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
    elif keyword.name == "check_status" and not _STATUS_CODES.fullmatch(text):
        raise _BadValue("bad-word", f"check_status is a list such as 200,204 or 200-299, and {shown(text) or 'nothing'} is not")
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


@lru_cache(maxsize=65536)
def ipv4_of(text: str) -> str | None:
    """The dotted quad that C's ``inet_aton`` makes of ``text`` (short forms, octal and hexadecimal parts too), ``None`` if none."""
    if _DOTTED_QUAD.fullmatch(text):
        return text
    parts = text.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers: list[int] = []
    for part in parts:
        number = _integer_of(part) if part[:1].isdigit() else None
        if number is None:
            return None
        numbers.append(number)
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        return None
    value = numbers[-1]
    for index, number in enumerate(numbers[:-1]):
        value |= number << (24 - 8 * index)
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def ip_of(text: str) -> str | None:
    """The address in its canonical form, IPv4 or IPv6; ``None`` when it is not one."""
    if ":" not in text:
        return ipv4_of(text)
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if address.scope_id else str(address)


def host_of(text: str) -> str | None:
    """The canonical address, or the host name as written; ``None`` when it is neither."""
    address = ip_of(text)
    if address is not None:
        return address
    if _HOST_NAME.fullmatch(text) and not text.rstrip(".").rpartition(".")[2].isdigit():
        return text
    return None


def is_host_name(host: str) -> bool:
    """Whether a host of the model is a name that has yet to be resolved."""
    return ":" not in host and ipv4_of(host) is None


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
    mask = ipv4_of(text) or _ipv6_mask(text)
    if mask is None:
        if keyword.name == "pmask":
            notes.append(
                Problem("doubtful-mask", f"pmask {shown(text)} is no netmask and counts as 0.0.0.0, each client for itself", FIRST_VALUE)
            )
            return NO_ADDRESS
        hint = f"; write 255.255.255.0, not {shown(text)}" if text.startswith("/") else ""
        raise _BadValue("bad-mask", f"{keyword.name} is a netmask such as 255.255.255.0, and {shown(text) or 'nothing'} is none{hint}")
    if ":" not in mask and not _is_contiguous(mask):
        notes.append(
            Problem("doubtful-mask", f"{shown(text)} is the netmask {mask}, which is hardly meant; write it as 255.255.255.0", FIRST_VALUE)
        )
    return mask


def _ipv6_mask(text: str) -> str | None:
    return ip_of(text) if ":" in text else None


def _is_contiguous(mask: str) -> bool:
    inverted = int(ipaddress.IPv4Address(mask)) ^ 0xFFFFFFFF
    return inverted & (inverted + 1) == 0


# --- ports ---------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def service_port(name: str) -> int | None:
    """The port of a TCP service name, from this host's services or the common ones known here; ``None`` when unknown."""
    if not _SERVICE_NAME.fullmatch(name):
        return None
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        return _WELL_KNOWN.get(name)


def _port(keyword: Keyword, args: Sequence[str], notes: Notes) -> int:
    text = unquoted(args[0])
    number = _integer_of(text)
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
    number = _integer_of(text)
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
    if number.is_integer() and abs(number) < _WORST_INTEGER:
        return str(int(number))
    return f"{number:.9f}".rstrip("0") if abs(number) < _WORST_INTEGER else str(number)


def same_value(keyword: Keyword, wanted: object, read: object) -> bool:
    """Whether what was read back is what was to be written, short forms of addresses apart."""
    if wanted == read:
        return True
    if isinstance(wanted, HostDevice) and isinstance(read, HostDevice):
        return wanted.device == read.device and _canonical_host(wanted.host) == read.host
    return (
        keyword.type in (ValueType.HOST, ValueType.ADDRESS, ValueType.MASK) and isinstance(wanted, str) and _canonical_host(wanted) == read
    )
