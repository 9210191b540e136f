"""The director as the other one's conversation sees it: where it stands, and how a change from over there becomes its lvs.cf.

Owns no decision: whether a line may be taken was decided by ``exchange``; the way of a change is the director's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from app.lvscf import render
from app.lvscf.model import Config
from lvsagent.adapters.config_files import etag_of
from lvsagent.api.contract import BadRequest, NotFound, Refused, Unavailable, Write
from lvsagent.core.arrival import Arrival
from lvsagent.core.drift import read_print, wanted_print
from lvsagent.core.foreign import as_blocks
from lvsagent.lvsd.release import release
from lvsagent.ports import RevisionStore
from lvsagent.wire import ConflictInfo, PeerPlan, RefusalInfo, ReleaseRequest, SyncInfo, SyncRequest
from lvsagent.wire.overrides import KeptOverride
from lvsagent.wire.peer import Planned, Standing
from lvsagent.wire.sync import Fingerprints

if TYPE_CHECKING:
    from lvsagent.lvsd.director import Director

ADOPT, RESTORE, RECONCILE, NOW = "adopt", "restore", "reconcile", "now"
ACTIONS = (NOW, ADOPT, RESTORE, RECONCILE)
KEPT_ASIDE = "applied"
"""A revision that came with a later one has ended well where it was made; here it was never in force alone."""

try:
    VERSION = version("piranha")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "unknown"


class SyncHome:
    """A ``Home`` over the director, and the questions and requests about the two that the API has."""

    def __init__(self, director: Director) -> None:
        self._director = director
        self._wanted: tuple[object, str] = (None, "")
        self._read: tuple[object, object, object, str] = (None, None, None, "")

    # --- Home ----------------------------------------------------------------------------------------------------------------

    def standing(self, head: str, head_etag: str) -> Standing:
        """Where this director stands."""
        director, prints = self._director, self.fingerprints()
        return Standing(
            node=director.node,
            version=VERSION,
            head=head,
            head_etag=head_etag,
            serial=director.disk.serial,
            file=prints.file,
            applied=prints.applied,
            applied_serial=prints.serial,
            table=prints.table,
            table_read=prints.table_read,
        )

    async def take_in(self, line: Sequence[Arrival], head: str) -> list[RefusalInfo]:
        """The last of ``line`` becomes lvs.cf on the way that every change takes.  Raises Stale, Invalid, Unavailable."""
        director, newest = self._director, line[-1]
        await director.look_at_disk()  # what somebody has just typed here is a revision first, and then the line no longer fits
        if director.disk.reason and (director.disk.exists or head):
            raise Unavailable(f"on {director.node} {director.disk.reason}: mend or restore it there first")
        etag = await director.history.ask(lambda store: _etag_of_head(store, head))
        await self.keep(line[:-1])
        revision = newest.revision
        data, origin = newest.text or b"", "peer"
        write = Write(data=data, if_match=etag, comment=revision.comment, actor=revision.actor, origin=origin, revision=revision)
        receipt = await director.put(write)
        return receipt.refusals

    async def keep(self, line: Sequence[Arrival]) -> None:
        """Revisions that are known from now on.  Raises Unavailable."""

        def work(store: RevisionStore) -> None:
            for one in line:
                if one.text is not None and store.by_id(one.revision.id) is None:
                    store.add(one.revision, one.text, head=False, outcome=KEPT_ASIDE)

        await self._director.history.ask(work)

    async def join(self, other: str) -> None:
        """The same text once more, with both heads before it.  Raises Refused."""
        director = self._director
        file = director.file()
        comment = "both directors had the same lvs.cf"
        await director.put(Write(data=file.data, if_match=file.etag, comment=comment, actor="lvsd", origin="peer", other_parent=other))

    async def plan(self, text: bytes) -> Planned:
        """What a text would do here.  Raises Refused."""
        director = self._director
        receipt = await director.put(Write(data=text, if_match=director.file().etag, dry_run=True, origin="peer"))
        return Planned(node=director.node, steps=receipt.steps, refusals=receipt.refusals)

    def overrides(self) -> list[KeptOverride]:
        """All that operators have decided about real servers."""
        return self._director.overrides.sent()

    async def take_overrides(self, sent: Sequence[KeptOverride]) -> None:
        """What the other director knows of that."""
        await self._director.overrides.hear(sent)

    def let_go(self, key: str, actor: str) -> list[str]:
        """An operator's release that was said over there.  Raises NotFound, Unavailable."""
        done = release(ReleaseRequest(key=key, actor=actor), self._director)
        return [*done.held, *done.kept]

    # --- the API's questions -------------------------------------------------------------------------------------------------

    def fingerprints(self) -> Fingerprints:
        """What this director has; the table's are made anew when it or lvs.cf is another."""
        director = self._director
        expansion, have, ready = director.running.expansion, director.keeper.have, director.keeper.info is not None
        if self._wanted[0] is not expansion:
            self._wanted = (expansion, wanted_print(expansion))
        orders = director.book.sides.orders
        if ready and any(now is not then for now, then in zip((expansion, have, orders), self._read[:3], strict=True)):
            self._read = (expansion, have, orders, read_print(expansion, have, orders))
        return Fingerprints(
            file=director.disk.etag if director.disk.exists else "",
            applied=director.running.file.etag if director.running.file.exists else "",
            serial=director.running.serial,
            table=self._wanted[1],
            table_read=self._read[3] if ready else "",
        )

    def look(self) -> None:
        """Notice when the file begins to be another than what runs."""
        director = self._director
        self._director.sync.notice("file", there=director.disk.etag != director.running.file.etag)

    def info(self) -> SyncInfo:
        """Everything for the lamp."""
        return self._director.sync.info(self.fingerprints(), len(self._director.keeper.foreign()))

    async def act(self, request: SyncRequest) -> SyncInfo:
        """An operator's word.  Raises BadRequest, Unavailable, Stale, Invalid."""
        director = self._director
        if request.action == NOW:
            director.sync.ask()
            await director.sync.settled()
        elif request.action == ADOPT:
            await director.look_at_disk(again=True)
            if director.disk.reason:
                raise Unavailable(f"it cannot be applied: {director.disk.reason}")
        elif request.action == RESTORE:
            await self._restore(request.actor)
        elif request.action == RECONCILE:
            await director.reconcile()
        else:
            raise BadRequest(f"action is one of {', '.join(ACTIONS)}, not {request.action}")
        return self.info()

    def conflict(self) -> ConflictInfo:
        """The three texts.  Raises NotFound."""
        found = self._director.sync.conflict()
        if found is None:
            raise NotFound("lvs.cf was not edited on both directors")
        return found

    def foreign_text(self) -> str:
        """The virtual servers that lvs.cf does not name, as blocks of an lvs.cf."""
        director = self._director
        config = director.running.config
        return render(Config(globals=config.globals, virtual=as_blocks(director.keeper.foreign(), config)))

    async def peer_plan(self, text: bytes) -> PeerPlan | None:
        """What a text would do on the other director; ``None`` where there is none."""
        if self._director.sync.state == "none":
            return None
        found = await self._director.sync.plan_there(text)
        return PeerPlan(words=found) if isinstance(found, str) else PeerPlan(node=found.node, steps=found.steps, refusals=found.refusals)

    async def _restore(self, actor: str) -> None:
        director = self._director
        running = director.running.file
        if not running.exists:
            raise Unavailable("nothing is running that could be written back")
        etag = etag_of(b"")
        with contextlib.suppress(Refused):
            etag = director.file().etag
        await director.put(Write(data=running.data, if_match=etag, comment="restored what runs", actor=actor, origin="rollback"))


def _etag_of_head(store: RevisionStore, head: str) -> str:
    kept = store.by_id(head) if head else None
    return kept.revision.etag if kept else etag_of(b"")
