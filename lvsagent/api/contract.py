"""What the API asks of lvsd, and what lvsd may answer no with.

Owns the service's protocol, the requests that have a shape of their own, and the refusals.  Both sides import it; it imports neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lvsagent.ports import ConfigFile
from lvsagent.wire import (
    Checks,
    DiagnosticInfo,
    Events,
    Explanation,
    FailoverRequest,
    Receipt,
    Rehearsal,
    Rehearsals,
    State,
    TrialReport,
    TrialRequest,
)


@dataclass(frozen=True, slots=True)
class Write:
    """A PUT of lvs.cf.  ``if_match`` is the ETag of the file that the text was made from."""

    data: bytes
    if_match: str
    comment: str = ""
    actor: str = ""
    dry_run: bool = False


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

    def state(self, question: Question) -> State: ...

    def events(self, limit: int, before: int) -> Events: ...

    def checks(self, virtual: str, page: int, per_page: int) -> Checks: ...

    async def explain(self, key: str) -> Explanation: ...

    async def trial(self, request: TrialRequest) -> TrialReport: ...

    def announce(self) -> None: ...

    def failover(self, request: FailoverRequest) -> None: ...

    def rehearsals(self) -> Rehearsals: ...

    def add_rehearsal(self, rehearsal: Rehearsal) -> None: ...

    async def table(self, *, rules: bool) -> str: ...


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


class NotFound(Refused):
    """There is no such thing."""


class Unavailable(Refused):
    """What the request needs is not there now."""


class BadRequest(Refused):
    """The request itself makes no sense."""
