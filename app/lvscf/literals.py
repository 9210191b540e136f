"""Numbers, addresses, masks and ports as the C library reads them: pure text in, canonical text or number out.

Owns the forms that are legal; ``values`` says what is wrong with the others.  Nothing is looked up in the DNS.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache

WORST_INTEGER = 2**63
_INTEGER = re.compile(r"[ \t]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+*/-]*")
_DOTTED_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
"""The form in which nearly every address is written."""

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
    "imap": 143,
    "imap2": 143,
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

WELL_KNOWN_PORTS = {port: name for name, port in reversed(_WELL_KNOWN.items())}
"""The other way round; the name that stands first in the list."""


def integer_of(text: str) -> int | None:
    """C's ``strtol`` with base 0 over the whole text; ``None`` when that leaves anything over or does not fit."""
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > 100:
        return None
    digits = match[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    number = int(digits, base)
    if number >= WORST_INTEGER:
        return None
    return -number if match[1] == "-" else number


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
        number = integer_of(part) if part[:1].isdigit() else None
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


def ipv6_mask(text: str) -> str | None:
    """A mask written as an IPv6 address."""
    return ip_of(text) if ":" in text else None


def is_contiguous(mask: str) -> bool:
    """Whether an IPv4 mask is ones, then zeros."""
    inverted = int(ipaddress.IPv4Address(mask)) ^ 0xFFFFFFFF
    return inverted & (inverted + 1) == 0


@lru_cache(maxsize=256)
def service_port(name: str) -> int | None:
    """The port of a TCP service name, from this host's services or the common ones known here; ``None`` when unknown."""
    if not _SERVICE_NAME.fullmatch(name):
        return None
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        return _WELL_KNOWN.get(name)
