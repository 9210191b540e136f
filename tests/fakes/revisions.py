"""The revisions of lvs.cf in memory.  Held to the real store by ``tests/contract/test_revisions_contract.py``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from lvsagent.core.revisions import FAILED, KeptRevision, Parents, Revision, linked, parents_of
from lvsagent.ports import AdapterError


class FakeRevisionStore:
    """``refuse`` is the reason why nothing can be kept now (``""``: it can).  ``forget`` drops a text, as thinning does."""

    def __init__(self) -> None:
        self.refuse = ""
        self._kept: dict[str, KeptRevision] = {}
        self._texts: dict[str, bytes] = {}
        self._head = ""
        self._before = ""

    def add(self, revision: Revision, text: bytes, changes: Sequence[str] = (), *, head: bool = True, outcome: str = "pending") -> int:
        """Keep a revision and its text."""
        if not linked(revision) or hashlib.sha256(text).hexdigest() != revision.etag:
            raise ValueError(f"revision {revision.id[:12]} is not what its id or its ETag says")
        self._may_write()
        self._texts.setdefault(revision.etag, text)
        if revision.id not in self._kept:
            self._kept[revision.id] = KeptRevision(len(self._kept) + 1, revision, tuple(changes), outcome)
        elif head:
            self._kept[revision.id] = replace(self._kept[revision.id], outcome=outcome, outcome_words="")
        if head and self._head != revision.id:
            self._before, self._head = self._head, revision.id
        return self._kept[revision.id].number

    def finish(self, revision_id: str, outcome: str, words: str = "") -> None:
        """How it ended."""
        self._may_write()
        self._kept[revision_id] = replace(self._kept[revision_id], outcome=outcome, outcome_words=words)

    def retract(self, words: str) -> None:
        """The head never reached lvs.cf."""
        self.finish(self._head, FAILED, words)
        self._head = self._before
        self._before = self._kept[self._head].revision.parent if self._head else ""

    def head(self) -> KeptRevision | None:
        """The revision that lvs.cf is."""
        return self.by_id(self._head)

    def before_head(self) -> KeptRevision | None:
        """The one before it."""
        return self.by_id(self._before)

    def by_number(self, number: int) -> KeptRevision | None:
        """The revision with this number."""
        return next((self._shown(one) for one in self._kept.values() if one.number == number), None)

    def by_id(self, revision_id: str) -> KeptRevision | None:
        """The revision with this id."""
        found = self._kept.get(revision_id)
        return self._shown(found) if found else None

    def newest(self, limit: int, before: int = 0) -> tuple[KeptRevision, ...]:
        """Newest first."""
        found = [self._shown(one) for one in reversed(self._kept.values()) if not before or one.number < before]
        return tuple(found[:limit])

    def total(self) -> int:
        """How many."""
        return len(self._kept)

    def text(self, etag: str) -> bytes | None:
        """A text."""
        return self._texts.get(etag)

    def parents(self) -> Parents:
        """Every revision with its parents."""
        return {one.revision.id: parents_of(one.revision) for one in self._kept.values()}

    def forget(self, etag: str) -> None:
        """Drop a text."""
        del self._texts[etag]

    def close(self) -> None:
        """Nothing to let go of."""

    def _shown(self, one: KeptRevision) -> KeptRevision:
        return replace(one, kept=one.revision.etag in self._texts)

    def _may_write(self) -> None:
        if self.refuse:
            raise AdapterError(f"the history cannot be kept: {self.refuse}")
