"""What happened: the newest events in memory, and a bounded file that outlives the process.

Owns their numbering and keeping.  A file that cannot be written costs the file, never the event: it stays in memory.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from pathlib import Path

import msgspec

from lvsagent.core.clean_text import clean
from lvsagent.ports import Clock
from lvsagent.wire import Event

KEPT = 1000
FILE_LINES = 5000

log = logging.getLogger(__name__)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class EventLog:
    """The last thousand events, oldest forgotten first; in ``path`` at most some thousands more."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._lines = 0
        self._torn = False
        self.problem = ""
        self._load()
        self._next_id = self._events[-1].id + 1 if self._events else 1

    def add(self, kind: str, severity: str, message: str, *, subject: str = "", actor: str = "", at: float = 0) -> Event:
        """Note an event (now, unless ``at`` says when)."""
        event = Event(
            id=self._next_id,
            at=at or self._clock.wall(),
            kind=kind,
            severity=severity,
            message=_line(message),
            subject=_line(subject),
            actor=_line(actor),
        )
        self._next_id += 1
        self._events.append(event)
        log.log(_LEVELS.get(severity, logging.INFO), "%s%s", event.message, f" ({event.actor})" if event.actor else "")
        self._write(event)
        return event

    def page(self, limit: int, before: int = 0) -> list[Event]:
        """The newest ``limit`` events, newest first; with ``before``, only those with a smaller id."""
        found: list[Event] = []
        for event in reversed(self._events):
            if len(found) >= limit:
                break
            if not before or event.id < before:
                found.append(event)
        return found

    def _load(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = f"events cannot be read from {self._path}: {error.strerror}"
            return
        lines = data.splitlines()
        self._lines = len(lines)
        self._torn = bool(data) and not data.endswith(b"\n")
        decoder = msgspec.json.Decoder(Event)
        for line in lines[-KEPT:]:
            with contextlib.suppress(msgspec.MsgspecError):  # a line cut short by a crash
                self._events.append(decoder.decode(line))

    def _write(self, event: Event) -> None:
        try:
            if self._lines >= FILE_LINES:
                self._shorten()
            else:
                self._append(event)
            self.problem = ""
        except OSError as error:
            self.problem = f"events cannot be kept in {self._path}: {error.strerror}"

    def _append(self, event: Event) -> None:
        with self._path.open("ab") as file:
            file.write((b"\n" if self._torn else b"") + msgspec.json.encode(event) + b"\n")
        self._torn = False
        self._lines += 1

    def _shorten(self) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in self._events))
        fresh.replace(self._path)
        self._lines = len(self._events)


def _line(text: str) -> str:
    """One printable line: a line feed in a comment must not look like a line of the log."""
    return "".join(character if character.isprintable() else " " for character in clean(text))
