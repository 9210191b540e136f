"""Replacing a small file of the console's own in one step, never readable by more than it should be, not even for a moment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o600, prepare: Callable[[int], None] = lambda _handle: None) -> None:
    """Write ``content`` to ``path``: the old file or the new one, whatever happens in between.

    ``prepare`` may change owner and mode of the open file before it gets its name.  Raises OSError, the old file untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            prepare(file.fileno())
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
