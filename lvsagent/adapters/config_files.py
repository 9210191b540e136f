"""lvs.cf on disk, the copy kept for undo, and the copy of what was last applied.

Owns the way a file is replaced: whatever happens in between (a full disk, a crash, a power cut), what is read afterwards is the old file
or the new one, whole.  It knows nothing of what the bytes mean.

What is kept for undo stands in a file named after the ETag of the file that replaced it, and is written before that one: a crash
between the two leaves a copy that nobody asks for, never an undo that goes back two steps.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lvsagent.ports import AdapterError, ConfigFile

NEW_FILE_MODE = 0o644
COPY_MODE = 0o600
"""A copy is nobody else's business, whoever may read the original."""
LARGEST_BYTES = 64 * 1024 * 1024


class FileOperations(Protocol):
    """The steps of replacing a file, one call each, so that a test can fail or die at any of them."""

    def create(self, path: Path) -> int: ...

    def write(self, descriptor: int, data: bytes) -> int: ...

    def adopt(self, descriptor: int, like: os.stat_result | None, mode: int) -> None: ...

    def sync(self, descriptor: int) -> None: ...

    def close(self, descriptor: int) -> None: ...

    def rename(self, source: Path, target: Path) -> None: ...

    def sync_folder(self, path: Path) -> None: ...


class SystemFiles:
    """The steps as the operating system does them."""

    def create(self, path: Path) -> int:
        """A fresh file; what a crash left under this name goes first."""
        path.unlink(missing_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write some of ``data``; returns how much."""
        return os.write(descriptor, data)

    def adopt(self, descriptor: int, like: os.stat_result | None, mode: int) -> None:
        """Take over the mode and owner of the file that is replaced; a new one gets ``mode``."""
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode) if like else mode)
        if like is None:
            return
        for uid, gid in ((like.st_uid, -1), (-1, like.st_gid)):
            with contextlib.suppress(PermissionError):  # without the capability to give files away, it becomes the agent's own
                os.fchown(descriptor, uid, gid)

    def sync(self, descriptor: int) -> None:
        """Wait until the data is on the disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close it."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put the new file in the old one's place."""
        source.replace(target)

    def sync_folder(self, path: Path) -> None:
        """Wait until the folder says so on the disk too."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def etag_of(data: bytes) -> str:
    """The ETag of a file's content: sha256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def replace_file(path: Path, data: bytes, files: FileOperations, mode: int = COPY_MODE) -> None:
    """Make ``data`` the content of ``path``: the old file or the new one, never neither.  A symbolic link stays one.

    Raises AdapterError; then the old file is untouched.
    """
    target = Path(os.path.realpath(path))
    fresh = target.with_name(f".{target.name}.new")
    try:
        like = target.stat() if target.exists() else None
        descriptor = files.create(fresh)
        try:
            view = memoryview(data)
            while view:
                view = view[files.write(descriptor, bytes(view)) :]
            files.adopt(descriptor, like, mode)
            files.sync(descriptor)
        finally:
            files.close(descriptor)
        files.rename(fresh, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise AdapterError(f"{path} cannot be written: {_words(error)}; it is unchanged") from error
    try:
        files.sync_folder(target.parent)
    except OSError as error:
        raise AdapterError(f"{path} has been written, but its folder cannot be synchronised to the disk: {_words(error)}") from error


def _words(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "no space left on the disk"
    if error.errno == errno.EROFS:
        return "the file system is read-only"
    return (error.strerror or str(error)).lower()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes about a file whenever somebody writes it."""

    modified_ns: int = 0
    changed_ns: int = 0
    size: int = -1
    inode: int = 0

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """As it is now; a file that is not there, or cannot be looked at, has the empty one."""
        try:
            found = path.stat()
        except OSError:
            return cls()
        return cls(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


class ConfigFilesOnDisk:
    """The ``ConfigFiles`` port: lvs.cf at ``path``, copies in ``state_dir``."""

    def __init__(self, path: Path, state_dir: Path, files: FileOperations | None = None) -> None:
        self._path = path
        self._previous = state_dir / "previous"
        self._applied = state_dir / "applied.cf"
        self._files = files or SystemFiles()

    @property
    def path(self) -> Path:
        """Where lvs.cf is."""
        return self._path

    def read(self) -> ConfigFile:
        """lvs.cf as it stands.  Raises AdapterError when it is there and cannot be read."""
        data = content_of(self._path)
        return ConfigFile(data or b"", etag_of(data or b""), data is not None)

    def stamp(self) -> Stamp:
        """Cheap to ask: equal to the last one as long as nobody has written the file."""
        return Stamp.of(self._path)

    def owner(self) -> str:
        """Whose file lvs.cf is; ``""`` when there is none."""
        try:
            uid = self._path.stat().st_uid
        except OSError:
            return ""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user id {uid}"

    def write(self, data: bytes) -> ConfigFile:
        """Replace lvs.cf, keeping the old content for undo.  Raises AdapterError, the old file untouched."""
        old = self.read()
        new = ConfigFile(data, etag_of(data))
        if old.exists:
            self.keep_previous(old.data, replaced_by=new.etag)
        else:
            _make_folder(self._path.parent, 0o755)
        replace_file(self._path, data, self._files, NEW_FILE_MODE)
        self._forget_all_but(new.etag)
        return new

    def keep_previous(self, data: bytes, *, replaced_by: str) -> None:
        """Keep ``data`` as what stood there before the file with the ETag ``replaced_by``."""
        _make_folder(self._previous, 0o700)
        replace_file(self._previous / f"{replaced_by}.cf", data, self._files)

    def previous(self, etag: str) -> ConfigFile | None:
        """What stood there before the file whose ETag is ``etag``, if that is known."""
        data = content_of(self._previous / f"{etag}.cf")
        return None if data is None else ConfigFile(data, etag_of(data))

    def keep_applied(self, file: ConfigFile) -> None:
        """Keep ``file`` as the configuration that was last taken over without errors."""
        kept = self.applied()
        if kept is None or kept.etag != file.etag:
            replace_file(self._applied, file.data, self._files)

    def applied(self) -> ConfigFile | None:
        """The configuration that was last taken over without errors, if there ever was one."""
        data = content_of(self._applied)
        return None if data is None else ConfigFile(data, etag_of(data))

    def _forget_all_but(self, etag: str) -> None:
        for path in self._previous.glob("*"):  # what a crash left half written, too
            if path.name != f"{etag}.cf":
                with contextlib.suppress(OSError):
                    path.unlink()


def _make_folder(path: Path, mode: int) -> None:
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise AdapterError(f"the folder {path} cannot be made: {_words(error)}; nothing is changed") from error


def content_of(path: Path, largest_bytes: int = LARGEST_BYTES) -> bytes | None:
    """A regular file's content, ``None`` when there is no such file.  A pipe or device does not make the agent wait.

    Raises AdapterError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {_words(error)}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise AdapterError(f"{path} cannot be read: it is not a regular file")
        if found.st_size > largest_bytes:
            raise AdapterError(f"{path} cannot be read: it is larger than {largest_bytes // 1024} KiB")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(largest_bytes)
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {_words(error)}") from error
    finally:
        os.close(descriptor)
