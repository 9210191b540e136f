"""Interfaces, addresses and announcements in memory, with the kernel's manners.

Held to the real ones by ``tests/contract/test_links_contract.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from lvsagent.core.virtual_mac import device_name
from lvsagent.ports import Address, LinkChanged, SyncThread

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


class FakeLinkEvents:
    """Tells of a link when a test changes it with ``change``; while ``busy``, the loop does not come round to it and ``drain`` has to."""

    def __init__(self, links: FakeLinks) -> None:
        self.links = links
        self.busy = False
        self._untold: list[tuple[str, bool]] = []
        self._watched: dict[str, bool] = {}
        self._changed: LinkChanged | None = None

    async def watch(self, interfaces: Collection[str], changed: LinkChanged) -> None:
        """Each one's state at once, then changes."""
        self._changed = changed
        self._untold.clear()
        self._watched = {name: self.links.interfaces.get(name, False) for name in interfaces}
        for name, whole in self._watched.items():
            changed(name, whole)

    def close(self) -> None:
        """Nothing is told any more."""
        self._changed = None

    def drain(self) -> None:
        """Tell what has changed already."""
        untold, self._untold = self._untold, []
        for interface, whole in untold:
            if self._changed is not None:
                self._changed(interface, whole)

    def change(self, interface: str, *, whole: bool) -> None:
        """The cable is pulled, or put back."""
        self.links.interfaces[interface] = whole
        if self._changed is not None and self._watched.get(interface, whole) is not whole:
            self._watched[interface] = whole
            self._untold.append((interface, whole))
            if not self.busy:
                self.drain()


class FakeSyncDaemon:
    """One kernel's sync daemon.  ``history`` holds every thread that was started; ``refusal`` makes starting fail."""

    def __init__(self, links: FakeLinks) -> None:
        self.links = links
        self.running: tuple[SyncThread, ...] = ()
        self.history: list[SyncThread] = []
        self.refusal = ""

    async def read(self) -> tuple[SyncThread, ...]:
        """What runs now."""
        return self.running

    async def become(self, role: str, interface: str, sync_id: int) -> str:
        """Have exactly what the role needs."""
        wanted = SyncThread(role, interface, sync_id)
        if role != "off" and (unsayable := self._unsayable(wanted)):
            return unsayable
        self.running = tuple(thread for thread in self.running if thread == wanted)
        if role == "off" or self.running:
            return ""
        if interface not in self.links.interfaces:
            return f"the sync daemon cannot run: no interface {interface}"
        if not self.refusal:
            self.running = (wanted,)
            self.history.append(wanted)
        return self.refusal

    @staticmethod
    def _unsayable(wanted: SyncThread) -> str:
        if not wanted.interface:
            return "the sync daemon needs an interface (syncd_iface)"
        return "" if wanted.sync_id in range(256) else f"the sync daemon cannot run: syncd_id {wanted.sync_id} is not from 0 to 255"


class FakeVirtualMac:
    """Interfaces with a shared hardware address: ``made`` by name, with hardware address; each is among ``links.interfaces`` too."""

    def __init__(self, links: FakeLinks) -> None:
        self.links = links
        self.made: dict[str, str] = {}

    async def have(self, wanted: Mapping[str, str], *, up: bool) -> tuple[tuple[str, str], ...]:
        """One on each interface named, up or down, and no other of ours."""
        names = {device_name(interface) for interface in wanted}
        for name in [name for name in self.made if name not in names]:
            del self.made[name], self.links.interfaces[name]
            self.links.present = {address for address in self.links.present if address.interface != name}
        refused = []
        for interface, hardware in wanted.items():
            name = device_name(interface)
            if interface not in self.links.interfaces:
                refused.append((interface, f"no interface {interface}"))
            elif name in self.links.interfaces and name not in self.made:
                refused.append((interface, f"an interface {name} is there that the agent did not make"))
            else:
                self.made[name] = hardware
                self.links.interfaces[name] = up and self.links.interfaces[interface]
        return tuple(refused)
