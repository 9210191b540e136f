"""An lvs.cf that somebody has begun to write and does not close: waited for, and said when that takes long.

Owns how long is long, and the words.  Whether anybody is writing is the file watch's, what happens to the text ``lvs_cf``'s.
"""

from __future__ import annotations

from pathlib import Path

from lvsagent.lvsd.event_log import EventLog
from lvsagent.ports import Clock

LONG_S = 60.0
"""An editor writes and closes within a moment; a copy from a slow disk or a slow line takes longer."""


class Unfinished:
    """``look`` at every round; ``words`` for whoever reads the state."""

    def __init__(self, path: Path, clock: Clock, events: EventLog) -> None:
        self._path = path
        self._clock = clock
        self._events = events
        self._since: float | None = None
        self._said = False

    def look(self, *, unfinished: bool) -> None:
        """Whether the file has changed and is still open for writing."""
        if not unfinished:
            self._since, self._said = None, False
            return
        if self._since is None:
            self._since = self._clock.now()
        if not self._said and (words := self.words()):
            self._said = True
            self._events.add("config", "warning", words)

    def words(self) -> str:
        """Since when it is waited for, and what to do; ``""`` while there is nothing to say."""
        if self._since is None or self._clock.now() - self._since < LONG_S:
            return ""
        return (
            f"somebody has begun to write {self._path} and keeps it open: what it says now is not in force until it is closed"
            f" (fuser -v {self._path} names the program; lvsctl reload takes it as it stands)"
        )
