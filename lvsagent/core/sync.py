"""When what is said to the other director: the machine behind pushing, fetching and being behind.

Pure: events in, commands out, time is an argument (monotonic seconds).  One conversation at a time; every command is answered by exactly
one event.  What travels, and how histories compare, is decided elsewhere; this knows only how they compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lvsagent.core.lineage import Relation

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
CALM_S = 10.0
"""Two directors in step compare themselves this often, for what a heartbeat does not tell."""


# --- events --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paired:
    """Whether there is another director and a way to it."""

    yes: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """Our head is another one; how the peer's last known head stands to it (``None``: none is known)."""

    head: str
    relation: Relation | None
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """The heartbeat's word: the other director is alive (or not) and runs this serial."""

    alive: bool
    serial: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants it now."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """It answered, and this is where it stands now.

    ``behind`` counts what it lacks; ``kept``: its revisions are here too, whatever became of them.
    """

    theirs: str
    relation: Relation
    behind: int = 0
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """It has asked something itself, and said by it where it stands; the fields as in ``Answered``."""

    theirs: str
    relation: Relation
    behind: int = 0
    kept: bool = True


@dataclass(frozen=True, slots=True)
class NotTaken:
    """It (or this director, of what it sent) would not take a revision: why."""

    words: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """It is not there now: why."""

    words: str


@dataclass(frozen=True, slots=True)
class Barred:
    """It is there and must not be believed, or does not believe us: why."""

    words: str


Event = Paired | Moved | Heard | Asked | Tick | Answered | Told | NotTaken | Unreachable | Barred


# --- commands ------------------------------------------------------------------------------------------------------------------


class Command(Enum):
    """What to do next.

    GREET: compare; PUSH: give what it lacks; FETCH: take what we lack (on a parted line: to keep it); JOIN: make one history out of two
    that end in the same text.
    """

    GREET = "greet"
    PUSH = "push"
    FETCH = "fetch"
    JOIN = "join"


class SyncMachine:
    """One director's side.  ``state`` and the other public fields are for showing; ``due`` is when to send the next ``Tick``."""

    def __init__(self) -> None:
        self.paired = False
        self.here = ""
        self.theirs = ""
        self.relation: Relation | None = None
        self.behind = 0
        self.kept = True
        self.reachable = False
        self.refused = ""
        self.trouble = ""
        self.busy = False
        self.due = 0.0
        self._pause = 0.0
        self._heard: Heard | None = None
        self._done: tuple[Command, str, str] | None = None

    @property
    def state(self) -> str:
        """One of the words of ``SyncInfo.state`` (none and unpaired: the shell knows which)."""
        if not self.paired:
            return "unpaired"
        if self.refused:
            return "refused"
        if self.relation is None:
            return "unknown"
        return Relation.DIVERGED.value if self.relation is Relation.TWINS else self.relation.value

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from ``event`` at ``now``."""
        match event:
            case Paired(yes):
                self._paired(yes=yes, now=now)
            case Moved(head, relation, behind):
                self._moved(head, relation, behind, now)
            case Heard():
                self._hear(event, now)
            case Asked():
                self._pause, self.due = 0.0, now
            case Answered():
                self._answered(event, now)
            case Told():
                self._told(event, now)
            case NotTaken(words):
                self.busy, self.reachable, self.refused, self.trouble = False, True, words, ""
                self._later(now)
            case Unreachable(words):
                self.busy, self.reachable, self.trouble = False, False, words
                self._later(now)
            case Barred(words):
                self.busy, self.reachable, self.refused, self.trouble = False, False, words, ""
                self.due = now + LONGEST_PAUSE_S
        return self._next(now)

    def _paired(self, *, yes: bool, now: float) -> None:
        if yes != self.paired:
            self.paired, self.refused, self.trouble, self.reachable = yes, "", "", False
            self._pause, self.due = 0.0, now
        if not yes:
            self.relation, self.theirs = None, ""

    def _moved(self, head: str, relation: Relation | None, behind: int, now: float) -> None:
        if head == self.here:
            return
        there = self.reachable or bool(self.refused) or bool(self._heard and self._heard.alive)
        self.here, self.relation, self.behind, self.refused = head, relation, behind, ""
        if there or relation is None:
            self._pause, self.due = 0.0, now

    def _hear(self, event: Heard, now: float) -> None:
        """Only news shortens a pause: a peer that is heard all the time and whose agent is away is not asked with every heartbeat."""
        news, self._heard = event != self._heard, event
        if news and event.alive:
            self._pause, self.due = 0.0, min(self.due, now)

    def _answered(self, event: Answered, now: float) -> None:
        self.busy, self.reachable, self.trouble, self.refused = False, True, "", ""
        self.theirs, self.relation, self.behind, self.kept = event.theirs, event.relation, event.behind, event.kept
        command = self._wanted()
        if command is Command.GREET:
            self._pause, self.due = 0.0, now + CALM_S
        elif self._done == (command, self.here, self.theirs):
            self._later(now)  # it led nowhere: again, but not at once
        else:
            self._pause, self.due = 0.0, now

    def _told(self, event: Told, now: float) -> None:
        """News, or at least a sign that it is there; what it refused, it refuses still.

        While a conversation is under way it is only noted: the conversation may come to nothing, and then this is what is known.
        """
        if self.busy:
            self.theirs, self.relation, self.behind, self.kept = event.theirs, event.relation, event.behind, event.kept
            return
        if (event.theirs, event.relation) != (self.theirs, self.relation):
            self.theirs, self.relation, self.behind, self.kept = event.theirs, event.relation, event.behind, event.kept
            self.refused, self._pause, self.due = "", 0.0, now
        elif self.trouble:
            self._pause, self.due = 0.0, now

    def _later(self, now: float) -> None:
        self._pause = min(max(FIRST_PAUSE_S, self._pause * 2), LONGEST_PAUSE_S)
        self.due = now + self._pause

    def _next(self, now: float) -> list[Command]:
        if not self.paired or self.busy or now < self.due:
            return []
        command = self._wanted()
        self.busy = True
        self._done = (command, self.here, self.theirs) if command is not Command.GREET else self._done
        return [command]

    def _wanted(self) -> Command:
        match self.relation:
            case Relation.BEHIND:
                return Command.PUSH
            case Relation.AHEAD:
                return Command.FETCH
            case Relation.TWINS | Relation.DIVERGED if not self.kept:
                return Command.FETCH
            case Relation.TWINS if self.here > self.theirs:  # one of the two joins them, and it is the same one seen from both
                return Command.JOIN
        return Command.GREET
