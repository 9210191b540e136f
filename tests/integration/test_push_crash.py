"""A crash at every step of accept → revision → file → table → push, on either director or on both: afterwards there is one story."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from lvsagent.adapters.config_files import etag_of
from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from tests.integration.push_crash import NEW, RECEIVES, SENDS
from tests.integration.sync_lab import PAIR


def crashed(folder: Path, victim: str) -> dict[str, Path]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.push_crash", str(folder), victim],
        timeout=110,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return {one.name: one for one in folder.iterdir()}


def chain(folder: Path) -> list[tuple[str, str, str, str]]:
    """A director's history, newest first: id, comment, how it ended, its text."""
    store = SqliteRevisions(folder / "state" / "history.db")
    try:
        found, one = [], store.head()
        while one is not None:
            text = store.text(one.revision.etag)
            assert text is not None
            assert etag_of(text) == one.revision.etag
            found.append((one.revision.id, one.revision.comment, one.outcome, text.decode()))
            one = store.by_id(one.revision.parent)
        return found
    finally:
        store.close()


@pytest.mark.parametrize("victim", [SENDS, RECEIVES, "both"])
async def test_a_crash_at_any_step_of_a_change_and_its_push_leaves_one_story_on_both(tmp_path: Path, victim: str) -> None:
    folders = await asyncio.to_thread(crashed, tmp_path, victim)
    assert len(folders) > 25
    taken = 0
    for name, folder in folders.items():
        here, there = (folder / SENDS / "etc" / "lvs.cf").read_text(), (folder / RECEIVES / "etc" / "lvs.cf").read_text()
        assert here == there, name
        assert here in {PAIR, NEW}, name
        stories = [chain(folder / side) for side in (SENDS, RECEIVES)]
        assert [each[:2] for each in stories[0]] == [each[:2] for each in stories[1]], name
        for story in stories:
            assert [text for *_, text in story] == ([NEW, PAIR] if here == NEW else [PAIR]), name
            assert {outcome for _, _, outcome, _ in story} == {"applied"}, name
        if (folder / SENDS / "accepted").exists() or victim == RECEIVES:
            assert here == NEW, name
        taken += here == NEW
    assert 0 < taken <= len(folders)
    assert (taken < len(folders)) == (victim != RECEIVES)
