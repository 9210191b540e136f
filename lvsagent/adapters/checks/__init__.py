"""Health checks as they are really made: the Checker port's real adapter.

Owns which kind of check is run for a spec, and the helpers they share (the pattern worker, the limit on programs).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lvsagent.adapters.checks.programs import ProgramRunner
from lvsagent.adapters.checks.regex_worker import RegexWorker
from lvsagent.adapters.checks.sockets import check_datagram, check_stream
from lvsagent.core.health import CheckSpec, Method, Outcome, describe


class Checks:
    """Runs any check once.  Many may run at the same time.

    ``own_programs``: the agent runs without root, so programs may belong to its user.
    """

    def __init__(self, program_dirs: Sequence[Path] = (), *, own_programs: bool = False) -> None:
        self._regex = RegexWorker()
        self._programs = ProgramRunner(program_dirs, self._regex.search, own=own_programs)

    async def check(self, spec: CheckSpec) -> Outcome:
        """Run the check within ``spec.timeout_s``.  Never raises for anything a real server does."""
        if spec.method is Method.NONE:
            return Outcome(ok=True, duration_s=0.0, reason=describe(spec))
        if spec.method is Method.PROGRAM:
            return await self._programs.check(spec)
        if spec.protocol == "udp":
            return await check_datagram(spec, self._regex.search)
        return await check_stream(spec, self._regex.search)

    def close(self) -> None:
        """End the helpers."""
        self._regex.close()
