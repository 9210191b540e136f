"""Half of a pair without a director: a file in memory, a history in memory, and the real conversation between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from app.lvscf import Severity, load
from lvsagent.api.contract import Invalid, Unavailable
from lvsagent.core.arrival import Arrival
from lvsagent.core.revisions import Revision, link
from lvsagent.lvsd.exchange import Exchange
from lvsagent.wire import DiagnosticInfo, PlanStep, RefusalInfo
from lvsagent.wire.overrides import KeptOverride
from lvsagent.wire.peer import Planned, Standing
from tests.fakes.revisions import FakeRevisionStore


def etag_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Half:
    """A ``Home`` and its exchange.  ``full``: its disk is."""

    def __init__(self, node: str, wall: Callable[[], float]) -> None:
        self.node = node
        self.wall = wall
        self.text = ""
        self.full = False
        self.store = FakeRevisionStore()
        self.exchange = Exchange(self, self.store)

    def begin_again(self) -> None:
        """A new lvsd on what is on the disk."""
        self.exchange = Exchange(self, self.store)

    @property
    def head(self) -> str:
        return self.exchange.head()[0]

    def edit(self, text: str, *, other_parent: str = "", actor: str = "ann", origin: str = "console") -> str:
        """An accepted change; returns its id."""
        serial = load(text).config.globals.serial_no
        revision = link(
            Revision(
                parent=self.head,
                other_parent=other_parent,
                etag=etag_of(text),
                serial=serial,
                at=self.wall(),
                node=self.node,
                actor=actor,
                origin=origin,
            )
        )
        self.store.add(revision, text.encode())
        self.text = text
        return revision.id

    # --- Home ---

    def standing(self, head: str, head_etag: str) -> Standing:
        etag = etag_of(self.text)
        serial = load(self.text).config.globals.serial_no
        return Standing(
            node=self.node, version="1", head=head, head_etag=head_etag, serial=serial, file=etag, applied=etag, applied_serial=serial
        )

    async def take_in(self, line: Sequence[Arrival], head: str) -> list[RefusalInfo]:
        if self.full:
            raise Unavailable("lvs.cf cannot be written: no space left on the disk; it is unchanged")
        text = (line[-1].text or b"").decode()
        found = [
            DiagnosticInfo(severity=one.severity.value, code=one.code, line=one.line, message=one.message)
            for one in load(text).diagnostics
            if one.severity is Severity.ERROR
        ]
        if found:
            raise Invalid(found)
        assert self.head == head
        for one in line:
            if one.text is not None:
                self.store.add(one.revision, one.text, head=one is line[-1])
        self.text = text
        return []

    async def keep(self, line: Sequence[Arrival]) -> None:
        for one in line:
            if one.text is not None:
                self.store.add(one.revision, one.text, head=False)

    async def join(self, other: str) -> None:
        self.edit(self.text, other_parent=other, actor="")

    def overrides(self) -> list[KeptOverride]:
        return []

    async def take_overrides(self, sent: Sequence[KeptOverride]) -> None:
        assert not sent

    def let_go(self, key: str, actor: str) -> list[str]:
        return [key] if key else []

    async def plan(self, text: bytes) -> Planned:
        return Planned(node=self.node, steps=[PlanStep(action="add", what="virtual server", name=text.decode(), detail="")], refusals=[])
