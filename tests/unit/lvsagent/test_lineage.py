"""Two histories compared."""

from __future__ import annotations

from lvsagent.core.lineage import Relation, common, compare, includes, recent

GRAPH: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("b",), "x": ("b",), "m": ("c", "x"), "s": ()}


def test_the_empty_history_is_part_of_every_other() -> None:
    assert includes("c", "", GRAPH)
    assert not includes("", "c", GRAPH)
    assert recent("", GRAPH, 9) == []


def test_the_nearest_come_first_and_no_more_than_asked() -> None:
    assert recent("m", GRAPH, 9) == ["m", "c", "x", "b", "a"]
    assert recent("m", GRAPH, 2) == ["m", "c"]


def test_where_two_parted_is_the_newest_that_both_have() -> None:
    assert common("c", ["x", "b", "a"], GRAPH) == "b"
    assert common("c", ["s"], GRAPH) == ""


def test_two_heads_compare_by_who_has_the_other_ones() -> None:
    def relation(here: str, there: str, *, same: bool = False) -> Relation:
        has_ours, has_theirs = includes(there, here, GRAPH), includes(here, there, GRAPH)
        return compare((here, "t"), (there, "t" if same else "u"), peer_has_ours=has_ours, we_have_theirs=has_theirs)

    assert relation("c", "c") is Relation.IN_STEP
    assert relation("c", "a") is Relation.BEHIND
    assert relation("a", "m") is Relation.AHEAD
    assert relation("c", "x") is Relation.DIVERGED
    assert relation("c", "s", same=True) is Relation.TWINS
    assert relation("c", "") is Relation.BEHIND
    assert relation("", "c") is Relation.AHEAD
