"""Servers that their checks alone do not decide about, on the agent's sockets: held down, or kept in service; and their release."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class Held(Wire, frozen=True):
    """``key``: the check's.  ``until``: when it ends by itself.  ``kept``: it fails and the mass-failure brake keeps it in; else it is held
    down, out whatever it answers."""

    key: str
    until: float
    kept: bool


class ReleaseRequest(Wire, frozen=True):
    """``key``: the check whose server is released; ``""``: every one, and the brake ends.  ``actor``: who wants it."""

    key: str = ""
    actor: str = ""


class Released(Wire, frozen=True):
    """Who was released, by check key: ``held`` were held down, ``kept`` were in service by the brake and leave it.

    ``there``: those that the other director released too.  ``peer``: what became of it there, in words (``""``: there is no other one).
    """

    held: list[str] = []
    kept: list[str] = []
    there: list[str] = []
    peer: str = ""
