"""Several nannies: what they are called, and which of them checks which real server.

Pure.  A check's nanny follows from its server's address and from nothing else in lvs.cf, so that no change of lvs.cf moves another check;
all checks of one host are one nanny's, so that a host that dies is said in one message.
"""

from __future__ import annotations

import zlib

NANNY = "nanny"
MOST_NANNIES = 16
_SPREAD = 0x9E3779B1
"""Multiplied with, neighbouring checksums end up far apart."""


def nanny_names(count: int) -> tuple[str, ...]:
    """``nanny``, ``nanny-2``, ``nanny-3``, …"""
    return (NANNY, *(f"{NANNY}-{number}" for number in range(2, count + 1)))


def kind_of(name: str) -> str:
    """Which program a process of that name runs: every nanny is one."""
    return NANNY if name in nanny_names(MOST_NANNIES) else name


def nanny_of(address: str, count: int) -> int:
    """The place, from 0, of the nanny that checks what is at ``address``."""
    mixed = zlib.crc32(address.encode("utf-8", "surrogateescape")) * _SPREAD & 0xFFFFFFFF
    return mixed * count >> 32


def share_of(whole: int, count: int) -> int:
    """What one of ``count`` nannies may use of a limit that is the director's; at least 1."""
    return max(1, whole // count)
