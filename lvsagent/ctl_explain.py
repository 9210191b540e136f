"""``lvsctl explain SERVER``: why a real server is in or out.

Owns which check is meant and how its last results are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import msgspec

from lvsagent.client import AgentClient, AgentRefused
from lvsagent.ctl_text import moment, safe, table
from lvsagent.wire import CheckInfo, CheckResult, Explanation, LoadInfo, OverrideInfo

PAGE = 200
SHOWN_CHARACTERS = 60
RECEIVED_CHARACTERS = 160


def explain(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Print the checks that ``arguments.server`` names and their last results.  0, or 1 when there is none."""
    chosen = meant(arguments.server, all_checks(agent))
    if not chosen:
        raise AgentRefused("not_found", f"no check is of {arguments.server}: say VIRTUAL/SERVER, SERVER or ADDRESS (see lvsctl checks)")
    explanations = [agent.explain(check.key) for check in chosen]
    if arguments.json:
        json.dump({"checks": msgspec.to_builtins(explanations)}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        decided = agent.overrides().overrides
        sys.stdout.write("\n".join(decision_text(each.check, decided) + explanation_text(each) for each in explanations))
    return 0


def decision_text(check: CheckInfo, decided: Sequence[OverrideInfo]) -> str:
    """What operators have decided about the server of a check, a line each: it goes before what the check says."""
    address = check.target.rpartition(":")[0].strip("[]")
    found = [one for one in decided if f"{one.virtual}/{one.server}" == check.key or (one.host and one.host == address)]
    return "".join(safe(f"an operator's decision goes before: {one.words}") + "\n" for one in found)


def all_checks(agent: AgentClient) -> list[CheckInfo]:
    """Every page of them."""
    found: list[CheckInfo] = []
    while True:
        page = agent.checks(page=len(found) // PAGE + 1, per_page=PAGE)
        found += page.checks
        if not page.checks or len(found) >= page.matching:
            return found


def meant(name: str, checks: Sequence[CheckInfo]) -> list[CheckInfo]:
    """The checks that ``name`` names: a key, else a server's name or address in every virtual server."""
    exact = [check for check in checks if check.key == name]
    return exact or [check for check in checks if name in names_of(check)]


def names_of(check: CheckInfo) -> set[str]:
    """What a check's server may be called."""
    return {check.key.partition("/")[2], check.target, check.target.rpartition(":")[0].strip("[]")}


def explanation_text(explanation: Explanation) -> str:
    """The check as it stands, then its results, newest first."""
    check = explanation.check
    lines = [f"{check.key} ({check.target}): {check.state} since {moment(check.since)}{f', {check.reason}' if check.reason else ''}"]
    lines.append(f"it {check.what}")
    if check.held_until:
        lines.append(f"held down until {moment(check.held_until)}, since it has failed so often")
    if check.kept_until:
        lines.append(f"fails, and is kept in service until {moment(check.kept_until)} by the mass-failure brake")
    if check.warning:
        lines.append(f"warning: {check.warning}")
    if check.share_percent != 100:
        lines.append(f"its agent wants {check.share_percent}% of its weight")
    if explanation.slow_start:
        lines.append(f"not its whole weight yet: {explanation.slow_start}")
    if explanation.load is not None:
        lines += load_lines(explanation.load)
    head = ("AT", "VERDICT", "TOOK", "CONNECT", "TLS", "FIRST BYTE", "WHY", "CAME BACK")
    rows = [_row(result) for result in explanation.results]
    results = table(head, rows, right=frozenset({2, 3, 4, 5})) if rows else "no results yet\n"
    return "".join(safe(line) + "\n" for line in lines) + results


def load_lines(load: LoadInfo) -> list[str]:
    """What load_monitor makes of the server's weight, and the newest reading."""
    lines = [f"its weight: {load.words}"]
    if load.tried_at:
        what = load.reason or f"{load.load or 0:.2f}"
        lines.append(f"its load, asked of {load.host} by {load.monitor} at {moment(load.tried_at)}: {what}")
    if load.received:
        lines.append(f"what came back: {load.received[:RECEIVED_CHARACTERS]}")
    return lines


def cut(text: str) -> str:
    """The beginning of what came back."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _row(result: CheckResult) -> tuple[str, ...]:
    verdict = "passed" if result.ok else "failed" if result.conclusive else "not asked"
    stages = (_ms(stage) if stage else "-" for stage in (result.connect_s, result.tls_s, result.first_byte_s))
    return moment(result.at), verdict, _ms(result.duration_s), *stages, result.reason, cut(result.received)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
