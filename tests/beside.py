"""A pytest of its own beside the one that was started: the same files, other tests of them, its reports in a file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kernel.uml import follow

ROOT = Path(__file__).resolve().parents[1]
REPORTS_TO = "PIRANHA_TESTS_REPORT_TO"
"""In its environment: the file that every report goes into."""
END_S = 30.0


class Beside:
    """Runs from its making; ``lines`` are its reports as they come, ``close`` leaves nothing behind."""

    def __init__(self, wanted: list[str], *, limit_s: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="beside-"))
        self._limit_s = limit_s
        self._end = ""
        (self.folder / "tests").write_text("\n".join(wanted))
        (self.folder / "results").touch()
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", f"@{self.folder / 'tests'}"]
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {REPORTS_TO: str(self.folder / "results")},
                start_new_session=True,
            )
        self._deadline = time.monotonic() + limit_s

    def lines(self) -> Iterator[str]:
        """Raises GuestDied when no more can come."""
        return follow(self.folder / "results", self.ended, self._last_words)

    def ended(self) -> str:
        """Why nothing more comes from it, ``""`` while it may."""
        if not self._end and self._process.poll() is not None:
            self._end = "the tests that ran beside these have ended"
        elif not self._end and time.monotonic() > self._deadline:
            self._end = f"the tests that ran beside these took longer than {self._limit_s:g} s"
            self._stop()
        return self._end

    def close(self) -> None:
        """End it, and let it end what it has started."""
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
            self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-6000:]
