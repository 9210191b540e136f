"""The history that lvsd keeps: who changed lvs.cf, over the real socket, by hand, through a crash, and when it cannot be kept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.config_files import SystemFiles, etag_of
from lvsagent.adapters.revisions_sqlite import SqliteRevisions
from lvsagent.api.contract import Write
from lvsagent.client import AgentClient, AgentRefused, StaleConfig
from lvsagent.core.revisions import Revision, link
from lvsagent.lvsd.process import run
from lvsagent.wire import RevisionInfo
from tests.fakes.ipvs import FakeIpvs
from tests.fakes.revisions import FakeRevisionStore
from tests.integration.history_crash import NEW
from tests.integration.lvsd_lab import TUTORIAL, Lab, running
from tests.waiting import until

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with running(tmp_path, name="lefty") as one:
        await one.report("up")
        yield one


def serial(number: int, weight: int = 1) -> str:
    return TUTORIAL.replace("serial_no = 1", f"serial_no = {number}").replace("weight = 1", f"weight = {weight}", 1)


async def put(lab: Lab, text: str, **named: str) -> int:
    receipt = await lab.ask(lab.client.put_config, text, if_match=etag_of(lab.lvs_cf.read_bytes()), **named)
    return receipt.revision


async def history(lab: Lab, limit: int = 50, before: int = 0) -> list[RevisionInfo]:
    return (await lab.ask(lab.client.history, limit=limit, before=before)).revisions


async def messages(lab: Lab) -> list[str]:
    return [event.message for event in (await lab.ask(lab.client.events, limit=50)).events]


async def get(lab: Lab, target: str, method: str = "GET", headers: str = "", body: str = "") -> tuple[int, str, bytes]:
    """One request as bytes: status, head, body."""
    reader, writer = await asyncio.open_unix_connection(lab.settings.agent_socket)
    length = f"Content-Length: {len(body.encode())}\r\n" if body else ""
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}{length}\r\n{body}".encode())
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), head.decode(), rest


def chained(revisions: list[RevisionInfo]) -> bool:
    """Newest first, each made from the next."""
    return [one.parent for one in revisions] == [*(one.id for one in revisions[1:]), ""]


# --- accepted through the API ----------------------------------------------------------------------------------------------------


async def test_the_history_begins_with_the_lvs_cf_that_is_there(lab: Lab) -> None:
    (first,) = await history(lab)
    assert (first.number, first.origin, first.actor, first.serial, first.parent) == (1, "start", ME, 1, "")
    assert (first.outcome, first.node, first.etag) == ("applied", "lefty", etag_of(TUTORIAL.encode()))


async def test_what_is_accepted_is_a_revision_with_who_when_why_and_what_came_of_it(lab: Lab) -> None:
    began = lab.director.clock.wall()
    assert await put(lab, serial(2, 3), actor="piranha", comment="number1 is new") == 2
    newest, first = await history(lab)
    assert (newest.number, newest.serial, newest.actor, newest.origin, newest.comment) == (2, 2, "piranha", "console", "number1 is new")
    assert (newest.outcome, newest.outcome_words, newest.node) == ("applied", "1 change to the table", "lefty")
    assert newest.changes == ["serial_no 1 → 2", "real server number1 of http: weight 1 → 3"]
    assert newest.parent == first.id
    assert began <= newest.at <= lab.director.clock.wall()


async def test_what_the_data_plane_refuses_is_how_it_ended(lab: Lab) -> None:
    lab.plane.refuse = lambda operation: "out of memory" if "weight=4" in str(operation) else ""
    await put(lab, serial(2, 4))
    newest = (await history(lab))[0]
    assert newest.outcome == "failed"
    assert newest.outcome_words == "real server number1 of http (127.0.0.21:8080): out of memory"


async def test_the_text_of_each_comes_back_byte_for_byte(lab: Lab) -> None:
    odd = serial(2).replace("# the tutorial's cluster", "# caf\udce9").replace("\n", "\r\n")
    await put(lab, odd)
    found = await lab.ask(lab.client.revision_text, 2)
    assert found is not None
    assert (found.text, found.etag) == (odd, etag_of(odd.encode("utf-8", "surrogateescape")))
    status, head, body = await get(lab, "/v1/history/1/text")
    assert (status, body.decode()) == (200, TUTORIAL)
    assert f'ETag: "{etag_of(body)}"' in head
    status, _, body = await get(lab, "/v1/history/2")
    assert (status, msgspec.json.decode(body, type=RevisionInfo)) == (200, (await history(lab))[0])


async def test_what_is_not_there_or_makes_no_sense_is_refused(lab: Lab) -> None:
    assert await lab.ask(lab.client.revision_text, 99) is None
    assert [(await get(lab, target))[0] for target in ("/v1/history/99", "/v1/history/two", "/v1/history/1/texts")] == [404, 404, 404]
    assert [(await get(lab, f"/v1/history?{query}"))[0] for query in ("limit=0", "limit=1001", "before=x")] == [400, 400, 400]


async def test_nothing_written_is_no_revision(lab: Lab) -> None:
    assert await put(lab, TUTORIAL) == 0
    receipt = await lab.ask(lab.client.put_config, serial(2), if_match=etag_of(TUTORIAL.encode()), dry_run=True)
    assert receipt.revision == 0
    with pytest.raises(StaleConfig):
        await lab.ask(lab.client.put_config, serial(3), if_match="0" * 64)
    assert len(await history(lab)) == 1


async def test_pages_of_it(lab: Lab) -> None:
    for number in range(2, 8):
        await put(lab, serial(number))
    assert [one.number for one in await history(lab, limit=3)] == [7, 6, 5]
    assert [one.number for one in await history(lab, limit=3, before=5)] == [4, 3, 2]
    assert (await lab.ask(lab.client.history, limit=1)).total == 7
    assert chained(await history(lab))


async def test_lvsctl_speaks_for_the_user_that_the_kernel_names_and_the_console_for_whoever_logged_in(lab: Lab) -> None:
    ctl = AgentClient(lab.settings.agent_socket, actor="somebody-else", origin="lvsctl")
    await lab.ask(ctl.put_config, serial(2), if_match=etag_of(TUTORIAL.encode()))
    await put(lab, serial(3), actor="piranha", origin="rollback", comment="back to revision 1")
    assert [(one.actor, one.origin) for one in await history(lab)] == [("piranha", "rollback"), (ME, "lvsctl"), (ME, "start")]


@pytest.mark.parametrize("origin", ["outside", "start", "peer", "guard", "nonsense"])
async def test_a_caller_cannot_claim_an_origin_that_is_the_agents_own(lab: Lab, origin: str) -> None:
    with pytest.raises(AgentRefused, match="X-Origin is one of"):
        await put(lab, serial(2), origin=origin)
    assert lab.text() == TUTORIAL


async def test_the_other_directors_revision_is_taken_over_as_it_is(lab: Lab) -> None:
    mine = (await history(lab))[0]
    text = serial(2, 9).encode()
    theirs = link(
        Revision(parent=mine.id, etag=etag_of(text), serial=2, at=1e9, node="righty", actor="piranha", origin="console", comment="there")
    )
    receipt = await lab.director.put(Write(text, if_match=mine.etag, actor="righty", origin="peer", revision=theirs))
    assert receipt.revision == 2
    newest = (await history(lab))[0]
    assert (newest.id, newest.node, newest.comment, newest.outcome) == (theirs.id, "righty", "there", "applied")
    joined = await lab.director.put(Write(serial(3).encode(), if_match=theirs.etag, other_parent="e" * 64))
    newest = (await history(lab))[0]
    assert (newest.number, newest.parent, newest.other_parent) == (joined.revision, theirs.id, "e" * 64)


# --- edited by hand --------------------------------------------------------------------------------------------------------------


async def test_an_edit_by_hand_is_a_revision_of_the_files_owner(lab: Lab) -> None:
    lab.lvs_cf.write_text(serial(5, 5))
    await lab.director.step()
    newest, first = await history(lab)
    assert (newest.origin, newest.actor, newest.serial, newest.parent, newest.outcome) == ("outside", ME, 5, first.id, "applied")
    assert "real server number1 of http: weight 1 → 5" in newest.changes


async def test_an_edit_with_errors_is_none_until_it_is_mended(lab: Lab) -> None:
    lab.lvs_cf.write_text(serial(5).replace("scheduler = rr", "scheduler = fastest"))
    await lab.director.step()
    assert len(await history(lab)) == 1
    lab.lvs_cf.write_text(serial(5))
    await lab.director.step()
    assert [one.serial for one in await history(lab)] == [5, 1]


async def test_an_edit_that_is_replaced_before_anybody_looked_is_not_lost(lab: Lab) -> None:
    lab.lvs_cf.write_text(serial(5, 5))
    assert await put(lab, serial(6, 6)) == 3
    newest, edit, first = await history(lab)
    assert chained([newest, edit, first])
    assert (edit.origin, edit.outcome, edit.outcome_words) == ("outside", "failed", "replaced by the next change before it was in force")
    found = await lab.ask(lab.client.revision_text, 2)
    assert found is not None
    assert found.text == serial(5, 5)


async def test_an_edit_while_the_agent_did_not_run_is_found_at_the_start(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await put(lab, serial(2))
    async with running(tmp_path, serial(3, 8)) as lab:
        newest, second, first = await history(lab)
        assert chained([newest, second, first])
        assert (newest.origin, newest.serial, newest.actor) == ("outside", 3, ME)
        assert any("edited while the agent did not run, which is revision 3 now" in message for message in await messages(lab))
    async with running(tmp_path, text=None) as lab:
        assert len(await history(lab)) == 3


@contextlib.asynccontextmanager
async def process(folder: Path) -> AsyncIterator[Lab]:
    """lvsd with its rounds and its inotify, in this loop; the poll is made too slow to be what finds an edit."""
    lab = Lab(folder, FakeIpvs(), reconcile_interval=600.0)
    task = asyncio.create_task(run(lab.settings, lab.plane, SystemClock()))
    try:
        await asyncio.to_thread(until, lab.settings.agent_socket.exists)
        yield lab
    finally:
        signal.raise_signal(signal.SIGUSR1)
        await task


async def told(lab: Lab, count: int, limit_s: float = 5.0) -> float:
    """Wait for so many revisions; returns how long it took."""
    began = monotonic()
    await asyncio.to_thread(until, lambda: lab.client.history().total >= count, limit_s)
    return monotonic() - began


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed_over(path: Path, text: str) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.replace(path)


def moved_away_first(path: Path, text: str) -> None:
    path.rename(path.with_suffix(".cf~"))
    path.write_text(text)


@pytest.mark.parametrize("editor", [in_place, renamed_over, moved_away_first])
async def test_an_edit_is_found_within_a_fraction_of_a_second(tmp_path: Path, editor: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvsagent.lvsd.process.ROUND_S", 600.0)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "lvs.cf").write_text(TUTORIAL)
    async with process(tmp_path) as lab:
        await told(lab, 1)
        for number in (2, 3, 4):
            editor(lab.lvs_cf, serial(number, number))  # type: ignore[operator]
            assert await told(lab, number) < 1
        assert [one.origin for one in await history(lab)] == ["outside", "outside", "outside", "start"]
        assert not any("is gone" in message for message in await messages(lab))


async def test_an_edit_behind_a_symbolic_link_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvsagent.lvsd.process.ROUND_S", 600.0)
    (tmp_path / "etc").mkdir()
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "cluster.cf"
    target.write_text(TUTORIAL)
    (tmp_path / "etc" / "lvs.cf").symlink_to(target)
    async with process(tmp_path) as lab:
        await told(lab, 1)
        renamed_over(target, serial(2, 2))
        assert await told(lab, 2) < 1


async def test_a_folder_that_is_made_later_is_watched_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvsagent.lvsd.process.ROUND_S", 600.0)
    monkeypatch.setattr("lvsagent.lvsd.process.NAMES_S", 0.05)
    lab = Lab(tmp_path, FakeIpvs())
    lab.lvs_cf.parent.rmdir()
    task = asyncio.create_task(run(lab.settings, lab.plane, SystemClock()))
    await asyncio.to_thread(until, lab.settings.agent_socket.exists)
    lab.lvs_cf.parent.mkdir()
    lab.lvs_cf.write_text(TUTORIAL)
    await told(lab, 1)
    await asyncio.to_thread(lab.lvs_cf.write_text, serial(2))
    await told(lab, 2)
    signal.raise_signal(signal.SIGUSR1)
    await task


# --- crashes ---------------------------------------------------------------------------------------------------------------------


def crashed(folder: Path, change: str) -> dict[str, Path]:
    subprocess.run([sys.executable, "-m", "tests.integration.history_crash", str(folder), change], timeout=110, check=True)
    return {one.name: one for one in folder.iterdir()}


async def story(folder: Path) -> tuple[str, list[RevisionInfo], str | None]:
    """What a fresh lvsd makes of it: lvs.cf, the revisions (newest first), the text that UNDO would bring back."""
    async with running(folder, text=None) as lab:
        undo = await lab.ask(lab.client.previous_config)
        revisions = await history(lab)
        for one in revisions:
            assert await lab.ask(lab.client.revision_text, one.number) is not None
        standing = lab.text()
        await put(lab, serial(9))  # and it goes on
        assert (await history(lab))[0].parent == next(one.id for one in revisions if one.etag == etag_of(standing.encode()))
        return standing, revisions, undo.text if undo else None


async def test_a_crash_at_any_step_of_an_accept_leaves_one_consistent_story(tmp_path: Path) -> None:
    folders = await asyncio.to_thread(crashed, tmp_path, "put")
    assert len(folders) > 30
    outcomes = set()
    for name, folder in folders.items():
        standing, revisions, undo = await story(folder)
        assert standing in {TUTORIAL, NEW}, name
        head = revisions[0] if standing == NEW else revisions[-1]
        assert (head.etag, head.outcome) == (etag_of(standing.encode()), "applied"), name
        assert undo == (TUTORIAL if standing == NEW else None), name
        assert chained(revisions), name
        if standing == TUTORIAL and len(revisions) == 2:
            assert (revisions[0].outcome, "never reached lvs.cf" in revisions[0].outcome_words) == ("failed", True), name
            assert revisions[0].comment == "heavier", name
        outcomes.add((standing == NEW, len(revisions)))
    assert outcomes == {(False, 1), (False, 2), (True, 2)}


async def test_a_crash_at_any_step_of_taking_in_an_edit_loses_nothing(tmp_path: Path) -> None:
    folders = await asyncio.to_thread(crashed, tmp_path, "edit")
    assert len(folders) > 10
    for name, folder in folders.items():
        _, revisions, _ = await story(folder)
        assert [(one.origin, one.outcome) for one in revisions] == [("outside", "applied"), ("start", "applied")], name
        assert chained(revisions), name


async def test_a_crash_at_any_step_of_taking_over_the_other_directors_leaves_it_to_be_taken_again(tmp_path: Path) -> None:
    folders = await asyncio.to_thread(crashed, tmp_path, "take")
    assert len(folders) > 30
    for name, folder in folders.items():
        standing, (theirs, mine), _ = await story(folder)
        head = theirs if standing == NEW else mine
        assert (head.etag, head.outcome) == (etag_of(standing.encode()), "applied"), name
        assert (theirs.parent, theirs.comment, theirs.node) == (mine.id, "there", "righty"), name


# --- when it cannot be kept ------------------------------------------------------------------------------------------------------


class Refusing(SystemFiles):
    """A disk on which lvs.cf's folder is full."""

    full = False

    def rename(self, source: Path, target: Path) -> None:
        if self.full and target.name == "lvs.cf":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().rename(source, target)


