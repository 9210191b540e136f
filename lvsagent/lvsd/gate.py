"""Whether a data plane whose traffic does not follow the addresses takes new connections: with the role, and never a moment too early.

Owns that one switch.  With the kernel's data plane there is nothing to switch, and none of this does anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from lvsagent.core.table import ServiceKey
from lvsagent.ports import Switched

HANDOVER_S = 0.5
"""A director that gave up its role answers until the other one does, for so long at most."""
LAST_ANSWERS_S = 2.0
"""What connections that are open at a planned stop are given to finish."""
LOOKS = 100


class TrafficGate:
    """The switch.  ``on_left_out`` is told which virtual servers left the table because they could not be opened."""

    def __init__(self, plane: Switched | None, on_left_out: Callable[[Iterable[ServiceKey]], None]) -> None:
        self._plane = plane
        self._on_left_out = on_left_out
        self._open: bool | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    def want(self, *, takes: bool, peer_comes: bool) -> None:
        """Take traffic or leave it to the peer.  ``peer_comes``: it lives and is not active yet, so this one goes on for a moment."""
        if self._plane is None:
            return
        if takes or not peer_comes or self._open is None:
            self._switch(open_now=takes)
        elif self._open and self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(HANDOVER_S, self._give_up)
            self._closed.clear()

    async def finish(self, connections: Callable[[], Awaitable[int]]) -> None:
        """The planned end: whoever is connected may finish, once the peer answers or will not."""
        if self._plane is None:
            return
        if self._closing is not None:
            await self._closed.wait()
        self._switch(open_now=False)
        for _ in range(LOOKS):
            if not await connections():
                return
            await asyncio.sleep(LAST_ANSWERS_S / LOOKS)

    def _give_up(self) -> None:
        self._switch(open_now=False)

    def _switch(self, *, open_now: bool) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
            self._closed.set()
        if self._plane is None or open_now is self._open:
            return
        self._open = open_now
        left_out = self._plane.serve(active=open_now)
        if left_out:
            self._on_left_out(left_out)
