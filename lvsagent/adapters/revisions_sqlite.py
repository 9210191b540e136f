"""The revisions of lvs.cf in a SQLite database.

Owns the database's form and what is done when it cannot be used: a full disk changes nothing and is said in words; a database that is
damaged is set aside under another name, and a fresh one begun.  Which texts go when there are many is decided in ``core.revisions``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lvsagent.core.revisions import (
    FAILED,
    MOST_LINES,
    MOST_TEXT_BYTES,
    WHOLE,
    KeptRevision,
    Parents,
    Revision,
    TextKept,
    linked,
    texts_to_drop,
)
from lvsagent.ports import AdapterError, HistoryDamaged

T = TypeVar("T")

VERSION = 1
THIN_EVERY = 64
"""Thinning looks at every line, so it is done now and then."""
BUSY_S = 2.0
LOOKED_OVER_BYTES = 64 * 1024 * 1024
"""A larger database is not looked over as a whole when it is opened: lvsd's start waits for it.  What is read is checked in any case."""
SCHEMA = """
CREATE TABLE revisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    parent TEXT NOT NULL,
    other_parent TEXT NOT NULL,
    etag TEXT NOT NULL,
    serial INTEGER NOT NULL,
    at REAL NOT NULL,
    node TEXT NOT NULL,
    actor TEXT NOT NULL,
    origin TEXT NOT NULL,
    comment TEXT NOT NULL,
    changes TEXT NOT NULL,
    outcome TEXT NOT NULL,
    outcome_words TEXT NOT NULL
) STRICT;
CREATE INDEX revisions_by_etag ON revisions (etag);
CREATE TABLE texts (etag TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE places (name TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT;
"""
FIELDS = ("id", "parent", "other_parent", "etag", "serial", "at", "node", "actor", "origin", "comment")
SELECT = (
    f"SELECT number, {', '.join(FIELDS)}, changes, outcome, outcome_words, "  # noqa: S608 -- our own names
    "EXISTS (SELECT 1 FROM texts WHERE texts.etag = revisions.etag) FROM revisions "
)
INSERT = (
    f"INSERT INTO revisions ({', '.join(FIELDS)}, changes, outcome, outcome_words) "  # noqa: S608 -- our own names
    f"VALUES ({', '.join('?' * len(FIELDS))}, ?, ?, '')"
)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
WORDS = {
    sqlite3.SQLITE_FULL: "no space left on the disk",
    sqlite3.SQLITE_READONLY: "the file or its file system is read-only",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or made",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_BUSY: "another program has it locked",
    sqlite3.SQLITE_PERM: "no permission",
}


class _Broken(Exception):
    """A row that cannot be what was written."""


