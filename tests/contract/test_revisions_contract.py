"""The port ``RevisionStore``: the fake and SQLite answer alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from lvsagent.core.revisions import Revision, ancestors, link, missing
from lvsagent.ports import RevisionStore
from tests.fakes.revisions import FakeRevisionStore


@pytest.fixture(params=["fake", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RevisionStore]:
    made: RevisionStore = FakeRevisionStore() if request.param == "fake" else SqliteRevisions(tmp_path / "history.db")
    yield made
    made.close()


def text_of(number: int) -> bytes:
    return f"serial_no = {number}\n# \udcff\n".encode("utf-8", "surrogateescape")


def revision(number: int, parent: str = "", *, other_parent: str = "", node: str = "lefty", comment: str = "") -> Revision:
    return link(
        Revision(
            parent=parent,
            other_parent=other_parent,
            etag=hashlib.sha256(text_of(number)).hexdigest(),
            serial=number,
            at=1_700_000_000.123456 + number,
            node=node,
            actor="piranha",
            origin="console",
            comment=comment or f"numéro {number}",
        )
    )


def chain(store: RevisionStore, count: int) -> list[Revision]:
    made: list[Revision] = []
    for number in range(1, count + 1):
        one = revision(number, made[-1].id if made else "")
        assert store.add(one, text_of(number), [f"serial_no {number - 1} → {number}"]) == number
        store.finish(one.id, "applied")
        made.append(one)
    return made


def test_an_empty_one_has_nothing(store: RevisionStore) -> None:
    assert (store.head(), store.before_head(), store.by_number(1), store.by_id("ab"), store.text("ab")) == (None,) * 5
    assert (store.newest(10), store.total(), dict(store.parents())) == ((), 0, {})


def test_what_is_added_comes_back_as_it_was(store: RevisionStore) -> None:
    first, second = chain(store, 2)
    found = store.by_number(1)
    assert found is not None
    assert (found.revision, found.changes, found.outcome, found.kept) == (first, ("serial_no 0 → 1",), "applied", True)
    assert store.by_id(second.id) == store.by_number(2) == store.head()
    assert store.before_head() == found
    assert (store.text(first.etag), store.text(second.etag)) == (text_of(1), text_of(2))
    assert dict(store.parents()) == {first.id: (), second.id: (first.id,)}


def test_pages_go_from_the_newest_to_the_oldest(store: RevisionStore) -> None:
    chain(store, 7)
    assert [one.number for one in store.newest(3)] == [7, 6, 5]
    assert [one.number for one in store.newest(3, before=5)] == [4, 3, 2]
    assert [one.number for one in store.newest(3, before=2)] == [1]
    assert store.total() == 7


def test_it_is_pending_until_it_is_said_how_it_ended(store: RevisionStore) -> None:
    one = revision(1)
    store.add(one, text_of(1))
    head = store.head()
    assert head is not None
    assert head.outcome == "pending"
    store.finish(one.id, "failed", "virtual server http: refused")
    head = store.head()
    assert head is not None
    assert (head.outcome, head.outcome_words) == ("failed", "virtual server http: refused")
    with pytest.raises(KeyError):
        store.finish("not known", "applied")


def test_one_that_never_reached_the_file_leaves_the_head_where_it_was(store: RevisionStore) -> None:
    first, second = chain(store, 2)
    third = revision(3, second.id)
    store.add(third, text_of(3))
    store.retract("never written")
    head, before, failed = store.head(), store.before_head(), store.by_number(3)
    assert head is not None
    assert before is not None
    assert failed is not None
    assert (head.revision, before.revision) == (second, first)
    assert (failed.outcome, failed.outcome_words) == ("failed", "never written")
    assert store.add(revision(4, second.id), text_of(4)) == 4


def test_the_very_first_one_can_be_taken_back_too(store: RevisionStore) -> None:
    store.add(revision(1), text_of(1))
    store.retract("never written")
    assert (store.head(), store.before_head(), store.total()) == (None, None, 1)


def test_the_other_directors_are_known_without_being_the_head(store: RevisionStore) -> None:
    first, mine = chain(store, 2)
    theirs = revision(12, first.id, node="righty")
    orphan = revision(13, "f" * 64, node="righty")
    assert store.add(theirs, text_of(12), head=False, outcome="applied") == 3
    assert store.add(orphan, text_of(13), head=False, outcome="applied") == 4
    head = store.head()
    assert head is not None
    assert head.revision == mine
    assert dict(store.parents())[orphan.id] == ("f" * 64,)
    joined = revision(14, mine.id, other_parent=theirs.id)
    store.add(joined, text_of(14))
    parents = store.parents()
    assert ancestors(parents, joined.id) == {first.id, mine.id, theirs.id, joined.id}
    assert missing(parents, joined.id, {first.id, theirs.id}) == [mine.id, joined.id]


def test_adding_again_changes_nothing_but_the_head_and_its_outcome(store: RevisionStore) -> None:
    first, second = chain(store, 2)
    theirs = revision(3, second.id, node="righty")
    store.add(theirs, text_of(3), ["their change"], head=False, outcome="applied")
    assert store.add(theirs, text_of(3)) == 3
    head, before = store.head(), store.before_head()
    assert head is not None
    assert before is not None
    assert (head.revision, head.changes, head.outcome, before.revision) == (theirs, ("their change",), "pending", second)
    assert store.add(first, text_of(1), head=False) == 1
    assert store.total() == 3


def test_a_text_that_several_have_is_kept_for_each(store: RevisionStore) -> None:
    first = revision(1)
    again = revision(1, first.id, comment="the same text again")
    store.add(first, text_of(1))
    store.add(again, text_of(1))
    found = store.by_number(2)
    assert found is not None
    assert (found.kept, store.text(again.etag)) == (True, text_of(1))


@pytest.mark.parametrize("wrong", [{"comment": "another"}, {"parent": "e" * 64}, {"id": "0" * 64}, {"serial": 9}])
def test_one_that_is_not_what_its_id_says_is_refused(store: RevisionStore, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not what its id or its ETag says"):
        store.add(replace(revision(1), **wrong), text_of(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not what its id or its ETag says"):
        store.add(revision(1), text_of(2))
    assert store.total() == 0
