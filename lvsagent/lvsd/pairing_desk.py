"""Pairing as the console does it: a code is shown and waited for, or typed; nobody's page waits meanwhile.

Owns the one attempt that may be under way and what came of the last one.  The conversation and the files are adapters'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from lvsagent.adapters.handshake import WAIT_S, PairingFailed, Waiting, join, new_code
from lvsagent.adapters.pairing_side import OwnSide, own_name, pairing_info
from lvsagent.adapters.peer_keys import NotPaired, PeerKeys
from lvsagent.api.contract import BadRequest, Unavailable
from lvsagent.core.introduction import Introduction, read_code
from lvsagent.core.introduction import address as ip_address
from lvsagent.lvsd.event_log import EventLog
from lvsagent.ports import AdapterError, Clock
from lvsagent.settings import AgentSettings
from lvsagent.wire import PairingInfo, PairingRequest


class PairingDesk:
    """One attempt at a time.  ``last_contact_at`` is set by whoever asks the other director (wall seconds)."""

    def __init__(self, settings: AgentSettings, clock: Clock, events: EventLog, addresses: Callable[[], tuple[str, ...]]) -> None:
        """``addresses`` are this director's own in lvs.cf, the public one first."""
        self.keys = PeerKeys(settings)
        self.last_contact_at = 0.0
        self._settings = settings
        self._clock = clock
        self._events = events
        self._addresses = addresses
        self._waiting: Waiting | None = None
        self._until = 0.0
        self._words = ""
        self._attempt: asyncio.Task[None] | None = None

    def info(self) -> PairingInfo:
        """Whom this director is paired with, and the attempt that is under way.  Raises Unavailable."""
        try:
            found = pairing_info(self.keys, self.last_contact_at)
        except AdapterError as error:
            found = PairingInfo(paired=False, words=str(error))
        code = self._waiting.code if self._waiting else ""
        return msgspec.structs.replace(found, code=code, code_until=self._until if code else 0.0, words=self._words or found.words)

    async def act(self, request: PairingRequest) -> PairingInfo:
        """Do it, or begin it.  Raises BadRequest, Unavailable, in words."""
        match request.action:
            case "wait":
                await self._wait(request)
            case "stop":
                await self.close()
                self._words = "stopped waiting; the code is worth nothing any more"
            case "join":
                await self._join(request)
            case "unpair":
                await self._unpair(request)
            case _:
                raise BadRequest("the action is wait, stop, join or unpair")
        return self.info()

    async def close(self) -> None:
        """Nothing is under way any more."""
        if self._attempt is not None:
            self._attempt.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._attempt
            self._attempt = None
        if self._waiting is not None:
            await self._waiting.close()
            self._waiting = None

    def follow(self, addresses: tuple[str, ...]) -> None:
        """lvs.cf gives the other director these addresses now: its key is good from there too, and it is looked for there first."""
        try:
            if addresses and self.keys.follow(addresses):
                self._events.add("config", "info", f"the other director is reached at {', '.join(addresses)} now, as lvs.cf says")
        except NotPaired:
            pass
        except AdapterError as error:
            self._events.add("problem", "warning", str(error))

    async def _wait(self, request: PairingRequest) -> None:
        side = self._side(request, waiting=True)
        await self.close()
        waiting = Waiting(new_code(), side)
        try:
            self.keys.own_host_key()  # said before a code is shown, not after it was typed
            if not side.addresses:
                raise PairingFailed(
                    "no address of lvs.cf is this host's, so nobody could come: enter it on GLOBAL SETTINGS or REDUNDANCY first"
                )
            await waiting.start(side.addresses, self._settings.pair_port)
        except AdapterError as error:
            raise Unavailable(str(error)) from error
        self._waiting, self._until, self._words = waiting, self._clock.wall() + WAIT_S, ""
        self._attempt = asyncio.create_task(self._follow(waiting.result, side, request.actor))

    async def _join(self, request: PairingRequest) -> None:
        try:
            code = read_code(request.code)
        except ValueError as error:
            raise BadRequest(str(error)) from None
        try:
            address = ip_address(request.address.strip())
        except ValueError:
            raise BadRequest("the other director's address is an IP address, such as 192.0.2.1") from None
        side = self._side(request, waiting=False)
        await self.close()
        self._words = f"asking {address} …"
        self._attempt = asyncio.create_task(
            self._follow(lambda: join(address, self._settings.pair_port, code, side), side, request.actor),
        )

    def _side(self, request: PairingRequest, *, waiting: bool) -> OwnSide:
        name = own_name(self._settings)
        return OwnSide(self.keys, name, self._addresses(), self._clock.wall(), rotate=request.rotate, waiting=waiting)

    async def _follow(self, talk: Callable[[], Awaitable[Introduction]], side: OwnSide, actor: str) -> None:
        """To its end, whoever still looks."""
        try:
            other = await talk()
        except AdapterError as error:
            self._words = str(error)
            self._events.add("problem", "warning", f"pairing failed: {error}", actor=actor)
        else:
            self._words = side.doubts or f"paired with {other.name}"
            self._events.add("config", "info", f"paired with {other.name} ({', '.join(other.addresses)})", actor=actor)
        finally:
            self._waiting = None

    async def _unpair(self, request: PairingRequest) -> None:
        await self.close()
        try:
            found = self.keys.forget()
        except AdapterError as error:
            raise Unavailable(str(error)) from error
        if not found:
            raise Unavailable("this director is not paired")
        self._words = "unpaired: the other director's key opens nothing here any more; do the same there"
        self._events.add("config", "warning", "unpaired: the other director's key opens nothing here any more", actor=request.actor)
