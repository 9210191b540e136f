"""Names in URLs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.refs import Ref, index_of, refs, replaced

NAMES = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\udcff~%/. "), max_size=20)


@dataclass
class Block:
    name: str


@given(NAMES, st.integers(1, 999))
def test_any_name_survives_its_slug(name: str, ordinal: int) -> None:
    assert Ref.parse(Ref(name, ordinal).slug) == Ref(name, ordinal)


@given(NAMES, NAMES)
def test_two_names_never_share_a_slug(one: str, other: str) -> None:
    assert (Ref(one).slug == Ref(other).slug) == (one == other)


@given(NAMES)
def test_a_slug_is_one_path_segment_that_no_browser_rewrites(name: str) -> None:
    slug = Ref(name).slug
    assert slug
    assert "/" not in slug
    assert slug not in {".", ".."}
    slug.encode("utf-8")


@given(st.text(max_size=20))
def test_any_slug_means_something(slug: str) -> None:
    Ref.parse(slug)


def test_blocks_of_one_name_get_numbers_in_order() -> None:
    assert refs([Block("a"), Block("b"), Block("a")]) == [Ref("a"), Ref("b"), Ref("a", 2)]
    assert index_of([Block("a"), Block("b"), Block("a")], Ref("a", 2)) == 2


@pytest.mark.parametrize("ref", [Ref("c"), Ref("a", 3), Ref("a", 0), Ref("a", -1)])
def test_a_block_that_is_not_there_is_a_lookup_error(ref: Ref) -> None:
    with pytest.raises(LookupError):
        index_of([Block("a"), Block("b"), Block("a")], ref)


def test_replacing_leaves_the_others() -> None:
    blocks = (Block("a"), Block("b"), Block("c"))
    assert replaced(blocks, 1, Block("x")) == (Block("a"), Block("x"), Block("c"))
    assert replaced(blocks, 1, None) == (Block("a"), Block("c"))
