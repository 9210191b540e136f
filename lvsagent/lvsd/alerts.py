"""The alerts of the state: what is wrong now, in words, from the director's parts.

Owns their order and their words where the part itself has none.  It only reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvsagent.core.clean_text import clean
from lvsagent.lvsd.check_alerts import check_alerts
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.pairing import redundancy_alerts
from lvsagent.lvsd.receipts import refusals
from lvsagent.wire import Alert


def alerts(director: Director) -> Iterator[Alert]:
    """What somebody should look at now, the two directors and lvs.cf first."""
    yield from redundancy_alerts(director.running.config.globals, director.identity, director.pulse.state)
    yield from _lvs_cf_alerts(director)
    if director.keeper.reason:
        yield Alert(severity="error", code="data-plane", message=f"the data plane is not available: {director.keeper.reason}")
    for info in refusals(director.keeper.failures, None, director.running, ""):
        yield Alert(severity="error", code="refused", message=f"{info.subject}: {info.reason}", subject=info.subject)
    for problem in director.running.expansion.problems:
        subject = clean(director.running.config.virtual[problem.virtual].name) if problem.virtual >= 0 else ""
        yield Alert(severity=problem.severity, code=problem.code, message=problem.message, subject=subject)
    yield from director.overrides.alerts()
    yield from check_alerts(director.book.notable())
    yield from director.loads.alerts()
    for name, words in director.quorums.lost():
        yield Alert(severity="warning", code="quorum", message=f"{name}: {words}", subject=name)
    if director.marks.reason:
        message = f"the firewall marks of mark_ports are not in force: {director.marks.reason}"
        yield Alert(severity="error", code="marks", message=message)
    yield from _neighbour_alerts(director)
    if director.history.problem:
        yield Alert(severity="error", code="history", message=director.history.problem)
    if director.events.problem:
        yield Alert(severity="warning", code="events", message=director.events.problem)


def _lvs_cf_alerts(director: Director) -> Iterator[Alert]:
    if director.sync.state in ("diverged", "refused"):
        yield Alert(severity="error", code=director.sync.state, message=director.sync.words())
    if director.disk.reason:
        severity = "error" if director.disk.exists else "warning"
        code = "config-errors" if director.disk.exists else "config-missing"
        yield Alert(severity=severity, code=code, message=director.disk.reason)
    if words := director.lvs_cf.unfinished.words():
        yield Alert(severity="warning", code="config-unfinished", message=words)


def _neighbour_alerts(director: Director) -> Iterator[Alert]:
    settings = director.running.config.globals
    for keyword, line in (("active_cmd", settings.active_cmd), ("inactive_cmd", settings.inactive_cmd)):
        if line and not director.root_command(line):
            message = f"{keyword} is not run: agent.toml's root_commands does not list exactly {clean(line)}"
            yield Alert(severity="warning", code="root-command", message=message)
    if director.pulse.state is None:
        yield Alert(severity="error", code="process", message="pulse is not running: the virtual addresses are not looked after")
    else:
        for message in director.pulse.state.problems:
            yield Alert(severity="warning", code="pulse", message=message)
        for address in director.pulse.state.addresses:
            if address.state == "refused":
                message = f"{address.address} cannot be put on {address.label or address.interface}: {address.reason}"
                yield Alert(severity="error", code="address", message=message)
    yield from director.nanny.alerts()
