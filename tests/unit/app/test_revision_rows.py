"""Revisions in words."""

from __future__ import annotations

import datetime as dt

import pytest

from app.revision_rows import ORIGINS, OUTCOMES, day_and_time, row, rows
from lvsagent.core import revisions
from lvsagent.wire import RevisionInfo
from tests.fakes.agent import NOW


def info(number: int = 1, **changes: object) -> RevisionInfo:
    given = {
        "number": number,
        "id": "i",
        "parent": "",
        "etag": f"e{number}",
        "serial": number,
        "at": NOW,
        "node": "lefty",
        "actor": "piranha",
    }
    return RevisionInfo(**{"origin": "console", **given, **changes})  # type: ignore[arg-type]  # a test names the fields


def test_every_origin_and_outcome_there_is_has_its_words() -> None:
    assert set(ORIGINS) == set(revisions.ORIGINS)
    assert set(OUTCOMES) == set(revisions.OUTCOMES)


def test_an_origin_of_a_later_agent_is_shown_as_it_is() -> None:
    assert row(info(origin="telepathy", outcome="odd"), NOW, in_force=False).origin == "telepathy"


@pytest.mark.parametrize(
    ("changes", "comment", "shown"),
    [
        (["a 1 → 2"], "a 1 → 2", ""),
        (["serial_no 1 → 2", "a 1 → 2"], "a 1 → 2", ""),
        (["a", "b", "c", "d"], "a; b; c; and 1 more", ""),
        (["a 1 → 2", "b" * 300, "c" * 300], ("a 1 → 2; " + "b" * 300 + "; " + "c" * 300)[:500], ""),
        (["a"], "because of the heat", "because of the heat"),
        ([], "because of the heat", "because of the heat"),
        (["serial_no 1 → 2"], "only the serial", "only the serial"),
    ],
)
def test_a_comment_that_repeats_the_changes_is_left_out(changes: list[str], comment: str, shown: str) -> None:
    assert row(info(changes=changes, comment=comment), NOW, in_force=False).comment == shown


def test_the_newest_with_the_files_etag_is_in_force() -> None:
    found = [info(3, etag="same"), info(2), info(1, etag="same")]
    assert [one.in_force for one in rows(found, "same", NOW, newest=True)] == [True, False, False]
    assert [one.in_force for one in rows(found, "other", NOW, newest=True)] == [False, False, False]
    assert [one.in_force for one in rows(found[1:], "same", NOW, newest=False)] == [False, False]


def test_a_moment_has_its_day_when_that_is_not_today() -> None:
    now = dt.datetime(2026, 3, 9, 12, 0).astimezone()
    said = [
        day_and_time((now - ago).timestamp(), now.timestamp()) for ago in (dt.timedelta(), dt.timedelta(days=1), dt.timedelta(days=300))
    ]
    assert said == ["today 12:00", "8 Mar 12:00", "2025-05-13 " + (now - dt.timedelta(days=300)).astimezone().strftime("%H:%M")]