async def test_an_lvs_cf_that_cannot_be_written_is_a_revision_that_says_so(tmp_path: Path) -> None:
    files = Refusing()
    async with running(tmp_path, files=files) as lab:
        files.full = True
        with pytest.raises(AgentRefused, match="no space left on the disk"):
            await put(lab, serial(2))
        files.full = False
        failed, first = await history(lab)
        assert (failed.outcome, "no space left on the disk" in failed.outcome_words) == ("failed", True)
        await put(lab, serial(3))
        newest, _, _ = await history(lab)
        assert (newest.parent, newest.outcome) == (first.id, "applied")


async def test_a_change_that_cannot_become_history_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        store = lab.director.history._store = FakeRevisionStore()
        lab.director.history.behind = True
        await lab.director.step()
        store.refuse = "no space left on the disk"
        with pytest.raises(AgentRefused, match="the history cannot be kept: no space left on the disk; nothing was written"):
            await put(lab, serial(2, 9))
        assert lab.text() == TUTORIAL
        state = await lab.ask(lab.client.state)
        assert [alert.severity for alert in state.alerts if alert.code == "history"] == ["error"]
        lab.lvs_cf.write_text(serial(3, 4))  # by hand it can still be changed, and serves
        await lab.director.step()
        assert (await lab.ask(lab.client.state)).config.applied_serial == 3
        assert len(await history(lab)) == 1
        store.refuse = ""
        await lab.director.step()
        assert [(one.serial, one.origin) for one in await history(lab)] == [(3, "outside"), (1, "start")]
        assert not [alert for alert in (await lab.ask(lab.client.state)).alerts if alert.code == "history"]
        assert "the history is kept again" in await messages(lab)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A state folder with a small disk of its own."""
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(state)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    yield state
    subprocess.run(["umount", str(state)], check=True)


def fill(folder: Path) -> Path:
    """Take the last byte of a disk."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast


