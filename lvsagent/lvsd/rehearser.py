"""REHEARSE: a planned failover, measured by this director on request, beside everything else that lvsd does.

Owns the one measurement that may run.  How it is measured is ``lvsagent.rehearse``'s business, whether the role may be moved
``one_of_two``'s.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import msgspec

from lvsagent.api.contract import BadRequest, Refused, Unavailable
from lvsagent.core.identity import ACTIVE
from lvsagent.core.rehearsal import LONGEST_S, SHORTEST_S, Plane, target_of
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.rehearsals import rehearsal_words
from lvsagent.rehearse import BadTarget, Target, measure, parse_target
from lvsagent.wire import FailoverRequest, Rehearsal, RehearsalRequest, RunningRehearsal

Measure = Callable[[Target, float, Callable[[], Awaitable[str]] | None], Awaitable[Rehearsal]]

log = logging.getLogger(__name__)


class Rehearser:
    """``failure`` says why the last one came to nothing."""

    def __init__(self, director: Director, measure: Measure = measure) -> None:
        self._director = director
        self._measure = measure
        self._task: asyncio.Task[None] | None = None
        self.running: RunningRehearsal | None = None
        self.failure = ""

    def begin(self, asked: RehearsalRequest) -> None:
        """Begin to measure; what comes of it is kept with the others.  Raises BadRequest, Unavailable."""
        if self.running is not None:
            raise Unavailable(f"{self.running.target} is being measured already")
        if not SHORTEST_S <= asked.seconds <= LONGEST_S:
            raise BadRequest(f"seconds is from {SHORTEST_S:g} to {LONGEST_S:g}, not {asked.seconds:g}")
        target = self._target(asked.virtual)
        if asked.trigger:
            self._check_role(asked)
        self.failure = ""
        self.running = RunningRehearsal(
            target=target.text, began_at=self._director.clock.wall(), duration_s=asked.seconds, triggered=asked.trigger, actor=asked.actor
        )
        self._task = asyncio.ensure_future(self._run(target, asked))

    def _target(self, virtual: str) -> Target:
        settings = self._director.settings
        plane = Plane(settings.dataplane == "userspace", settings.userspace_port_offset)
        text, reason = target_of(self._director.running.config, virtual, plane)
        if reason:
            raise BadRequest(reason)
        try:
            return parse_target(text)
        except BadTarget as error:
            raise BadRequest(f"{virtual} cannot be measured: {error}") from error

    def _check_role(self, asked: RehearsalRequest) -> None:
        if self._active and not asked.although_active:
            raise Unavailable(
                "this director is active: its own requests never leave it, so it notices less than a client does; "
                "measure on the standby, or say that it is to be measured here all the same"
            )
        if reason := self._director.pair.why_not(self._action):
            raise Unavailable(reason)

    @property
    def _active(self) -> bool:
        return self._director.pulse.last_role == ACTIVE

    @property
    def _action(self) -> str:
        return "step_down" if self._active else "take_over"

    async def _run(self, target: Target, asked: RehearsalRequest) -> None:
        events = self._director.events
        try:
            found = await self._measure(target, asked.seconds, (lambda: self._move(asked.actor)) if asked.trigger else None)
            found = msgspec.structs.replace(found, actor=asked.actor, host=self._here)
            self._director.rehearsals.add(found)
            events.add("role", "info", rehearsal_words(found), actor=asked.actor)
        except Refused as error:
            self.failure = str(error)
            events.add("problem", "warning", f"the rehearsal came to nothing: {error}", actor=asked.actor)
        except Exception as error:
            log.exception("a rehearsal failed")
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self.running = None

    async def _move(self, actor: str) -> str:
        """Move the role; who gives it up."""
        peer = self._director.pulse.state.peer if self._director.pulse.state else None
        left = self._here if self._active else (peer.name or peer.address if peer else "")
        self._director.pair.failover(FailoverRequest(action=self._action, actor=actor, reason="rehearsal"))
        return left

    @property
    def _here(self) -> str:
        return self._director.settings.name or socket.gethostname()
