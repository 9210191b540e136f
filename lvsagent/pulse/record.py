"""What pulse must not forget when it is killed: the addresses it added, its role, and the last configuration it was given.

Owns one file in the runtime folder.  A record from before the last boot says nothing about this host's interfaces, and is ignored.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

import msgspec

from lvsagent.core.addresses import Address
from lvsagent.messages import PulseConfigure

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """``owned`` is written before an address is added, so that none is ever on an interface without being in it."""

    role: str = "starting"
    since: float = 0.0
    owned: tuple[Address, ...] = ()
    configure: PulseConfigure | None = None


class _Stored(Record, frozen=True, kw_only=True):
    boot_id: str


class RecordFile:
    """The record on disk."""

    def __init__(self, path: Path, boot_id: Path = BOOT_ID) -> None:
        self._path = path
        try:
            self._boot_id = boot_id.read_text().strip()
        except OSError:
            self._boot_id = ""

    def load(self) -> Record:
        """The last record, or an empty one."""
        try:
            stored = msgspec.convert(json.loads(self._path.read_bytes()), _Stored)
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError) as error:
            log.warning("%s is not used: %s", self._path, error)
            return Record()
        if stored.boot_id != self._boot_id:
            return Record()
        return Record(role=stored.role, since=stored.since, owned=stored.owned, configure=stored.configure)

    def save(self, record: Record) -> None:
        """Replace the record: the old one or the new one is there, whatever happens in between."""
        stored = msgspec.to_builtins(record) | {"boot_id": self._boot_id}
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(stored, file)
        fresh.replace(self._path)

    def forget(self) -> None:
        """After a planned stop: the next start waits to be told."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
