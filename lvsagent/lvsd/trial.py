"""TEST NOW: the check as typed, run once against every real server of a virtual server.

Owns making the checks and their answers in words.  Nothing it does reaches the table or the health book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.lvscf import BY_LEVEL, Level, ip_of
from app.lvscf.model import VirtualServer
from app.lvscf.values import Interpretation, interpret
from lvsagent.api.contract import BadRequest, NotFound, Stale
from lvsagent.core.check_plan import check_spec
from lvsagent.core.check_spec import CheckSpec, Method, describe, escaped
from lvsagent.core.clean_text import clean
from lvsagent.lvsd.configuration import read_configuration
from lvsagent.lvsd.director import Director
from lvsagent.messages import TrialOutcome
from lvsagent.wire import TrialReport, TrialRequest, TrialResult

LONGEST_S = 10.0
SHOWN_BYTES = 1024
CHANGEABLE = frozenset(
    {"check", "check_port", "check_path", "check_host", "check_status", "check_record", "check_verify", "check_cert_days"}
)
"""Keywords that a trial may have as typed, besides those with a field of their own."""


async def run_trial(director: Director, request: TrialRequest) -> TrialReport:
    """Raises Stale, NotFound, Unavailable."""
    file = director.file()
    if file.etag != request.etag:
        raise Stale(file.etag)
    running = director.running
    configuration = running if running.file.etag == file.etag else await read_configuration(file, director.names)
    name = clean(request.virtual)
    virtual = next((one for one in configuration.config.virtual if clean(one.name) == name), None)
    if virtual is None:
        raise NotFound(f"there is no virtual server {name}")
    typed = replace(
        virtual,
        send=request.send,
        expect=request.expect,
        use_regex=request.use_regex,
        send_program=request.send_program,
        **_changes(request.changes),
    )
    specs = _specs(director, typed)
    to_run = [spec for spec in specs if spec is not None and spec.method is not Method.NONE]
    outcomes = {outcome.key: outcome for outcome in await director.nanny.trial(to_run)} if to_run else {}
    pairs = zip(virtual.servers, specs, strict=True)
    return TrialReport(results=[_result(clean(server.name), spec, outcomes.get(spec.key) if spec else None) for server, spec in pairs])


def _changes(typed: Mapping[str, str]) -> dict[str, Any]:
    """The keywords' values; an empty text is the default.  Raises BadRequest."""
    found: dict[str, Any] = {}
    for name, text in typed.items():
        keyword = BY_LEVEL[Level.BLOCK].get(name)
        if keyword is None or name not in CHANGEABLE:
            raise BadRequest(f"a trial cannot change {name}")
        reading = interpret(keyword, [text]) if text else Interpretation(keyword.default)
        if not reading.used:
            raise BadRequest(reading.problems[-1].message)
        found[name] = reading.value
    return found


def _specs(director: Director, virtual: VirtualServer) -> list[CheckSpec | None]:
    """One check for each server; ``None`` where its name has no address."""
    specs: list[CheckSpec | None] = []
    for place, server in enumerate(virtual.servers):
        address = ip_of(server.address) or director.names.address(server.address)
        spec = check_spec(virtual, key=f"trial/{place}", address=address, port=server.effective_port) if address else None
        specs.append(replace(spec, timeout_s=min(spec.timeout_s, LONGEST_S)) if spec else None)
    return specs


def _result(server: str, spec: CheckSpec | None, outcome: TrialOutcome | None) -> TrialResult:
    if spec is None:
        return _told(server, target="", what="", ok=False, reason="its name cannot be resolved")
    target = spec.target
    if spec.method is Method.NONE:
        return _told(server, target=target, what=describe(spec), ok=True, reason="there is nothing to check")
    if outcome is None:
        return _told(server, target=target, what=describe(spec), ok=False, reason="nanny gave no answer for it")
    sent = " ".join(spec.program) if spec.method is Method.PROGRAM else escaped(spec.send)
    return TrialResult(
        server=server,
        target=target,
        what=describe(spec),
        ok=outcome.ok,
        reason=outcome.reason,
        duration_s=outcome.duration_s,
        sent=clean(sent)[:SHOWN_BYTES],
        received=escaped(outcome.reply[:SHOWN_BYTES]),
        connect_s=outcome.connect_s,
        tls_s=outcome.tls_s,
        first_byte_s=outcome.first_byte_s,
        warning=outcome.warning,
    )


def _told(server: str, *, target: str, what: str, ok: bool, reason: str) -> TrialResult:
    return TrialResult(server=server, target=target, what=what, ok=ok, reason=reason, duration_s=0.0, sent="", received="")
