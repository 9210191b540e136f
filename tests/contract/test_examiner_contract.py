"""The doctor's eyes: the fake and the process that really looks keep the same promises."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.lvscf.model import Forwarding
from lvsagent.adapters import process
from lvsagent.adapters.doctor_room import DoctorRoom, Helper, start
from lvsagent.core.patients import Patient, Seen
from lvsagent.ports import AdapterError, Examiner
from tests.fakes.examiner import FakeExaminer
from tests.waiting import until

HERE = [Patient("http", f"number{number}", f"127.0.0.{number}", Forwarding.DIRECT, "127.0.0.100", 80) for number in range(1, 41)]


@contextmanager
def helping(user: process.User | None = None) -> Iterator[Helper]:
    """The process that looks; nothing of it is left afterwards."""
    helper = start(user)
    try:
        yield helper
    finally:
        helper.socket.close()
        os.waitpid(helper.pid, 0)


@pytest.fixture(params=["fake", "real"])
def examiner(request: pytest.FixtureRequest) -> Iterator[Examiner]:
    if request.param == "fake":
        yield FakeExaminer()
        return
    with helping() as helper:
        yield DoctorRoom(helper)


@pytest.fixture
def helper() -> Iterator[Helper]:
    with helping() as helper:
        yield helper


async def looked(examiner: Examiner, patients: list[Patient]) -> dict[int, Seen]:
    found: dict[int, Seen] = {}

    def seen(place: int, one: Seen) -> None:
        assert place not in found
        found[place] = one

    await examiner.examine(patients, seen)
    return found


async def test_each_is_looked_at_once(examiner: Examiner) -> None:
    assert set(await looked(examiner, HERE)) == set(range(len(HERE)))
    assert set(await looked(examiner, HERE[:1])) == {0}


async def test_nobody_is_soon_looked_at(examiner: Examiner) -> None:
    assert await looked(examiner, []) == {}


async def test_nothing_is_looked_at_after_the_end(examiner: Examiner) -> None:
    examiner.close()
    with pytest.raises(AdapterError):
        await looked(examiner, HERE)


# --- the real one --------------------------------------------------------------------------------------------------------------


async def test_without_root_it_says_what_it_lacks() -> None:
    with pytest.raises(AdapterError, match="only an agent that was started as root"):
        await looked(DoctorRoom(None), HERE)


async def test_the_director_itself_is_not_looked_at(helper: Helper) -> None:
    found = await looked(DoctorRoom(helper), HERE[:1])
    assert found[0].reason == "it is this director itself, which cannot be looked at from here"


async def test_a_process_that_dies_is_said_to_be_gone(helper: Helper) -> None:
    room = DoctorRoom(helper)
    os.kill(helper.pid, signal.SIGKILL)
    with pytest.raises(AdapterError, match=r"until lvsd is restarted|ended before it had looked at 40 of 40"):
        await looked(room, HERE)
    with pytest.raises(AdapterError, match="until lvsd is restarted"):
        await looked(room, HERE)


async def test_what_goes_wrong_in_one_examination_ends_with_it(helper: Helper) -> None:
    room = DoctorRoom(helper)
    with pytest.raises(AdapterError, match="ended before it had looked at 1 of 1"):
        await looked(room, [replace(HERE[0], port="none")])  # type: ignore[arg-type]  # no examiner understands that
    assert set(await looked(room, HERE)) == set(range(len(HERE)))


def test_the_process_keeps_none_of_the_files_of_the_one_that_started_it(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb"), helping() as helper:
        until(lambda: str(tmp_path / "lock") not in files_of(helper.pid), words="it holds a lock of its parent's")


def files_of(pid: int) -> set[str]:
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_looks_is_the_checks_user_with_one_privilege() -> None:
    user = process.find_user("nobody")
    with helping(user) as helper:
        status = Path(f"/proc/{helper.pid}/status")
        until(lambda: "NoNewPrivs:\t1" in status.read_text(), words="it never gave its privileges up")
        for name in ("CapEff", "CapPrm", "CapBnd"):
            assert f"{name}:\t0000000000002000" in status.read_text(), "CAP_NET_RAW alone"
        assert f"Uid:\t{user.uid}\t{user.uid}\t{user.uid}" in status.read_text()
