"""Revisions as they come from the other director: whether they are what they say they are.

Pure.  Nothing about the sender is believed: every id is worked out again, every text is held against its ETag, and each revision must
follow on one that is here or on one before it in the same message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lvsagent.core.revisions import ORIGINS, Revision, linked

TEXT_LIMIT = 500
LATEST_S = 250_000_000_000.0
"""In the year 9892: what is later has no date that a page could show."""
LARGEST_SERIAL = 2**63 - 1
"""What a store has room for."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One revision and its text (``None``: not kept where it came from)."""

    revision: Revision
    text: bytes | None


def objection(arrivals: Sequence[Arrival], known: Callable[[str], bool], *, most: int, largest_bytes: int, to_follow: bool = True) -> str:
    """Why these cannot be taken, in words; ``""`` when they can.

    ``known``: whether a revision's id is here.  ``most`` revisions, each text at most ``largest_bytes``.  ``to_follow``: the last one is
    to become lvs.cf, so its text must be there.
    """
    if not arrivals:
        return "no revision was sent"
    if len(arrivals) > most:
        return f"{len(arrivals)} revisions are more than the {most} that one message may hold"
    if to_follow and arrivals[-1].text is None:
        return "the text of the newest revision was not sent"
    before: set[str] = set()
    for arrival in arrivals:
        if words := _wrong(arrival, largest_bytes):
            return f"revision {arrival.revision.id[:12]} {words}"
        parents = (arrival.revision.parent, arrival.revision.other_parent)
        if any(each and each not in before and not known(each) for each in parents):
            return f"revision {arrival.revision.id[:12]} follows on one that is not known here"
        before.add(arrival.revision.id)
    return ""


def _wrong(arrival: Arrival, largest_bytes: int) -> str:
    revision, text = arrival.revision, arrival.text
    if words := _without_measure(revision):
        return words
    if revision.origin not in ORIGINS:
        return "has an origin that this version does not know"
    if not linked(revision):
        return "does not have the id that its content leads to"
    if text is None:
        return ""
    if len(text) > largest_bytes:
        return f"has a text of more than {largest_bytes // 1024} KiB"
    return "" if hashlib.sha256(text).hexdigest() == revision.etag else "does not have the text that its ETag speaks of"


def _without_measure(revision: Revision) -> str:
    """What no store could keep, and no page show."""
    if max(len(each) for each in (revision.node, revision.actor, revision.comment)) > TEXT_LIMIT:
        return f"has a text of more than {TEXT_LIMIT} characters"
    if not 0 <= revision.at <= LATEST_S or str(revision.at).startswith("-"):  # SQLite gives 0.0 back for -0.0, which has another id
        return "was made at a time that no clock shows"
    if not -LARGEST_SERIAL <= revision.serial <= LARGEST_SERIAL:
        return "has a serial number that no lvs.cf can have"
    return ""
