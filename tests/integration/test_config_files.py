"""lvs.cf is replaced or it is not: a crash before and after every step, a full disk, a read-only folder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lvsagent.adapters.config_files import ConfigFilesOnDisk, SystemFiles, etag_of
from lvsagent.ports import AdapterError
from tests.integration.lvsd_lab import mode_of

OLD, NEW = b"serial_no = 1\nprimary = 192.0.2.11\n", b"serial_no = 2\nprimary = 192.0.2.11\n" * 1000
STEPS = ("create", "write", "adopt", "sync", "close", "rename", "sync_folder")

CRASH = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from lvsagent.adapters.config_files import ConfigFilesOnDisk, SystemFiles

    class Dying(SystemFiles):
        calls = 0
        def __getattribute__(self, name):
            found = super().__getattribute__(name)
            if name.startswith("_") or name == "calls":
                return found
            def step(*arguments):
                Dying.calls += 1
                if Dying.calls == int(sys.argv[2]) and sys.argv[3] == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                result = found(*arguments)
                if Dying.calls == int(sys.argv[2]):
                    os.kill(os.getpid(), signal.SIGKILL)
                return result
            return step

    folder = Path(sys.argv[1])
    ConfigFilesOnDisk(folder / "lvs.cf", folder / "state", Dying()).write((folder / "new").read_bytes())
    """
)


class Failing(SystemFiles):
    """The operating system, with one step that goes wrong."""

    def __init__(self, step: str, number: int = errno.ENOSPC, *, at: int = 1) -> None:
        self._step, self._number, self._left = step, number, at

    def __getattribute__(self, name: str) -> object:
        if name.startswith("_") or name != self._step:
            return super().__getattribute__(name)
        self._left -= 1
        if self._left:
            return super().__getattribute__(name)

        def fail(*_arguments: object) -> None:
            raise OSError(self._number, os.strerror(self._number))

        return fail


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lvs.cf").write_bytes(OLD)
    (tmp_path / "new").write_bytes(NEW)
    (tmp_path / "state").mkdir()
    return tmp_path


def files(folder: Path, operations: SystemFiles | None = None) -> ConfigFilesOnDisk:
    return ConfigFilesOnDisk(folder / "lvs.cf", folder / "state", operations)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(1, 2 * len(STEPS) + 1))
def test_a_crash_at_any_step_leaves_the_old_file_or_the_new_one(folder: Path, step: int, when: str) -> None:
    """Fourteen steps: seven for the copy kept for undo, seven for lvs.cf itself."""
    died = subprocess.run([sys.executable, "-c", CRASH, str(folder), str(step), when], timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    now = files(folder).read()
    renamed = step > 2 * len(STEPS) - 1 or (step == 2 * len(STEPS) - 1 and when == "after")
    assert now.data == (NEW if renamed else OLD)
    previous = files(folder).previous(now.etag)
    assert (previous.data if previous else None) == (OLD if renamed else None)
    assert files(folder).write(NEW + b"# again\n").data == (folder / "lvs.cf").read_bytes()  # what was left lying about is no obstacle
    leftovers = [path for path in [*folder.iterdir(), *(folder / "state" / "previous").iterdir()] if path.name.startswith(".")]
    assert leftovers == []


@pytest.mark.parametrize("step", [step for step in STEPS if step != "sync_folder"])
@pytest.mark.parametrize("at", [1, 2], ids=["copy", "file"])
def test_a_step_that_fails_leaves_the_old_file_and_its_undo(folder: Path, step: str, at: int) -> None:
    files(folder).write(OLD + b"# second\n")
    before = files(folder).read()
    with pytest.raises(AdapterError, match="no space left on the disk; it is unchanged"):
        files(folder, Failing(step, at=at)).write(NEW)
    assert files(folder).read() == before
    kept = files(folder).previous(before.etag)
    assert kept is not None
    assert kept.data == OLD
    assert not (folder / ".lvs.cf.new").exists()


def test_a_folder_that_cannot_be_synchronised_is_said_and_the_new_file_is_whole(folder: Path) -> None:
    with pytest.raises(AdapterError, match="has been written, but"):
        files(folder, Failing("sync_folder", errno.EIO, at=2)).write(NEW)
    assert files(folder).read().data == NEW


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_really_full_disk(folder: Path) -> None:
    small = folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(small)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        (small / "lvs.cf").write_bytes(OLD)
        on_small = ConfigFilesOnDisk(small / "lvs.cf", folder / "state")
        with pytest.raises(AdapterError, match="no space left on the disk"):
            on_small.write(b"#" * 100_000)
        assert on_small.read().data == OLD
        assert on_small.write(NEW[:2000]).data == NEW[:2000]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_file_size_limit_is_a_full_disk_too(folder: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path; from lvsagent.adapters.config_files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "folder = Path(sys.argv[1])\n"
        "try: ConfigFilesOnDisk(folder / 'lvs.cf', folder / 'state').write((folder / 'new').read_bytes())\n"
        "except AdapterError as error: print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60, check=True)
    assert "lvs.cf cannot be written: file too large; it is unchanged" in told.stdout
    assert files(folder).read().data == OLD


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_read_only_folder(folder: Path) -> None:
    etc = folder / "etc"
    etc.mkdir()
    (etc / "lvs.cf").write_bytes(OLD)
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", str(etc), str(etc)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(etc)], check=True)
        read_only = ConfigFilesOnDisk(etc / "lvs.cf", folder / "state")
        with pytest.raises(AdapterError, match="the file system is read-only; it is unchanged"):
            read_only.write(NEW)
        assert read_only.read().data == OLD
    finally:
        subprocess.run(["umount", str(etc)], check=True)


def test_mode_and_owner_stay_and_a_symbolic_link_stays_one(folder: Path) -> None:
    target = folder / "elsewhere.cf"
    (folder / "lvs.cf").rename(target)
    (folder / "lvs.cf").symlink_to(target)
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 65534, 65534)
    files(folder).write(NEW)
    assert (folder / "lvs.cf").is_symlink()
    assert (target.read_bytes(), mode_of(target)) == (NEW, 0o640)
    if os.geteuid() == 0:
        assert (target.stat().st_uid, target.stat().st_gid) == (65534, 65534)


def test_the_first_file_is_made_with_its_folder(tmp_path: Path) -> None:
    made = ConfigFilesOnDisk(tmp_path / "sysconfig" / "ha" / "lvs.cf", tmp_path / "state")
    assert (made.read().exists, made.read().etag) == (False, etag_of(b""))
    made.write(NEW)
    assert (made.read().data, mode_of(made.path)) == (NEW, 0o644)
    assert made.previous(made.read().etag) is None


def test_undo_goes_back_one_step_and_forward_again(folder: Path) -> None:
    one = files(folder)
    new = one.write(NEW)
    undone = one.write((one.previous(new.etag) or new).data)
    assert undone.data == OLD
    forward = one.previous(undone.etag)
    assert forward is not None
    assert forward.data == NEW
    assert len(list((folder / "state" / "previous").iterdir())) == 1


def test_what_is_not_a_file_is_refused_in_words(folder: Path) -> None:
    (folder / "lvs.cf").unlink()
    os.mkfifo(folder / "lvs.cf")
    with pytest.raises(AdapterError, match="not a regular file"):
        files(folder).read()
    (folder / "lvs.cf").unlink()
    (folder / "lvs.cf").mkdir()
    with pytest.raises(AdapterError, match="not a regular file"):
        files(folder).read()