async def fill_the_history(lab: Lab) -> None:
    """Until there is not even room left in the database's own files."""
    for number in range(2, 60):
        await put(lab, serial(number).replace("# the", f"# {os.urandom(4000).hex()} the"))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
async def test_on_a_really_full_disk_a_change_is_refused_and_an_edit_by_hand_serves(tmp_path: Path, small: Path) -> None:
    async with running(tmp_path) as lab:
        ballast = fill(small)
        with pytest.raises(AgentRefused, match=r"the history cannot be kept in .*: no space left on the disk; nothing was written"):
            await fill_the_history(lab)
        standing = lab.text()
        newest = next(one for one in await history(lab) if one.outcome == "applied")
        assert newest.etag == etag_of(standing.encode())
        lab.lvs_cf.write_text(serial(77, 5))
        await lab.director.step()
        assert (await lab.ask(lab.client.state)).config.applied_serial == 77
        ballast.unlink()
        await lab.director.step()
        newest = (await history(lab))[0]
        assert (newest.serial, newest.origin, newest.outcome) == (77, "outside", "applied")
        await put(lab, serial(78))
        assert (await history(lab))[0].parent == newest.id


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
async def test_on_a_read_only_disk_lvs_cf_is_served_and_a_change_refused(tmp_path: Path, small: Path) -> None:
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small)], check=True)
    async with running(tmp_path) as lab:
        state = await lab.ask(lab.client.state)
        assert state.config.applied_serial == 1
        assert any("the history cannot be kept" in alert.message for alert in state.alerts if alert.code == "history")
        with pytest.raises(AgentRefused, match="read-only"):
            await put(lab, serial(2))
        assert lab.text() == TUTORIAL
        with pytest.raises(AgentRefused, match="read-only"):
            await history(lab)


