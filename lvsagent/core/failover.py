"""The failover machine: which of two directors is active.

Pure: it is told what happened and what time it is (monotonic, in seconds) and answers what to do, in the order in which it is to be done.
It never sees the wall clock, a socket or an interface.  docs/failover.md says the same for administrators; the simulation in
tests/unit/lvsagent/simulation.py holds it to its promises.
"""

from __future__ import annotations

from lvsagent.core.failover_peer import ROUNDING_S, Peer
from lvsagent.core.failover_standpoint import Standpoint, Verdict, rank_active, rank_waiting
from lvsagent.core.failover_types import (
    Action,
    Activate,
    Beat,
    Cause,
    ChildrenChanged,
    Command,
    Configured,
    Deactivate,
    Event,
    FeedReady,
    Heard,
    LinksChanged,
    Note,
    Operator,
    Remember,
    Send,
    Settings,
    Started,
    Stopping,
    Tick,
)
from lvsagent.core.identity import ACTIVE, STANDBY, STARTING, STOPPED

__all__ = [
    "Action",
    "Activate",
    "Beat",
    "Cause",
    "ChildrenChanged",
    "Command",
    "Configured",
    "Deactivate",
    "Event",
    "FeedReady",
    "Heard",
    "LinksChanged",
    "Machine",
    "Note",
    "Operator",
    "Remember",
    "Send",
    "Settings",
    "Started",
    "Stopping",
    "Tick",
]

SAID_AT_ONCE = 3
"""How often a beat is sent that says something new of the role: one datagram may be lost."""
OVERSLEPT = 2.0
"""In keepalive intervals: who has not run for longer may have missed a takeover."""
DEAF = 2.0
"""In keepalive intervals: an active peer that does not hear us for longer will not yield, so we do."""
GIVES_UP = frozenset({Cause.LINKS, Cause.CHILDREN, Cause.OPERATOR, Cause.MAINTENANCE, Cause.ASKED})
"""Causes for which the peer is asked to take over at once."""


