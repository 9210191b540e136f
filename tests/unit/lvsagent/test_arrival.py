"""Revisions from the other director are believed in nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from lvsagent.core.arrival import Arrival, objection
from lvsagent.core.revisions import Revision, link

TEXT = b"serial_no = 8\n"


def made(parent: str = "", text: bytes = TEXT, **fields: object) -> Arrival:
    etag = hashlib.sha256(text).hexdigest()
    revision = Revision(parent=parent, etag=etag, serial=8, at=5.0, node="lefty", actor="ann", origin="console")
    return Arrival(link(replace(revision, **fields)), text)  # type: ignore[arg-type]


def words(*arrivals: Arrival, known: frozenset[str] = frozenset(), most: int = 10, largest: int = 1000) -> str:
    return objection(arrivals, known.__contains__, most=most, largest_bytes=largest)


def test_a_line_that_follows_on_what_is_known_is_taken() -> None:
    first = made()
    second = made(first.revision.id, b"serial_no = 9\n")
    assert words(first, second) == ""
    assert words(second, known=frozenset({first.revision.id})) == ""
    assert words(Arrival(first.revision, None), second) == ""


@pytest.mark.parametrize(
    ("arrival", "said"),
    [
        (Arrival(replace(made().revision, id="0" * 64), TEXT), "id that its content leads to"),
        (Arrival(replace(made().revision, actor="eve"), TEXT), "id that its content leads to"),
        (Arrival(made().revision, b"other text"), "text that its ETag speaks of"),
        (made("f" * 64), "follows on one that is not known"),
        (made(other_parent="f" * 64), "follows on one that is not known"),
        (made(origin="elsewhere"), "origin"),
        (made(comment="x" * 501), "more than 500 characters"),
        (made(at=1e300), "at a time that no clock shows"),
        (made(at=-0.0), "at a time that no clock shows"),
        (made(at=-1.0), "at a time that no clock shows"),
        (made(serial=2**63), "serial number that no lvs.cf can have"),
        (made(serial=-(2**63) - 1), "serial number that no lvs.cf can have"),
        (made(text=b"x" * 1001), "more than 0 KiB"),
        (Arrival(made().revision, None), "text of the newest"),
    ],
)
def test_what_is_not_what_it_says_is_refused_with_the_reason(arrival: Arrival, said: str) -> None:
    assert said in words(arrival)


def test_nothing_and_too_much_are_refused() -> None:
    assert words() == "no revision was sent"
    assert "more than the 1" in words(made(), made(), most=1)
