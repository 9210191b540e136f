"""Interfaces for the userspace data plane, which listens on addresses that are there anyway: nothing is added and nobody is told."""

from __future__ import annotations

from collections.abc import Sequence

from lvsagent.ports import Address


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
