"""An operator's release of servers that are held down, or kept in service by the mass-failure brake.

Owns who is meant and what the events say; nanny does it.
"""

from __future__ import annotations

from collections.abc import Callable

from lvsagent.api.contract import NotFound
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.nannies import Nannies
from lvsagent.wire import CheckInfo, Held, Released, ReleaseRequest

NAMED = 3


def held(info: CheckInfo, now: float) -> Held | None:
    """How a server is held at ``now`` (seconds since the epoch); ``None``: its checks decide."""
    if info.kept_until:
        return Held(key=info.key, until=info.kept_until, kept=True)
    return Held(key=info.key, until=info.held_until, kept=False) if info.held_until > now else None


def release(request: ReleaseRequest, book: HealthBook, nanny: Nannies, events: EventLog, wall: Callable[[], float]) -> Released:
    """Let go of them.  Raises NotFound for a check that is not there, Unavailable without nanny."""
    if request.key and book.info(request.key) is None:
        raise NotFound(f"there is no check {request.key}")
    now = wall()
    infos = [info for info in book.infos() if request.key in {"", info.key}]
    found = [one for info in infos if (one := held(info, now))]
    nanny.release([one.key for one in found], brake=not request.key)
    done = Released(held=[one.key for one in found if not one.kept], kept=[one.key for one in found if one.kept])
    if done.held:
        events.add("server", "info", f"{_named(done.held)}: no longer held down", actor=request.actor)
    if done.kept:
        events.add("server", "warning", f"{_named(done.kept)}: no longer kept in service by the mass-failure brake", actor=request.actor)
    return done


def _named(keys: list[str]) -> str:
    return ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
