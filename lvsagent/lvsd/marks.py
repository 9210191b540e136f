"""The firewall marks that lvs.cf asks for, kept in force: set, looked after, taken away.

Owns the port ``MarkRules`` and the memory of whether rules of ours may be there.  A host whose lvs.cf asks for none never has a program
run for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from lvsagent.core.marks import MarkRule
from lvsagent.ports import AdapterError, MarkRules
from lvsagent.wire import RefusalInfo

LOOK_S = 10.0
"""How often rules that should be there are looked at: each look starts a program."""

Say = Callable[[str, str, str], object]
"""Kind, severity and words of an event."""


class MarkKeeper:
    """``rules`` is ``None`` for a data plane that has no use for marks.

    ``reason``: why the marks are not as lvs.cf wants (``""``: they are).
    """

    def __init__(self, rules: MarkRules | None, remembered: Path, say: Say) -> None:
        self._rules = rules
        self._remembered = remembered
        self._say = say
        self._wanted: frozenset[MarkRule] = frozenset()
        self._looked_at = float("-inf")
        self._ours = remembered.exists()
        self._set: frozenset[MarkRule] | None = None
        self._one_at_a_time = asyncio.Lock()
        self.reason = ""

    async def follow(self, wanted: Sequence[MarkRule], now: float) -> None:
        """Another configuration: its marks come into force at once."""
        self._wanted = frozenset(wanted)
        await self._keep(now)

    async def look(self, now: float) -> None:
        """Has anybody changed them?  Does nothing until it is time."""
        if now - self._looked_at >= LOOK_S:
            await self._keep(now)

    async def withdraw(self) -> None:
        """The planned end."""
        self._wanted = frozenset()
        await self._keep(self._looked_at)

    def refusals(self) -> list[RefusalInfo]:
        """For a receipt: what of the marks is not in force."""
        return [RefusalInfo(subject="firewall marks of mark_ports", reason=self.reason)] if self.reason else []

    async def _keep(self, now: float) -> None:
        if self._rules is None or not (self._wanted or self._ours):
            return
        self._looked_at = now
        try:
            async with self._one_at_a_time:
                await self._compare(self._rules)
        except AdapterError as error:
            self._failed(str(error))
        except OSError as error:
            self._failed(f"whether there are any cannot be kept in {self._remembered}: {error.strerror}")
        else:
            self.reason = ""

    async def _compare(self, rules: MarkRules) -> None:
        found = await rules.read()
        if found != self._wanted:
            if self._set is not None and self._set == self._wanted:
                self._say("repair", "warning", "the firewall marks had been changed by somebody else; they are put right")
            self._ours = True
            self._remembered.touch()
            await rules.replace(sorted(self._wanted))
            if await rules.read() != self._wanted:
                raise AdapterError("the kernel took the rules and does not show them")
        self._set = self._wanted
        if not self._wanted:
            self._remembered.unlink(missing_ok=True)
            self._ours = False

    def _failed(self, reason: str) -> None:
        if reason != self.reason:
            self._say("problem", "error", f"the firewall marks of mark_ports are not in force: {reason}")
        self.reason = reason
