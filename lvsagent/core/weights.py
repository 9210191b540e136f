"""Which side each real server is on, and how much of its weight it has.

Pure; time is an argument.  Three things take a part of the weight away for a while: the server's own agent (``75%``, ``drain``), slow
start, which gives a server that came back its weight little by little, and the load of its host (``load_monitor``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lvsagent.core.load_share import LoadShare, part
from lvsagent.core.overrides import NO_ORDERS, Orders

WHOLE = 1.0
SMALLEST = 1 / 32
"""What a slow start begins with."""


@dataclass(slots=True)
class _Ramp:
    """A slow start of ``length_s``; ``began`` is known from the first look at the clock on, which it was ``ago_s`` before."""

    length_s: float
    began: float | None = None
    share: float = SMALLEST
    ago_s: float = 0.0


class Sides(dict[str, bool]):
    """Up or down by check key, absent when not known.

    ``moved`` collects the checks whose share has changed since somebody last emptied it.  ``orders`` is what operators have decided.
    ``unkept``: a slow start has begun or ended since somebody last wrote down which there are.  ``loads``: what load_monitor has made of
    the weights, by check key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.orders: Orders = NO_ORDERS
        self.moved: set[str] = set()
        self.unkept = False
        self.loads: Mapping[str, LoadShare] = {}
        self._wanted: dict[str, float] = {}
        self._ramps: dict[str, _Ramp] = {}

    def share(self, key: str) -> float:
        """The part (0 to 1) of its weight that the server of this check is given."""
        ramp = self._ramps.get(key)
        return self._wanted.get(key, WHOLE) * (WHOLE if ramp is None else ramp.share)

    def load_share(self, key: str, load: str) -> float:
        """The part of its weight that the load of its host leaves it; ``load`` is the key of that load."""
        return part(self.loads, key, load)

    def words(self, key: str) -> str:
        """Why it is not the whole weight (``""``: it is)."""
        reasons = []
        if key in self._wanted:
            reasons.append("its agent wants no new connections" if not self._wanted[key] else f"its agent wants {self._wanted[key]:.0%}")
        if climbing := self.slow_words(key):
            reasons.append(climbing)
        return " and ".join(reasons)

    def slow_words(self, key: str) -> str:
        """How far its slow start has come (``""``: there is none)."""
        return f"slow start, {self._ramps[key].share:.0%} so far" if key in self._ramps else ""

    def want(self, key: str, percent: int) -> None:
        """The server's agent asks for this much of its weight."""
        before = self._wanted.get(key, WHOLE)
        share = min(max(percent, 0), 100) / 100
        if share == WHOLE:
            self._wanted.pop(key, None)
        else:
            self._wanted[key] = share
        if share != before:
            self.moved.add(key)

    def wanted_percent(self, key: str) -> int:
        """How much of its weight the server's agent has asked for."""
        return round(self._wanted.get(key, WHOLE) * 100)

    def start_slowly(self, key: str, length_s: float, ago_s: float = 0.0) -> None:
        """The server came back ``ago_s`` before the next look at the clock: its weight grows over ``length_s`` from then on."""
        if length_s > 0:
            self._ramps[key] = _Ramp(length_s, ago_s=max(ago_s, 0.0))

    def resume_slowly(self, key: str, length_s: float, began: float | None) -> None:
        """Go on with a slow start from before a restart; ``began`` as it was kept, ``None``: there was none."""
        if length_s > 0 and began is not None:
            self._ramps[key] = _Ramp(length_s, began)

    def stretch(self, key: str, length_s: float) -> None:
        """A slow start under way is to take ``length_s`` from its beginning; 0: it is over with the next look at the clock."""
        if key in self._ramps:
            self._ramps[key].length_s = length_s

    def began(self, key: str) -> float | None:
        """When the slow start under way began, on the clock of ``advance``; ``None``: there is none, or no look at the clock since."""
        ramp = self._ramps.get(key)
        return None if ramp is None else ramp.began

    def advance(self, now: float) -> None:
        """Let the slow starts go on; ``now`` is on any clock that only goes forward, and is the same one after a restart.

        A slow start that began later than now was kept on another clock, before the host started anew: there is nothing to go on with.
        """
        for key, ramp in list(self._ramps.items()):
            if ramp.began is None:
                ramp.began, self.unkept = now - ramp.ago_s, True
            passed_s = now - ramp.began
            ramp.share = WHOLE if passed_s < 0 or passed_s >= ramp.length_s else max(passed_s / ramp.length_s, SMALLEST)
            if ramp.share >= WHOLE:
                del self._ramps[key]
                self.unkept = True
            self.moved.add(key)

    def part(self, keys: Iterable[str]) -> Sides:
        """What is known of these checks, for somebody who asks what would be."""
        found = Sides()
        found.orders, found.loads = self.orders, self.loads
        for key in keys:
            found[key] = self[key]
            if key in self._wanted:
                found._wanted[key] = self._wanted[key]
            if key in self._ramps:
                found._ramps[key] = replace(self._ramps[key])
        return found

    def forget(self, key: str) -> None:
        """Nothing is known of this check any more, or it is down: its next start is a fresh one."""
        self._ramps.pop(key, None)
        self._wanted.pop(key, None)


def part_of(weight: int, share: float) -> int:
    """``share`` of a weight; a server that is given anything at all has at least 1."""
    if share >= WHOLE or weight <= 0:
        return weight
    return 0 if share <= 0 else max(1, round(weight * share))
