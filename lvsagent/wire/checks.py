"""A check as it stands, and a check tried out (TEST NOW).  Owns these shapes alone."""

from __future__ import annotations

from lvsagent.wire.base import Wire
from lvsagent.wire.explain import CheckResult
from lvsagent.wire.load import LoadInfo


class CheckInfo(Wire, frozen=True):
    """A check and its last result.  ``state``: unknown, up, down, rising, falling.

    ``successes`` and ``failures`` are those in a row up to now: one of them is always 0.  ``warning`` takes nobody out of service.
    ``share_percent``: how much of its weight the server's agent asks for.  ``held_until``: out until then whatever it answers, since it
    failed so often.  ``kept_until``: it fails, and the mass-failure brake keeps it in until then.  Both 0: no.
    """

    key: str
    target: str
    what: str
    state: str
    reason: str = ""
    since: float = 0.0
    last_at: float = 0.0
    last_duration_s: float = 0.0
    next_in_s: float = 0.0
    successes: int = 0
    failures: int = 0
    warning: str = ""
    share_percent: int = 100
    held_until: float = 0.0
    kept_until: float = 0.0


class Checks(Wire, frozen=True):
    """A page of checks, and how many match."""

    checks: list[CheckInfo]
    matching: int


class Explanation(Wire, frozen=True):
    """A check as it stands and its last results, newest first.

    ``slow_start``: how far the server's slow start has come, in words.  ``load``: what load_monitor makes of its weight.
    """

    check: CheckInfo
    results: list[CheckResult]
    slow_start: str = ""
    load: LoadInfo | None = None


class TrialRequest(Wire, frozen=True):
    """TEST NOW: the check as typed, against every real server of ``virtual`` in the configuration given by ``etag``.

    Text fields as in lvs.cf (escapes not decoded), ``None`` for an absent one.  ``changes`` are other keywords of the check as lvs.cf would
    write them (``check``, ``check_port``, ``check_path`` …); those left out are as in the configuration.
    """

    etag: str
    virtual: str
    send: str | None
    expect: str | None
    use_regex: bool
    send_program: str | None
    changes: dict[str, str] = {}


class TrialResult(Wire, frozen=True):
    """One real server's answer to TEST NOW.  ``sent`` and ``received`` are shown as text with escapes, at most 1 KiB."""

    server: str
    target: str
    what: str
    ok: bool
    reason: str
    duration_s: float
    sent: str
    received: str
    connect_s: float = 0.0
    tls_s: float = 0.0
    first_byte_s: float = 0.0
    warning: str = ""


class TrialReport(Wire, frozen=True):
    """All answers, in the file's order."""

    results: list[TrialResult]
