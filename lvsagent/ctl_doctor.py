"""lvsctl doctor: have the agent look at the real servers, virtual server by virtual server, and say what is missing there.

Owns who is meant, waiting for the agent, and how its findings are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.lvscf import Config, load
from lvsagent.client import Agent, AgentRefused
from lvsagent.core.clean_text import clean
from lvsagent.ctl_text import safe
from lvsagent.wire import DoctorFinding, DoctorReport, DoctorResult

OK, FAILED = 0, 1
LOOK_AGAIN_S = 0.1
PATIENCE_S = 90.0
"""The agent ends every examination earlier than that."""
NOBODY = "There is nobody to look at: no virtual server has a real server.\n"
SURE = {"likely": "most likely ", "possible": "", "seen": ""}


@dataclass(frozen=True, slots=True)
class Meant:
    """A virtual server to look at, and the real servers of it that are shown (``None``: all)."""

    virtual: str
    servers: frozenset[str] | None = None


def doctor(arguments: argparse.Namespace, agent: Agent) -> int:
    """Exit status 1 when something is missing somewhere, or somebody could not be looked at."""
    chosen = meant(load(agent.config().text).config, arguments.virtual)
    if arguments.virtual and not chosen:
        raise AgentRefused("not_found", f"no virtual server and no real server is called {arguments.virtual}")
    found: list[dict[str, Any]] = []
    healthy = True
    for one in chosen:
        report = _examined(agent, one.virtual)
        results = [result for result in report.results if one.servers is None or result.server in one.servers]
        healthy = healthy and not report.failure and not report.problems and not any(_is_wrong(result) for result in results)
        found += [_as_json(report.virtual, result) for result in results]
        if not arguments.json:
            sys.stdout.write("".join(_text(report.virtual, result) for result in results))
            sys.stdout.flush()
        sys.stderr.write(
            "".join(f"lvsctl: {safe(report.virtual)}: {safe(words)}\n" for words in (*report.problems, report.failure) if words)
        )
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif not chosen:
        sys.stdout.write(NOBODY)
    return OK if healthy else FAILED


def meant(config: Config, name: str) -> list[Meant]:
    """The virtual servers that ``name`` names, itself or by a real server of theirs; ``""``: all that have real servers."""
    found: dict[str, Meant] = {}
    for virtual in config.virtual:
        called = clean(virtual.name)
        servers = frozenset(clean(server.name) for server in virtual.servers)
        if servers and called not in found:
            if name in {"", called}:
                found[called] = Meant(called)
            elif name in servers:
                found[called] = Meant(called, frozenset({name}))
    exact = found.get(name)
    return [exact] if name and exact and exact.servers is None else list(found.values())


def _examined(agent: Agent, virtual: str) -> DoctorReport:
    """Wait for one that somebody else has begun, begin, and wait for the end."""
    _quiet(agent, virtual)
    agent.examine(virtual)
    return _quiet(agent, virtual)


def _quiet(agent: Agent, virtual: str) -> DoctorReport:
    """The report on ``virtual`` when nothing is being looked at any more."""
    until = time.monotonic() + PATIENCE_S
    while (report := agent.doctor(virtual)).state == "running" or report.busy:
        if time.monotonic() > until:
            raise AgentRefused("unavailable", f"the agent is still looking at {report.busy or virtual} after {PATIENCE_S:.0f} s")
        time.sleep(LOOK_AGAIN_S)
    return report


def _is_wrong(result: DoctorResult) -> bool:
    return any(finding.wrong for finding in result.findings)


def _text(virtual: str, result: DoctorResult) -> str:
    name = safe(result.server)
    verdict = "" if result.findings else " all that can be seen is in order"
    lines = [f"{name} of {safe(virtual)} ({result.address}, {result.forwarding}):{verdict}"]
    for finding in result.findings:
        lines += _finding(name, finding)
    return "\n".join([*lines, ""])


def _finding(name: str, finding: DoctorFinding) -> list[str]:
    lines = [f"  {SURE.get(finding.sure, '')}{safe(finding.words)}"]
    if finding.commands:
        lines += _listed(f"{'Run' if finding.wrong else 'If that happens, run'} on {name}:", finding.commands)
    if finding.keep:
        lines += _listed("So that it stays so when it is started again:", finding.keep)
    return lines


def _listed(title: str, commands: Sequence[str]) -> list[str]:
    return [f"  {title}", *(f"    {safe(command)}" for command in commands)]


def _as_json(virtual: str, result: DoctorResult) -> dict[str, Any]:
    return {
        "virtual": virtual,
        "server": result.server,
        "address": result.address,
        "forwarding": result.forwarding,
        "findings": [
            {"words": one.words, "commands": one.commands, "keep": one.keep, "wrong": one.wrong, "sure": one.sure}
            for one in result.findings
        ],
    }


HANDLERS = {"doctor": doctor}
