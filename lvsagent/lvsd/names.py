"""Host names in lvs.cf to addresses, off the event loop.

Owns the cache: a name keeps its last good address for as long as the resolver does not give another, so that a dead name server takes
nothing out of service.  Owns its threads too: what else is done in threads must not wait for a name server.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.lvscf import ip_of
from lvsagent.ports import Clock

FRESH_S = 60.0
WAIT_S = 5.0
"""However many names there are: whoever edits lvs.cf waits for them."""
AT_ONCE = 8

Resolve = Callable[[str], Sequence[tuple[Any, ...]]]

log = logging.getLogger(__name__)


def _resolved(name: str) -> Sequence[tuple[Any, ...]]:
    return socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)


class Names:
    """Names and their addresses.  IPv4 is taken where a name has both."""

    def __init__(self, clock: Clock, resolve: Resolve = _resolved) -> None:
        """``resolve`` answers as ``socket.getaddrinfo`` does, and may take its time."""
        self._clock = clock
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(AT_ONCE, "names")
        self._addresses: dict[str, str] = {}
        self._asked_at: dict[str, float] = {}

    def address(self, name: str) -> str | None:
        """The address last found for ``name``."""
        return self._addresses.get(name)

    async def look_up(self, names: Iterable[str]) -> None:
        """Ask for every name not asked for lately, and wait a few seconds at most; those that were not reached come first the next time."""
        now = self._clock.now()
        due = [name for name in names if now - self._asked_at.get(name, -FRESH_S) >= (FRESH_S if name in self._addresses else WAIT_S)]
        if not due:
            return
        due.sort(key=lambda name: self._asked_at.get(name, -FRESH_S))
        turns = asyncio.Semaphore(AT_ONCE)
        asked = [asyncio.create_task(self._ask(name, turns)) for name in due]
        try:
            await asyncio.wait(asked, timeout=WAIT_S)
        finally:
            for late in asked:
                late.cancel()

    async def _ask(self, name: str, turns: asyncio.Semaphore) -> None:
        shown = name.encode("ascii", "backslashreplace").decode()
        try:
            async with turns:
                self._asked_at[name] = self._clock.now()
                found = await asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, name)
        except (OSError, UnicodeError) as error:
            log.warning("the name %s in lvs.cf cannot be resolved: %s", shown, error)
            return
        except asyncio.CancelledError:
            log.warning("the name %s in lvs.cf cannot be resolved: no answer in time", shown)
            raise
        addresses = [address for entry in sorted(found, key=lambda entry: entry[0]) if (address := ip_of(str(entry[4][0])))]
        if addresses and self._addresses.get(name) not in addresses:
            self._addresses[name] = addresses[0]


def is_local(address: str) -> bool:
    """Whether this host has ``address`` (a socket can be bound to it)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
