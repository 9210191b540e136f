"""The key that a pair of directors shares: its file, how it is made, and how it is changed.

Owns the file's form (hexadecimal, one key a line: the present one, then the one before it) and who may read it.  When the previous key
is no longer taken is pulse's business.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from lvsagent.adapters.config_files import Stamp, SystemFiles, replace_file
from lvsagent.core.heartbeat import KEY_BYTES, Keys
from lvsagent.ports import AdapterError

MODE = 0o600
LARGEST_BYTES = 4096


class NoKey(AdapterError):
    """There is no such file."""


def read_keys(path: Path) -> Keys:
    """The keys in ``path``.  Raises NoKey, or AdapterError with what is wrong and how to mend it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NoKey(f"there is no {path}; lvsctl pair makes and installs one") from None
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        _check_owner(path, os.fstat(descriptor))
        data = os.read(descriptor, LARGEST_BYTES + 1)
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(descriptor)
    return _parse(path, data)


def new_key() -> bytes:
    """A fresh key."""
    return secrets.token_bytes(KEY_BYTES)


def make_key_file(path: Path) -> None:
    """Make a fresh key in a new file, to be taken by both directors.  Raises AdapterError; a file that is there is never replaced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), MODE)
            file.write(new_key().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise AdapterError(f"{path} is there already; a key is never overwritten: give another name, or remove it first") from None
    except OSError as error:
        raise AdapterError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def take_key_file(source: Path, target: Path) -> str:
    """Install the key in ``source`` as this host's; the one before it is kept as the previous one.  Says in words what was done.

    Raises AdapterError; then ``target`` is as it was.  pulse sees the new file by itself.
    """
    return take_key(read_keys(source).present, target)


def take_key(fresh: bytes, target: Path) -> str:
    """The same for a key that is at hand."""
    before: bytes | None = None
    with contextlib.suppress(NoKey):
        before = read_keys(target).present
    if before == fresh:
        return f"{target} holds this key already"
    lines = [fresh.hex(), *([before.hex()] if before else [])]
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AdapterError(f"the folder {target.parent} cannot be made: {(error.strerror or str(error)).lower()}") from error
    replace_file(target, "".join(f"{line}\n" for line in lines).encode(), SystemFiles(), MODE)
    if before is None:
        return f"{target} holds the key now"
    return f"{target} holds the key now; the one before it is taken as well until the other director has the new one"


class KeyFile:
    """The file as pulse sees it: ``keys`` are the last good ones, ``problem`` is what is wrong with the file now (``""``: nothing)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: Keys | None = None
        self.missing = True
        self.problem = ""
        self._stamp: Stamp | None = None

    def look(self) -> bool:
        """Read the file if it has changed; says whether the keys are others now.  Keys that were good stay when the file goes bad."""
        stamp = Stamp.of(self.path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        before = self.keys
        self.missing, self.problem = False, ""
        try:
            self.keys = read_keys(self.path)
        except NoKey as error:
            self.missing, self.problem = True, str(error)
        except AdapterError as error:
            self.problem = str(error)
        return self.keys != before


def _check_owner(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise AdapterError(f"{path} is not a regular file")
    if found.st_uid not in (0, os.geteuid()):
        raise AdapterError(f"{path} belongs to user id {found.st_uid}: it must be root's (chown root {path})")
    if found.st_mode & 0o077:
        raise AdapterError(f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {path}")


def _parse(path: Path, data: bytes) -> Keys:
    if len(data) > LARGEST_BYTES:
        raise AdapterError(f"{path} is too long for a key")
    lines = [line for line in data.decode(errors="replace").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    keys = [_key(path, number, line.strip()) for number, line in enumerate(lines, 1)]
    if not keys:
        raise AdapterError(f"{path} holds no key")
    if len(keys) > 2:
        raise AdapterError(f"{path} holds {len(keys)} keys: the present one and the one before it are all that may be there")
    return Keys(*keys)


def _key(path: Path, number: int, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise AdapterError(f"{path}: key {number} is not hexadecimal") from None
    if len(key) < KEY_BYTES:
        raise AdapterError(f"{path}: key {number} has {len(key)} bytes; at least {KEY_BYTES} are needed")
    return key
