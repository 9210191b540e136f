"""Two configurations that were made from one, put together again: keyword by keyword outside blocks, block by block otherwise.

Pure.  What only one side changed is taken from that side; what both changed alike is no conflict; what both changed differently is a
conflict, listed, and decided by whoever reads it.  The result is meant for the writer over *our* document: it has our blocks' keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.lvscf.diff import diff
from app.lvscf.keywords import BY_LEVEL, Level
from app.lvscf.model import Config, FailoverService, GlobalSettings, RealServer, VirtualServer

HERE, THERE = "here", "there"
SERIAL = "serial_no"

Block = VirtualServer | FailoverService
B = TypeVar("B", VirtualServer, FailoverService)
Ref = tuple[str, int]
"""A block's name, and which of that name."""


@dataclass(frozen=True, slots=True)
class Item:
    """A keyword or block that is not the same on both sides.

    ``key`` names it in ``picks``; ``here`` and ``there`` are what each side changed, in words (empty: nothing).  ``taken``: whose is in
    the result; ``conflict``: both changed it, differently.
    """

    key: str
    subject: str
    here: tuple[str, ...]
    there: tuple[str, ...]
    taken: str
    conflict: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The result, and everything in which the two sides differed, in lvs.cf's order."""

    config: Config
    items: tuple[Item, ...]

    @property
    def conflicts(self) -> tuple[Item, ...]:
        """What has to be decided."""
        return tuple(one for one in self.items if one.conflict)


def merge(base: Config, here: Config, there: Config, picks: Mapping[str, str] | None = None) -> Merged:
    """Put ``here`` and ``there``, both made from ``base``, together.  ``picks``: an item's key → HERE or THERE, conflict or not.

    A conflict that is not picked is taken from here.  serial_no is never one: the higher counts.
    """
    merging = _Merge(picks or {})
    settings = merging.settings(base.globals, here.globals, there.globals)
    virtual = merging.blocks("virtual", "virtual server", base.virtual, here.virtual, there.virtual)
    failover = merging.blocks("failover", "failover service", base.failover, here.failover, there.failover)
    return Merged(Config(globals=settings, virtual=virtual, failover=failover), tuple(merging.items))


class _Merge:
    def __init__(self, picks: Mapping[str, str]) -> None:
        self.picks = picks
        self.items: list[Item] = []

    def settings(self, base: GlobalSettings, here: GlobalSettings, there: GlobalSettings) -> GlobalSettings:
        """Keyword by keyword."""
        taken: dict[str, Any] = {}
        for name in BY_LEVEL[Level.GLOBAL]:
            old: Any = getattr(base, name)
            ours: Any = getattr(here, name)
            theirs: Any = getattr(there, name)
            if ours == theirs:
                continue
            if name == SERIAL:
                taken[name] = theirs if ours == old else ours if theirs == old else max(ours, theirs)
                continue
            words = tuple(_setting_words(base, side, name) for side in (here, there))
            if self._take(f"global/{name}", name, words, (ours != old, theirs != old)) == THERE:
                taken[name] = theirs
        return replace(here, **taken) if taken else here

    def blocks(self, kind: str, title: str, base: Sequence[B], here: Sequence[B], there: Sequence[B]) -> tuple[B, ...]:
        """Block by block, by name."""
        olds: dict[Ref, B] = _by_ref(base)
        ours: dict[Ref, B] = _by_ref(here)
        theirs: dict[Ref, B] = _by_ref(there)
        result: dict[Ref, B] = {}
        for ref in dict.fromkeys([*ours, *theirs]):
            mine, other = ours.get(ref), theirs.get(ref)
            taken = mine
            if mine != other and self._taken(kind, title, ref, (olds.get(ref), mine, other)) == THERE:
                taken = _rekeyed(other, mine) if other is not None else None
            if taken is not None:
                result[ref] = taken
        order = _order(list(olds), list(ours), list(theirs), result)
        return tuple(result[ref] for ref in order)

    def _taken(self, kind: str, title: str, ref: Ref, versions: tuple[Block | None, Block | None, Block | None]) -> str:
        old, ours, theirs = versions
        name, ordinal = ref
        subject = f"{title} {name}" + (f" (number {ordinal} of that name)" if ordinal > 1 else "")
        words = (_block_words(old, ours), _block_words(old, theirs))
        return self._take(f"{kind}/{ordinal}/{name}", subject, words, (ours != old, theirs != old))

    def _take(self, key: str, subject: str, words: tuple[tuple[str, ...], ...], changed: tuple[bool, bool]) -> str:
        conflict = all(changed)
        taken = self.picks.get(key, HERE if changed[0] else THERE)
        self.items.append(Item(key, subject, words[0], words[1], taken, conflict))
        return taken


def _setting_words(base: GlobalSettings, side: GlobalSettings, name: str) -> tuple[str, ...]:
    return tuple(one.words for one in diff(Config(globals=base), Config(globals=side)) if one.keyword == name)


def _block_words(old: Block | None, new: Block | None) -> tuple[str, ...]:
    def alone(block: Block | None) -> Config:
        if isinstance(block, VirtualServer):
            return Config(virtual=(block,))
        return Config(failover=(block,)) if block is not None else Config()

    return tuple(one.words for one in diff(alone(old), alone(new)))


def _by_ref(blocks: Sequence[B]) -> dict[Ref, B]:
    seen: Counter[str] = Counter()
    found: dict[Ref, B] = {}
    for block in blocks:
        seen[block.name] += 1
        found[block.name, seen[block.name]] = block
    return found


def _rekeyed(block: B, ours: B | None) -> B:
    """Their block as ours: where it has a counterpart in our document it is that one, changed; else it is new."""
    fields: dict[str, Any] = {"key": ours.key if ours else None}
    if isinstance(block, VirtualServer):
        known: dict[Ref, int | None] = _servers(ours.servers) if isinstance(ours, VirtualServer) else {}
        fields["servers"] = tuple(replace(server, key=known.get(ref)) for ref, server in _server_refs(block.servers))
    return replace(block, **fields)


def _server_refs(servers: Sequence[RealServer]) -> list[tuple[Ref, RealServer]]:
    seen: Counter[str] = Counter()
    found = []
    for server in servers:
        seen[server.name] += 1
        found.append(((server.name, seen[server.name]), server))
    return found


def _servers(servers: Sequence[RealServer]) -> dict[Ref, int | None]:
    return {ref: server.key for ref, server in _server_refs(servers)}


def _order(base: list[Ref], here: list[Ref], there: list[Ref], kept: Mapping[Ref, object]) -> list[Ref]:
    """The order of the side that changed it.

    When both did, that of the one whose names come first, so that it is the same seen from both.
    """
    first, second = (there, here) if here == base else (here, there) if there == base else sorted((here, there))
    order = [ref for ref in first if ref in kept]
    for place, ref in enumerate(second):
        if ref in kept and ref not in order:
            before = next((each for each in reversed(second[:place]) if each in order), None)
            order.insert(order.index(before) + 1 if before else 0, ref)
    return order
