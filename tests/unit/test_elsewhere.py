"""Which tests run elsewhere and when: one guest at a time, ahead, beside this process's own tests, and alone where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests import elsewhere
from tests.beside import ROOT


class Guest:
    """A boot that ends when it is told to."""

    booted: list[str] = []  # noqa: RUF012 -- of one test, see the fixture
    running: set[str] = set()  # noqa: RUF012

    def __init__(self, _session: object, group: str, wanted: list[str]) -> None:
        self.group, self.wanted = group, wanted
        self.process = self
        self.booted.append(group)
        self.running.add(group)

    def ended(self) -> str:
        return "" if self.group in self.running else "the guest has ended"

    def close(self) -> None:
        self.running.discard(self.group)

    def reports(self, item: Any) -> Iterator[str]:
        return iter([f"{self.group}: {item.nodeid}"])


class Item:
    """A test, with what the plugin asks of one."""

    def __init__(self, name: str, *marks: pytest.MarkDecorator) -> None:
        self.nodeid = name
        self.path = ROOT / "tests" / name / "test_it.py"
        self.stash = pytest.Stash()
        self._marks = {each.name: each.mark for each in marks}

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self._marks.get(name)

    def add_marker(self, mark: pytest.MarkDecorator, *, append: bool = True) -> None:
        self._marks[mark.name] = mark.mark


BESIDE: Any = SimpleNamespace(getoption=lambda _name: "tests/integration")
ITEMS = [
    Item("a", pytest.mark.kernel("pair", alone=True)),
    Item("b", pytest.mark.kernel("one")),
    Item("c"),
    Item("d", pytest.mark.kernel("two")),
    Item("e", pytest.mark.kernel("pair")),
    Item("f", pytest.mark.kernel("one")),
]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(elsewhere, "Boot", Guest)
    monkeypatch.setattr(Guest, "booted", [])
    monkeypatch.setattr(Guest, "running", set())
    items: Any = ITEMS
    session: Any = SimpleNamespace(items=items)
    return elsewhere.Lab(session)


def test_one_guest_at_a_time_beside_the_hosts_tests_and_none_that_must_be_alone(lab: Any) -> None:
    for _ in range(3):
        lab.advance()
        assert Guest.booted == ["one"]
    Guest.running.clear()
    for _ in range(3):
        lab.advance()
        assert Guest.booted == ["one", "two"]
    Guest.running.clear()
    lab.advance()
    assert Guest.booted == ["one", "two"]


def test_the_reports_of_a_guest_that_was_ahead_are_those_of_its_boot(lab: Any) -> None:
    lab.advance()
    assert list(lab.reports(ITEMS[1])) == ["one: b"]
    assert Guest.booted == ["one"]
    assert lab._boots["one"].wanted == ["b", "f"]


def test_one_that_must_be_alone_begins_when_the_others_have_ended(lab: Any) -> None:
    lab.advance()
    assert list(lab.reports(ITEMS[0])) == ["pair: a"]
    assert Guest.running == {"pair"}


def test_the_tests_that_need_no_guest_come_first_and_those_that_are_alone_last(monkeypatch: pytest.MonkeyPatch) -> None:
    items: Any = [*ITEMS, Item("integration"), Item("z")]
    monkeypatch.setattr(elsewhere, "reports_to", lambda: "")
    elsewhere.pytest_collection_modifyitems(BESIDE, items)
    assert [item.nodeid for item in items] == ["c", "z", "integration", "b", "f", "d", "a", "e"]
    assert [elsewhere.group_of(item) for item in items] == [None, None, "beside", "one", "one", "two", "pair", "pair"]


def test_who_asks_for_one_folder_alone_has_it_in_this_process() -> None:
    items: Any = [Item("integration")]
    elsewhere.pytest_collection_modifyitems(BESIDE, items)
    assert elsewhere.group_of(items[0]) is None


def test_the_process_beside_begins_at_once_and_guests_do_not_wait_for_it(lab: Any) -> None:
    lab._to_come["beside"] = ["integration"]
    lab.advance()
    assert Guest.booted == ["beside", "one"]


def test_nothing_is_left_at_the_end(lab: Any) -> None:
    lab.advance()
    lab.close()
    assert Guest.running == set()
