"""What happened, for lvsd's event log: said at once, or kept until somebody is there to hear it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import msgspec

from lvsagent.messages import PulseEvent
from lvsagent.ports import Clock

KEPT_EVENTS = 200

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}

log = logging.getLogger(__name__)


class Journal:
    """``say`` sends a message and tells whether anyone is there."""

    def __init__(self, clock: Clock, say: Callable[[msgspec.Struct], bool]) -> None:
        self._clock = clock
        self._say = say
        self._unsaid: deque[PulseEvent] = deque(maxlen=KEPT_EVENTS)

    def tell(self, kind: str, severity: str, message: str, subject: str = "") -> None:
        """An event: ``kind`` role, address or problem."""
        log.log(_LEVELS.get(severity, logging.INFO), "%s", message)
        event = PulseEvent(at=self._clock.wall(), kind=kind, severity=severity, message=message, subject=subject)
        if not self._say(event):
            self._unsaid.append(event)

    def unsaid(self) -> list[PulseEvent]:
        """Events that nobody was there to hear; they are told once."""
        events = list(self._unsaid)
        self._unsaid.clear()
        return events
