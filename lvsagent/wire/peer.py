"""What one director's agent asks the other's, and is answered: one JSON line each way.

Owns shapes and their bounds.  Nothing else ever travels between the two: no agent.toml, no key, no password.  A text is lvs.cf's bytes (in
JSON: base64); everything that comes in is decoded into one of these, and then checked by whoever receives it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from lvsagent.wire import DiagnosticInfo, PlanStep, RefusalInfo
from lvsagent.wire.base import Wire
from lvsagent.wire.overrides import KeptOverride

MOST_REVISIONS = 20_000
MOST_KNOWN = 2000
LARGEST_TEXT_BYTES = 8 * 1024 * 1024
MOST_IN_ONE = 1000
TEXTS_BYTES = 16 * 1024 * 1024
"""What one message holds: so many revisions, and so much of their texts.  What is more than that comes in several."""
LARGEST_MESSAGE_BYTES = 32 * 1024 * 1024
LONGEST_WORD = 500
Word = Annotated[str, msgspec.Meta(max_length=LONGEST_WORD)]
"""What every page shows of the other director, and what is kept of it, has an end."""
Serial = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Standing(Wire, frozen=True):
    """Where a director stands.

    ``head`` is the id of its newest revision (``""``: none), ``head_etag`` the ETag of that revision's text.  ``file`` and ``applied`` are
    ETags: of lvs.cf on its disk, and of what it runs, with ``applied_serial``.  ``table`` is the fingerprint of the table it wants,
    ``table_read`` of the one it has (``""``: not known), health left out of both.
    """

    node: Word
    version: Word
    head: Word
    head_etag: Word
    serial: Serial
    file: Word
    applied: Word
    applied_serial: Serial
    table: Word = ""
    table_read: Word = ""


class SentRevision(Wire, frozen=True):
    """A revision on its way (see ``lvsagent.core.revisions``).  ``text`` is ``None`` where only this line of it is left."""

    id: str
    parent: str
    other_parent: str
    etag: str
    serial: int
    at: float
    node: str
    actor: str
    origin: str
    comment: str
    text: bytes | None = None


# --- asked ---------------------------------------------------------------------------------------------------------------------


class Hello(Wire, frozen=True, tag="hello"):
    """Where I stand; where do you?  ``overrides``: all that operators have decided about real servers."""

    standing: Standing
    overrides: list[KeptOverride] = []


class Push(Wire, frozen=True, tag="push"):
    """Take these, oldest first, as what follows on ``expected``, your head; the last becomes your lvs.cf, unless ``more`` come."""

    revisions: list[SentRevision]
    expected: str
    standing: Standing
    more: bool = False


class Fetch(Wire, frozen=True, tag="fetch"):
    """Give me what your history has and mine (``known``: its newest ids) has not."""

    known: list[str]
    standing: Standing


class PlanHere(Wire, frozen=True, tag="plan"):
    """What would this lvs.cf do there?  Nothing is written."""

    text: bytes


class LetGo(Wire, frozen=True, tag="release"):
    """An operator has released this check's server (``key``, ``""``: all that are held, and the mass-failure brake): do so too."""

    key: Word
    actor: Word


Request = Hello | Push | Fetch | PlanHere | LetGo


# --- answered ------------------------------------------------------------------------------------------------------------------


class Greeting(Wire, frozen=True, tag="greeting"):
    """``includes``: the asker's head is this director's head, or somewhere before it.  ``overrides`` as in ``Hello``, of both by now."""

    standing: Standing
    includes: bool
    overrides: list[KeptOverride] = []


class Applied(Wire, frozen=True, tag="applied"):
    """Taken: it is in the file and in force, but for ``refusals``."""

    standing: Standing
    refusals: list[RefusalInfo] = []


class Diverged(Wire, frozen=True, tag="diverged"):
    """Not taken: this director's head is not the one expected, or its history has something that the pushed one has not."""

    standing: Standing
    includes: bool


class InvalidThere(Wire, frozen=True, tag="invalid"):
    """Not taken: the text has errors as this director reads it."""

    diagnostics: list[DiagnosticInfo]


class RefusedThere(Wire, frozen=True, tag="refused"):
    """Not taken, for the reason given in words."""

    reason: str


class Sent(Wire, frozen=True, tag="revisions"):
    """Oldest first; ``includes`` as in ``Greeting``.  ``more``: these are not all, so ask again."""

    revisions: list[SentRevision]
    standing: Standing
    includes: bool
    more: bool = False


class Planned(Wire, frozen=True, tag="planned"):
    """What the text would do on this director."""

    node: str
    steps: list[PlanStep]
    refusals: list[RefusalInfo]


class LetGone(Wire, frozen=True, tag="released"):
    """The checks whose servers were held there and are so no longer."""

    keys: list[Word]


Answer = Greeting | Applied | Diverged | InvalidThere | RefusedThere | Sent | Planned | LetGone
