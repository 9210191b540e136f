"""The supervisor's machine for one child: when to start it, when to start it again, when it has stopped answering.

Pure: it is told what happened and what time it is, and answers what to do.  A child that ends is started again at once; one that keeps
ending waits longer each time, until it has stayed up for a while.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds.  ``first_wait_s`` comes after the second end in a row and doubles up to ``longest_wait_s``."""

    first_wait_s: float = 0.25
    longest_wait_s: float = 8
    stable_s: float = 20
    start_limit_s: float = 60
    silence_limit_s: float = 20
    jump_s: float = 5


class ChildState(StrEnum):
    """``starting``: it has a process that has not answered yet."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


class Action(StrEnum):
    """What the supervisor is to do now."""

    NOTHING = "nothing"
    START = "start"
    KILL = "kill"


class ChildMachine:
    """One child.  ``reason`` says in words why it last ended or is being ended; it stays until the child is stable again."""

    def __init__(self, name: str, patience: Patience = Patience()) -> None:
        self.name = name
        self.state = ChildState.STOPPED
        self.restarts = 0
        self.reason = ""
        self._patience = patience
        self._ends_in_a_row = 0
        self._start_at = float("-inf")
        self._started_at = 0.0
        self._heard_at = float("-inf")
        self._ticked_at: float | None = None
        self._dying_of = ""

    def started(self, now: float) -> None:
        """It has a process."""
        self.state = ChildState.STARTING
        self._started_at = now

    def answered(self, now: float) -> bool:
        """It beat; true when that made it running."""
        self._heard_at = now
        if self.state is not ChildState.STARTING:
            return False
        self.state = ChildState.RUNNING
        return True

    def ended(self, how: str, now: float) -> None:
        """Its process is gone; ``how`` in words ("ended with status 1")."""
        if now - self._started_at >= self._patience.stable_s:
            self._ends_in_a_row = 0
        self._ends_in_a_row += 1
        self.restarts += 1
        wait_s = self._wait_s()
        self._start_at = now + wait_s
        self.state = ChildState.STOPPED
        cause = self._dying_of or how
        self._dying_of = ""
        if wait_s:
            self.reason = f"{cause}; that is {self._ends_in_a_row} times in a row, the next start is in {wait_s:g} s"
        else:
            self.reason = f"{cause}; started again at once"

    def tick(self, now: float) -> Action:
        """What is due.  To be called at least every second, beats having been passed on first."""
        if self._ticked_at is not None and now - self._ticked_at > self._patience.jump_s:
            self._forgive(now)
        self._ticked_at = now
        if self.state is ChildState.STOPPED:
            return Action.START if now >= self._start_at else Action.NOTHING
        if self._dying_of:
            return Action.KILL
        if self._silent(now):
            return Action.KILL
        if self.reason and now - self._started_at >= self._patience.stable_s:
            self.reason = ""
        return Action.NOTHING

    def well(self, now: float) -> bool:
        """Whether it has answered lately (a short restart in between does not count)."""
        return now - self._heard_at <= self._patience.silence_limit_s

    def _wait_s(self) -> float:
        if self._ends_in_a_row < 2:
            return 0.0
        doublings = min(self._ends_in_a_row - 2, 30)
        return min(self._patience.first_wait_s * 2.0**doublings, self._patience.longest_wait_s)

    def _silent(self, now: float) -> bool:
        if self.state is ChildState.STARTING:
            if now - self._started_at > self._patience.start_limit_s:
                self._dying_of = f"was not ready within {self._patience.start_limit_s:g} s and was killed"
        elif now - self._heard_at > self._patience.silence_limit_s:
            self._dying_of = f"did not answer for {self._patience.silence_limit_s:g} s and was killed"
        return bool(self._dying_of)

    def _forgive(self, now: float) -> None:
        """Nobody ran (a suspended machine, a stopped supervisor): silence during that time is no one's fault."""
        if self.state is ChildState.RUNNING:
            self._heard_at = now
        elif self.state is ChildState.STARTING:
            self._started_at = now


def how_it_ended(wait_status: int, last_words: str) -> str:
    """A wait status in words, with the reason that the child itself gave, if any."""
    low = wait_status & 0x7F
    if low:
        try:
            how = f"was killed by {signal.Signals(low).name}"
        except ValueError:
            how = f"was killed by signal {low}"
    else:
        how = f"ended with status {wait_status >> 8}"
    return f"{how}: {last_words}" if last_words else how
