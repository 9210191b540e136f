"""Boots User-Mode Linux over the host's own files and follows what it writes.  It knows nothing of pytest.

One ``Guest`` is one boot: a Linux kernel that runs as an ordinary program, with the project's ``init.sh`` as its first process.  What the
guest has to say comes out through files in ``Guest.folder`` (its console is slow, and mixes with the kernel's own lines).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
INIT = Path(__file__).with_name("init.sh")
MODULES = Path("/usr/lib/uml/modules")
MEMORY = "1024M"


def missing() -> str:
    """What keeps this machine from booting a guest, in words; ``""`` when nothing does."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "User-Mode Linux runs on x86_64 Linux only"
    absent = [name for name in ("linux.uml", "modprobe", "ip", "ipvsadm") if not shutil.which(name, path=search_path())]
    if absent:
        return f"not installed: {', '.join(absent)} (apt-get install user-mode-linux kmod iproute2 ipvsadm)"
    return "" if any(MODULES.glob("*")) else f"no kernel modules in {MODULES} (apt-get install user-mode-linux)"


def search_path() -> str:
    """Where the programs are, also for users whose PATH leaves out sbin."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


class GuestDied(Exception):
    """The guest ended, or ran out of time, before it said what was waited for; the message holds its last words."""


def follow(path: Path, ended: Callable[[], str], last_words: Callable[[], str]) -> Iterator[str]:
    """The lines of a file as they are written.  Raises GuestDied with both when whoever writes it has ended."""
    with path.open(encoding="utf-8") as results:
        pending = ""
        while True:
            why = ended()
            pending += results.read()
            *whole, pending = pending.split("\n")
            yield from whole
            if why:
                raise GuestDied(why + "\n" + last_words())
            if not whole:
                time.sleep(0.02)


class Guest:
    """One boot.  ``start()`` returns at once, ``lines()`` follows the guest's results, ``close()`` leaves nothing behind."""

    def __init__(self, *, limit_s: float, memory: str = MEMORY) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))
        self._limit_s = limit_s
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0
        self._end = ""

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, **environment: str) -> None:
        """Boot.  ``environment`` reaches the guest's processes as ``LAB_*`` and must hold no blanks."""
        settings = {
            "LAB_DIR": str(self.folder),
            "LAB_ROOT": str(ROOT),
            "LAB_PYTHON": sys.executable,
            "LAB_MODULES": str(next(MODULES.glob("*"))),
        } | {f"LAB_{name.upper()}": value for name, value in environment.items()}
        (self.folder / "results").touch()
        command = [
            shutil.which("linux.uml", path=search_path()) or "linux.uml",
            f"mem={self._memory}",
            f"uml_dir={self.folder}/",
            "rootfstype=hostfs",
            "rootflags=/",
            "rw",
            f"init={INIT}",
            "con=null",
            "con0=null,fd:1",
            "quiet",
            *(f"{name}={value}" for name, value in settings.items()),
        ]
        with (self.folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"TMPDIR": self._memory_folder()},
            )
        with contextlib.suppress(PermissionError):  # the guest has limits in milliseconds; what else runs here can wait
            os.setpriority(os.PRIO_PGRP, self._process.pid, -10)
        self._deadline = time.monotonic() + self._limit_s

    def lines(self) -> Iterator[str]:
        """The lines of the guest's ``results`` file as they are written.  Raises GuestDied when no more can come."""
        return follow(self.folder / "results", self.ended, self.last_words)

    def wait(self) -> int:
        """Wait for the guest to power off; its exit status.  Raises GuestDied when it has none or takes too long."""
        while not (ended := self.ended()):
            time.sleep(0.02)
        try:
            return int((self.folder / "status").read_text())
        except (FileNotFoundError, ValueError):
            raise GuestDied(ended + "\n" + self.last_words()) from None

    def last_words(self, limit: int = 6000) -> str:
        """The end of what the guest and its kernel printed."""
        parts = []
        for name in ("output", "console"):
            path = self.folder / name
            text = path.read_text(errors="replace") if path.exists() else ""
            parts.append(f"--- guest {name} ---\n{text[-limit:]}")
        return "\n".join(parts)

    def ended(self) -> str:
        """Why nothing more comes from it, ``""`` while it may; one that runs for too long is ended by this."""
        assert self._process is not None
        if not self._end and self._process.poll() is not None:
            self._end = "the guest has ended"
        elif not self._end and time.monotonic() > self._deadline:
            self._end = f"the guest ran longer than {self._limit_s:g} s"
            self._kill(self._process)
        return self._end

    def close(self) -> None:
        """End the guest if it still runs, with every process that it started on the host, and remove its folder."""
        if self._process is not None:
            self._kill(self._process)
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @staticmethod
    def _memory_folder() -> str:
        """The guest's memory is a file: in memory where there is room for it, else among the temporary files."""
        shared = Path("/dev/shm")  # noqa: S108 -- only looked at; linux.uml makes an anonymous file there
        if shared.is_dir() and shutil.disk_usage(shared).free > 1.2 * 2**30:
            return str(shared)
        return tempfile.gettempdir()
