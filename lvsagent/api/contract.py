"""What the API asks of lvsd, and what lvsd may answer no with.

Owns the service's protocol, the requests that have a shape of their own, and the refusals.  Both sides import it; it imports neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lvsagent.core.revisions import Revision
from lvsagent.ports import ConfigFile
from lvsagent.wire import (
    Checks,
    ConflictInfo,
    DiagnosticInfo,
    DoctorReport,
    DoctorRequest,
    Events,
    Explanation,
    FailoverRequest,
    GuardInfo,
    GuardRequest,
    OverrideRequest,
    OverridesInfo,
    PairingInfo,
    PairingRequest,
    Receipt,
    Rehearsal,
    RehearsalRequest,
    Rehearsals,
    Released,
    ReleaseRequest,
    RevisionInfo,
    Revisions,
    State,
    SyncInfo,
    SyncRequest,
    TrialReport,
    TrialRequest,
)


@dataclass(frozen=True, slots=True)
class Write:
    """A PUT of lvs.cf.  ``if_match`` is the ETag of the file that the text was made from.

    ``origin``: one of ``lvsagent.core.revisions.ORIGINS``.  ``other_parent``: the id of the revision that this one joins with the head.
    ``revision``: taken over as it is instead of a fresh one being made (the other director's, whose text ``data`` is).
    ``plan``: the fingerprint of the plan that was shown (``""``: none was); ``confirm``: the token of what is to be taken out of service;
    ``guard_s``: it goes back by itself unless it is confirmed within so many seconds (0: it stays).
    """

    data: bytes
    if_match: str
    comment: str = ""
    actor: str = ""
    dry_run: bool = False
    origin: str = "console"
    plan: str = ""
    confirm: str = ""
    guard_s: float = 0.0
    other_parent: str = ""
    revision: Revision | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Which virtual servers a caller wants to see, and how much of them."""

    virtual: str = ""
    search: str = ""
    page: int = 1
    per_page: int = 50
    servers: bool = False
    sort: str = ""


class Service(Protocol):
    """What the API offers to its callers: a method a route."""

    def file(self) -> ConfigFile: ...

    def previous(self) -> ConfigFile: ...

    async def put(self, write: Write) -> Receipt: ...

    async def history(self, limit: int, before: int) -> Revisions: ...

    async def revision(self, number: int) -> RevisionInfo: ...

    async def revision_text(self, number: int) -> ConfigFile: ...

    async def peer(self, line: bytes) -> bytes: ...

    def sync(self) -> SyncInfo: ...

    async def sync_action(self, request: SyncRequest) -> SyncInfo: ...

    def conflict(self) -> ConflictInfo: ...

    def foreign_text(self) -> str: ...

    def state(self, question: Question) -> State: ...

    def events(self, limit: int, before: int) -> Events: ...

    def checks(self, virtual: str, page: int, per_page: int) -> Checks: ...

    async def explain(self, key: str) -> Explanation: ...

    async def release(self, request: ReleaseRequest) -> Released: ...

    async def trial(self, request: TrialRequest) -> TrialReport: ...

    async def examine(self, request: DoctorRequest) -> DoctorReport: ...

    def doctor_report(self, virtual: str) -> DoctorReport: ...

    def announce(self) -> None: ...

    def failover(self, request: FailoverRequest) -> None: ...

    async def guard(self, request: GuardRequest) -> GuardInfo: ...

    def overrides(self) -> OverridesInfo: ...

    async def override(self, request: OverrideRequest) -> OverridesInfo: ...

    def rehearsals(self) -> Rehearsals: ...

    def add_rehearsal(self, rehearsal: Rehearsal) -> None: ...

    def rehearse(self, request: RehearsalRequest) -> None: ...

    async def table(self, *, rules: bool) -> str: ...

    def pairing(self) -> PairingInfo: ...

    async def pair(self, request: PairingRequest) -> PairingInfo: ...


class Refused(Exception):
    """A request that cannot be carried out, with the reason."""


class Stale(Refused):
    """The write was based on a file that is no longer there; ``etag`` is that of the file now."""

    def __init__(self, etag: str) -> None:
        super().__init__("lvs.cf has been changed since you read it; nothing was written")
        self.etag = etag


class Invalid(Refused):
    """The text has errors; nothing was written."""

    def __init__(self, diagnostics: Sequence[DiagnosticInfo]) -> None:
        errors = sum(diagnostic.severity == "error" for diagnostic in diagnostics)
        super().__init__(f"lvs.cf has {errors} error{'s' if errors > 1 else ''}; nothing was written")
        self.diagnostics = list(diagnostics)


class Unread(Refused):
    """Nothing was written because whoever accepts should first read on; ``receipt`` is that of a dry run now."""

    def __init__(self, message: str, receipt: Receipt) -> None:
        super().__init__(message)
        self.receipt = receipt


class Grown(Unread):
    """The plan does more than the one that was shown."""


class Unconfirmed(Unread):
    """The change takes much out of service at once, and nobody has said that this is meant."""


class NotFound(Refused):
    """There is no such thing."""


class Unavailable(Refused):
    """What the request needs is not there now."""


class BadRequest(Refused):
    """The request itself makes no sense."""
