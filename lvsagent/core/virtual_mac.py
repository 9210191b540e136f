"""Which shared hardware addresses there are, what their interfaces are called, and which address lives on which.

Pure.  Both directors come to the same hardware address without a word between them: it follows from the pair's addresses and the name of
the interface, which lvs.cf fixes for both.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from lvsagent.core.addresses import Address

_PREFIX = "vmac-"
_NAME_BYTES = 15
_LOCALLY_ADMINISTERED = 0x02


def hardware_address(pair: Iterable[str], interface: str) -> str:
    """The hardware address that a pair of directors shares on an interface; ``pair``: their addresses, in any order."""
    words = " ".join([*sorted(pair), interface])
    octets = bytes([_LOCALLY_ADMINISTERED]) + hashlib.sha256(words.encode()).digest()[:5]
    return octets.hex(":")


def device_name(interface: str) -> str:
    """What the interface with the shared hardware address is called; names that would be too long are told apart by a digest."""
    name = _PREFIX + interface
    if len(name.encode(errors="surrogateescape")) <= _NAME_BYTES:
        return name
    return _PREFIX + hashlib.sha256(interface.encode(errors="surrogateescape")).hexdigest()[: _NAME_BYTES - len(_PREFIX)]


def moved(address: Address) -> Address:
    """The same address on the interface with the shared hardware address.

    Alone in its network there: what this host itself sends goes on leaving by the ordinary interface.
    """
    narrowest = ipaddress.ip_address(address.address).max_prefixlen
    return Address(address.address, narrowest, device_name(address.interface))
