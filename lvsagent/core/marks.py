"""The firewall marks that lvs.cf asks this director to set by itself (``mark_ports``).

Pure: which packets get which mark.  How a kernel is told is the adapters' business.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.lvscf.mark_ports import BadPortsError, PortRange, read_ports
from app.lvscf.model import Protocol, VirtualServer


@dataclass(frozen=True, slots=True, order=True)
class MarkRule:
    """Packets to ``address`` (canonical text) and ports ``first`` to ``last`` of ``protocol`` get ``mark`` (1 to 2**32 - 1)."""

    address: str
    protocol: Protocol
    first: int
    last: int
    mark: int

    @property
    def ipv6(self) -> bool:
        """Whether it is about IPv6 packets."""
        return ":" in self.address

    def __str__(self) -> str:
        return f"{self.address} {PortRange(self.protocol, self.first, self.last)} mark {self.mark}"


def marks_of(virtual: VirtualServer, address: str) -> tuple[MarkRule, ...]:
    """The rules that ``virtual`` at ``address`` asks for; none when it asks for none, or what it says cannot be read."""
    if not (virtual.fwmark and virtual.mark_ports and address):
        return ()
    try:
        ports = read_ports(virtual.mark_ports, virtual.protocol)
    except BadPortsError:
        return ()
    return tuple(MarkRule(address, port.protocol, port.first, port.last, virtual.fwmark) for port in ports)
