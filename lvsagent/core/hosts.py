"""Addresses and masks as lvs.cf writes them, read as values.

Owns the short forms (``10.1`` is 10.0.0.1) and masks (``255.255.255.0``, ``24`` is 0.0.0.24).  It resolves no names: that takes a network.
"""

from __future__ import annotations

import ipaddress

from app.lvscf.model import NO_ADDRESS
from lvsagent.core.table import Family


def literal(host: str) -> str | None:
    """``host`` as a canonical address when it is one (either family, short IPv4 forms included), else ``None``."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        number = _short_ipv4(host)
        return None if number is None else str(ipaddress.IPv4Address(number))


def _short_ipv4(host: str) -> int | None:
    """The classic reading of one to four parts, each decimal, octal or hexadecimal; the last fills what is left."""
    parts = host.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers = []
    for part in parts:
        number = _number(part)
        if number is None:
            return None
        numbers.append(number)
    *head, tail = numbers
    if any(number > 255 for number in head) or tail >= 1 << (8 * (5 - len(numbers))):
        return None
    value = tail
    for place, number in enumerate(head):
        value |= number << (24 - 8 * place)
    return value


def _number(text: str) -> int | None:
    base = 16 if text[:2].lower() == "0x" else 8 if len(text) > 1 and text.startswith("0") else 10
    digits = text[2:] if base == 16 else text
    try:
        return int(digits, base) if digits.isalnum() and digits.isascii() else None
    except ValueError:
        return None


def family(address: str) -> Family:
    """The family of a canonical address."""
    return Family.IPV6 if ":" in address else Family.IPV4


def host_prefix(kind: Family) -> int:
    """The prefix length of one address alone."""
    return 128 if kind is Family.IPV6 else 32


def prefix(mask: str, kind: Family) -> int | None:
    """A mask as a prefix length: ``0.0.0.0`` is one address alone.  ``None`` when the mask has holes or is none.

    For IPv6, which has no dotted masks, a number up to 128 is the length itself.
    """
    if mask in {NO_ADDRESS, ""}:
        return host_prefix(kind)
    if kind is Family.IPV6:
        number = _number(mask)
        return number if number is not None and 1 <= number <= 128 else None
    address = literal(mask)
    if address is None or ":" in address:
        return None
    bits = int(ipaddress.IPv4Address(address))
    if bits == 0:
        return 32
    length = bits.bit_count()
    return length if bits == (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF else None
