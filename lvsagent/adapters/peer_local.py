"""The way to the other director when both are on one machine, for demonstrations: the ``Peer`` port over the other agent's own socket.

Owns that connection.  The other agent takes it because it is this one's own user (or root) who asks.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path

import aiohttp

from lvsagent.adapters.peer_lines import message_of
from lvsagent.ports import PeerRefused, PeerUnreachable


class LocalPeer:
    """The ``Peer`` port over ``socket_path``."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._session: aiohttp.ClientSession | None = None

    def use(self, tool: str) -> None:
        """As for the way over ssh; here nothing depends on it."""

    async def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Carry one request and bring its answer.  Raises PeerUnreachable, PeerRefused.  May be cancelled at any time."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path), force_close=True))
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post("http://agent/v1/peer", data=BytesIO(request), headers=headers) as answer,
            ):
                body = await answer.read()
        except TimeoutError:
            raise PeerUnreachable(f"the other director did not answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PeerUnreachable(f"the other director's agent does not answer on {self._path}: {error}") from error
        if answer.status == 200:
            return body
        if answer.status >= 500:
            raise PeerUnreachable(f"the other director's agent: {message_of(body)}")
        raise PeerRefused(f"the other director refuses: {message_of(body)}")

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()
            self._session = None
