"""Interfaces for the userspace data plane, which listens on addresses that are there anyway: nothing is added and nobody is told.

What it cannot do, it refuses in words; what needs nothing done is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lvsagent.ports import Address, LinkChanged, SyncThread


class NoLinks:
    """The ``Links`` port: remembers what it was told to have."""

    def __init__(self) -> None:
        self._addresses: set[Address] = set()

    async def addresses(self) -> frozenset[Address]:
        """What was added."""
        return frozenset(self._addresses)

    async def add(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Refuses nothing."""
        self._addresses.update(addresses)
        return ()

    async def remove(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Refuses nothing."""
        self._addresses.difference_update(addresses)
        return ()

    async def up(self, interface: str) -> bool:  # noqa: ARG002 -- the port's signature
        """Always."""
        return True


class NoAnnouncer:
    """The ``Announcer`` port: the neighbours of a loopback address are this host itself."""

    async def announce(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:  # noqa: ARG002 -- the port's signature
        """Refuses nothing."""
        return ()


class NoSyncDaemon:
    """The ``SyncDaemon`` port: connections through this process end with it."""

    async def read(self) -> tuple[SyncThread, ...]:
        """Nothing."""
        return ()

    async def become(self, role: str, interface: str, sync_id: int) -> str:  # noqa: ARG002 -- the port's signature
        """Refuses all but ``off``."""
        return "" if role == "off" else "the sync daemon needs the kernel's data plane: here connections do not survive a takeover"


class NoLinkEvents:
    """The ``LinkEvents`` port: loopback does not break."""

    async def watch(self, interfaces: Collection[str], changed: LinkChanged) -> None:
        """Every link is whole."""
        for interface in interfaces:
            changed(interface, True)

    def drain(self) -> None:
        """Nothing has changed."""

    def close(self) -> None:
        """Nothing to close."""


class NoVirtualMac:
    """The ``VirtualMac`` port: loopback has no hardware address."""

    async def have(self, wanted: Mapping[str, str], *, up: bool) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 -- the port's signature
        """Refuses each."""
        return tuple((interface, "a virtual MAC needs the kernel's data plane") for interface in wanted)
