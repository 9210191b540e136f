"""What the agent answers its callers, as Python has it: the questions and requests, the text of lvs.cf, and every way to say no.

Owns the protocol that the real client and the tests' fake have in common.  It calls nothing: that is ``client``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lvsagent.wire import (
    Checks,
    ConflictInfo,
    DiagnosticInfo,
    DoctorReport,
    Events,
    Explanation,
    GuardInfo,
    OverrideRequest,
    OverridesInfo,
    PairingInfo,
    PairingRequest,
    Receipt,
    Rehearsal,
    RehearsalRequest,
    Rehearsals,
    Released,
    Revisions,
    State,
    SyncInfo,
    TrialReport,
    TrialRequest,
)


class AgentError(Exception):
    """Any answer but success; the message is in words."""


class AgentDown(AgentError):
    """No agent answers on the socket (not running, no permission to connect, or it took too long)."""


class AgentRefused(AgentError):
    """The agent answered no for another reason than the two below (forbidden, unavailable, too large …)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StaleConfig(AgentError):
    """412: lvs.cf is no longer the one the write was based on; ``etag`` is that of the file now."""

    def __init__(self, message: str, etag: str) -> None:
        super().__init__(message)
        self.etag = etag


class InvalidConfig(AgentError):
    """422: the text has errors; nothing was written."""

    def __init__(self, message: str, diagnostics: Sequence[DiagnosticInfo]) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class Unread(AgentError):
    """409: nothing was written, because there is something to read first; ``receipt`` is that of a dry run now."""

    def __init__(self, message: str, receipt: Receipt) -> None:
        super().__init__(message)
        self.receipt = receipt


class PlanGrown(Unread):
    """The plan does more than the one that was shown."""


class Unconfirmed(Unread):
    """The change takes much out of service at once: ``receipt.takes_out`` says what."""


@dataclass(frozen=True, slots=True)
class ConfigText:
    """lvs.cf as text (UTF-8 with surrogateescape, line ends untouched) and its ETag.  ``exists`` false: there is no file yet."""

    text: str
    etag: str
    exists: bool = True


