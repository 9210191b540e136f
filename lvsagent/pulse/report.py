"""The peer's words put into the terms of the state, and what of it is worth saying at once.  Owns no state itself."""

from __future__ import annotations

from dataclasses import dataclass

from lvsagent.core.failover import Machine
from lvsagent.core.heartbeat import Datagram
from lvsagent.wire import PeerInfo


@dataclass(frozen=True, slots=True)
class PeerView:
    """``state`` is the machine's; ``heard_wall`` when the last datagram came."""

    state: str
    last: Datagram | None
    heard_wall: float


def peer_info(view: PeerView) -> PeerInfo:
    """The other director as its heartbeats tell it."""
    if view.last is None or view.state == "none":
        return PeerInfo(state=view.state)
    beat = view.last.beat
    return PeerInfo(
        state=view.state,
        name=view.last.name,
        heard_at=view.heard_wall,
        serial=beat.serial,
        identity=beat.identity,
        role=beat.role,
        version=view.last.version,
        up=beat.up,
        total=beat.total,
        maintenance=beat.maintenance,
        links_whole=beat.links_whole,
    )


def glance_at(machine: Machine) -> tuple[object, ...]:
    """What is said at once when it changes; the rest can wait for the next look."""
    peer = machine.peer.beat
    theirs = (peer.role, peer.maintenance, peer.links_whole, peer.serial) if peer else ()
    ours = (machine.role, machine.reason, machine.maintenance, machine.confirmed, machine.both_active_since)
    return (*ours, machine.peer_state, *theirs)
