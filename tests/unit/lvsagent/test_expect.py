"""What counts as the expected answer, however the network cuts it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lvsagent.core.expect import output_matches, prefix_verdict


@pytest.mark.parametrize(
    ("expect", "answer", "verdict"),
    [
        (b"HTTP", b"HTTP/1.1 200 OK", True),
        (b"HTTP", b"HTTP", True),
        (b"HTTP", b"HTT", None),
        (b"HTTP", b"", None),
        (b"HTTP", b"SSH", False),
        (b"HTTP", b"X", False),
        (b"", b"", True),
        (b"2** OK", b"250 OK", True),
        (b"*", b"", None),
        (b"*", b"\0", True),
        (b"a*c", b"axd", False),
        (b"**", b"*", None),
    ],
)
def test_the_answer_must_begin_with_what_is_expected(expect: bytes, answer: bytes, verdict: bool | None) -> None:
    assert prefix_verdict(expect, answer) is verdict


@given(st.binary(max_size=20), st.binary(max_size=40), st.lists(st.integers(0, 40)))
@example(b"\r\n*", b"\r\nX", [1])
def test_any_segmentation_gives_the_same_verdict(expect: bytes, answer: bytes, cuts: list[int]) -> None:
    whole = prefix_verdict(expect, answer)
    stages = [prefix_verdict(expect, answer[:cut]) for cut in [*sorted(cuts), len(answer)]]
    decided = [verdict for verdict in stages if verdict is not None]
    assert all(verdict is whole for verdict in decided)
    assert stages[-1] is whole


@pytest.mark.parametrize(
    ("expect", "output", "matches"),
    [
        (b"OK", b"OK", True),
        (b"OK", b"OK\n", True),
        (b"OK", b"OK\n\n", False),
        (b"OK\n", b"OK\n", True),
        (b"OK", b"OKAY", False),
        (b"O*", b"OK", False),
        (b"", b"\n", True),
        (b"", b"", True),
    ],
)
def test_a_programs_output_must_be_exactly_what_is_expected(expect: bytes, output: bytes, matches: bool) -> None:
    assert output_matches(expect, output) is matches
