"""This director as one of two: what follows the role here, what the other one is told, and what operators ask.

Owns traffic and checks by role, the health that goes out with the heartbeats, the watch over failover services, and operators' words on
their way to pulse.  Which role this director has is pulse's business.
"""

from __future__ import annotations

import contextlib

from app.lvscf.model import ServiceKind
from lvsagent.api.contract import BadRequest, Unavailable
from lvsagent.core.identity import ACTIVE, STANDBY, redundancy_wanted
from lvsagent.core.operator import ACTIONS, Standing, why_not
from lvsagent.core.pools import FOS_KEY
from lvsagent.core.services import ServiceWatch, Watched
from lvsagent.lvsd.configuration import Configuration, nothing
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.gate import TrafficGate
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.nannies import Nannies
from lvsagent.lvsd.neighbours import Pulse
from lvsagent.lvsd.pairing import PUBLIC, takes_traffic
from lvsagent.messages import PulseCommand, PulseHealth
from lvsagent.ports import ConfigFile
from lvsagent.settings import AgentSettings
from lvsagent.wire import FailoverRequest


class OneOfTwo:
    """``configure`` before anything else, and again with every configuration."""

    def __init__(
        self, settings: AgentSettings, events: EventLog, book: HealthBook, gate: TrafficGate, pulse: Pulse, nanny: Nannies
    ) -> None:
        self._settings = settings
        self._events = events
        self._book = book
        self._pulse = pulse
        self._nanny = nanny
        self._gate = gate
        self._running: Configuration = nothing(ConfigFile(b"", "", exists=False))
        self._identity = "unknown"
        self._services = ServiceWatch()
        pulse.on_state = self.follow_role

    def configure(self, running: Configuration, identity: str) -> None:
        """Take over another configuration, whose checks the health book has already."""
        self._running, self._identity = running, identity
        self.follow_role()

    def failover(self, request: FailoverRequest) -> None:
        """Pass an operator's word on to pulse.  Raises BadRequest, Unavailable."""
        if request.action not in ACTIONS:
            raise BadRequest(f"action is one of {', '.join(ACTIONS)}, not {request.action}")
        if reason := self.why_not(request.action):
            raise Unavailable(reason)
        self._pulse.command(PulseCommand(action=request.action, actor=request.actor, reason=request.reason))
        because = f": {request.reason}" if request.reason else ""
        self._events.add("role", "info", f"{request.action.replace('_', ' ')} was asked for{because}", actor=request.actor)

    def why_not(self, action: str) -> str:
        """Why an operator cannot have this now, ``""`` when that is possible."""
        state = self._pulse.state
        if state is None:
            return "pulse is not running: the role cannot be changed"
        standing = Standing(
            redundant=redundancy_wanted(self._running.config.globals),
            role=state.role,
            maintenance=state.maintenance,
            peer=state.peer.state,
            peer_maintenance=state.peer.maintenance,
        )
        return why_not(action, standing)

    def follow_role(self) -> None:
        """Traffic and checks as the role wants them; pulse has spoken, or lvs.cf is another."""
        state, role = self._pulse.state, self._pulse.last_role
        takes = takes_traffic(self._identity, redundant=redundancy_wanted(self._running.config.globals), role=role)
        self._gate.want(takes=takes, peer_comes=bool(state and state.peer.state == "alive" and state.peer.role != ACTIVE))
        checks = self._running.expansion.checks
        if role == STANDBY and not self._settings.standby_checks:
            self._nanny.configure(())
            self._nanny.read_loads(())
            self._book.assume_up()
        else:
            self._nanny.read_loads(self._running.expansion.loads)
            self._nanny.configure(checks, float(max(self._running.config.globals.mass_failure_hold, 0)))

    def watch_services(self, now: float) -> None:
        """``service = fos``: the standby, as long as it hears the active one (its own network is whole), watches the services there.

        ``now`` is the wall clock's, as the times of checks are.
        """
        state = self._pulse.state
        if self._running.config.globals.service is not ServiceKind.FOS or state is None or state.maintenance:
            return
        if (state.role, state.peer.state, state.peer.role) != (STANDBY, "alive", ACTIVE):
            return
        services = [
            Watched(info.key.removeprefix(FOS_KEY), self._book.sides.get(info.key), info.last_at, info.since, info.last_duration_s)
            for info in self._book.infos()
            if info.key.startswith(FOS_KEY)
        ]
        heard_at = max((link.heard_at for link in state.links if link.name == PUBLIC), default=0.0)
        reason = self._services.reason_to_take_over(services, role_since=state.since, heard_at=heard_at, now=now)
        if reason:
            self._events.add("role", "warning", f"{reason}: asking for the role")
            with contextlib.suppress(Unavailable):  # it has gone just now, and will be asked again
                self._pulse.command(PulseCommand(action="take_over", actor="lvsd", reason=reason))

    def tell_health(self, *, fit: bool) -> None:
        """What the other director is told of this one's work, through pulse."""
        members = [member for pool in self._running.expansion.pools.values() for member in pool.members]
        resting = self._pulse.last_role == STANDBY and not self._settings.standby_checks
        self._pulse.healthy(
            PulseHealth(
                serial=self._running.serial,
                up=sum(not member.checked or self._book.sides.get(member.check) is True for member in members),
                total=len(members),
                fit=fit,
                checks_done=resting or self._book.all_checked(),
            )
        )
