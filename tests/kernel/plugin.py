"""pytest plugin: tests marked ``kernel`` run inside a guest kernel, and the host reports each of them as its own.

On the host the first such test boots a guest that runs a pytest of its own over the same files, with the same test ids.  The guest writes
every report as a line of JSON; the host hands them on as they come, so a failing test shows here exactly what it showed there.  Tests
with another ``kernel(group)`` get another boot.

A guest has one processor, and the host's own tests mostly wait: so guests run beside them, one after the other, ahead of the place where
their reports are wanted.  Those that measure how long something takes are ``kernel(group, alone=True)`` and run when all else is done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from _pytest.reports import TestReport

from tests.kernel import uml

GROUP = "lab"
LIMIT_S = 420.0
"""For one boot, all of its tests together."""


def inside() -> bool:
    """Whether this pytest runs in the guest."""
    return "LAB_DIR" in os.environ


def group_of(item: pytest.Item) -> str | None:
    """Which boot a test belongs to; ``None``: it needs no guest."""
    mark = item.get_closest_marker("kernel")
    if mark is None:
        return None
    return str(mark.args[0]) if mark.args else GROUP


def alone(items: Iterable[pytest.Item]) -> set[str | None]:
    """The groups that must have the machine to themselves."""
    marks = ((group_of(item), item.get_closest_marker("kernel")) for item in items)
    return {group for group, mark in marks if mark is not None and mark.kwargs.get("alone")}


class Reporter:
    """In the guest: every report as a line of JSON."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = open(os.environ["LAB_DIR"] + "/results", "a", buffering=1, encoding="utf-8")  # noqa: PTH123, SIM115 -- kept open

    def pytest_runtest_logreport(self, report: TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(json.dumps(data, default=str) + "\n")


class Boot:
    """One guest with the tests of one group, and the reports that have come out of it."""

    def __init__(self, session: pytest.Session, group: str, wanted: list[str]) -> None:
        self._session = session
        self._early: dict[str, list[TestReport]] = {}
        self._dead = ""
        self.guest = uml.Guest(limit_s=LIMIT_S)
        (self.guest.folder / "tests").write_text("\n".join(wanted))
        self.guest.start(group=group)
        self._lines = self.guest.lines()

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
            self._dead = str(died)
            yield self._failure(item, self._dead)

    @staticmethod
    def _failure(item: pytest.Item, words: str) -> TestReport:
        return TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", words, "call")


class Lab:
    """On the host: the groups of tests that are to come, and one guest at a time."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._boots: dict[str, Boot] = {}
        self._to_come: dict[str, list[str]] = {}
        self._alone = alone(session.items)
        for item in session.items:
            if (group := group_of(item)) and not item.get_closest_marker("skip"):
                self._to_come.setdefault(group, []).append(item.nodeid)

    def advance(self) -> None:
        """Between two of the host's tests: boot the next guest, if none runs and one may run beside them."""
        group = next((group for group in self._to_come if group not in self._alone), None)
        if group is not None and not self._runs():
            self._boot(group)

    def reports(self, item: pytest.Item) -> Iterator[TestReport]:
        """The reports of one test."""
        group = group_of(item) or GROUP
        if group not in self._boots:
            for each in self._boots.values():
                each.guest.close()
            self._boot(group)
        return self._boots[group].reports(item)

    def close(self) -> None:
        """End every guest."""
        for each in self._boots.values():
            each.guest.close()

    def _runs(self) -> bool:
        return any(not each.guest.ended() for each in self._boots.values())

    def _boot(self, group: str) -> None:
        self._boots[group] = Boot(self._session, group, self._to_come.pop(group))


def pytest_configure(config: pytest.Config) -> None:
    if inside():
        config.pluginmanager.register(Reporter(config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On the host: one boot's tests stand together, wait as long as the guest may take, and are skipped where none can be booted."""
    if inside():
        return
    why_not = uml.missing()
    guest_items = [item for item in items if group_of(item)]
    for item in guest_items:
        item.add_marker(pytest.mark.timeout(LIMIT_S + 30))
        item.add_marker(pytest.mark.xdist_group("kernel"))
        if why_not:
            item.add_marker(pytest.mark.skip(reason=why_not))
    last = alone(guest_items)
    groups = sorted(dict.fromkeys(group_of(item) for item in guest_items), key=lambda group: group in last)
    order = {group: number for number, group in enumerate(groups, start=1)}
    items.sort(key=lambda item: order.get(group_of(item), 0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """Hand on what the guest reported for a test of its; between the host's own, have the next guest begin."""
    if inside() or item.get_closest_marker("skip"):
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
