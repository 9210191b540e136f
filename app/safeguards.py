"""What makes an ACCEPT safe, on the pages: the tick that has it go back by itself, what was shown, what is taken out, and the countdown.

Pure: from what a browser sent, and from the agent's answers, to values and words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.presentation import moment
from lvsagent.wire import GuardInfo, State

FIELDS = frozenset({"guard", "guard_s", "plan", "confirm"})
"""Sent with an ACCEPT beside the change itself."""
USUAL_S, LONGEST_S = 60, 3600
REFRESH_S = 5
"""How often a page without JavaScript comes again while there is a countdown."""
WATCHING, RETURNING, RETURNED = "watching", "going back", "went back"


@dataclass(frozen=True, slots=True)
class Safeguards:
    """``plan`` and ``confirm`` as the agent gave them; ``guard_s`` 0: it stays."""

    plan: str = ""
    confirm: str = ""
    guard_s: float = 0.0


def safeguards(sent: Mapping[str, str]) -> Safeguards:
    """What was sent.  Raises ValueError, in words, for a time that is none."""
    seconds = 0
    if sent.get("guard"):
        text = sent.get("guard_s", "").strip()
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        if not 1 <= seconds <= LONGEST_S:
            raise ValueError(f"Go back by itself: {text[:20] or 'nothing'} is not a number of seconds from 1 to {LONGEST_S}.")
    return Safeguards(plan=sent.get("plan", "")[:64], confirm=sent.get("confirm", "")[:64], guard_s=float(seconds))


@dataclass(frozen=True, slots=True)
class Countdown:
    """A guarded change as every page shows it.  ``key`` changes whenever more than the seconds does."""

    etag: str
    key: str
    serial: int
    state: str
    left_s: int
    previous_serial: int
    who: str
    at: str
    until: str
    reason: str
    ended: str
    watched: tuple[str, ...]

    @property
    def watching(self) -> bool:
        """Somebody may still confirm it."""
        return self.state == WATCHING

    @property
    def returned(self) -> bool:
        """It has gone back."""
        return self.state == RETURNED


def countdown(state: State | None, now: float) -> Countdown | None:
    """What there is to show; a change that was confirmed, or that a later one replaced, is told by the events."""
    info: GuardInfo | None = state.guard if state is not None else None
    if state is None or info is None or info.state not in {WATCHING, RETURNING, RETURNED}:
        return None
    return Countdown(
        etag=info.etag,
        key=f"{info.etag[:16]}-{info.state}",
        serial=info.serial,
        state=info.state,
        left_s=max(0, round(info.left_s - max(0.0, now - state.at))),
        previous_serial=info.previous_serial,
        who=info.actor,
        at=moment(info.began_at, now),
        until=moment(info.deadline_at, now),
        reason=info.reason,
        ended=moment(info.ended_at, now) if info.ended_at else "",
        watched=tuple(info.watched),
    )
