"""A packet filter that remembers which marks it was asked to set."""

from __future__ import annotations

from collections.abc import Sequence

from lvsagent.core.marks import MarkRule
from lvsagent.ports import AdapterError


class FakeMarks:
    """The port ``MarkRules``.  ``broken``: what it says instead of working; ``spoil`` is somebody else's hand in our rules."""

    def __init__(self) -> None:
        self.rules: frozenset[MarkRule] | None = frozenset()
        self.writes = 0
        self.broken = ""

    async def read(self) -> frozenset[MarkRule] | None:
        self._check()
        return self.rules

    async def replace(self, rules: Sequence[MarkRule]) -> None:
        self._check()
        self.rules = frozenset(rules)
        self.writes += 1

    def spoil(self) -> None:
        """Somebody has changed our rules into something else."""
        self.rules = None

    def _check(self) -> None:
        if self.broken:
            raise AdapterError(self.broken)
