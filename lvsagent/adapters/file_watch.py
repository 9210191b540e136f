"""A file that somebody writes, found at once, with inotify.

Owns what is worth a look: the file closed after writing, or another one renamed over it.  A file that vanishes is none: many editors move
it away for a moment.  Nor is one that somebody is still writing: half an lvs.cf can be without errors.  What was not seen (a folder that
was not there, a network file system) is found by whoever looks now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from inotify_simple import INotify, flags

log = logging.getLogger(__name__)

WRITTEN = flags.CLOSE_WRITE | flags.MOVED_TO
GONE = flags.DELETE | flags.MOVED_FROM
MASK = WRITTEN | GONE | flags.MODIFY | flags.ONLYDIR


class FileWatch:
    """Calls ``written`` in the running loop whenever the file ``path`` may have new content, our own writing included.

    The folder is watched, not the file: a file that is replaced is another one.  Of a symbolic link both folders are.
    """

    def __init__(self, path: Path, written: Callable[[], None]) -> None:
        self._path = path
        self._written = written
        self._watched: dict[int, str] = {}
        self._being_written = False
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("edits of %s are found a little later: the kernel offers no inotify (%s)", path, error.strerror)
            return
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)
        self.look_around()

    def look_around(self) -> None:
        """Watch the folders where the file is now: one that was made, or a link that leads elsewhere, since the last time."""
        if self._inotify is None:
            return
        real = Path(os.path.realpath(self._path))
        watched: dict[int, str] = {}
        for one in (self._path, real):
            with contextlib.suppress(OSError):  # not there, or no more watches: the next look around may find it
                watched[self._inotify.add_watch(one.parent, MASK)] = one.name
        for gone in self._watched.keys() - watched.keys():
            with contextlib.suppress(OSError):
                self._inotify.rm_watch(gone)
        fresh = watched.keys() - self._watched.keys()
        self._watched = watched
        if fresh:
            self._being_written = False  # that was the file in the folder before
            self._written()  # whatever happened before it was watched

    def being_written(self) -> bool:
        """Whether somebody has begun to write the file and has not closed it yet."""
        self._read()
        return self._being_written

    def close(self) -> None:
        """Nothing is told any more."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _read(self) -> None:
        if self._inotify is None:
            return
        names = set(self._watched.values())
        worth_a_look = False
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                worth_a_look, self._being_written = True, False
            elif event.name in names:
                worth_a_look = worth_a_look or bool(event.mask & WRITTEN)
                self._being_written = bool(event.mask & flags.MODIFY)
        if worth_a_look:
            self._written()
