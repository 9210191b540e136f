"""The guard over an accepted change: it goes back by itself unless somebody confirms it in time, and at once when things get clearly worse.

Pure: events and the time in, commands out.  ``now`` is the monotonic clock's.  What "worse" means is decided here, against what was
noted before the change (``Baseline``); looking and going back are the shell's part.

- Healthy servers: fewer than three quarters of those that were up before and are still meant to serve, or none at a virtual server that had
  one.
- Connection rate: less than half of what came before, over as many samples as would have brought 30 connections.  With too little traffic
  before to tell, it is not judged; nor once the role has moved, because then traffic goes elsewhere for another reason.
- Heartbeat: the other director was heard before, and is not for three seconds on end; where pulse has only just begun to listen, for the
  dead time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.lvscf import load, write

WATCHING, RETURNING = "watching", "going back"
CONFIRMED, RETURNED, SUPERSEDED = "confirmed", "went back", "superseded"

HEALTH_SHARE = 0.75
RATE_SHARE = 0.5
ENOUGH_CONNECTIONS = 30.0
LEAST_SAMPLES = 3
MOST_SAMPLES = 30
SILENT_S = 3.0
RETRY_S = 2.0
HEARD, UNHEARD = "alive", frozenset({"dead", "waiting"})


@dataclass(frozen=True, slots=True)
class Served:
    """A virtual server and the checks of its real servers that were up before the change and are still meant to serve."""

    name: str
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """How things were before.

    ``services``: the virtual servers, by their address and port after the change, whose traffic ``rate`` speaks of: new connections a
    second (0: too few samples).  ``heartbeat``: the other director was heard.
    """

    served: tuple[Served, ...] = ()
    services: tuple[str, ...] = ()
    rate: float = 0.0
    role: str = ""
    heartbeat: bool = False
    deadtime_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A guarded change and how far it has got.

    ``deadline`` is the monotonic clock's in the boot ``boot``, ``deadline_at`` the wall clock's, as are ``began_at`` and ``ended_at``.
    ``previous`` is the text to go back to.
    """

    etag: str
    serial: int
    actor: str
    comment: str
    previous: bytes
    previous_etag: str
    previous_serial: int
    began_at: float
    guard_s: float
    deadline: float
    deadline_at: float
    boot: str
    baseline: Baseline = Baseline()
    phase: str = WATCHING
    reason: str = ""
    ended_at: float = 0.0
    result_etag: str = ""


# --- events --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """New connections at the virtual servers that live on, over so many seconds."""

    connections: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """How things are.  ``down``: the checks that fail; ``peer`` as in PeerInfo; ``sample`` when there is a new one."""

    down: frozenset[str] = frozenset()
    peer: str = "none"
    role: str = ""
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """Somebody says that the change is good."""

    actor: str


@dataclass(frozen=True, slots=True)
class Revert:
    """Somebody wants it back at once."""

    actor: str


@dataclass(frozen=True, slots=True)
class Changed:
    """lvs.cf is no longer the one that is watched."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The previous text is in force again, as ``serial``."""

    etag: str
    serial: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Going back did not succeed; the reason in words."""

    reason: str


Event = Look | Confirm | Revert | Changed | Returned | Failed


# --- commands ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GoBack:
    """Put the previous text in force, as a new serial."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Something for the events."""

    severity: str
    message: str
    actor: str = ""


Command = GoBack | Tell


