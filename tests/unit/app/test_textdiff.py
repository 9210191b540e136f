"""Differences of two texts, as shown on REVIEW."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.textdiff import changed_parts, unified

LINES = st.lists(st.sampled_from(["a", "b", "}", "serial_no = 1", "serial_no = 2"]), max_size=14)


@given(LINES, LINES)
def test_the_parts_lead_from_the_old_text_to_the_new(old: list[str], new: list[str]) -> None:
    made, at = [], 0
    for a, b, c, d in changed_parts(old, new):
        made += old[at:a] + new[c:d]
        at = b
    assert made + old[at:] == new


@given(LINES, LINES)
def test_every_line_shown_is_where_it_says(old: list[str], new: list[str]) -> None:
    for line in unified("\n".join(old), "\n".join(new)):
        if line.sign in "+ ":
            assert new[line.number - 1] == line.text
        elif line.sign == "-":
            assert old[line.number - 1] == line.text


def test_an_edit_far_from_the_serial_shows_two_places() -> None:
    old = ["serial_no = 1", *[f"line {n}" for n in range(50_000)]]
    new = ["serial_no = 2", *old[1:30_000], "here", *old[30_001:]]
    shown = [(line.sign, line.text) for line in unified("\n".join(old), "\n".join(new)) if line.sign in "+-"]
    assert shown == [("-", "serial_no = 1"), ("+", "serial_no = 2"), ("-", "line 29999"), ("+", "here")]


def test_the_same_text_differs_nowhere() -> None:
    assert unified("a\nb\n", "a\nb\n") == []
