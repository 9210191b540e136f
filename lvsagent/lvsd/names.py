"""Host names in lvs.cf to addresses, off the event loop.

Owns the cache: a name keeps its last good address for as long as the resolver does not give another, so that a dead name server takes
nothing out of service.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable

from app.lvscf import ip_of
from lvsagent.ports import Clock

FRESH_S = 60.0
WAIT_S = 5.0
AT_ONCE = 8

log = logging.getLogger(__name__)


class Names:
    """Names and their addresses.  IPv4 is taken where a name has both."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: dict[str, str] = {}
        self._asked_at: dict[str, float] = {}

    def address(self, name: str) -> str | None:
        """The address last found for ``name``."""
        return self._addresses.get(name)

    async def look_up(self, names: Iterable[str]) -> bool:
        """Ask for every name not asked for lately; says whether any address is another one now."""
        now = self._clock.now()
        due = [name for name in names if now - self._asked_at.get(name, -FRESH_S) >= (FRESH_S if name in self._addresses else WAIT_S)]
        if not due:
            return False
        self._asked_at.update(dict.fromkeys(due, now))
        turns = asyncio.Semaphore(AT_ONCE)
        return any(await asyncio.gather(*(self._ask(name, turns) for name in due)))

    async def _ask(self, name: str, turns: asyncio.Semaphore) -> bool:
        try:
            async with turns, asyncio.timeout(WAIT_S):
                found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            log.warning("the name %s in lvs.cf cannot be resolved: %s", name.encode("ascii", "backslashreplace").decode(), error)
            return False
        addresses = [address for entry in sorted(found, key=lambda entry: entry[0]) if (address := ip_of(str(entry[4][0])))]
        if not addresses or self._addresses.get(name) in addresses:
            return False
        self._addresses[name] = addresses[0]
        return True


def is_local(address: str) -> bool:
    """Whether this host has ``address`` (a socket can be bound to it)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
