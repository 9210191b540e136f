"""The database of revisions on a real disk: full, read-only, damaged, moved away, killed in the middle, and long."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.revision_rows import day_and_time
from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from lvsagent.core.arrival import Arrival, objection
from lvsagent.core.revisions import KeptRevision, Revision, link
from lvsagent.ports import AdapterError, HistoryDamaged
from tests.integration.lvsd_lab import TUTORIAL, mode_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def text_of(number: int) -> bytes:
    return TUTORIAL.replace("serial_no = 1", f"serial_no = {number}").encode()


def revision(number: int, parent: str = "", at: float = 0) -> Revision:
    etag = hashlib.sha256(text_of(number)).hexdigest()
    return link(Revision(parent=parent, etag=etag, serial=number, at=at or 1e9 + number, node="lefty", actor="piranha", origin="console"))


def grow(store: SqliteRevisions, numbers: range, parent: str = "", every_s: float = 1) -> str:
    for number in numbers:
        one = revision(number, parent, 1e9 + number * every_s)
        store.add(one, text_of(number))
        parent = one.id
    return parent


def numbers(found: tuple[KeptRevision, ...]) -> list[int]:
    return [one.number for one in found]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["0", "1e3", "x'00'", "a\x00b", " ", "é\u0301"])


@given(
    node=WORDS,
    actor=WORDS,
    comment=WORDS,
    at=st.floats() | st.sampled_from([0.0, -0.0, 0.5, 1e11, 1e300]),
    serial=st.integers() | st.sampled_from([2**63 - 1, 2**63, -(2**63) + 1, -(2**63)]),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_believed_of_the_other_director_is_kept_and_found_again(
    tmp_path_factory: pytest.TempPathFactory, node: str, actor: str, comment: str, at: float, serial: int
) -> None:
    made = replace(revision(1), node=node, actor=actor, comment=comment, at=at, serial=serial)
    sent = Arrival(link(made), text_of(1))
    if objection([sent], lambda _id: False, most=1, largest_bytes=10_000):
        return
    store = SqliteRevisions(tmp_path_factory.mktemp("store") / "history.db")
    store.add(sent.revision, text_of(1))
    assert [one.revision for one in store.newest(1)] == [sent.revision]
    assert day_and_time(at, 1e9)
    store.close()


def test_it_outlives_the_process_and_is_nobody_elses_business(path: Path) -> None:
    store = SqliteRevisions(path)
    grow(store, range(1, 4))
    store.close()
    again = SqliteRevisions(path)
    assert numbers(again.newest(10)) == [3, 2, 1]
    assert mode_of(path) == 0o600
    again.close()


CRASH = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from lvsagent.adapters.revisions_sqlite import SqliteRevisions
    from tests.integration.test_revisions_store import grow, revision, text_of
    store = SqliteRevisions(Path(sys.argv[1]))
    parent = grow(store, range(1, 6))
    print("five", flush=True)
    store._opened().execute("BEGIN")
    store._opened().execute("DELETE FROM revisions")
    os.kill(os.getpid(), signal.SIGKILL)
    """
)


def test_a_process_killed_in_the_middle_of_a_change_leaves_what_was_kept_before(path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", CRASH, str(path)], timeout=60, check=False, capture_output=True, text=True)
    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "five\n")
    store = SqliteRevisions(path)
    assert numbers(store.newest(10)) == [5, 4, 3, 2, 1]
    store.close()


@pytest.mark.parametrize("damage", ["overwritten", "cut", "not a database", "a line changed by hand"])
def test_a_damaged_database_is_set_aside_and_a_fresh_one_begun(path: Path, damage: str) -> None:
    store = SqliteRevisions(path)
    grow(store, range(1, 40))
    store.close()
    data = path.read_bytes()
    if damage == "overwritten":
        path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "not a database":
        path.write_bytes(b"serial_no = 1\n" * 1000)
    else:
        with sqlite3.connect(path) as tampering:
            tampering.execute("UPDATE revisions SET actor = 'somebody else' WHERE number = 39")
        tampering.close()
    with pytest.raises(HistoryDamaged, match=r"history\.db is damaged \(.+\): it is kept as history\.db\.damaged-1, and a fresh one"):
        store.newest(5)
    assert path.with_name("history.db.damaged-1").exists()
    assert (store.head(), store.total()) == (None, 0)
    grow(store, range(1, 3))
    assert numbers(store.newest(5)) == [2, 1]
    store.close()


