"""The value of ``mark_ports``: which ports of a virtual address are to carry its firewall mark.

Owns its grammar, ``PORTS[/PROTOCOL] ...`` with PORTS as in ``80,443,8000-8099``.  What is done with them is the agent's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.lvscf.diagnostics import shown
from app.lvscf.model import Protocol

HIGHEST_PORT = 65535


class BadPortsError(ValueError):
    """The text names no ports; the message says where it fails, in words."""


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports ``first`` to ``last``, both included, of one protocol."""

    protocol: Protocol
    first: int
    last: int

    def __str__(self) -> str:
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


def read_ports(text: str, protocol: Protocol) -> tuple[PortRange, ...]:
    """The ports that ``text`` names, in its order; ``protocol`` is that of a group which names none.  Raises BadPortsError."""
    found = [one for group in text.split() for one in _group(group, protocol)]
    if not found:
        raise BadPortsError("no port is named")
    return tuple(dict.fromkeys(found))


def _group(group: str, protocol: Protocol) -> list[PortRange]:
    ports, slash, word = group.partition("/")
    if slash:
        if word not in set(Protocol):
            raise BadPortsError(f"{shown(word) or 'nothing'} is no protocol: {', '.join(Protocol)}")
        protocol = Protocol(word)
    return [_range(part, protocol) for part in ports.split(",")]


def _range(part: str, protocol: Protocol) -> PortRange:
    matched = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part, re.ASCII)
    if matched is None:
        raise BadPortsError(f"{shown(part) or 'nothing'} is no port; write them as 80,443 or 8000-8099")
    first = int(matched[1])
    last = int(matched[2] or first)
    if not 1 <= first <= last <= HIGHEST_PORT:
        raise BadPortsError(f"{part} is not within 1 to {HIGHEST_PORT}, the lower one first")
    return PortRange(protocol, first, last)
