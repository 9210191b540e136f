"""Two histories compared: what one has and the other has not, and where they parted.

Pure.  A history is a graph of revisions by id, each naming its parents; ``""`` is the empty history, which is part of every other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum

Parents = Callable[[str], tuple[str, ...] | None]
"""The parents of a revision, without empty ones; ``None``: it is not known here."""


class Relation(StrEnum):
    """How the other director's history stands to this one's."""

    IN_STEP = "in_step"
    BEHIND = "behind"
    AHEAD = "ahead"
    TWINS = "twins"
    """The same text by two histories."""
    DIVERGED = "diverged"


def ancestors(head: str, parents: Parents) -> Iterator[str]:
    """``head`` and everything before it that is known, newest first along each line; nothing for ``""``."""
    seen: set[str] = set()
    ahead = [head] if head else []
    while ahead:
        following: list[str] = []
        for each in ahead:
            found = parents(each)
            if each in seen or found is None:
                continue
            seen.add(each)
            yield each
            following.extend(found)
        ahead = following


def includes(head: str, other: str, parents: Parents) -> bool:
    """Whether ``other`` is ``head`` or before it."""
    return other in ("", head) or any(each == other for each in ancestors(head, parents))


def since(head: str, known: Iterable[str], parents: Parents) -> list[str]:
    """What ``head``'s history has and ``known`` and those before them have not: parents before their children."""
    had = {old for each in known for old in ancestors(each, parents)}
    order: list[str] = []
    placed: set[str] = set()
    stack = [(head, False)] if head and head not in had else []
    while stack:
        each, ready = stack.pop()
        if ready:
            order.append(each)
            continue
        found = parents(each)
        if each in placed or each in had or found is None:
            continue
        placed.add(each)
        stack.append((each, True))
        stack.extend((one, False) for one in reversed(found))
    return order


def common(head: str, recent: Collection[str], parents: Parents) -> str:
    """The newest of ``recent`` (the other one's, newest first) that is part of this history; ``""``: none."""
    ours = set(ancestors(head, parents))
    return next((each for each in recent if each in ours), "")


def compare(here: tuple[str, str], there: tuple[str, str], *, peer_has_ours: bool, we_have_theirs: bool) -> Relation:
    """``here`` and ``there`` are (head, ETag of its text)."""
    if here[0] == there[0]:
        return Relation.IN_STEP
    if peer_has_ours:
        return Relation.AHEAD
    if we_have_theirs:
        return Relation.BEHIND
    return Relation.TWINS if here[1] == there[1] else Relation.DIVERGED