def test_a_text_that_is_damaged_costs_that_text_alone(path: Path) -> None:
    store = SqliteRevisions(path)
    grow(store, range(1, 4))
    with sqlite3.connect(path) as tampering:
        tampering.execute("UPDATE texts SET data = ? WHERE etag = ?", (b"not compressed", revision(1).etag))
    tampering.close()
    with pytest.raises(AdapterError, match=r"the text kept in .* is damaged"):
        store.text(revision(1).etag)
    assert numbers(store.newest(5)) == [3, 2, 1]
    store.close()


def test_one_of_another_version_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    store = SqliteRevisions(path)
    with pytest.raises(AdapterError, match="written by another version of the agent"):
        store.head()
    assert [found.name for found in path.parent.iterdir() if "damaged" in found.name] == []


def test_one_that_is_moved_away_while_it_is_open_is_begun_anew(path: Path) -> None:
    store = SqliteRevisions(path)
    grow(store, range(1, 4))
    for found in list(path.parent.iterdir()):
        found.rename(found.with_name(f"away-{found.name}"))
    assert store.head() is None
    grow(store, range(5, 6))
    assert [one.revision.serial for one in store.newest(5)] == [5]
    store.close()


def test_a_folder_that_is_not_there_is_said_and_tried_again(path: Path) -> None:
    store = SqliteRevisions(path.parent / "state" / "history.db")
    with pytest.raises(AdapterError, match=r"the history cannot be kept in .*: no such file or directory"):
        store.add(revision(1), text_of(1))
    (path.parent / "state").mkdir()
    assert store.add(revision(1), text_of(1)) == 1
    store.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
class TestOnADiskOfItsOwn:
    @pytest.fixture
    def small(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "small"
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "none", str(folder)], check=False, capture_output=True)
        if mounted.returncode:
            pytest.skip("this machine lets nobody mount")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_space(self, small: Path) -> None:
        store = SqliteRevisions(small / "history.db")
        parent = grow(store, range(1, 6))
        ballast = small / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(AdapterError, match=r"the history cannot be kept in .*: no space left on the disk"):
            grow(store, range(6, 60), parent)
        kept = numbers(store.newest(100))
        assert kept == list(range(len(kept), 0, -1))
        assert len(kept) >= 5
        ballast.unlink()
        assert store.add(revision(70, parent), text_of(70)) == len(kept) + 1
        store.close()

    def test_a_read_only_disk_is_said_and_nothing_is_lost(self, small: Path) -> None:
        store = SqliteRevisions(small / "history.db")
        parent = grow(store, range(1, 4))
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        try:
            with pytest.raises(AdapterError, match="read-only"):
                store.add(revision(4, parent), text_of(4))
        finally:
            store.close()
            subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
        assert store.add(revision(4, parent), text_of(4)) == 4
        store.close()


def test_old_texts_are_thinned_and_their_lines_stay(path: Path) -> None:
    store = SqliteRevisions(path, whole=100, most_lines=250)
    grow(store, range(1, 257), every_s=864)  # a hundred a day
    every = store.newest(1000)
    assert numbers(every) == list(range(256, 6, -1)), "of the lines the oldest go when there are too many"
    kept = [one.number for one in every if one.kept]
    assert kept[:100] == list(range(256, 156, -1))
    assert 1 <= len(kept[100:]) <= 5
    assert store.text(every[-2].revision.etag) is None
    store.close()


def test_two_thousand_revisions_are_listed_at_once(path: Path) -> None:
    store = SqliteRevisions(path)
    grow(store, range(1, 2001))
    store.close()
    store.head()  # opens it, and looks it over
    began = monotonic()
    page = store.newest(50, before=1000)
    took_s = monotonic() - began
    assert numbers(page) == list(range(999, 949, -1))
    assert took_s < 0.1
    assert path.stat().st_size < 4_000_000
    store.close()
