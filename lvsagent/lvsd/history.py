"""The history of lvs.cf as this director makes it: every accepted lvs.cf is a revision, whoever made it.

Owns the order in which a change becomes history, so that a crash at any step leaves one consistent story:

1. the revision is kept, pending, as the head; only then
2. lvs.cf is replaced, and the table follows; then
3. how that ended is noted.

``follow`` mends whatever a crash left between two of them, and takes in what others did to the file.  How revisions are kept is the
store's business; lvs.cf itself is the director's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from app.lvscf import diff, load
from app.lvscf.model import Config
from lvsagent.api.contract import NotFound, Unavailable, Write
from lvsagent.core.arrival import TEXT_LIMIT
from lvsagent.core.clean_text import clean
from lvsagent.core.revisions import APPLIED, FAILED, PENDING, KeptRevision, Revision, link
from lvsagent.lvsd.configuration import Configuration, decoded
from lvsagent.lvsd.event_log import EventLog
from lvsagent.ports import AdapterError, Clock, ConfigFile, HistoryDamaged, RevisionStore
from lvsagent.wire import RefusalInfo, RevisionInfo, Revisions

T = TypeVar("T")

CHANGES_KEPT = 20
LONGEST_CHANGE = 300
REFUSALS_KEPT = 5
NEVER_WRITTEN = "it never reached lvs.cf: the agent ended before"
OVERTAKEN = "lvs.cf was edited by somebody else before it was known what came of it"


UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class OnTheDisk:
    """lvs.cf as it stands.  ``etag``: ``""`` when there is none, UNREADABLE when nobody can tell.

    ``now`` is ``None`` when it has errors or is not there.
    """

    etag: str
    now: Configuration | None
    owner: str = ""


class History:
    """One director's revisions.  ``node`` is what this director is called."""

    def __init__(self, store: RevisionStore, events: EventLog, clock: Clock, node: str) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._node = node
        self._thread = ThreadPoolExecutor(1, "history")
        self.head_etag = ""
        """The ETag of the newest lvs.cf in the history; ``""``: not known."""
        self.behind = True
        """Something happened to lvs.cf that is not in the history (yet)."""
        self.problem = ""

    # --- a change on its way -------------------------------------------------------------------------------------------------

    async def begin(self, candidate: Configuration, changes: Sequence[str], write: Write) -> KeptRevision:
        """Before lvs.cf is replaced by ``candidate``.  Raises Unavailable; then nothing may be written."""
        try:
            return await self._run(lambda: self._begin(candidate, changes, write))
        except AdapterError as error:
            self._trouble(error)
            raise Unavailable(f"{error}; nothing was written") from error

    async def never_written(self, reason: str) -> None:
        """lvs.cf could not be replaced; it is what it was."""
        try:
            await self._run(lambda: self._retract(reason))
        except AdapterError as error:
            self._trouble(error)

    async def ended(self, made: KeptRevision, refused: Sequence[RefusalInfo], done: str) -> None:
        """Note what came of it (``done``: in the table).  Nobody needs to wait: a later question to the history is answered after it."""
        await self.note(made.revision.id, *_outcome(refused, done))

    async def note(self, revision_id: str, outcome: str, words: str = "") -> None:
        """Note how a revision ended; one that cannot be noted now is said, and mended by ``follow`` if it is the head."""
        try:
            await self._run(lambda: self._store.finish(revision_id, outcome, words))
        except (AdapterError, KeyError) as error:
            self._trouble(error)

    async def follow(self, disk: OnTheDisk, refused: Sequence[RefusalInfo]) -> KeptRevision | None:
        """Have the history say what is on the disk and in force; returns the revision that this took, if it took one."""
        for _attempt in ("as it is", "begun anew"):
            try:
                made = await self._run(lambda: self._follow(disk, *_outcome(refused)))
            except HistoryDamaged as error:
                self._trouble(error)
            except AdapterError as error:
                self._trouble(error)
                return None
            else:
                self.behind = False
                self._well()
                return made
        return None

    async def overtaken(self, disk: OnTheDisk) -> None:
        """An edit by hand that is replaced before it was in force is a revision all the same: its text must not be lost."""
        words = "replaced by the next change before it was in force"
        try:
            await self._run(lambda: self._follow(disk, FAILED, words))
        except AdapterError as error:
            self._trouble(error)

    # --- questions -----------------------------------------------------------------------------------------------------------

    async def page(self, limit: int, before: int) -> Revisions:
        """The newest, newest first; with ``before``, only those with a smaller number.  Raises Unavailable."""

        def work() -> Revisions:
            return Revisions(revisions=[revision_info(one) for one in self._store.newest(limit, before)], total=self._store.total())

        return await self._asked(work)

    async def revision(self, number: int) -> RevisionInfo:
        """One of them.  Raises NotFound, Unavailable."""
        return revision_info(await self._asked(lambda: self._numbered(number)))

    async def text(self, number: int) -> ConfigFile:
        """lvs.cf as that revision left it.  Raises NotFound, Unavailable."""

        def work() -> ConfigFile:
            etag = self._numbered(number).revision.etag
            data = self._store.text(etag)
            if data is None:
                raise NotFound(f"the text of revision {number} is no longer kept")
            return ConfigFile(data, etag)

        return await self._asked(work)

    async def ask(self, question: Callable[[RevisionStore], T]) -> T:
        """Anything else of the store, after all that was asked before.  Raises Unavailable."""
        return await self._asked(lambda: question(self._store))

    async def close(self) -> None:
        """Whatever was asked for is done first."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    # --- in the thread -------------------------------------------------------------------------------------------------------

    def _begin(self, candidate: Configuration, changes: Sequence[str], write: Write) -> KeptRevision:
        revision = write.revision or self._made(
            candidate, origin=write.origin, actor=write.actor, comment=write.comment, other_parent=write.other_parent
        )
        number = self._store.add(revision, candidate.file.data, _first(changes))
        self.head_etag = revision.etag
        return KeptRevision(number, revision, tuple(changes))

    def _made(self, now: Configuration, *, origin: str, actor: str, comment: str = "", other_parent: str = "") -> Revision:
        head = self._store.head()
        return link(
            Revision(
                parent=head.revision.id if head else "",
                other_parent=other_parent,
                etag=now.file.etag,
                serial=now.serial,
                at=self._clock.wall(),
                node=self._node,
                actor=clean(actor)[:TEXT_LIMIT],
                origin=origin,
                comment=clean(comment)[:TEXT_LIMIT],  # longer when cleaned; the other director takes no more
            )
        )

    def _retract(self, reason: str) -> None:
        self._store.retract(reason)
        self._look()

    def _look(self) -> KeptRevision | None:
        head = self._store.head()
        self.head_etag = head.revision.etag if head else ""
        return head

    def _follow(self, disk: OnTheDisk, outcome: str, words: str) -> KeptRevision | None:
        head = self._look()
        if head is not None and head.revision.etag == disk.etag:
            if head.outcome == PENDING:
                self._store.finish(head.revision.id, outcome, words)
            return None
        if head is not None and head.outcome == PENDING:
            before = self._store.before_head()
            if disk.etag == (before.revision.etag if before else ""):
                self._retract(NEVER_WRITTEN)
                return None
        if disk.now is None:
            return None
        if head is not None and head.outcome == PENDING:
            self._store.finish(head.revision.id, PENDING, OVERTAKEN)
        return self._taken_in(head, disk.now, disk.owner, (outcome, words))

    def _taken_in(self, head: KeptRevision | None, now: Configuration, owner: str, ended: tuple[str, str]) -> KeptRevision:
        """What somebody did to the file itself; or, when there is no history yet, the lvs.cf that it begins with."""
        text = self._store.text(head.revision.etag) if head else None
        changes = changes_of(load(decoded(text)).config, now.config) if text is not None else []
        revision = self._made(now, origin="outside" if head else "start", actor=owner)
        number = self._store.add(revision, now.file.data, _first(changes), outcome=ended[0])
        if ended[1]:
            self._store.finish(revision.id, *ended)
        self.head_etag = revision.etag
        return KeptRevision(number, revision, tuple(changes), ended[0], ended[1])

    def _numbered(self, number: int) -> KeptRevision:
        found = self._store.by_number(number)
        if found is None:
            raise NotFound(f"there is no revision {number}")
        return found

    # --- what happened -------------------------------------------------------------------------------------------------------

    async def _asked(self, work: Callable[[], T]) -> T:
        try:
            return await self._run(work)
        except AdapterError as error:
            if isinstance(error, HistoryDamaged):
                self._trouble(error)
            raise Unavailable(str(error)) from error

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _trouble(self, error: Exception) -> None:
        """Said once for each reason; the next round tries again."""
        self.behind = True
        if isinstance(error, HistoryDamaged):
            self.head_etag = ""
            self._events.add("problem", "error", str(error))
        elif str(error) != self.problem:
            self.problem = str(error)
            self._events.add("problem", "error", self.problem)

    def _well(self) -> None:
        if self.problem:
            self.problem = ""
            self._events.add("problem", "info", "the history is kept again")


def changes_of(before: Config, after: Config) -> list[str]:
    """What changed, in words, a line each."""
    return [clean(change.words) for change in diff(before, after)]


def revision_info(kept: KeptRevision) -> RevisionInfo:
    """A revision as callers see it."""
    one = kept.revision
    return RevisionInfo(
        number=kept.number,
        id=one.id,
        parent=one.parent,
        etag=one.etag,
        serial=one.serial,
        at=one.at,
        node=one.node,
        actor=one.actor,
        origin=one.origin,
        comment=one.comment,
        other_parent=one.other_parent,
        changes=list(kept.changes),
        outcome=kept.outcome,
        outcome_words=kept.outcome_words,
        kept=kept.kept,
    )


def _first(changes: Sequence[str]) -> list[str]:
    told = [change[:LONGEST_CHANGE] for change in changes[:CHANGES_KEPT]]
    more = len(changes) - CHANGES_KEPT
    return [*told, f"and {more} more"] if more > 0 else told


def _outcome(refused: Sequence[RefusalInfo], done: str = "") -> tuple[str, str]:
    if not refused:
        return APPLIED, done
    told = "; ".join(f"{one.subject}: {one.reason}" for one in refused[:REFUSALS_KEPT])
    more = len(refused) - REFUSALS_KEPT
    return FAILED, (f"{told}; and {more} more" if more > 0 else told)
