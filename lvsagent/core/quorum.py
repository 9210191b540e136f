"""Whether a virtual server has enough real servers: its quorum, lost and reached with a gap between, so that it never flaps.

Pure.  What follows from a lost quorum is ``desired``'s to decide; who is told, ``lvsd``'s.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quorum:
    """``least`` real servers must be up; it is lost ``gap`` below that and reached again ``gap`` above, or with all ``members``."""

    least: int = 1
    gap: int = 0
    members: int = 0

    @property
    def lost_below(self) -> int:
        """With fewer than this many it is lost; none at all is always too few."""
        return max(self.least - self.gap, 1)

    @property
    def reached_at(self) -> int:
        """With this many it is reached again.  More than all of them cannot be asked for, unless ``least`` itself does."""
        return max(self.least, min(self.least + self.gap, self.members), 1)

    def holds(self, up: int, awaited: int = 0, *, held: bool) -> bool:
        """Whether there is a quorum.

        ``up``: real servers that take new connections.  ``awaited``: those whose first check is still to come, which lose nothing yet.
        ``held``: whether there was one until now (a new virtual server: yes).
        """
        return up + awaited >= self.lost_below if held else up >= self.reached_at


ONE = Quorum()
"""Piranha's own rule: one real server is enough."""
