"""Failovers that were measured: the last hundred, on disk.

Owns one file under the state folder, a line each.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from lvsagent.api.contract import Unavailable
from lvsagent.wire import Rehearsal

KEPT = 100


class RehearsalBook:
    """Newest last in the file, newest first to the reader."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest_first(self) -> list[Rehearsal]:
        """All that are kept.  Raises Unavailable."""
        return self._load()[::-1]

    def add(self, rehearsal: Rehearsal) -> None:
        """Keep one more.  Raises Unavailable, and nothing is lost."""
        kept = [*self._load(), rehearsal][-KEPT:]
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            fresh.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in kept))
            fresh.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise Unavailable(f"the rehearsal cannot be kept in {self._path}: {error.strerror}") from error

    def _load(self) -> list[Rehearsal]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(f"the rehearsals in {self._path} cannot be read: {error.strerror}") from error
        found = []
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError):  # a line that somebody has edited
                found.append(msgspec.json.decode(line, type=Rehearsal))
        return found


def rehearsal_words(rehearsal: Rehearsal) -> str:
    """One line about it."""
    what = "a planned failover" if rehearsal.triggered else "the service"
    outcome = f"longest gap {rehearsal.longest_gap_s * 1000:.0f} ms, {rehearsal.failed} of {rehearsal.requests} requests failed"
    return f"{what} was measured at {rehearsal.target}: {outcome}"
