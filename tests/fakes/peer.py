"""The other director in memory, as far as the ``Peer`` port can tell.

Held to the real ones by ``tests/contract/test_peer_contract.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lvsagent.ports import PeerRefused, PeerUnreachable


class FakePeer:
    """Asks ``agent``, which answers bytes with bytes.  Knobs: ``away`` (nobody is there), ``refusal`` (it will not, and why), ``silent``.

    ``asked`` are the requests that arrived.
    """

    def __init__(self, agent: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._agent = agent
        self.asked: list[bytes] = []
        self.away = False
        self.silent = False
        self.refusal = ""

    async def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Carry one request and bring its answer."""
        if self.refusal:
            raise PeerRefused(f"the other director refuses: {self.refusal}")
        if self.away:
            raise PeerUnreachable("the other director cannot be reached")
        self.asked.append(request)
        try:
            async with asyncio.timeout(timeout_s):
                if self.silent:
                    await asyncio.Event().wait()
                return await self._agent(request)
        except TimeoutError:
            raise PeerUnreachable(f"the other director did not answer within {timeout_s:g} s") from None
