"""The doctor, as the fake agent has it: the real words over sights in memory."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from app.lvscf.model import Config
from lvsagent.client import AgentRefused
from lvsagent.core.clean_text import clean
from lvsagent.core.doctor import ward
from lvsagent.core.patients import Seen
from lvsagent.lvsd.doctor import doctor_result
from lvsagent.wire import DoctorReport
from tests.fakes.examiner import well

TOOK_S = 1.5
"""As with a real server that answers nothing."""


class FakeDoctor:
    """``sights``: what is seen of the real server of that name (else nothing is missing); ``failure``: how every examination ends;
    ``held``: an examination does not end before ``finish``.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._reports: dict[str, DoctorReport] = {}
        self._etags: dict[str, str] = {}
        self._running: DoctorReport | None = None
        self._ended: DoctorReport | None = None
        self.sights: dict[str, Seen] = {}
        self.failure = ""
        self.held = False

    def report(self, virtual: str, etag: str) -> DoctorReport:
        """The last one of this virtual server."""
        name = clean(virtual)
        busy = self._running.virtual if self._running and self._running.virtual != name else ""
        found = self._reports.get(name, DoctorReport(virtual=name))
        return msgspec.structs.replace(found, in_step=self._etags.get(name, etag) == etag, busy=busy)

    def examine(self, virtual: str, actor: str, config: Config, etag: str) -> DoctorReport:
        """Begin one, and unless it is held, end it."""
        name = clean(virtual)
        place = next((at for at, one in enumerate(config.virtual) if clean(one.name) == name), None)
        if place is None:
            raise AgentRefused("not_found", f"there is no virtual server {name}")
        if self._running:
            raise AgentRefused(
                "unavailable", f"the real servers of {self._running.virtual} are being looked at: one virtual server at a time"
            )
        found = ward(config, place, lambda _name: None)
        self._etags[name] = etag
        self._running = self._reports[name] = DoctorReport(
            virtual=name,
            state="running",
            began_at=self._wall() - TOOK_S,
            looked=len(found.patients) - 1 if found.patients else 0,
            total=len(found.patients),
            problems=list(found.problems),
            actor=actor,
        )
        results = [] if self.failure else [doctor_result(one, self.sights.get(one.name, well(one))) for one in found.patients]
        self._ended = msgspec.structs.replace(
            self._running,
            state="failed" if self.failure else "done",
            ended_at=self._wall(),
            looked=len(results),
            results=results,
            failure=self.failure,
        )
        running = self.report(name, etag)
        if not self.held:
            self.finish()
        return running

    def finish(self) -> None:
        """The examination that runs has ended."""
        if self._running and self._ended:
            self._reports[self._running.virtual] = self._ended
            self._running = None