async def test_an_outcome_that_cannot_be_noted_is_noted_later(tmp_path: Path) -> None:
    class Forgetful(FakeRevisionStore):
        def finish(self, revision_id: str, outcome: str, words: str = "") -> None:
            super().finish(revision_id, outcome, words)

        def add(self, *arguments: object, **named: object) -> int:
            number = super().add(*arguments, **named)  # type: ignore[arg-type]
            self.refuse = "the disk reports an error"
            return number

    async with running(tmp_path) as lab:
        store = lab.director.history._store = Forgetful()
        lab.director.history.behind = True
        await lab.director.step()
        store.refuse = ""
        assert await put(lab, serial(2, 9)) == 2
        assert (await history(lab))[0].outcome == "pending"
        store.refuse = ""
        await lab.director.step()
        assert (await history(lab))[0].outcome == "applied"


async def test_a_damaged_database_is_set_aside_and_the_history_begins_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await put(lab, serial(2))
    database = tmp_path / "state" / "history.db"
    database.write_bytes(b"not a database " * 1000)
    async with running(tmp_path, text=None) as lab:
        (first,) = await history(lab)
        assert (first.origin, first.serial, first.outcome) == ("start", 2, "applied")
        assert any("is damaged" in message and "damaged-1" in message for message in await messages(lab))
        assert await put(lab, serial(3)) == 2
    assert database.with_name("history.db.damaged-1").read_bytes().startswith(b"not a database")


