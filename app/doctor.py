"""DOCTOR as people read it: what a director sees missing on the real servers of one virtual server, how sure that is, what to run there.

Pure: from the agent's report to rows.  What is looked at, and what it means, is the agent's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from app.presentation import DOWN, FORWARDINGS, IDLE, UP, WARN, Badge, duration, moment, plural
from lvsagent.wire import DoctorFinding, DoctorReport, DoctorResult

SURE = {"seen": "seen from here", "likely": "most likely", "possible": "possible"}
NAMED = 3
"""More real servers of which the same is said are counted in the title, and listed below it."""
RUNNING = "running"
NEVER = "never"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its badge, how sure it is, the words; commands as lines to paste, and those that keep it so."""

    badge: Badge
    sure: str
    words: str
    lead: str
    commands: tuple[str, ...]
    keep: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Real servers of which the same is to be said: their names and addresses, and one title for all of them."""

    servers: tuple[tuple[str, str], ...]
    title: str
    forwarding: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class View:
    """The page's words about the last examination; ``passed`` of ``total`` while it runs.  ``rows``: what is wrong comes first."""

    running: bool
    passed: int
    total: int
    summary: str
    verdict: Badge
    rows: tuple[Row, ...]
    well: tuple[str, ...]
    problems: tuple[str, ...]
    failure: str
    outdated: bool
    busy: str


def view(report: DoctorReport, now: float) -> View:
    """The last examination in words; ``now``: seconds since the epoch."""
    return View(
        running=report.state == RUNNING,
        passed=report.looked,
        total=report.total,
        summary=_summary(report, now),
        verdict=_verdict(report),
        rows=tuple(_rows(report.results)),
        well=tuple(one.server for one in report.results if not one.findings),
        problems=tuple(report.problems),
        failure=report.failure,
        outdated=report.state not in {NEVER, RUNNING} and not report.in_step,
        busy=report.busy,
    )


def _summary(report: DoctorReport, now: float) -> str:
    if report.state == NEVER:
        return "Not looked at yet, since the agent was started."
    looked = f"{report.looked} of {plural(report.total, 'real server')}"
    if report.state == RUNNING:
        return f"{looked} looked at"
    by = f" by {report.actor}" if report.actor else ""
    return f"{looked} looked at {moment(report.ended_at, now)}{by}, within {duration(report.ended_at - report.began_at)}."


def _verdict(report: DoctorReport) -> Badge:
    wrong = sum(_is_wrong(one) for one in report.results)
    if report.state == RUNNING:
        return Badge("looking", WARN)
    if wrong:
        return Badge(f"something is wrong on {wrong}", DOWN)
    if report.failure or report.problems:
        return Badge("not all could be looked at", WARN)
    return Badge("nothing is wrong", UP) if report.results else Badge("not looked at", IDLE)


def _is_wrong(result: DoctorResult) -> bool:
    return any(finding.wrong for finding in result.findings)


def _rows(results: Iterable[DoctorResult]) -> Iterable[Row]:
    """What is wrong first; a thousand servers that lack the same are one row."""
    alike: dict[bytes, list[DoctorResult]] = {}
    for one in results:
        if one.findings:
            alike.setdefault(msgspec.json.encode((one.forwarding, one.findings)), []).append(one)
    for group in sorted(alike.values(), key=lambda group: not _is_wrong(group[0])):
        first, names = group[0], [one.server for one in group]
        title = ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"
        lead = first.server if len(names) == 1 else "each of them"
        forwarding = FORWARDINGS.get(first.forwarding, first.forwarding)
        yield Row(tuple((one.server, one.address) for one in group), title, forwarding, tuple(_findings(lead, first.findings)))


def _badge(one: DoctorFinding) -> Badge:
    if not one.wrong:
        return Badge("worth knowing", IDLE)
    return Badge("wrong", DOWN if one.sure == "seen" else WARN)


def _findings(server: str, found: Iterable[DoctorFinding]) -> Iterable[Finding]:
    for one in found:
        badge = _badge(one)
        lead = f"Run on {server}:" if one.wrong else f"If that happens, run on {server}:"
        yield Finding(badge, SURE.get(one.sure, one.sure), one.words, lead, tuple(one.commands), tuple(one.keep))
