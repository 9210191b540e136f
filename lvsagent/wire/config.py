"""What a change of lvs.cf leads to: the findings, the steps, the receipt, and a refusal.  Owns these shapes alone."""

from __future__ import annotations

from lvsagent.wire.base import Wire
from lvsagent.wire.guard import TakeOutInfo
from lvsagent.wire.sync import PeerReceipt


class DiagnosticInfo(Wire, frozen=True):
    """One finding of ``app.lvscf`` (line 0: the file as a whole)."""

    severity: str
    code: str
    line: int
    message: str


class PlanStep(Wire, frozen=True):
    """One operation that a configuration leads to, in words, and the open connections it touches.

    ``action`` is add, change or remove; ``what`` is "virtual server", "real server", "address", "firewall mark", "timeouts".
    """

    action: str
    what: str
    name: str
    detail: str
    connections: int = 0


class RefusalInfo(Wire, frozen=True):
    """Something that could not be carried out: ``subject`` names the virtual server, real server or address."""

    subject: str
    reason: str


class PeerPlan(Wire, frozen=True):
    """What an lvs.cf would do on the other director; ``words`` says why that is not known (``""``: it is)."""

    node: str = ""
    steps: list[PlanStep] = []
    refusals: list[RefusalInfo] = []
    words: str = ""


class Receipt(Wire, frozen=True):
    """The answer to a PUT of lvs.cf.  With ``dry_run`` nothing was written and ``etag`` is that of the file as it stands."""

    etag: str
    serial: int
    dry_run: bool
    written: bool
    applied: bool
    steps: list[PlanStep]
    refusals: list[RefusalInfo]
    diagnostics: list[DiagnosticInfo]
    previous_etag: str = ""
    duration_s: float = 0.0
    revision: int = 0
    """The number of the revision this became; 0: none (a dry run, or nothing was written)."""
    peer: PeerReceipt | None = None
    """What became of it on the other director by now; ``None``: there is none, or nothing was written."""
    peer_plan: PeerPlan | None = None
    """With ``dry_run``: what it would do on the other director; ``None``: there is none."""
    plan: str = ""
    """Of a dry run: the fingerprint of the plan, for the PUT that follows (see ``lvsagent.core.plan_prints``)."""
    takes_out: TakeOutInfo | None = None
    """Of a dry run: what has to be confirmed because it takes much out of service at once."""


class Problem(Wire, frozen=True):
    """The body of every answer that is not 2xx.

    ``code``: stale, invalid, grown, unconfirmed, forbidden, unavailable, bad_request, too_large, not_found.  ``receipt``: with grown and
    unconfirmed, what a dry run would say now.
    """

    code: str
    message: str
    etag: str = ""
    diagnostics: list[DiagnosticInfo] = []
    receipt: Receipt | None = None