class Agent(Protocol):
    """What callers use.  AgentClient is the real one, ``tests.fakes.agent.FakeAgent`` behaves like it."""

    def config(self) -> ConfigText: ...

    def previous_config(self) -> ConfigText | None:
        """The text before the last accepted change (for UNDO); ``None`` when there was none."""
        ...

    def history(self, *, limit: int = 50, before: int = 0) -> Revisions:
        """The newest revisions, or those before the revision numbered ``before``; newest first."""
        ...

    def revision_text(self, number: int) -> ConfigText | None:
        """lvs.cf as that revision left it; ``None`` when there is no such revision, or its text is no longer kept."""
        ...

    def put_config(  # noqa: PLR0913 -- each is a header of its own
        self,
        text: str,
        *,
        if_match: str,
        comment: str = "",
        actor: str = "",
        dry_run: bool = False,
        origin: str = "",
        plan: str = "",
        confirm: str = "",
        guard_s: float = 0.0,
        joins: str = "",
    ) -> Receipt:
        """``origin``: as in ``RevisionInfo``; ``""``: whatever this client is.  ``joins``: the id of the other director's head that this
        text settles a conflict with.

        ``plan``, ``confirm``: from the receipt of the dry run that was shown; ``guard_s``: goes back by itself unless confirmed within so
        many seconds.  Raises StaleConfig, InvalidConfig, PlanGrown, Unconfirmed, AgentRefused, AgentDown.
        """
        ...

    def sync(self) -> SyncInfo:
        """How the other director's lvs.cf stands to this one's."""
        ...

    def sync_action(self, action: str, *, actor: str = "") -> SyncInfo:
        """``now``, ``adopt``, ``restore`` or ``reconcile``: see ``SyncRequest``.  Raises AgentRefused, in words."""
        ...

    def conflict(self) -> ConflictInfo | None:
        """The three texts when lvs.cf was edited on both directors; ``None`` when it was not, or theirs is not here yet."""
        ...

    def foreign_text(self) -> str:
        """The virtual servers that lvs.cf does not name, as blocks of an lvs.cf."""
        ...

    def state(
        self, *, virtual: str = "", search: str = "", page: int = 1, per_page: int = 50, servers: bool = False, sort: str = ""
    ) -> State:
        """The snapshot with one page of virtual servers.

        ``virtual``: exactly that name; ``search``: part of a name or address, real servers' included; ``servers``: with their real servers;
        ``sort``: ``""`` (the file's order), ``name``, ``state``, ``connections`` or ``rate``.
        """
        ...

    def events(self, *, limit: int = 20, before: int = 0) -> Events: ...

    def checks(self, *, virtual: str = "", page: int = 1, per_page: int = 50) -> Checks: ...

    def explain(self, key: str) -> Explanation:
        """A check and its last results, newest first.  Raises AgentRefused when there is no such check."""
        ...

    def release(self, key: str = "", *, actor: str = "") -> Released:
        """End the hold-down of the server of this check, or the brake's hold on it (``""``: of all, and the brake).

        Raises AgentRefused when there is no such check, or no nanny.
        """
        ...

    def trial(self, request: TrialRequest) -> TrialReport:
        """TEST NOW.  Raises StaleConfig when ``request.etag`` is not the file's."""
        ...

    def doctor(self, virtual: str) -> DoctorReport:
        """The last examination of the real servers of a virtual server, or the one that runs."""
        ...

    def examine(self, virtual: str, *, actor: str = "") -> DoctorReport:
        """Begin to look at them: ``doctor`` tells what comes of it.  Raises AgentRefused: no such server, one is looked at already, or
        nothing can be looked at.
        """
        ...

    def announce(self) -> None:
        """Send gratuitous ARP for every address again.  Raises AgentRefused when this director is not active."""
        ...

    def failover(self, action: str, *, actor: str = "", reason: str = "") -> None:
        """``step_down``, ``take_over``, ``maintenance`` or ``resume``.  Raises AgentRefused, in words, when that cannot be done now.

        It returns when pulse has been told; what came of it is in the state.
        """
        ...

    def guard(self, action: str, *, actor: str = "", etag: str = "") -> GuardInfo:
        """``confirm`` the change that is watched, or ``revert`` it now; ``etag`` as in ``GuardRequest``.

        Raises AgentRefused when no such change is watched, or it cannot go back now.
        """
        ...

    def overrides(self) -> OverridesInfo:
        """What operators have decided about real servers, newest first."""
        ...

    def override(self, request: OverrideRequest) -> OverridesInfo:
        """Drain, force up or down, weigh, or take that back; refused (``AgentRefused``) when there is no such server."""
        ...

    def rehearsals(self) -> Rehearsals:
        """The failovers that were measured, newest first."""
        ...

    def add_rehearsal(self, rehearsal: Rehearsal) -> None:
        """Remember one."""
        ...

    def pairing(self) -> PairingInfo:
        """Whom this director is paired with, and the code that waits, if one does."""
        ...

    def change_pairing(self, request: PairingRequest) -> PairingInfo:
        """Wait with a code, join with one, stop waiting, or unpair.  Raises AgentRefused, in words, when that cannot be done now.

        It does not wait for the other director: what came of it is in ``pairing()``.
        """
        ...

    def rehearse(self, request: RehearsalRequest) -> None:
        """Measure a failover on the agent's own host.  Raises AgentRefused, in words, when that cannot be done now.

        It returns when the measurement has begun; it is ``running`` among the rehearsals until it is one of them.
        """
        ...

    def table_text(self, *, rules: bool = False) -> str:
        """The data plane's table as ``ipvsadm -L -n`` prints it, or with ``rules`` as ``ipvsadm -S -n`` does."""
        ...
