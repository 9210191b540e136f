"""pytest plugin: tests marked ``kernel`` run inside a guest kernel, and the host reports each of them as its own.

On the host the first such test boots a guest that runs a pytest of its own over the same files, with the same test ids.  The guest writes
every report as a line of JSON; the host hands them on as they come, so a failing test shows here exactly what it showed there.  Tests
with another ``kernel(group)`` get another boot.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
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


class Reporter:
    """In the guest: every report as a line of JSON."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = open(os.environ["LAB_DIR"] + "/results", "a", buffering=1, encoding="utf-8")  # noqa: PTH123, SIM115 -- kept open

    def pytest_runtest_logreport(self, report: TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(json.dumps(data, default=str) + "\n")


class Lab:
    """On the host: one guest at a time, and the reports that have come out of it."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._guest: uml.Guest | None = None
        self._group = ""
        self._lines: Iterator[str] = iter(())
        self._early: dict[str, list[TestReport]] = {}
        self._dead = ""

    def reports(self, item: pytest.Item) -> Iterator[TestReport]:
        """The reports of one test, from set-up to tear-down, as they come."""
        if self._guest is None or self._group != group_of(item):
            self._boot(item)
        waiting = self._early.pop(item.nodeid, [])
        yield from waiting
        if waiting and waiting[-1].when == "teardown":
            return
        yield from self._follow(item)

    def close(self) -> None:
        """End the guest."""
        if self._guest is not None:
            self._guest.close()
            self._guest = None

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

    def _boot(self, first: pytest.Item) -> None:
        self.close()
        self._group = group_of(first) or GROUP
        self._early, self._dead = {}, ""
        self._guest = uml.Guest(limit_s=LIMIT_S)
        items = self._session.items
        wanted = [item.nodeid for item in items[items.index(first) :] if group_of(item) == self._group]
        (self._guest.folder / "tests").write_text("\n".join(wanted))
        self._guest.start(group=self._group)
        self._lines = self._guest.lines()

    @staticmethod
    def _failure(item: pytest.Item, words: str) -> TestReport:
        return TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", words, "call")


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
    order = {group: number for number, group in enumerate(dict.fromkeys(group_of(item) for item in guest_items), start=1)}
    items.sort(key=lambda item: order.get(group_of(item), 0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """Hand on what the guest reported for this test."""
    if inside() or group_of(item) is None or item.get_closest_marker("skip"):
        return None
    session: Any = item.session
    if not hasattr(session, "lab"):
        session.lab = Lab(item.session)
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
