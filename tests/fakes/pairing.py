"""Pairing as the agent does it, in memory: one attempt at a time, a code that is used once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lvsagent.client import AgentRefused
from lvsagent.core.introduction import address, read_code
from lvsagent.wire import PairingInfo, PairingRequest

CODE = "7KQ2M-XA5RD-PLW3E-N6TVC"
PAIRED = PairingInfo(
    paired=True,
    name="righty",
    addresses=["192.0.2.2", "10.11.12.2"],
    port=22,
    host_key="SHA256:lefty-host",
    user_key="SHA256:lefty-user",
    peer_host_key="SHA256:righty-host",
    peer_user_key="SHA256:righty-user",
)


class FakePairing:
    """``used()`` is somebody typing the code over there; ``ends(words)`` an attempt that comes to nothing."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.now = PairingInfo(paired=False)
        self.requests: list[PairingRequest] = []
        self._wall = wall

    def used(self, words: str = "paired with righty") -> None:
        """The other director is there."""
        self.now = msgspec.structs.replace(PAIRED, since=self._wall(), last_contact_at=self._wall(), words=words)

    def ends(self, words: str) -> None:
        """Nothing waits any more."""
        self.now = msgspec.structs.replace(self.now, code="", code_until=0.0, words=words)

    def change(self, request: PairingRequest) -> PairingInfo:
        """As lvsd's desk does it."""
        self.requests.append(request)
        match request.action:
            case "wait":
                self.now = msgspec.structs.replace(self.now, code=CODE, code_until=self._wall() + 600, words="")
            case "stop":
                self.ends("stopped waiting; the code is worth nothing any more")
            case "join":
                self._join(request)
            case "unpair" if not self.now.paired:
                raise AgentRefused("unavailable", "this director is not paired")
            case "unpair":
                self.now = PairingInfo(
                    paired=False, words="unpaired: the other director's key opens nothing here any more; do the same there"
                )
            case _:
                raise AgentRefused("bad_request", "the action is wait, stop, join or unpair")
        return self.now

    def _join(self, request: PairingRequest) -> None:
        try:
            read_code(request.code)
        except ValueError as error:
            raise AgentRefused("bad_request", str(error)) from None
        try:
            where = address(request.address.strip())
        except ValueError:
            raise AgentRefused("bad_request", "the other director's address is an IP address, such as 192.0.2.1") from None
        self.ends(f"asking {where} …")
