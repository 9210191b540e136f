"""pytest plugin: tests that run in another process, which this one reports as its own.

Tests marked ``kernel`` run inside a guest kernel, with a pytest of its own over the same files and the same test ids; those with another
``kernel(group)`` get another boot.  With ``--beside=FOLDER`` the tests of a folder run in a second process of this machine.  Whoever runs
elsewhere writes every report as a line of JSON; here they are handed on, so a failing test shows here exactly what it showed there.

A guest has one processor, and most tests wait more than they compute: so all of these run beside this process's own tests, the guests one
after the other, ahead of the place where their reports are wanted.  Those that measure how long something takes are
``kernel(group, alone=True)`` and run when all else is done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from _pytest.reports import TestReport

from tests.beside import REPORTS_TO, Beside
from tests.kernel import uml

GROUP = "lab"
BESIDE = "beside"
BESIDE_LIMIT_S = 2400.0
RUNS_BESIDE = pytest.StashKey[bool]()
_BESIDE_REPORTS_TO = os.environ.pop(REPORTS_TO, "")
"""Not left in the environment: a pytest that a test starts reports to that test."""
LIMIT_S = 600.0
"""For one boot, all of its tests together."""


def reports_to() -> str:
    """The file for this pytest's reports, when it runs elsewhere for another one."""
    return os.environ["LAB_DIR"] + "/results" if "LAB_DIR" in os.environ else _BESIDE_REPORTS_TO


def group_of(item: pytest.Item) -> str | None:
    """Which boot a test belongs to (``BESIDE``: the second process); ``None``: it runs here."""
    if item.stash.get(RUNS_BESIDE, False):
        return BESIDE
    mark = item.get_closest_marker("kernel")
    if mark is None:
        return None
    return str(mark.args[0]) if mark.args else GROUP


def alone(items: Iterable[pytest.Item]) -> set[str | None]:
    """The groups that must have the machine to themselves."""
    marks = ((group_of(item), item.get_closest_marker("kernel")) for item in items)
    return {group for group, mark in marks if mark is not None and mark.kwargs.get("alone")}


class Reporter:
    """Elsewhere: every report as a line of JSON."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = open(reports_to(), "a", buffering=1, encoding="utf-8")  # noqa: PTH123, SIM115 -- kept open

    def pytest_runtest_logreport(self, report: TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(json.dumps(data, default=str) + "\n")


class Process(Protocol):
    """A guest, or the process beside this one."""

    def lines(self) -> Iterator[str]: ...
    def ended(self) -> str: ...
    def close(self) -> None: ...


class Boot:
    """One process with the tests of one group, and the reports that have come out of it."""

    def __init__(self, session: pytest.Session, group: str, wanted: list[str]) -> None:
        self._session = session
        self._early: dict[str, list[TestReport]] = {}
        self._dead = ""
        self.process: Process = Beside(wanted, limit_s=BESIDE_LIMIT_S) if group == BESIDE else guest(group, wanted)
        self._lines = self.process.lines()

    def reports(self, item: pytest.Item) -> Iterator[TestReport]:
        """The reports of one test, from set-up to tear-down, as they come."""
        waiting = self._early.pop(item.nodeid, [])
        yield from waiting
        if waiting and waiting[-1].when == "teardown":
            return
        yield from self._follow(item)

    def _follow(self, item: pytest.Item) -> Iterator[TestReport]:
        if self._dead:
            yield self._failure(item, self._dead)
            return
        try:
            for line in self._lines:
                report = self._session.config.hook.pytest_report_from_serializable(config=self._session.config, data=json.loads(line))
                if report.nodeid != item.nodeid:
                    self._early.setdefault(report.nodeid, []).append(report)
                    continue
                yield report
                if report.when == "teardown":
                    return
        except uml.GuestDied as died:
            yield self._failure(item, str(died))
            self._dead = f"{str(died).splitlines()[0]}; its last words are with the first test that it had not done"

    @staticmethod
    def _failure(item: pytest.Item, words: str) -> TestReport:
        return TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", words, "call")


def guest(group: str, wanted: list[str]) -> uml.Guest:
    """A guest that has begun to run these tests."""
    booted = uml.Guest(limit_s=LIMIT_S)
    (booted.folder / "tests").write_text("\n".join(wanted))
    booted.start(group=group)
    return booted


class Lab:
    """The groups of tests that run elsewhere: those that are to come, and those that run or have run."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._boots: dict[str, Boot] = {}
        self._to_come: dict[str, list[str]] = {}
        self._alone = alone(session.items)
        for item in session.items:
            if (group := group_of(item)) and not item.get_closest_marker("skip"):
                self._to_come.setdefault(group, []).append(item.nodeid)

    def advance(self) -> None:
        """Between two tests: begin what may run beside them, one guest at a time."""
        if BESIDE in self._to_come:
            self._boot(BESIDE)
        group = next((group for group in self._to_come if group not in self._alone), None)
        if group is not None and not self._a_guest_runs():
            self._boot(group)

    def reports(self, item: pytest.Item) -> Iterator[TestReport]:
        """The reports of one test."""
        group = group_of(item) or GROUP
        if group not in self._boots:
            self.close()
            self._boot(group)
        for report in self._boots[group].reports(item):
            yield report
            if group == BESIDE:
                self.advance()

    def close(self) -> None:
        """End all that runs elsewhere."""
        for each in self._boots.values():
            each.process.close()

    def _a_guest_runs(self) -> bool:
        return any(group != BESIDE and not each.process.ended() for group, each in self._boots.items())

    def _boot(self, group: str) -> None:
        self._boots[group] = Boot(self._session, group, self._to_come.pop(group))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--beside", metavar="FOLDER", help="run the tests of this folder in a process of their own, beside the others")


def pytest_configure(config: pytest.Config) -> None:
    if reports_to():
        config.pluginmanager.register(Reporter(config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Who runs where: one boot's tests stand together, wait as long as the guest may take, and are skipped where none can be booted."""
    if reports_to():
        return
    why_not = uml.missing()
    guest_items = [item for item in items if group_of(item)]
    for item in guest_items:
        item.add_marker(pytest.mark.timeout(LIMIT_S + 30))
        if why_not:
            item.add_marker(pytest.mark.skip(reason=why_not))
    put_beside(items, config.getoption("--beside"))
    last = alone(guest_items)
    groups = sorted(dict.fromkeys(group_of(item) for item in guest_items), key=lambda group: group in last)
    order = {group: number for number, group in enumerate([BESIDE, *groups], start=1)}
    items.sort(key=lambda item: order.get(group_of(item), 0))


def put_beside(items: list[pytest.Item], folder: str | None) -> None:
    """Mark the tests of that folder, if there are others that can run meanwhile."""
    if not folder:
        return
    there = [item for item in items if Path(folder).resolve() in item.path.parents and not group_of(item)]
    if len(there) < len(items):
        for item in there:
            item.stash[RUNS_BESIDE] = True
            item.add_marker(pytest.mark.timeout(BESIDE_LIMIT_S), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """Hand on what was reported for a test that ran elsewhere; between those that run here, have the next ones begin."""
    if reports_to() or item.get_closest_marker("skip"):
        return None
    session: Any = item.session
    if not hasattr(session, "lab"):
        session.lab = Lab(item.session)
    if group_of(item) is None:
        session.lab.advance()
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in session.lab.reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # Fixtures that the test before shared with its neighbours end here, as after any other test.
    session._setupstate.teardown_exact(nextitem)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    lab = getattr(session, "lab", None)
    if lab is not None:
        lab.close()
