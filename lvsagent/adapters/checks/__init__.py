"""Health checks as they are really made: the Checker port's real adapter.

Owns which kind of check is run for a spec, and the helpers they share (the pattern worker, the limit on programs).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from lvsagent.adapters.checks.connects import Connects, Done
from lvsagent.adapters.checks.conversations import TALKS, check_conversation
from lvsagent.adapters.checks.datagrams import check_dns, check_ping
from lvsagent.adapters.checks.programs import AT_ONCE as PROGRAMS_AT_ONCE
from lvsagent.adapters.checks.programs import ProgramRunner
from lvsagent.adapters.checks.regex_worker import RegexWorker
from lvsagent.adapters.checks.sockets import check_datagram, check_stream
from lvsagent.adapters.checks.waiter import Search
from lvsagent.core.check_spec import CheckSpec, Method, Outcome, describe

__all__ = ["PROGRAMS_AT_ONCE", "Checks"]


class Checks:
    """Runs any check once.  Many may run at the same time.

    ``own_programs``: the agent runs without root, so programs may belong to its user.  ``programs``: so many run at the same time.
    """

    def __init__(self, program_dirs: Sequence[Path] = (), *, own_programs: bool = False, programs: int = PROGRAMS_AT_ONCE) -> None:
        self._regex = RegexWorker()
        self._programs = ProgramRunner(program_dirs, self._regex.search, own=own_programs, at_once=programs)

    async def check(self, spec: CheckSpec) -> Outcome:
        """Run the check within ``spec.timeout_s``.  Never raises for anything a real server does."""
        if spec.method is Method.NONE:
            return Outcome(ok=True, duration_s=0.0, reason=describe(spec))
        if spec.method is Method.PROGRAM:
            return await self._programs.check(spec)
        if spec.method is Method.PING:
            return await check_ping(spec)
        return await _network_check(spec)(spec, self._regex.search)

    def quick(self, done: Done) -> Connects:
        """Plain TCP checks, many at once."""
        return Connects(done)

    def close(self) -> None:
        """End the helpers."""
        self._regex.close()


def _network_check(spec: CheckSpec) -> Callable[[CheckSpec, Search], Awaitable[Outcome]]:
    """What asks over the network, and may search a pattern in the answer."""
    if spec.protocol == "udp":
        return check_dns if spec.method is Method.DNS else check_datagram
    return check_conversation if spec.method in TALKS else check_stream
