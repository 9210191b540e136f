"""What a director knows of its peer: the newest heartbeat, when each path was last heard, whether the peer hears it.

Owns the order of beats (late and doubled ones change nothing) and which of two boots of the peer is the living one.  Its time is the time
that this process has *lived*: a process that was stopped has not listened, so those seconds do not count as the peer's silence.
"""

from __future__ import annotations

from lvsagent.core.failover_types import Beat

ROUNDING_S = 1e-6
"""A microsecond early is on time: a monotonic clock read as a float is no finer after some years."""


class Peer:
    """The other director as heard by the one whose boot id is ``own_boot_id``."""

    def __init__(self, own_boot_id: str) -> None:
        self.beat: Beat | None = None
        self.heard_on: dict[str, float] = {}
        self._own_boot_id = own_boot_id
        self._numbers: dict[str, int] = {}
        self._silent_since = 0.0
        self._deaf_since: float | None = None

    def listen_anew(self, lived: float) -> None:
        """From now on silence counts anew: what was known before is too old to act on."""
        self._silent_since = lived
        self._deaf_since = None

    def take(self, path: str, beat: Beat, lived: float, *, believe: bool) -> bool:
        """Take a beat in; false when it is of an earlier boot, or older than what is known.

        ``believe`` takes a boot other than the known one at its word.  Otherwise it must show that it heard a later beat of ours than the
        known one has: a datagram of an earlier boot, held up somewhere, cannot.
        """
        if self.beat is None or beat.boot_id != self.beat.boot_id:
            if self.beat is not None and not believe and self._echo(beat) <= self._echo(self.beat):
                return False
            self._numbers = {}
            self._deaf_since = None
        elif beat.number <= self._numbers.get(path, 0):
            return False
        self._numbers[path] = beat.number
        self.heard_on[path] = self._silent_since = lived
        if self.beat is None or beat.boot_id != self.beat.boot_id or beat.number > self.beat.number:
            self.beat = beat
            if beat.hears:
                self._deaf_since = None
            elif self._deaf_since is None:
                self._deaf_since = lived
        return True

    def has_heard(self, number: int) -> bool:
        """Whether the newest beat was written after our beat ``number`` had come in there."""
        return self.beat is not None and self._echo(self.beat) >= number

    def silent_s(self, lived: float) -> float:
        """For how long we have listened and heard nothing on any path."""
        return lived - self._silent_since

    def deadtime_s(self, own_s: float) -> float:
        """The longer of both dead times: the one who sends more rarely is not dead for that."""
        return max(own_s, self.beat.deadtime_s) if self.beat is not None else own_s

    def dead(self, lived: float, own_deadtime_s: float) -> bool:
        """Silent on all paths for the dead time."""
        return self.silent_s(lived) >= self.deadtime_s(own_deadtime_s) - ROUNDING_S

    def deaf_s(self, lived: float) -> float:
        """For how long it has been saying that it hears us on no path."""
        return 0.0 if self._deaf_since is None else lived - self._deaf_since

    def heard_paths(self, lived: float, deadtime_s: float) -> tuple[str, ...]:
        """The paths on which it is heard now."""
        return tuple(path for path, at in self.heard_on.items() if lived - at < self.deadtime_s(deadtime_s))

    def _echo(self, beat: Beat) -> int:
        return beat.heard_number if beat.heard_boot_id == self._own_boot_id else 0
