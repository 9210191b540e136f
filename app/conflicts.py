"""lvs.cf edited on both directors, as the page shows it: three versions, what each side changed, and what comes of the choice.

Pure.  The merging itself is ``app.lvscf.merge``'s; here are its words, and the text that is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.editing import Basis, Draft, with_serial
from app.lvscf import Loaded, diff, load, write
from app.lvscf.merge import HERE, THERE, Item, merge
from app.presentation import moment
from app.textdiff import DiffLine, unified
from lvsagent.wire import ConflictInfo, ConflictText

MERGE = "merge"
WAYS = (MERGE, HERE, THERE)
PICK = "pick:"


@dataclass(frozen=True, slots=True)
class Version:
    """One column: who made it and when, what it changed since the common one in words, and the lines that differ from that."""

    title: str
    facts: str
    serial: str
    changes: tuple[str, ...]
    lines: tuple[DiffLine, ...]
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """The whole page."""

    base: Version
    here: Version
    there: Version
    choices: tuple[tuple[str, Item], ...]
    """The rows of the merge, each with the name of its circles."""
    ids: tuple[str, str]
    """The heads here and there."""
    etag: str

    @property
    def undecided(self) -> int:
        """How many rows both sides changed."""
        return sum(one.conflict for _, one in self.choices)


def conflict_of(info: ConflictInfo, picks: Mapping[str, str], now: float) -> Conflict:
    """The page for a conflict and what has been picked so far."""
    base, here, there = (_loaded(one) for one in (info.base, info.here, info.there))
    items = merge(base.config, here.config, there.config, picks).items
    return Conflict(
        base=_version("BEFORE, ON BOTH", info.base, base, base, now),
        here=_version(f"HERE: {info.here.node}", info.here, base, here, now),
        there=_version(f"THERE: {info.there.node}", info.there, base, there, now),
        choices=tuple((f"{PICK}{number}", one) for number, one in enumerate(items)),
        ids=(info.here.head, info.there.head),
        etag=info.here.etag,
    )


def settled(basis: Basis, info: ConflictInfo, way: str, picks: Mapping[str, str]) -> Draft:
    """The text that settles it: ours or theirs as it stands, or both merged into ours; its serial is above both.

    Raises ValueError for a word that is no way.
    """
    if way not in WAYS:
        raise ValueError("Choose what to take first: one of the two, or both merged.")
    base, there = _loaded(info.base), _loaded(info.there)
    ours = basis.loaded
    if way == MERGE:
        document, wanted = ours.document, merge(base.config, ours.config, there.config, picks).config
    else:
        chosen = ours if way == HERE else there
        document, wanted = chosen.document, chosen.config
    serial = max(ours.config.globals.serial_no, there.config.globals.serial_no) + 1
    new = with_serial(wanted, serial)
    told = tuple(one.words for one in diff(ours.config, wanted) if one.keyword != "serial_no")
    return Draft(basis, new, write(document, new), told or (f"lvs.cf of {info.here.node} stands, {info.there.node}’s changes do not",))


def picked(info: ConflictInfo, form: Mapping[str, str]) -> dict[str, str]:
    """What the page's circles say: they are numbered, in the merge's order, which is the same as long as the three texts are."""
    base, here, there = (_loaded(one).config for one in (info.base, info.here, info.there))
    chosen = ((one.key, form.get(f"{PICK}{number}", "")) for number, one in enumerate(merge(base, here, there).items))
    return {key: value for key, value in chosen if value in (HERE, THERE)}


def _loaded(one: ConflictText) -> Loaded:
    return load(_text(one))


def _text(one: ConflictText) -> str:
    return one.text.decode("utf-8", "surrogateescape")


def _version(title: str, one: ConflictText, base: Loaded, loaded: Loaded, now: float) -> Version:
    changes = tuple(found.words for found in diff(base.config, loaded.config) if found.keyword != "serial_no")
    who = f" by {one.actor}" if one.actor else ""
    facts = f"made on {one.node}{who}, {moment(one.at, now)}" if one.head else "the two have nothing in common"
    lines = tuple(unified(str(base.document), str(loaded.document)))
    return Version(title, facts, f"serial {one.serial}" if one.head else "", changes, lines, tuple(str(loaded.document).splitlines()))
