"""A file in the runtime folder: what lvsd wants to know again when it is restarted, and nobody after a reboot.

Owns writing it whole, and living without it: a file that cannot be written or read is a warning in the log, and what it held is worked out
anew.  What must outlive a power failure is written by ``adapters.config_files.replace_file`` instead.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

log = logging.getLogger(__name__)


class RuntimeFile(Generic[T]):
    """A value of ``kind`` as JSON.  ``what`` is what it is called when something is wrong with it ("health")."""

    def __init__(self, path: Path, kind: type[T], what: str) -> None:
        self._path = path
        self._kind = kind
        self._what = what

    def load(self) -> T | None:
        """What was kept; ``None``: nothing, or nothing that can be used."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s kept in %s cannot be used: %s", self._what, self._path, error)
            return None

    def save(self, value: T) -> bool:
        """Replace what was kept; whether it could be done.  Nobody waits for the disk: after a reboot it is not wanted."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            fresh.write_bytes(msgspec.json.encode(value))
            fresh.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be kept in %s: %s", self._what, self._path, error.strerror)
            return False
        return True

    def discard(self) -> None:
        """Keep nothing any more."""
        self._path.unlink(missing_ok=True)
