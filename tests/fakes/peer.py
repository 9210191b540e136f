"""The way to the other director's agent, inside one process, with every way in which a way can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lvsagent.ports import PeerRefused, PeerUnreachable


@dataclass
class FakePeer:
    """A ``Peer`` that hands requests to ``there``.

    ``down``: why it cannot be reached (``""``: it can).  ``refuses``: why it must not be believed.  ``loses_answers``: how many of the next
    requests arrive and are carried out while the answer is lost.  ``holds``: while set, an answer is kept back.
    """

    there: Callable[[bytes], Awaitable[bytes]] | None = None
    down: str = ""
    refuses: str = ""
    loses_answers: int = 0
    holds: asyncio.Event | None = None
    asked: list[bytes] = field(default_factory=list)

    async def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Carry one request there and bring its answer."""
        if self.refuses:
            raise PeerRefused(self.refuses)
        if self.down or self.there is None:
            raise PeerUnreachable(self.down or "no route to host")
        self.asked.append(request)
        answer = await self.there(request)
        if self.holds is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self.holds.wait()
            except TimeoutError:
                raise PeerUnreachable("it did not answer in time") from None
        if self.loses_answers:
            self.loses_answers -= 1
            raise PeerUnreachable("the connection broke")
        if self.down:
            raise PeerUnreachable(self.down)
        return answer
