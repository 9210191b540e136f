"""The chain of accepted configurations: what a revision is, and how one names the one before it.

Pure.  A revision's id is a hash over what it says and over its parents' ids, as in a version control system, so two directors that have
the same id have the same history up to it.  Keeping revisions is a store's business; which texts it need not keep is decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

ORIGINS = ("console", "lvsctl", "outside", "peer", "rollback", "guard", "import", "start")
PENDING, APPLIED, FAILED, REVERTED = "pending", "applied", "failed", "reverted"
OUTCOMES = (PENDING, APPLIED, FAILED, REVERTED)
WHOLE = 1500
"""The newest so many keep their texts, whatever else goes."""
MOST_LINES = 20_000
MOST_TEXT_BYTES = 1024 * 1024 * 1024
"""As stored.  Only with an lvs.cf of megabytes do fewer than ``WHOLE`` texts fit."""
DAY_S = 86_400

Parents = Mapping[str, tuple[str, ...]]
"""Revision → its parents (one, two, or none), all ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What is hashed.  ``etag`` is the SHA-256 of the text, ``at`` seconds since the epoch; parents are ids, ``""``: none."""

    parent: str
    etag: str
    serial: int
    at: float
    node: str
    actor: str
    origin: str
    comment: str = ""
    other_parent: str = ""
    id: str = ""


def link(revision: Revision) -> Revision:
    """The same revision with its id: SHA-256, hexadecimal, over every other field."""
    fields = (
        revision.parent,
        revision.other_parent,
        revision.etag,
        str(revision.serial),
        f"{revision.at:.6f}",
        revision.node,
        revision.actor,
        revision.origin,
        revision.comment,
    )
    text = "".join(f"{len(field.encode())}:{field}" for field in fields)
    return replace(revision, id=hashlib.sha256(text.encode()).hexdigest())


def linked(revision: Revision) -> bool:
    """Whether the id is the one that the other fields lead to."""
    return link(revision).id == revision.id


@dataclass(frozen=True, slots=True)
class KeptRevision:
    """A revision in a store: its ``number`` there, what it changed in words, how it ended; ``kept``: its text is there too."""

    number: int
    revision: Revision
    changes: tuple[str, ...] = ()
    outcome: str = PENDING
    outcome_words: str = ""
    kept: bool = True


def parents_of(revision: Revision) -> tuple[str, ...]:
    """The ids of the revisions it was made from."""
    return tuple(one for one in (revision.parent, revision.other_parent) if one)


def ancestors(parents: Parents, *revision_ids: str) -> frozenset[str]:
    """The revisions themselves and all that led to them, as far as they are known; each is looked at once, however many are given."""
    found: set[str] = set()
    left = list(revision_ids)
    while left:
        one = left.pop()
        if one in parents and one not in found:
            found.add(one)
            left.extend(parents[one])
    return frozenset(found)


def missing(parents: Parents, revision_id: str, known: Collection[str]) -> list[str]:
    """What somebody who knows ``known`` lacks of the history that led to ``revision_id``: each after its parents, itself last."""
    seen = set(known)
    order: list[str] = []
    left = [(revision_id, False)]
    while left:
        one, entered = left.pop()
        if entered:
            order.append(one)
        elif one in parents and one not in seen:
            seen.add(one)
            left.append((one, True))
            left.extend((parent, False) for parent in reversed(parents[one]))
    return order


@dataclass(frozen=True, slots=True)
class TextKept:
    """A revision whose text is kept: what thinning looks at.  ``size_bytes``: as stored."""

    id: str
    etag: str
    parents: tuple[str, ...]
    at: float
    size_bytes: int


def texts_to_drop(
    kept: Sequence[TextKept], needed: Collection[str], *, whole: int = WHOLE, most_bytes: int = MOST_TEXT_BYTES
) -> frozenset[str]:
    """The ETags of the texts that need not be kept any more; ``kept`` is oldest first, ``needed`` are ids that stay in any case.

    The newest ``whole`` stay.  Of those before them: the first, each that joins two histories and its parents, and the last of each day.
    If that is more than ``most_bytes``, the oldest go, until it is not.
    """
    older, newer = kept[: max(len(kept) - whole, 0)], kept[max(len(kept) - whole, 0) :]
    joined = {one for text in kept if len(text.parents) > 1 for one in (text.id, *text.parents)}
    days = {int(text.at // DAY_S): text.id for text in older}
    stay = {*needed, *joined, *days.values(), *(text.id for text in newer), *(text.id for text in kept[:1])}
    etags = {text.etag: text.size_bytes for text in kept if text.id in stay}
    size = sum(etags.values())
    always = {text.etag for text in kept if text.id in needed}
    for text in kept:
        if size <= most_bytes:
            break
        if text.etag in etags and text.etag not in always:
            size -= etags.pop(text.etag)
    return frozenset(text.etag for text in kept) - frozenset(etags)
