"""DOCTOR: the real servers of a virtual server looked at on request, beside everything else that lvsd does.

Owns the one examination that may run and the reports of the last ones.  How it is looked is the ``Examiner``'s business, what it means
``lvsagent.core.doctor``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from lvsagent.api.contract import NotFound, Unavailable
from lvsagent.core.clean_text import clean
from lvsagent.core.doctor import Advice, Ward, advise, ward
from lvsagent.core.patients import Patient, Seen
from lvsagent.lvsd.configuration import read_configuration
from lvsagent.lvsd.director import Director
from lvsagent.ports import AdapterError, Examiner
from lvsagent.wire import DoctorFinding, DoctorReport, DoctorRequest, DoctorResult

KEPT = 32
"""Reports of so many virtual servers are remembered, until lvsd ends."""

log = logging.getLogger(__name__)


class Doctor:
    """One examination at a time."""

    def __init__(self, director: Director, examiner: Examiner) -> None:
        self._director = director
        self._examiner = examiner
        self._reports: OrderedDict[str, DoctorReport] = OrderedDict()
        self._etags: dict[str, str] = {}
        self._running = ""
        self._task: asyncio.Task[None] | None = None

    def report(self, virtual: str) -> DoctorReport:
        """The last examination of a virtual server, or the one that runs."""
        name = clean(virtual)
        found = self._reports.get(name, DoctorReport(virtual=name))
        in_step = found.state == "never" or self._etags.get(name) == self._director.etag
        busy = self._running if self._running != name else ""
        return msgspec.structs.replace(found, in_step=in_step, busy=busy)

    async def begin(self, asked: DoctorRequest) -> DoctorReport:
        """Begin to look.  Raises NotFound, Unavailable."""
        director = self._director
        if director.settings.dataplane == "userspace":
            raise Unavailable("the demonstration data plane passes connections on by itself: real servers need nothing for it")
        file = director.file()
        running = director.running
        configuration = running if running.file.etag == file.etag else await read_configuration(file, director.names)
        name = clean(asked.virtual)
        place = next((at for at, one in enumerate(configuration.config.virtual) if clean(one.name) == name), None)
        if place is None:
            raise NotFound(f"there is no virtual server {name}")
        if self._running:  # looked at last: nothing is awaited between this and the next line that matters
            raise Unavailable(f"the real servers of {self._running} are being looked at: one virtual server at a time")
        found = ward(configuration.config, place, director.names.address)
        self._running = name
        self._etags[name] = file.etag
        self._note(
            DoctorReport(
                virtual=name,
                state="running",
                began_at=director.clock.wall(),
                total=len(found.patients),
                problems=list(found.problems),
                actor=asked.actor,
            )
        )
        self._task = asyncio.ensure_future(self._examine(name, found))
        return self.report(name)

    async def close(self) -> None:
        """Nothing is looked at any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._examiner.close()

    async def _examine(self, name: str, found: Ward) -> None:
        seen: dict[int, Seen] = {}

        def told(place: int, one: Seen) -> None:
            seen[place] = one
            self._note(msgspec.structs.replace(self._reports[name], looked=len(seen)))

        failure = ""
        try:
            if found.patients:
                await self._examiner.examine(found.patients, told)
        except AdapterError as error:
            failure = str(error)
        except Exception as error:
            log.exception("an examination failed")
            failure = f"{type(error).__name__}: {error}"
        finally:
            self._running = ""
        self._finish(name, found, seen, failure)

    def _finish(self, name: str, found: Ward, seen: Mapping[int, Seen], failure: str) -> None:
        """Whoever looks is not believed blindly: what makes no sense ends as a failure in words."""
        results: list[DoctorResult] = []
        try:
            results = [doctor_result(found.patients[place], seen[place]) for place in sorted(seen)]
        except ValueError as error:
            failure = f"what was seen makes no sense: {error}"
        state, ended_at = ("failed" if failure else "done"), self._director.clock.wall()
        self._note(msgspec.structs.replace(self._reports[name], state=state, ended_at=ended_at, results=results, failure=failure))

    def _note(self, report: DoctorReport) -> None:
        self._reports[report.virtual] = report
        self._reports.move_to_end(report.virtual)
        while len(self._reports) > KEPT:
            self._etags.pop(self._reports.popitem(last=False)[0], None)


def doctor_result(patient: Patient, seen: Seen) -> DoctorResult:
    """What was seen of a real server, as the API says it."""
    return DoctorResult(
        server=patient.name,
        address=patient.address,
        forwarding=patient.forwarding.value,
        findings=_findings(advise(patient, seen)),
    )


def _findings(found: Sequence[Advice]) -> list[DoctorFinding]:
    return [
        DoctorFinding(words=clean(one.words), commands=list(one.commands), keep=list(one.keep), wrong=one.wrong, sure=one.sure.value)
        for one in found
    ]