async def test_one_that_is_damaged_while_it_is_in_use_costs_one_refusal(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        store = lab.director.history._store
        assert isinstance(store, SqliteRevisions)
        store._opened().execute("UPDATE revisions SET comment = 'tampered'")
        with pytest.raises(AgentRefused, match=r"is damaged .* a fresh one has begun; nothing was written"):
            await put(lab, serial(2))
        assert await put(lab, serial(2)) == 2
        assert [one.origin for one in await history(lab)] == ["console", "start"]


async def test_two_thousand_revisions_are_no_burden(tmp_path: Path) -> None:
    store = SqliteRevisions(tmp_path / "history.db")
    parent = ""
    for number in range(1, 2001):
        text = serial(number, number % 9).encode()
        one = link(Revision(parent=parent, etag=etag_of(text), serial=number, at=1e9 + number, node="a", actor="b", origin="console"))
        store.add(one, text, ["serial_no"], outcome="applied")
        parent = one.id
    store.close()
    (tmp_path / "state").mkdir()
    (tmp_path / "history.db").rename(tmp_path / "state" / "history.db")
    async with running(tmp_path, serial(2000, 2000 % 9)) as lab:
        await history(lab)
        began = monotonic()
        page = await history(lab, before=1000)
        assert monotonic() - began < 0.25
        assert [one.number for one in page] == list(range(999, 949, -1))
        began = monotonic()
        await put(lab, serial(2001))
        assert monotonic() - began < 1.0


def test_the_kernel_names_the_caller() -> None:
    from lvsagent.api.callers import caller_of, name_of  # noqa: PLC0415

    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert name_of(caller_of(one)) == ME


async def test_a_file_that_is_not_what_runs_has_been_so_since_it_was_edited_and_not_since_somebody_looked(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        lab.lvs_cf.write_text(TUTORIAL.replace("scheduler", "schedular"))
        await lab.director.step()
        noticed = time.time()
        (found,) = (await lab.ask(lab.client.sync)).differences
        assert (found.code, found.since <= noticed) == ("file", True)
        lab.lvs_cf.write_text(TUTORIAL)
        await lab.director.step()
        assert not (await lab.ask(lab.client.sync)).differences
