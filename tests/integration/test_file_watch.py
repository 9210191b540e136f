"""inotify on real folders: what counts as a new lvs.cf, and what does not."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from inotify_simple import flags

from lvsagent.adapters import file_watch
from lvsagent.adapters.file_watch import FileWatch

LIMIT_S = 5.0


class Seen:
    """How often the file was said to have been written."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self.event.set()

    async def next(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self.event.wait()
        self.event.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc" / "lvs.cf"


@pytest.fixture
async def seen() -> Seen:
    return Seen()


@pytest.fixture
async def watch(path: Path, seen: Seen) -> AsyncIterator[FileWatch]:
    made = FileWatch(path, seen)
    await seen.next()  # whatever happened before
    yield made
    made.close()


def closed_after_writing(path: Path) -> None:
    path.write_text("new")


def renamed_over(path: Path) -> None:
    fresh = path.with_name(".lvs.cf.new")
    fresh.write_text("new")
    fresh.replace(path)


def linked_over(path: Path) -> None:
    path.with_name("other").write_text("new")
    fresh = path.with_name("fresh")
    fresh.symlink_to("other")
    fresh.replace(path)


def read_and_removed(path: Path) -> None:
    path.read_text()
    path.unlink()


@pytest.mark.parametrize("write", [closed_after_writing, renamed_over, linked_over])
@pytest.mark.usefixtures("watch")
async def test_new_content_is_told(path: Path, seen: Seen, write: Callable[[Path], None]) -> None:
    write(path)
    await seen.next()


@pytest.mark.usefixtures("watch")
async def test_other_files_a_file_that_is_read_and_one_that_goes_are_not(path: Path, seen: Seen) -> None:
    closed_after_writing(path)
    await seen.next()
    before = seen.count
    for name in ("lvs.cf~", ".lvs.cf.swp"):
        closed_after_writing(path.with_name(name))
    read_and_removed(path)
    closed_after_writing(path)  # what comes after all of them is told
    await seen.next()
    assert seen.count == before + 1


async def test_a_folder_that_is_replaced_is_watched_from_the_next_look_around(path: Path, seen: Seen, watch: FileWatch) -> None:
    path.parent.rename(path.parent.with_name("old"))
    watch.look_around()
    path.parent.mkdir()
    closed_after_writing(path)
    watch.look_around()
    await seen.next()
    closed_after_writing(path)
    await seen.next()
    before = seen.count
    watch.look_around()
    assert seen.count == before


async def test_a_file_that_is_still_open_is_being_written_and_is_told_when_it_is_closed(path: Path, seen: Seen, watch: FileWatch) -> None:
    closed_after_writing(path)
    await seen.next()
    before = seen.count
    with path.open("w") as file:  # emptied
        assert watch.being_written()
        file.write("half\n")
        file.flush()
        assert watch.being_written()
        assert seen.count == before
    await seen.next()
    assert not watch.being_written()


@pytest.mark.parametrize("end", [renamed_over, Path.unlink, lambda path: path.rename(path.with_name("lvs.cf~"))])
async def test_what_was_being_written_and_is_replaced_or_gone_is_no_longer_waited_for(
    path: Path, watch: FileWatch, end: Callable[[Path], None]
) -> None:
    with path.open("w") as file:
        file.write("half\n")
        file.flush()
        assert watch.being_written()
        end(path)
        assert not watch.being_written()


async def test_what_was_being_written_in_a_folder_that_was_moved_away_is_no_longer_waited_for(path: Path, watch: FileWatch) -> None:
    with path.open("w") as file:
        file.write("half\n")
        file.flush()
        assert watch.being_written()
        ready = path.parent.with_name("ready")
        ready.mkdir()
        (ready / path.name).write_text("whole\n")
        path.parent.rename(path.parent.with_name("old"))
        ready.rename(path.parent)
        watch.look_around()
        assert not watch.being_written()


async def test_a_queue_that_ran_over_is_a_reason_to_look(seen: Seen, watch: FileWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    inotify = watch._inotify
    assert inotify is not None
    monkeypatch.setattr(inotify, "read", lambda **_named: [type("Event", (), {"mask": flags.Q_OVERFLOW, "name": ""})])
    before = seen.count
    watch._read()
    assert seen.count == before + 1


async def test_without_inotify_nothing_is_watched_and_nothing_breaks(
    path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_named: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(file_watch, "INotify", refuse)
    watch = FileWatch(path, seen)
    watch.look_around()
    watch.close()
    assert seen.count == 0
    assert "edits of" in caplog.text
