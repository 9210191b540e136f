"""The chain of revisions: what an id says, what somebody lacks of a history, and which texts may go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.revisions import DAY_S, Revision, TextKept, ancestors, link, linked, missing, parents_of, texts_to_drop

words = st.text(max_size=12)
revisions = st.builds(
    Revision,
    parent=words,
    other_parent=words,
    etag=words,
    serial=st.integers(0, 10**9),
    at=st.floats(0, 4e9, allow_nan=False),
    node=words,
    actor=words,
    origin=words,
    comment=words,
)


@given(revisions, st.sampled_from(["parent", "other_parent", "etag", "node", "actor", "origin", "comment"]), words)
def test_the_id_changes_with_every_field(one: Revision, field: str, value: str) -> None:
    changed = replace(link(one), **{field: value})  # type: ignore[arg-type]
    assert linked(changed) is (getattr(one, field) == value)


@given(revisions)
def test_what_moves_from_one_field_to_the_next_is_another_revision(one: Revision) -> None:
    moved = replace(one, actor=one.actor + one.origin, origin="")
    assert (link(moved).id == link(one).id) is (moved == one)


@st.composite
def histories(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """A few dozen revisions, each with up to two of the earlier ones (or one that is not known here) as its parents."""
    made: dict[str, tuple[str, ...]] = {}
    for number in range(draw(st.integers(1, 25))):
        made[str(number)] = tuple(draw(st.lists(st.sampled_from([*made, "elsewhere"]), max_size=2, unique=True)))
    return made


@given(histories(), st.data())
def test_what_is_missing_comes_after_its_parents_and_completes_what_is_known(
    parents: dict[str, tuple[str, ...]], data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from(list(parents)))
    known = ancestors(parents, data.draw(st.sampled_from(list(parents))))
    lacking = missing(parents, wanted, known)
    assert {*lacking} == ancestors(parents, wanted) - known
    have = {*known, "elsewhere"}
    for one in lacking:
        assert have.issuperset(parents[one])
        have.add(one)


def test_nobody_descends_from_what_is_not_known() -> None:
    assert ancestors({}, "a") == frozenset()
    assert missing({}, "a", ()) == []


def test_a_chain_of_thousands_is_walked() -> None:
    parents = {str(number): (str(number - 1),) if number else () for number in range(20_000)}
    assert len(ancestors(parents, "19999")) == 20_000
    assert missing(parents, "19999", ancestors(parents, "19997")) == ["19998", "19999"]


def test_however_many_revisions_somebody_knows_each_is_looked_at_once() -> None:
    class Counted(dict[str, tuple[str, ...]]):
        looks = 0

        def __getitem__(self, key: str) -> tuple[str, ...]:
            self.looks += 1
            return super().__getitem__(key)

    parents = Counted({str(number): (str(number - 1),) if number else () for number in range(5000)})
    assert len(ancestors(parents, *parents, *parents)) == 5000
    assert parents.looks == 5000


def test_the_parents_are_those_that_are_named() -> None:
    one = Revision(parent="", other_parent="", etag="", serial=0, at=0, node="", actor="", origin="start")
    assert parents_of(one) == ()
    assert parents_of(replace(one, parent="a", other_parent="b")) == ("a", "b")


def kept(count: int, *, every_s: float, size: int = 100, joins: tuple[int, ...] = ()) -> list[TextKept]:
    def parents(number: int) -> tuple[str, ...]:
        return (str(number - 1), str(number // 2)) if number in joins else (str(number - 1),)

    return [TextKept(str(number), f"text {number}", parents(number), number * every_s, size) for number in range(count)]


def test_nothing_goes_while_there_are_few() -> None:
    assert texts_to_drop(kept(1500, every_s=60), ()) == frozenset()


def test_of_the_older_ones_the_first_and_the_last_of_each_day_stay() -> None:
    texts = kept(1500 + 300, every_s=DAY_S / 100)
    dropped = texts_to_drop(texts, ())
    assert [text.id for text in texts if text.etag not in dropped] == ["0", "99", "199", *map(str, range(299, 1800))]


def test_what_joins_two_histories_stays_with_its_parents() -> None:
    texts = kept(100, every_s=1, joins=(40,))
    dropped = texts_to_drop(texts, ["30"], whole=10)
    assert [text.id for text in texts[:90] if text.etag not in dropped] == ["0", "20", "30", "39", "40", "89"]


def test_when_the_texts_are_too_large_together_the_oldest_go_first() -> None:
    texts = kept(100, every_s=1, size=1000)
    dropped = texts_to_drop(texts, ["5"], most_bytes=10_000)
    assert [text.id for text in texts if text.etag not in dropped] == ["5", *map(str, range(91, 100))]


def test_a_text_that_a_newer_revision_has_too_stays() -> None:
    texts = kept(100, every_s=1)
    texts[3] = replace(texts[3], etag=texts[99].etag)
    assert texts[99].etag not in texts_to_drop(texts, (), whole=10)


@pytest.mark.parametrize("whole", [0, 1, 50, 1500])
@given(count=st.integers(0, 200), every_s=st.floats(1, 2 * DAY_S), size=st.integers(1, 500))
def test_the_newest_stay_and_the_size_is_bounded(whole: int, count: int, every_s: float, size: int) -> None:
    texts = kept(count, every_s=every_s, size=size)
    dropped = texts_to_drop(texts, (), whole=whole, most_bytes=60_000)
    assert sum(text.size_bytes for text in texts if text.etag not in dropped) <= 60_000
    if count * size <= 60_000:
        assert not dropped & {text.etag for text in texts[max(count - whole, 0) :]}
