"""The chain of accepted configurations: what a revision is, and how one names the one before it.

Pure.  A revision's id is a hash over what it says and over its parents' ids, as in a version control system, so two directors that have
the same id have the same history up to it.  Keeping revisions is a store's business.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

ORIGINS = ("console", "lvsctl", "outside", "peer", "rollback", "guard", "import", "start")


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