class Machine(Standpoint):
    """One director.  What is public is for showing; only ``handle`` changes it.

    ``confirmed``: false while an active director has not yet heard, since it slept or was restarted, that nobody took over; it is not to
    announce its addresses then.  ``since`` and ``both_active_since`` are times of the clock that ``handle`` is given.
    """

    def next_at(self, now: float) -> float:
        """When the machine wants a Tick at the latest."""
        if not self._started or not self.paired or self.role == STOPPED:
            return float("inf")
        silent_s = self.peer.silent_s(self._lived)
        left_s = self.peer.deadtime_s(self.settings.deadtime_s) - silent_s
        return max(now, min(self._due_at, self._last_now + left_s if left_s > ROUNDING_S else self._due_at))

    # --- what happens ----------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take the event in, decide, and say what is to be done."""
        self._out = []
        if self.role == STOPPED:
            return []
        self._pass_time(now)
        self._take_in(event, now)
        if self._started:
            self._decide(now)
            self._watch_peer(now)
            self._send(now)
        return self._out

    def _pass_time(self, now: float) -> None:
        """Only time in which this process ran counts; a long gap means that it slept."""
        gap, self._last_now = now - self._last_now, now
        if not self._started:
            return
        keepalive_s = self.settings.keepalive_s
        self._lived += min(gap, 1.5 * keepalive_s)
        if not self.paired or gap < OVERSLEPT * keepalive_s:
            return
        self._awake_mark = self._number + 1
        self._say = max(self._say, 1)
        if gap >= self.settings.deadtime_s:
            self.peer.listen_anew(self._lived)
            self._note("problem", "warning", f"pulse did not run for {gap:.3g} s: listening before believing what was known")
        if self.role == ACTIVE:
            self.confirmed = False

    def _take_in(self, event: Event, now: float) -> None:
        match event:
            case Heard():
                self._hear(event, now)
            case Started():
                self._start(event, now)
            case LinksChanged(whole, why):
                self._links_up, self._links_why = whole, why
                self._say = max(self._say, 1)
            case ChildrenChanged(fit, why):
                self.fit, self._children_why = fit, why
                self._say = max(self._say, 1)
            case Configured(settings):
                self._configure(settings, now)
            case Operator():
                self._obey(event, now)
            case FeedReady(ready):
                self._feed_since = (self._feed_since if self._feed_since is not None else self._lived) if ready else None
            case Stopping():
                self._change(Verdict(STOPPED, Cause.STOPPED, "planned stop"), now)
            case Tick():
                pass

    def _start(self, event: Started, now: float) -> None:
        self._started = True
        self.since = self._due_at = now
        self.maintenance, self.fit, self._links_up = event.maintenance, event.fit, event.links_whole
        if event.holding and not event.maintenance and self.paired and event.away_s < self.settings.deadtime_s:
            self._change(Verdict(ACTIVE, Cause.ADOPTED, f"was active before pulse restarted, {event.away_s:.3g} s ago"), now)

    def _configure(self, settings: Settings, now: float) -> None:
        was_paired, self.settings = self.paired, settings
        self._due_at = now
        for path in [path for path in self.peer.heard_on if path not in settings.paths]:
            del self.peer.heard_on[path]
        if self.paired and not was_paired:
            self.peer = Peer(self.boot_id)  # what it said before may be long over
            self.peer.listen_anew(self._lived)
            if self.role != ACTIVE and self._started:
                self._change(Verdict(STARTING, Cause.CONFIGURED, "a second director is configured: listening for it"), now)

    def _hear(self, event: Heard, now: float) -> None:
        beat, before = event.beat, self.peer.beat
        if not self.paired or beat.boot_id == self.boot_id or event.path not in self.settings.paths:
            return
        believe = self._peer_dead() or (before is not None and before.role == STOPPED) or (self.role == ACTIVE and not self.confirmed)
        fresh_boot = before is None or before.boot_id != beat.boot_id
        taken = self.peer.take(event.path, beat, self._lived, believe=believe)
        if not taken and not fresh_boot:
            return
        if taken and beat.identity == self.settings.identity and self._twin != beat.boot_id:
            self._twin = beat.boot_id
            self._note("problem", "error", f"both directors say that they are the {beat.identity}: see node in agent.toml")
        contested = beat.role == ACTIVE and self.role == ACTIVE
        rested = now - self._sent_at >= self.settings.keepalive_s / 4
        if (taken and fresh_boot) or (rested and (fresh_boot or contested)):
            self._say = max(self._say, 1)

    # --- what operators say ----------------------------------------------------------------------------------------------------

    def _obey(self, event: Operator, now: float) -> None:
        by = f" ({event.by})" if event.by else ""
        match event.action:
            case Action.STEP_DOWN:
                self._step_down(by, now)
            case Action.TAKE_OVER:
                self._ask_for_role(by)
            case Action.MAINTENANCE | Action.RESUME:
                self.maintenance = event.action is Action.MAINTENANCE
                self._held_back = False
                self._out.append(Remember(self.maintenance))
                self._note("role", "info", f"{'in maintenance' if self.maintenance else 'back from maintenance'}{by}")
                self._say = SAID_AT_ONCE

    def _step_down(self, by: str, now: float) -> None:
        if self.role != ACTIVE:
            self._note("role", "warning", f"not stepping down{by}: this director is {self.role}")
        elif not self._peer_can_serve():
            self._note("role", "warning", f"not stepping down{by}: {self._why_peer_cannot()}")
        else:
            self._held_back = True
            self._change(Verdict(STANDBY, Cause.OPERATOR, f"stepped down{by}"), now)

    def _ask_for_role(self, by: str) -> None:
        if self.role == ACTIVE:
            self._note("role", "info", f"already active{by}")
        elif self.maintenance or not self.links_whole or not self.fit:
            what = "it is in maintenance" if self.maintenance else self._links_why or self._children_why or "it cannot serve"
            self._note("role", "warning", f"not asking for the role{by}: {what}")
        else:
            self._asking_until = self._lived + self.settings.deadtime_s
            self._say = SAID_AT_ONCE
            self._note("role", "info", f"asking the active director to step down{by}")

    # --- deciding --------------------------------------------------------------------------------------------------------------

    def _decide(self, now: float) -> None:
        if self.role == STOPPED:
            return
        peer = self.peer.beat
        if self.stepping_down and peer is not None and peer.role == ACTIVE:
            self.stepping_down = False  # it has been heeded; said again later it would ask the peer for what it is giving up itself
        if self.role == ACTIVE and not self.confirmed:
            self.confirmed = self._nobody_took_over()
        verdict = self._without_pair() if not self.paired else self._while_active() if self.role == ACTIVE else self._while_waiting()
        if verdict is not None and verdict.role != self.role:
            self._change(verdict, now)

    def _nobody_took_over(self) -> bool:
        peer = self.peer.beat
        return self._peer_dead() or (peer is not None and peer.role != ACTIVE and self._peer_knows_us())

    def _while_active(self) -> Verdict | None:
        if self.maintenance:
            return Verdict(STANDBY, Cause.MAINTENANCE, "in maintenance")
        peer = self.peer.beat
        if peer is None or self._peer_dead():
            return None
        if peer.role == ACTIVE:
            return self._both_active(peer)
        return self._gives_up(peer) if self._peer_can_serve() else None

    def _gives_up(self, peer: Beat) -> Verdict | None:
        if not self.links_whole:
            return Verdict(STANDBY, Cause.LINKS, f"{self._links_why or 'a watched link is down'}, and the other director's links are whole")
        if not self.fit:
            return Verdict(STANDBY, Cause.CHILDREN, self._children_why or "its own processes cannot be kept up")
        if peer.wants_role and self._peer_knows_us():
            return Verdict(STANDBY, Cause.ASKED, "the other director asked for the role")
        return None

    def _both_active(self, peer: Beat) -> Verdict | None:
        if rank_active(self._beat(0.0)) < rank_active(peer):
            return Verdict(STANDBY, Cause.BOTH_ACTIVE, f"both were active; {self._why_we_yield(peer)}")
        if peer.confirmed and self.peer.deaf_s(self._lived) >= DEAF * self.settings.keepalive_s:
            return Verdict(STANDBY, Cause.PEER_DEAF, "both were active, and the other does not hear us, so only we can yield")
        return None

    def _while_waiting(self) -> Verdict | None:
        peer = self.peer.beat
        if self.role == STARTING and peer is not None and not self._peer_dead() and peer.role == ACTIVE:
            return Verdict(STANDBY, Cause.PEER_ACTIVE, f"the {peer.identity} is active")
        if self.maintenance:
            return Verdict(STANDBY, Cause.MAINTENANCE, "in maintenance")
        if self._peer_dead():
            return self._peer_gone(peer)
        if peer is None or peer.role == ACTIVE:
            return None
        return self._nobody_is_active(peer) or self._undecided()

    def _peer_gone(self, peer: Beat | None) -> Verdict:
        if peer is not None and self._peer_left():
            return Verdict(ACTIVE, Cause.PEER_LEFT, f"the {peer.identity} was stopped")
        if not self.links_whole:
            return Verdict(STANDBY, Cause.LINKS, f"{self._links_why or 'a watched link is down'}: the silence may be our own")
        silence = f"nothing was heard on any path for {self.peer.deadtime_s(self.settings.deadtime_s):.3g} s"
        return Verdict(ACTIVE, Cause.PEER_SILENT, silence)

    def _nobody_is_active(self, peer: Beat) -> Verdict | None:
        if peer.stepping_down and self.links_whole and self.fit and self._peer_knows_us():
            return Verdict(ACTIVE, Cause.PEER_LEFT, f"the {peer.identity} stepped down")
        if self._peer_knows_us() and rank_waiting(self._beat(0.0)) > rank_waiting(peer):
            return Verdict(ACTIVE, Cause.NOBODY_ACTIVE, f"the {peer.identity} is {peer.role}, and nobody is active")
        if self.peer.deaf_s(self._lived) >= self.settings.deadtime_s + self.settings.keepalive_s:
            return Verdict(ACTIVE, Cause.PEER_DEAF, f"the {peer.identity} is {peer.role} and does not hear us, and nobody is active")
        return None

    def _undecided(self) -> Verdict | None:
        if self._lived - self._role_lived < self.settings.deadtime_s:
            return None
        return Verdict(STANDBY, Cause.UNDECIDED, "nobody is active, and it is the other director's turn")

    def _change(self, verdict: Verdict, now: float) -> None:
        if self.role == ACTIVE and self._contested():
            self._count_split(now)
            self._tell_split(now, "this one")
        before, self.role = self.role, verdict.role
        self.cause, self.reason = verdict.cause, verdict.why
        self.since, self._role_lived = now, self._lived
        self._role_mark = self._number + 1
        self.confirmed = verdict.cause is not Cause.ADOPTED
        self.stepping_down = before == ACTIVE and verdict.cause in GIVES_UP
        if verdict.role == ACTIVE:
            self._held_back = False
            self._out.append(Activate(verdict.cause, verdict.why))
        elif before == ACTIVE:
            self._out.append(Deactivate(verdict.cause, verdict.why))
        if verdict.role != STANDBY or before == ACTIVE:
            self._asking_until = float("-inf")
        self._say = SAID_AT_ONCE
        self._note("role", "warning" if verdict.cause is Cause.BOTH_ACTIVE else "info", f"role {before} → {verdict.role}: {verdict.why}")

    def _watch_peer(self, now: float) -> None:
        """Say what changed about it: alive or dead, both active or no longer."""
        state = self.peer_state
        if state != self._peer_was and {state, self._peer_was} & {"alive", "dead"}:
            words = {"alive": "the other director is heard", "dead": "the other director is silent"}.get(state, "no other director")
            self._note("peer", "info" if state == "alive" else "warning", words)
        self._peer_was = state
        if self._contested():
            self._count_split(now)
        elif self.both_active_since is not None:
            self._tell_split(now, "the other")

    def _count_split(self, now: float) -> None:
        if self.both_active_since is None and self.peer.beat is not None:
            self.both_active_since = now - min(now - self.since, self.peer.beat.role_for_s)

    def _tell_split(self, now: float, who: str) -> None:
        both_s = now - (self.both_active_since if self.both_active_since is not None else now)
        self.both_active_since = None
        self._note("split", "error", f"both directors were active for {both_s:.3g} s; {who} yielded")

    # --- what is said ----------------------------------------------------------------------------------------------------------

    def _send(self, now: float) -> None:
        due = now >= self._due_at - ROUNDING_S
        if due:
            self._due_at += self.settings.keepalive_s
            if self._due_at <= now:
                self._due_at = now + self.settings.keepalive_s
        times, self._say = max(self._say, int(due)), 0
        if times and self.paired and self.settings.paths:
            self._number += 1
            self._sent_at = now
            self._out.append(Send(self._beat(now), self.settings.paths, times))

    def _beat(self, now: float) -> Beat:
        peer = self.peer.beat
        return Beat(
            identity=self.settings.identity,
            boot_id=self.boot_id,
            number=self._number,
            role=self.role,
            confirmed=self.confirmed,
            stepping_down=self.stepping_down,
            maintenance=self.maintenance,
            links_whole=self.links_whole,
            fit=self.fit,
            wants_role=self._wants_role(),
            role_for_s=max(0.0, now - self.since),
            deadtime_s=self.settings.deadtime_s,
            heard_boot_id=peer.boot_id if peer is not None else "",
            heard_number=peer.number if peer is not None else 0,
            hears=self.peer.heard_paths(self._lived, self.settings.deadtime_s),
        )

    def _note(self, kind: str, severity: str, message: str) -> None:
        self._out.append(Note(kind, severity, message))
