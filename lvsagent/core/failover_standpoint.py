"""Where a director stands: what it knows of itself and of its peer, and what follows from that alone.

Owns the failover machine's state and the questions about it; nothing here changes anything.  What is decided, and when, is in
``lvsagent.core.failover``.
"""

from __future__ import annotations

from dataclasses import dataclass

from lvsagent.core.failover_peer import Peer
from lvsagent.core.failover_types import Beat, Cause, Command, Settings
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY, STANDBY, STARTING, STOPPED, UNKNOWN


@dataclass(frozen=True, slots=True)
class Verdict:
    """A role to take, why, and that in words."""

    role: str
    cause: Cause
    why: str


class Standpoint:
    """What a ``Machine`` is built on.  What is public is for showing."""

    def __init__(self, settings: Settings, boot_id: str) -> None:
        self.settings = settings
        self.boot_id = boot_id
        self.role = STARTING
        self.cause = Cause.UNDECIDED
        self.reason = "listening for the other director"
        self.since = 0.0
        self.confirmed = True
        self.maintenance = False
        self.fit = True
        self.stepping_down = False
        self.both_active_since: float | None = None
        self.peer = Peer(boot_id)
        self._links_up = True
        self._links_why = ""
        self._children_why = ""
        self._out: list[Command] = []
        self._started = False
        self._lived = 0.0
        self._last_now = 0.0
        self._number = 0
        self._role_mark = 1
        self._awake_mark = 1
        self._role_lived = 0.0
        self._due_at = 0.0
        self._sent_at = float("-inf")
        self._say = 0
        self._asking_until = float("-inf")
        self._feed_since: float | None = None
        self._held_back = False
        self._peer_was = "none"
        self._twin = ""

    # --- what others ask -------------------------------------------------------------------------------------------------------

    @property
    def paired(self) -> bool:
        """Whether the role is decided together with a peer."""
        return self.settings.redundant and self.settings.keyed and self.settings.identity != UNKNOWN

    @property
    def links_whole(self) -> bool:
        """As it counts: always true when links are not watched."""
        return self._links_up or not self.settings.monitor_links

    @property
    def peer_state(self) -> str:
        """``none`` (no pair), ``waiting`` (never heard), ``alive`` or ``dead``."""
        if not self.paired:
            return "none"
        if self._peer_dead():
            return "waiting" if self.peer.beat is None else "dead"
        return "waiting" if self.peer.beat is None else "alive"

    # --- itself -------------------------------------------------------------------------------------------------------------------

    def _wants_role(self) -> bool:
        if self.role != STANDBY or self.maintenance or not self.links_whole or not self.fit:
            return False
        if self._lived < self._asking_until:
            return True
        if not self.settings.preempt or self.settings.identity != PRIMARY or self._held_back or self._feed_since is None:
            return False
        return self._lived - max(self._feed_since, self._role_lived) >= self.settings.preempt_delay_s

    def _without_pair(self) -> Verdict:
        identity, redundant = self.settings.identity, self.settings.redundant
        if self.maintenance:
            return Verdict(STANDBY, Cause.MAINTENANCE, "in maintenance")
        if not redundant:
            if identity == BACKUP:
                return Verdict(STANDBY, Cause.CONFIGURED, "this is the backup, and lvs.cf does not enable it (backup_active = 0)")
            alone = "this is the primary and no backup is enabled" if identity == PRIMARY else "no backup is enabled"
            return Verdict(ACTIVE, Cause.ALONE, alone)
        if identity == UNKNOWN:
            where = "this host has neither the primary's nor the backup's address of lvs.cf (see node in agent.toml)"
            return Verdict(STANDBY, Cause.CONFIGURED, where)
        role = ACTIVE if identity == PRIMARY else STANDBY
        return Verdict(role, Cause.UNKEYED, f"this is the {identity}, and without a heartbeat key no peer is believed (see lvsctl pair)")

    def _why_we_yield(self, peer: Beat) -> str:
        if peer.confirmed and not self.confirmed:
            return "the other took over while this one did not run"
        if (peer.links_whole, peer.fit) != (self.links_whole, self.fit):
            return "the other is whole and this one is not"
        return f"the {peer.identity} keeps the role"

    # --- the peer --------------------------------------------------------------------------------------------------------------

    def _peer_dead(self) -> bool:
        return self._peer_left() or self.peer.dead(self._lived, self.settings.deadtime_s)

    def _peer_left(self) -> bool:
        """Whether it said, since we woke, that it stops."""
        return self.peer.beat is not None and self.peer.beat.role == STOPPED and self.peer.has_heard(self._awake_mark)

    def _peer_knows_us(self) -> bool:
        """Whether its newest words were written knowing what we are since we woke and since our role changed."""
        return self.peer.has_heard(max(self._role_mark, self._awake_mark))

    def _peer_can_serve(self) -> bool:
        """By its word, given since we woke."""
        peer = self.peer.beat
        if peer is None or self._peer_dead() or not self.peer.has_heard(self._awake_mark):
            return False
        return bool(peer.hears) and peer.role == STANDBY and able(peer)

    def _why_peer_cannot(self) -> str:
        peer = self.peer.beat
        if peer is None or self._peer_dead():
            return "the other director is not heard"
        if not peer.hears:
            return "the other director does not hear this one"
        if peer.maintenance:
            return "the other director is in maintenance"
        if not able(peer):
            return "the other director cannot serve: " + ("its processes are not there" if peer.links_whole else "a watched link is down")
        return f"the other director is {peer.role}"

    def _contested(self) -> bool:
        peer = self.peer.beat
        return self.role == ACTIVE and peer is not None and peer.role == ACTIVE and not self._peer_dead()


def able(beat: Beat) -> bool:
    return beat.links_whole and beat.fit and not beat.maintenance


def rank_active(beat: Beat) -> tuple[bool, bool, bool, bool, str]:
    """Of two active directors the higher one keeps the role.  Both compute it from the same two beats."""
    return (beat.confirmed, beat.links_whole, beat.fit, beat.identity == PRIMARY, beat.boot_id)


def rank_waiting(beat: Beat) -> tuple[bool, bool, bool, bool, bool, str]:
    """Of two directors of which none is active the higher one becomes it.  One that has been there goes before one that starts."""
    return (not beat.maintenance, beat.links_whole, beat.fit, beat.role == STANDBY, beat.identity == PRIMARY, beat.boot_id)
