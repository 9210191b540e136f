"""What pulse must not forget when it is killed: the addresses it added, its role, the last configuration it was given, when it last lived.

Owns these files in the runtime folder; a record from before the last boot says nothing about this host's interfaces, and is ignored.
Maintenance is kept in the state folder: it survives a boot.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
from pathlib import Path

import msgspec

from lvsagent.core.addresses import Address
from lvsagent.messages import PulseConfigure
from lvsagent.ports import AdapterError
from lvsagent.pulse.holder import Tell

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """``owned`` is written before an address is added, so that none is ever on an interface without being in it.

    ``sync`` and ``virtual_mac``: the sync daemon, or interfaces with a shared hardware address, were started by this agent.
    """

    role: str = "starting"
    since: float = 0.0
    owned: tuple[Address, ...] = ()
    configure: PulseConfigure | None = None
    sync: bool = False
    virtual_mac: bool = False


class _Stored(Record, frozen=True, kw_only=True):
    boot_id: str


class RecordFile:
    """The record on disk."""

    def __init__(self, path: Path, boot_id: Path = BOOT_ID) -> None:
        self._path = path
        self._alive = -1
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
        return Record(**{name: getattr(stored, name) for name in Record.__struct_fields__})

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
        for path in (self._path, self._alive_path):
            with contextlib.suppress(OSError):
                path.unlink()

    def alive(self, now: float) -> None:
        """Leave a trace of the monotonic moment ``now``: at the next start it tells for how long nobody was here."""
        with contextlib.suppress(OSError):
            if self._alive < 0:
                self._alive = os.open(self._alive_path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.pwrite(self._alive, struct.pack("d", now), 0)

    def last_alive(self) -> float | None:
        """The last moment that was left behind."""
        try:
            return float(struct.unpack("d", self._alive_path.read_bytes())[0])
        except (OSError, struct.error):
            return None

    @property
    def _alive_path(self) -> Path:
        return self._path.with_suffix(".alive")


class RecordKeeper:
    """The record while pulse runs: one that cannot be written keeps nobody from serving, is told once, and is tried again by the caller."""

    def __init__(self, file: RecordFile, tell: Tell) -> None:
        self._file = file
        self._tell = tell
        self.problem = ""
        """Why the last record is not on the disk."""

    def save(self, record: Record) -> None:
        """Put it on the disk, or say why that cannot be."""
        before, self.problem = self.problem, ""
        try:
            self._file.save(record)
        except OSError as error:
            self.problem = f"the record of addresses cannot be written: {(error.strerror or str(error)).lower()}"
        if self.problem and not before:
            self._tell("problem", "error", f"{self.problem}; if pulse is killed now, it will not know which are its own")


class MaintenanceMark:
    """A file that is there while this director is in maintenance."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bool:
        """Whether it is there."""
        return self._path.exists()

    def write(self, *, maintenance: bool) -> None:
        """Have it there or not, on the disk too.  Raises AdapterError."""
        try:
            if maintenance:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            else:
                self._path.unlink(missing_ok=True)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise AdapterError(
                f"that this director is in maintenance cannot be remembered: {(error.strerror or str(error)).lower()}"
            ) from error
