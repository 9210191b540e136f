"""Two edits of one text: both stand where they do not meet, and where they do it is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.merging import Clash, merge

BASE = "one\ntwo\nthree\nfour\nfive\n"
TEXTS = st.lists(st.sampled_from(["one", "two", "three", "four", ""]), max_size=8).map("\n".join)


def test_edits_of_different_lines_both_stand() -> None:
    merged = merge(BASE, BASE.replace("two", "TWO"), BASE.replace("four", "FOUR"))
    assert merged.text == "one\nTWO\nthree\nFOUR\nfive\n"
    assert merged.clashes == ()


def test_edits_of_neighbouring_lines_both_stand() -> None:
    merged = merge(BASE, BASE.replace("two", "TWO"), BASE.replace("one", "ONE").replace("three", "THREE"))
    assert merged.text == "ONE\nTWO\nTHREE\nfour\nfive\n"
    assert merged.clashes == ()


def test_lines_that_came_and_lines_that_went() -> None:
    merged = merge(BASE, "zero\n" + BASE, BASE.replace("three\nfour\n", ""))
    assert merged.text == "zero\none\ntwo\nfive\n"
    assert merged.clashes == ()


def test_one_line_changed_by_both_is_a_clash_and_mine_is_taken() -> None:
    merged = merge(BASE, BASE.replace("two", "mine"), BASE.replace("two", "theirs"))
    assert merged.text == BASE.replace("two", "mine")
    assert merged.clashes == (Clash(2, 2, "two", "mine", "theirs"),)


def test_the_same_change_by_both_is_none() -> None:
    changed = BASE.replace("two", "TWO")
    assert merge(BASE, changed, changed) == merge(BASE, changed, BASE)


def test_a_line_changed_inside_lines_that_were_taken_out_is_a_clash() -> None:
    merged = merge(BASE, BASE.replace("three", "mine"), "one\nfive\n")
    assert merged.text == "one\ntwo\nmine\nfour\nfive\n"
    assert [(one.first, one.last, one.theirs) for one in merged.clashes] == [(2, 4, "")]


def test_lines_put_at_the_same_place_by_both_are_a_clash() -> None:
    merged = merge(BASE, BASE.replace("two\n", "two\nmine\n"), BASE.replace("two\n", "two\ntheirs\n"))
    assert merged.clashes == (Clash(3, 2, "", "mine", "theirs"),)


@given(TEXTS, TEXTS)
def test_who_alone_changed_something_has_it(base: str, changed: str) -> None:
    for merged in (merge(base, changed, base), merge(base, base, changed)):
        assert merged.text == changed
        assert merged.clashes == ()


@given(TEXTS, TEXTS, TEXTS)
def test_without_a_clash_it_does_not_matter_who_is_who(base: str, mine: str, theirs: str) -> None:
    merged, other = merge(base, mine, theirs), merge(base, theirs, mine)
    assert len(merged.clashes) == len(other.clashes)
    if not merged.clashes:
        assert merged.text == other.text