class SqliteRevisions:
    """The ``RevisionStore`` port on the database ``path``; opened when first asked, and again after an error.  Any thread may call."""

    def __init__(self, path: Path, *, whole: int = WHOLE, most_lines: int = MOST_LINES, most_bytes: int = MOST_TEXT_BYTES) -> None:
        self._path = path
        self._whole, self._most_lines, self._most_bytes = whole, most_lines, most_bytes
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.RLock()

    def add(self, revision: Revision, text: bytes, changes: Sequence[str] = (), *, head: bool = True, outcome: str = "pending") -> int:
        """Keep a revision and its text; returns its number."""
        if not linked(revision) or hashlib.sha256(text).hexdigest() != revision.etag:
            raise ValueError(f"revision {revision.id[:12]} is not what its id or its ETag says")
        compressed = zlib.compress(text)

        def work(database: sqlite3.Connection) -> int:
            found = _one(database, "WHERE id = ?", revision.id)
            database.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (revision.etag, compressed))
            if found is None:
                values = [getattr(revision, name) for name in FIELDS]
                database.execute(INSERT, (*values, json.dumps(list(changes)), outcome))
            elif head:
                database.execute("UPDATE revisions SET outcome = ?, outcome_words = '' WHERE number = ?", (outcome, found.number))
            if head:
                _move_head(database, revision.id)
            number = found.number if found else int(database.execute("SELECT max(number) FROM revisions").fetchone()[0])
            if found is None and number % THIN_EVERY == 0:
                self._thin(database)
            return number

        return self._run(work)

    def finish(self, revision_id: str, outcome: str, words: str = "") -> None:
        """How it ended."""

        def work(database: sqlite3.Connection) -> None:
            done = database.execute("UPDATE revisions SET outcome = ?, outcome_words = ? WHERE id = ?", (outcome, words, revision_id))
            if not done.rowcount:
                raise KeyError(revision_id)

        self._run(work)

    def retract(self, words: str) -> None:
        """The head never reached lvs.cf."""

        def work(database: sqlite3.Connection) -> None:
            places = _places(database)
            if "head" not in places:
                raise KeyError("head")
            database.execute("UPDATE revisions SET outcome = ?, outcome_words = ? WHERE id = ?", (FAILED, words, places["head"]))
            database.execute("DELETE FROM places")
            if "before" in places:
                database.execute("INSERT INTO places VALUES ('head', ?)", (places["before"],))
                before = _one(database, "WHERE id = ?", places["before"])
                if before and before.revision.parent:
                    database.execute("INSERT INTO places VALUES ('before', ?)", (before.revision.parent,))

        self._run(work)

    def head(self) -> KeptRevision | None:
        """The revision that lvs.cf is."""
        return self._run(lambda database: _one(database, "WHERE id = (SELECT id FROM places WHERE name = 'head')"))

    def before_head(self) -> KeptRevision | None:
        """The revision that was the head before this one."""
        return self._run(lambda database: _one(database, "WHERE id = (SELECT id FROM places WHERE name = 'before')"))

    def by_number(self, number: int) -> KeptRevision | None:
        """The revision with this number here."""
        return self._run(lambda database: _one(database, "WHERE number = ?", number))

    def by_id(self, revision_id: str) -> KeptRevision | None:
        """The revision with this id."""
        return self._run(lambda database: _one(database, "WHERE id = ?", revision_id))

    def newest(self, limit: int, before: int = 0) -> tuple[KeptRevision, ...]:
        """Newest first."""
        where, values = ("WHERE number < ? ", (before, limit)) if before else ("", (limit,))
        return self._run(lambda database: tuple(_rows(database, f"{where}ORDER BY number DESC LIMIT ?", *values)))

    def total(self) -> int:
        """How many there are."""
        return self._run(lambda database: int(database.execute("SELECT count(*) FROM revisions").fetchone()[0]))

    def text(self, etag: str) -> bytes | None:
        """A text.  One that is damaged is an error of its own: the rest of the history is none the worse."""

        def work(database: sqlite3.Connection) -> bytes | None:
            found = database.execute("SELECT data FROM texts WHERE etag = ?", (etag,)).fetchone()
            return None if found is None else bytes(found[0])

        data = self._run(work)
        if data is None:
            return None
        with contextlib.suppress(zlib.error):
            text = zlib.decompress(data)
            if hashlib.sha256(text).hexdigest() == etag:
                return text
        raise AdapterError(f"the text kept in {self._path} is damaged, its hash is not {etag[:12]}…")

    def parents(self) -> Parents:
        """Every revision with its parents."""

        def work(database: sqlite3.Connection) -> Parents:
            rows = database.execute("SELECT id, parent, other_parent FROM revisions")
            return {one: tuple(parent for parent in parents if parent) for one, *parents in rows}

        return self._run(work)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    # --- the database --------------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``work`` as one transaction: all of it is kept, or nothing has changed and the reason is raised in words."""
        with self._lock:
            try:
                database = self._opened()
                with _transaction(database):
                    return work(database)
            except _Broken as error:
                raise self._set_aside(str(error)) from error
            except sqlite3.DatabaseError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the others say more
                if code in DAMAGED:
                    raise self._set_aside(str(error)) from error
                raise AdapterError(f"the history cannot be kept in {self._path}: {WORDS.get(code, error)}") from error
            except OSError as error:
                raise AdapterError(f"the history cannot be kept in {self._path}: {(error.strerror or str(error)).lower()}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode != _inode(self._path):
            self.close()  # somebody has moved it away: what is written to it would be lost
        if self._connection is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(self._path, flags, 0o600))  # nobody else's business, whatever the umask
            database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._connection, self._inode = database, _inode(self._path)
        return self._connection

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA journal_size_limit = 8388608")
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            database.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"it was written by another version of the agent (form {version})")
        if self._path.stat().st_size > LOOKED_OVER_BYTES:
            return
        if found := [row[0] for row in database.execute("PRAGMA quick_check(1)") if row[0] != "ok"]:
            raise _Broken(str(found[0]))

    def _set_aside(self, reason: str) -> HistoryDamaged:
        """Out of the way, under a name that is free; the next call makes a fresh database."""
        self.close()
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.damaged-{number}")).exists():
            number += 1
        for ending in ("-wal", "-shm", ""):  # the database last: while it has its name, nothing fresh is begun beside an old log
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).rename(aside.with_name(aside.name + ending))
        words = " ".join(reason.split())
        return HistoryDamaged(f"the history in {self._path} is damaged ({words}): it is kept as {aside.name}, and a fresh one has begun")

    def _thin(self, database: sqlite3.Connection) -> None:
        needed = set(_places(database).values())
        database.execute(
            "DELETE FROM revisions WHERE number <= (SELECT max(number) FROM revisions) - ? AND id NOT IN (SELECT id FROM places)",
            (self._most_lines,),
        )
        rows = database.execute(
            "SELECT id, revisions.etag, parent, other_parent, at, length(data) "
            "FROM revisions JOIN texts ON texts.etag = revisions.etag ORDER BY number"
        )
        kept = [
            TextKept(one, etag, tuple(parent for parent in (parent, other) if parent), at, size)
            for one, etag, parent, other, at, size in rows
        ]
        drop = texts_to_drop(kept, needed, whole=self._whole, most_bytes=self._most_bytes)
        database.executemany("DELETE FROM texts WHERE etag = ?", ((etag,) for etag in drop))
        database.execute("DELETE FROM texts WHERE etag NOT IN (SELECT etag FROM revisions)")


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # an error of the disk has rolled it back already
            database.execute("ROLLBACK")
        raise


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _rows(database: sqlite3.Connection, rest: str, *values: Any) -> Iterator[KeptRevision]:
    for number, *fields, changes, outcome, words, kept in database.execute(SELECT + rest, values):
        revision = Revision(**dict(zip(FIELDS, fields, strict=True)))
        if not linked(revision):
            raise _Broken(f"revision {number} is not what was written")
        yield KeptRevision(number, revision, tuple(json.loads(changes)), outcome, words, bool(kept))


def _one(database: sqlite3.Connection, rest: str, *values: Any) -> KeptRevision | None:
    return next(_rows(database, rest, *values), None)


def _places(database: sqlite3.Connection) -> dict[str, str]:
    return dict(database.execute("SELECT name, id FROM places").fetchall())


def _move_head(database: sqlite3.Connection, revision_id: str) -> None:
    now = _places(database).get("head")
    if now == revision_id:
        return
    if now is not None:
        database.execute("INSERT OR REPLACE INTO places VALUES ('before', ?)", (now,))
    database.execute("INSERT OR REPLACE INTO places VALUES ('head', ?)", (revision_id,))
