"""What the other director's rsync may leave on this disk: one file, of one size, whatever it sends.  A real sshd, Debian's own rsync."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.adapters.peer_rsync import ENVIRONMENT, rsync_argv
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.ports import PeerUnreachable
from lvsagent.receive import LARGEST_LINE_BYTES
from tests.sshd import SSH_OPTIONS, UID, Sshd, StandIn, needs_sshd
from tests.waiting import until

pytestmark = [pytest.mark.root, needs_sshd]

LARGE = b'"%s"' % (b"x" * 100_000)
"""A request that goes by rsync."""


@pytest.fixture
async def peer(lefty: PeerKeys) -> AsyncIterator[SshPeer]:
    found = SshPeer(lefty)
    found.use("rsync")
    yield found
    await found.close()


def bring(lefty: PeerKeys, folder: Path, files: list[str]) -> subprocess.CompletedProcess[str]:
    """What a director that has been taken over would run: the call that is accepted, with other files behind it."""
    *call, _request, target = rsync_argv(lefty, lefty.peer().introduction, "127.0.0.1", 20)
    return subprocess.run([*call, *files, target], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)


def brought(righty: Sshd) -> dict[str, int]:
    """Everything that is in the inbox, and its size."""
    return {str(path.relative_to(righty.settings.inbox)): path.stat().st_size for path in righty.settings.inbox.rglob("*")}


def test_many_files_at_once_bring_none(righty: Sshd, lefty: PeerKeys, tmp_path: Path) -> None:
    names = [f"file-{number}" for number in range(200)]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 1000)
    for _ in range(2):
        done = bring(lefty, tmp_path, names)
        assert done.returncode != 0
        assert sum(brought(righty).values()) == 0, done.stderr
        assert set(brought(righty)) <= {"request"}


def test_a_file_that_is_too_large_leaves_nothing(righty: Sshd, lefty: PeerKeys, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_LINE_BYTES + 1)
    assert bring(lefty, tmp_path, ["large"]).returncode != 0
    assert set(brought(righty)) <= {"request"}
    assert sum(brought(righty).values()) == 0


async def test_what_a_session_has_left_is_gone_with_the_next(righty: Sshd, agent: StandIn, peer: SshPeer, tmp_path: Path) -> None:
    (tmp_path / "somebody's").touch()
    inbox = righty.settings.inbox
    (inbox / ".request.Ab12Cd").write_bytes(b"x" * 1_000_000)
    (inbox / "request").mkdir()
    (inbox / "request" / "more").write_bytes(b"x")
    (inbox / "elsewhere").symlink_to(tmp_path)
    for path in (inbox / "request", *inbox.iterdir()):
        os.chown(path, UID, UID, follow_symlinks=False)
    assert await peer.ask(LARGE, 20) == LARGE
    assert brought(righty) == {"request": len(LARGE)}
    assert (tmp_path / "somebody's").exists()


@contextlib.contextmanager
def silent(righty: Sshd, lefty: PeerKeys) -> Iterator[None]:
    """An rsync that has begun over there and says nothing more; it has ended with this."""
    before = set(righty.sessions())
    argv = ["ssh", "-F", "none", "-p", str(righty.port), "-i", str(lefty.private_key), *SSH_OPTIONS, "lvssync@127.0.0.1"]
    argv.append("rsync --server -Ize.LsfxCIvu --timeout=60 . request")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        assert started.stdout is not None
        assert started.stdout.read(1)  # its version comes first
        try:
            yield
        finally:
            started.kill()
    until(lambda: set(righty.sessions()) <= before, 10, "the rsync is left")


async def test_one_at_a_time(righty: Sshd, lefty: PeerKeys, agent: StandIn, peer: SshPeer) -> None:
    """Each takes the room of one file until it ends."""
    await peer.ask(b"{}", 20)
    with silent(righty, lefty):
        with pytest.raises(PeerUnreachable, match="one rsync at a time"):
            await peer.ask(LARGE, 20)
        assert set(brought(righty)) == {"request"}
    assert await peer.ask(LARGE, 20) == LARGE
