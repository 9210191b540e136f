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
    """A mask as a prefix length: ``0.0.0.0`` is one address alone.  ``None`` when the mask has holes, is none, or is another family's.

    For IPv6 the length itself will do too.
    """
    width = host_prefix(kind)
    if mask in {NO_ADDRESS, ""}:
        return width
    if kind is Family.IPV6 and mask.isascii() and mask.isdigit():
        return int(mask) if 1 <= int(mask) <= width else None
    address = ip_of(mask)
    if address is None or family(address) is not kind:
        return None
    bits = int(ipaddress.ip_address(address))
    if bits == 0:
        return width
    length = bits.bit_count()
    return length if bits == ((1 << length) - 1) << (width - length) else None
