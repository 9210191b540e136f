"""An operator's release of servers that are held down, or kept in service by the mass-failure brake.

Owns who is meant, what the events say, and that the other director does the same; nanny does it.  A release is a deed and no state: it is
said once to whoever is there, and never later, when it would end a hold-down that has begun meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lvsagent.api.contract import NotFound
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.nannies import Nannies
from lvsagent.lvsd.sync import Sync
from lvsagent.ports import Clock
from lvsagent.wire import CheckInfo, Held, Released, ReleaseRequest

NAMED = 3


class Holding(Protocol):
    """What this needs of the director."""

    book: HealthBook
    nanny: Nannies
    events: EventLog
    clock: Clock
    sync: Sync


def held(info: CheckInfo, now: float) -> Held | None:
    """How a server is held at ``now`` (seconds since the epoch); ``None``: its checks decide."""
    if info.kept_until:
        return Held(key=info.key, until=info.kept_until, kept=True)
    return Held(key=info.key, until=info.held_until, kept=False) if info.held_until > now else None


async def release_on_both(request: ReleaseRequest, director: Holding) -> Released:
    """Let go of them here and on the other director, which is no reason to fail.  Raises as ``release`` does, and then nothing was done."""
    done = release(request, director)
    sync = director.sync
    if sync.state == "none":
        return done
    found = await sync.let_go_there(request.key, request.actor)
    name = sync.exchange.theirs.node if sync.exchange.theirs else "the other director"
    there = [] if isinstance(found, str) else found
    return Released(held=done.held, kept=done.kept, there=there, peer=_peer_words(name, found))


def release(request: ReleaseRequest, director: Holding) -> Released:
    """Let go of them here.  Raises NotFound for a check that is not there, Unavailable without nanny."""
    book, events = director.book, director.events
    if request.key and book.info(request.key) is None:
        raise NotFound(f"there is no check {request.key}")
    now = director.clock.wall()
    infos = [info for info in book.infos() if request.key in {"", info.key}]
    found = [one for info in infos if (one := held(info, now))]
    director.nanny.release([one.key for one in found], brake=not request.key)
    done = Released(held=[one.key for one in found if not one.kept], kept=[one.key for one in found if one.kept])
    if done.held:
        events.add("server", "info", f"{_named(done.held)}: no longer held down", actor=request.actor)
    if done.kept:
        events.add("server", "warning", f"{_named(done.kept)}: no longer kept in service by the mass-failure brake", actor=request.actor)
    return done


def _named(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")


def _peer_words(name: str, found: Sequence[str] | str) -> str:
    if isinstance(found, str):
        return f"{name} was not told ({found}): what it holds itself it goes on holding, also if it takes over"
    return f"{name} has let go too: {_named(found)}" if found else f"{name} held nobody"
