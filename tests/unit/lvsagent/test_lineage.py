"""Two histories compared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvsagent.core.lineage import Relation, ancestors, common, compare, includes, since

GRAPH = {"a": (), "b": ("a",), "c": ("b",), "x": ("b",), "m": ("c", "x"), "s": ()}


def test_the_empty_history_is_part_of_every_other() -> None:
    assert includes("c", "", GRAPH.get)
    assert not includes("", "c", GRAPH.get)
    assert list(ancestors("", GRAPH.get)) == []


def test_what_one_has_and_the_other_has_not_comes_parents_first() -> None:
    assert since("m", ["c"], GRAPH.get) == ["x", "m"]
    assert since("c", [""], GRAPH.get) == ["a", "b", "c"]
    assert since("c", ["m"], GRAPH.get) == []
    assert since("m", ["s"], GRAPH.get) == ["a", "b", "c", "x", "m"]


def test_where_two_parted_is_the_newest_that_both_have() -> None:
    assert common("c", ["x", "b", "a"], GRAPH.get) == "b"
    assert common("c", ["s"], GRAPH.get) == ""


def test_two_heads_compare_by_who_has_the_other_ones() -> None:
    def relation(here: str, there: str, *, same: bool = False) -> Relation:
        return compare(
            (here, "t"),
            (there, "t" if same else "u"),
            peer_has_ours=includes(there, here, GRAPH.get),
            we_have_theirs=includes(here, there, GRAPH.get),
        )

    assert relation("c", "c") is Relation.IN_STEP
    assert relation("c", "a") is Relation.BEHIND
    assert relation("a", "m") is Relation.AHEAD
    assert relation("c", "x") is Relation.DIVERGED
    assert relation("c", "s", same=True) is Relation.TWINS
    assert relation("c", "") is Relation.BEHIND
    assert relation("", "c") is Relation.AHEAD


@given(st.lists(st.lists(st.integers(0, 30), max_size=2), max_size=25), st.data())
def test_what_is_missing_and_what_is_known_make_the_whole(parents: list[list[int]], data: st.DataObject) -> None:
    graph = {str(n): tuple(dict.fromkeys(str(p) for p in ps if p < n)) for n, ps in enumerate(parents)}
    if not graph:
        return
    one, other = data.draw(st.sampled_from(list(graph))), data.draw(st.sampled_from(list(graph)))
    missing = since(one, [other], graph.get)
    ours, theirs = set(ancestors(one, graph.get)), set(ancestors(other, graph.get))
    assert set(missing) == ours - theirs
    assert len(missing) == len(set(missing))
    for place, each in enumerate(missing):
        assert all(parent in theirs or parent in missing[:place] for parent in graph[each])
