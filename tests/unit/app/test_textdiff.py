"""Differences of two texts, as shown on REVIEW."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import textdiff
from app.textdiff import changed_parts, unified

LINES = st.lists(st.sampled_from(["a", "b", "}", "serial_no = 1", "serial_no = 2"]), max_size=14)


def applied(old: list[str], new: list[str]) -> list[str]:
    """``old`` with the parts that differ taken from ``new``."""
    made, at = [], 0
    for a, b, c, d in changed_parts(old, new):
        made += old[at:a] + new[c:d]
        at = b
    return made + old[at:]


@given(LINES, LINES)
def test_the_parts_lead_from_the_old_text_to_the_new(old: list[str], new: list[str]) -> None:
    assert applied(old, new) == new


@given(LINES, LINES, st.integers(1, 3))
def test_cut_into_however_small_pieces_they_do_too(old: list[str], new: list[str], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textdiff, "PIECE", piece)
        assert applied(old, new) == new


def test_a_batch_edit_all_over_a_large_file_shows_its_lines_and_is_quick() -> None:
    old = ["serial_no = 1"]
    for number in range(5000):
        old += [f"virtual web{number} {{", "active = 1", "server number1 {", f"address = 10.0.{number // 250}.{number % 250}", "}", "}"]
    new = [line.replace("active = 1", "active = 0") if number % 60 == 2 else line for number, line in enumerate(old)]
    began = time.perf_counter()
    parts = changed_parts(old, new)
    took = time.perf_counter() - began
    assert parts == [(number, number + 1, number, number + 1) for number in range(2, len(old), 60)]
    assert took < 1.0


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