class Guard:
    """The machine for one watched change.  ``watch`` is replaced at every step that has to survive a crash, and only then."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._look = Look()
        self._samples: list[Sample] = []
        self._settling = True
        self._silent_since: float | None = None
        self._tried_at = float("-inf")
        self._failure = ""

    @property
    def over(self) -> bool:
        """Nothing is watched any more."""
        return self.watch.phase not in {WATCHING, RETURNING}

    def handle(self, event: Event, now: float, wall: float) -> list[Command]:
        """What ``event`` leads to.  ``wall`` is only noted."""
        if self.over:
            return []
        if isinstance(event, Changed):
            return self._end(SUPERSEDED, "lvs.cf has been changed again since: that later change stays", wall, "warning")
        if isinstance(event, Look):
            self._note(event, now)
        return self._returning(event, now, wall) if self.watch.phase == RETURNING else self._watching(event, now, wall)

    # --- inside --------------------------------------------------------------------------------------------------------------

    def _watching(self, event: Event, now: float, wall: float) -> list[Command]:
        reason = self._worse(now) if isinstance(event, Look) else ""
        if now >= self.watch.deadline:  # a word that comes later is too late, so that the end is always the one that was announced
            reason = reason or f"nobody confirmed it within {self.watch.guard_s:g} s"
        elif isinstance(event, Confirm):
            return self._end(CONFIRMED, f"confirmed by {event.actor}" if event.actor else "confirmed", wall, "info", event.actor)
        elif isinstance(event, Revert):
            reason = f"{event.actor or 'somebody'} asked for it"
        return self._go_back(reason, now) if reason else []

    def _returning(self, event: Event, now: float, wall: float) -> list[Command]:
        match event:
            case Returned(etag, serial):
                self.watch = replace(self.watch, result_etag=etag)
                words = f"back to the lvs.cf of serial {self.watch.previous_serial}, as serial {serial}: {self.watch.reason}"
                return self._end(RETURNED, self.watch.reason, wall, "warning", told=words)
            case Failed(reason) if reason != self._failure:
                self._failure = reason
                return [Tell("error", f"serial {self.watch.serial} cannot go back yet, and is tried again: {reason}")]
            case Look() if now - self._tried_at >= RETRY_S:
                self._tried_at = now
                return [GoBack(self.watch.reason)]
        return []

    def _go_back(self, reason: str, now: float) -> list[Command]:
        self.watch = replace(self.watch, phase=RETURNING, reason=reason)
        self._tried_at = now
        return [GoBack(reason)]

    def _end(self, phase: str, reason: str, wall: float, severity: str, actor: str = "", told: str = "") -> list[Command]:
        self.watch = replace(self.watch, phase=phase, reason=reason, ended_at=wall)
        return [Tell(severity, f"guarded change, serial {self.watch.serial}: {told or reason}", actor)]

    def _note(self, event: Look, now: float) -> None:
        self._look = event
        if event.sample is not None:
            if self._settling:  # it began before the change, or before this process
                self._settling = False
            else:
                self._samples = [*self._samples, event.sample][-MOST_SAMPLES:]
        if event.role != self.watch.baseline.role:
            self._samples = []
        if event.peer in UNHEARD:
            self._silent_since = now if self._silent_since is None else self._silent_since
        else:
            self._silent_since = None

    def _worse(self, now: float) -> str:
        """Why things are clearly worse than before; ``""``: they are not."""
        return self._fewer_healthy() or self._unheard(now) or self._fewer_connections()

    def _fewer_healthy(self) -> str:
        down, served = self._look.down, self.watch.baseline.served
        for one in served:
            if one.checks and all(check in down for check in one.checks):
                return f"virtual server {one.name} has lost every real server that was up before"
        checks = [check for one in served for check in one.checks]
        healthy = sum(check not in down for check in checks)
        if healthy < HEALTH_SHARE * len(checks):
            return f"only {healthy} of the {len(checks)} real servers that were up before are still up"
        return ""

    def _unheard(self, now: float) -> str:
        before = self.watch.baseline
        limit_s = SILENT_S if self._look.peer == "dead" else max(SILENT_S, before.deadtime_s)
        if before.heartbeat and self._silent_since is not None and now - self._silent_since >= limit_s:
            return "the other director's heartbeat is not heard any more"
        return ""

    def _fewer_connections(self) -> str:
        before = self.watch.baseline.rate
        seconds = connections = 0.0
        for count, sample in enumerate(reversed(self._samples), 1):
            seconds += sample.seconds
            connections += sample.connections
            if count >= LEAST_SAMPLES and before * seconds >= ENOUGH_CONNECTIONS:
                rate = connections / seconds
                if rate < RATE_SHARE * before:
                    return f"new connections fell from {before:.1f} to {rate:.1f} a second"
                return ""
        return ""


def resumed(watch: Watch, *, now: float, wall: float, boot: str) -> Watch:
    """``watch`` as found at a start.

    In the same boot the monotonic clock has gone on, and no step of the wall clock counts.  After another one the wall clock has to do, but
    it never gives more time than was asked for.
    """
    if boot == watch.boot:
        return watch
    left_s = min(max(watch.deadline_at - wall, 0.0), watch.guard_s)
    return replace(watch, deadline=now + left_s, boot=boot)


def returning_text(previous: bytes, serial: int) -> bytes:
    """The text to go back to, as a new serial: nothing else in it differs."""
    loaded = load(previous.decode("utf-8", "surrogateescape"))
    config = replace(loaded.config, globals=replace(loaded.config.globals, serial_no=serial))
    return write(loaded.document, config).encode("utf-8", "surrogateescape")
