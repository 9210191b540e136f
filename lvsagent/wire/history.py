"""The history of lvs.cf on the agent's sockets."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class RevisionInfo(Wire, frozen=True):
    """One accepted lvs.cf.

    ``number`` counts on this director and is what people name it by.  ``id`` is its link in the chain (see ``lvsagent.core.revisions``) and
    is the same on both directors, as are ``parent`` and, for one that joins two histories, ``other_parent`` (ids; ``""``: none).
    ``node`` is the director where it was made, ``actor`` who made it.  ``origin``: console, lvsctl, outside (an edit to the file itself),
    peer, rollback, guard, import, start.  ``changes``: what it changed, in words, the first few.  ``outcome``: applied, failed (a part
    was refused, or it could not be applied), reverted, pending (written, and what came of it is not known); ``outcome_words``: why, or
    what an applied one did to the table.
    ``kept`` is false when only this line is left of it and its text is gone.
    """

    number: int
    id: str
    parent: str
    etag: str
    serial: int
    at: float
    node: str
    actor: str
    origin: str
    comment: str = ""
    other_parent: str = ""
    changes: list[str] = []
    outcome: str = "applied"
    outcome_words: str = ""
    kept: bool = True


class Revisions(Wire, frozen=True):
    """A page of them, newest first, and how many there are."""

    revisions: list[RevisionInfo]
    total: int
