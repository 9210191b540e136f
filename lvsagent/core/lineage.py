"""Two histories compared: how the other director's head stands to ours, and where they parted.

Pure.  A history is a graph of revisions (see ``lvsagent.core.revisions``); ``""`` is the empty one, which is part of every other.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from lvsagent.core.revisions import Parents, ancestors


class Relation(StrEnum):
    """How the other director's history stands to this one's."""

    IN_STEP = "in_step"
    BEHIND = "behind"
    AHEAD = "ahead"
    TWINS = "twins"
    """The same text by two histories."""
    DIVERGED = "diverged"


def includes(head: str, other: str, parents: Parents) -> bool:
    """Whether ``other`` is ``head`` or before it."""
    return other in ("", head) or other in ancestors(parents, head)


def recent(head: str, parents: Parents, most: int) -> list[str]:
    """``head`` and what is before it, nearest first, at most ``most`` ids."""
    found: dict[str, None] = {}
    ahead = [head]
    while ahead and len(found) < most:
        known = [each for each in ahead if each in parents and each not in found]
        found.update(dict.fromkeys(known))
        ahead = [parent for each in known for parent in parents[each]]
    return list(islice(found, most))


def common(head: str, theirs: Iterable[str], parents: Parents) -> str:
    """The first of ``theirs`` (the other one's head and what is before it, newest first) that is part of this history; ``""``: none."""
    ours = ancestors(parents, head)
    return next((each for each in theirs if each in ours), "")


def compare(here: tuple[str, str], there: tuple[str, str], *, peer_has_ours: bool, we_have_theirs: bool) -> Relation:
    """``here`` and ``there`` are (head, ETag of its text)."""
    if here[0] == there[0]:
        return Relation.IN_STEP
    if peer_has_ours:
        return Relation.AHEAD
    if we_have_theirs:
        return Relation.BEHIND
    return Relation.TWINS if here[1] == there[1] else Relation.DIVERGED
