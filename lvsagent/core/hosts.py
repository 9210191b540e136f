"""Families and masks of addresses as lvs.cf writes them, read as values."""

from __future__ import annotations

import ipaddress

from app.lvscf import NO_ADDRESS, ip_of
from lvsagent.core.table import Family


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
        return int(mask) if mask.isascii() and mask.isdigit() and 1 <= int(mask) <= 128 else None
    address = ip_of(mask)
    if address is None or ":" in address:
        return None
    bits = int(ipaddress.IPv4Address(address))
    if bits == 0:
        return 32
    length = bits.bit_count()
    return length if bits == (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF else None
