"""Interfaces, addresses and announcements in memory, with the kernel's manners.

Held to the real ones by ``tests/contract/test_links_contract.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lvsagent.ports import Address

LABEL_BYTES = 15


class FakeLinks:
    """A host's interfaces.  Tests change ``interfaces`` (name → up with a carrier) and ``present`` behind everybody's back.

    ``refuse`` maps an address to the reason why adding or removing it fails.
    """

    def __init__(self, interfaces: Iterable[str] = ("lo", "eth0", "eth1"), addresses: Iterable[Address] = ()) -> None:
        self.interfaces = dict.fromkeys(interfaces, True)
        self.present = set(addresses)
        self.refuse: dict[str, str] = {}
        self.added: list[Address] = []
        self.removed: list[Address] = []

    async def addresses(self) -> frozenset[Address]:
        """Every address on every interface."""
        return frozenset(self.present)

    async def add(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Add; what is there already stays as it is."""
        refused = []
        for address in addresses:
            reason = self._why_not(address)
            if reason:
                refused.append((address, reason))
            elif address not in self.present:
                self.present.add(address)
                self.added.append(address)
        return tuple(refused)

    async def remove(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Remove; what is gone already is no error, nor is an interface that is gone."""
        refused = []
        for address in addresses:
            if reason := self.refuse.get(address.address, ""):
                refused.append((address, reason))
            elif address in self.present:
                self.present.discard(address)
                self.removed.append(address)
        return tuple(refused)

    async def up(self, interface: str) -> bool:
        """Whether it is there, up and has a carrier."""
        return self.interfaces.get(interface, False)

    def _why_not(self, address: Address) -> str:
        if address.interface not in self.interfaces:
            return f"no interface {address.interface}"
        label = address.label
        if label and label != address.interface and not label.startswith(address.interface + ":"):
            return f"label {label} does not belong to interface {address.interface}"
        if len(label.encode()) > LABEL_BYTES:
            return f"label {label} is longer than {LABEL_BYTES} bytes"
        return self.refuse.get(address.address, "")


class FakeAnnouncer:
    """Remembers in ``announced`` what the neighbours would have heard; ``links`` says which interfaces exist and are up."""

    def __init__(self, links: FakeLinks) -> None:
        self.links = links
        self.announced: list[Address] = []

    async def announce(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Tell the neighbours, except on loopback interfaces, which have none."""
        refused = []
        for address in addresses:
            if address.interface not in self.links.interfaces:
                refused.append((address, f"no interface {address.interface}"))
            elif not self.links.interfaces[address.interface]:
                refused.append((address, f"interface {address.interface} is down"))
            elif address.interface != "lo":
                self.announced.append(address)
        return tuple(refused)
