"""Commands that the administrator wants run when the role changes: beside everything else, one after the other.

Only what this host's own agent.toml lists is run, whatever lvs.cf or lvsd say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from lvsagent.adapters.commands import CommandResult
from lvsagent.core.root_commands import argv_permitted
from lvsagent.messages import PulseConfigure
from lvsagent.pulse.holder import Tell

COMMAND_LIMIT_S = 10.0

Errand = tuple[str, list[str]]
"""lvs.cf's keyword and the argv."""


class Errands:
    """Runs them; each result is an event."""

    def __init__(
        self, run_command: Callable[[Sequence[str], float], Coroutine[None, None, CommandResult]], permitted: Sequence[str], tell: Tell
    ) -> None:
        self._run_command = run_command
        self._permitted = tuple(permitted)
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def begin(self, errands: Sequence[Errand]) -> None:
        """Run them when those before have ended; returns at once."""
        if errands:
            task = asyncio.ensure_future(self._run(errands))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self, errands: Sequence[Errand]) -> None:
        """The last ones: what is still running is ended."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._run(errands)

    async def _run(self, errands: Sequence[Errand]) -> None:
        async with self._turn:
            for keyword, argv in errands:
                await self._run_one(keyword, argv)

    async def _run_one(self, keyword: str, argv: list[str]) -> None:
        line = " ".join(argv)
        if not argv_permitted(argv, self._permitted):
            self._tell("problem", "error", f"{keyword} is not run: agent.toml's root_commands does not list {line}", keyword)
            return
        result = await self._run_command(argv, COMMAND_LIMIT_S)
        output = f": {result.output}" if result.output else ""
        self._tell("role", "info" if result.ok else "error", f"{keyword} {line}: {result.words}{output}", keyword)


def on_becoming_active(configure: PulseConfigure) -> list[Errand]:
    """Failover services first, so that the administrator's own command finds them running."""
    return [*_each("start_cmd", configure.start_commands), *_each("active_cmd", [configure.active_command])]


def on_ceasing_to_be(configure: PulseConfigure) -> list[Errand]:
    """The other way round."""
    return [*_each("inactive_cmd", [configure.inactive_command]), *_each("stop_cmd", configure.stop_commands)]


def _each(keyword: str, commands: Sequence[list[str]]) -> list[Errand]:
    return [(keyword, argv) for argv in commands if argv]
