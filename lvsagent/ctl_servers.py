"""``lvsctl server``: drain a real server or a host, force it up or down, give it another weight, or take that back.

Owns which target a word on the command line means, and how the decisions are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from lvsagent.client import AgentClient, AgentRefused
from lvsagent.ctl_text import moment, safe, table
from lvsagent.wire import OverrideInfo, OverrideRequest, OverridesInfo, RealServerState

PAGE = 200
ANSWERS = ("auto", "wait", "cut")
"""What is said to something that was decided."""


def server(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Decide, and print what holds now."""
    if arguments.action == "list":
        found = agent.overrides()
    else:
        if not arguments.server:
            raise AgentRefused("bad_request", "which real server? say VIRTUAL/SERVER, or a server's name or address")
        if (arguments.action == "weight") is (arguments.weight is None):
            raise AgentRefused("bad_request", "lvsctl server weight SERVER N; the other actions take no number")
        found = agent.override(_request(arguments, agent))
    if arguments.json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(found)) + "\n")
    else:
        sys.stdout.write(decisions_text(found))
        sys.stderr.write("".join(f"warning: {safe(words)}\n" for words in found.warnings))
    return 0


def _request(arguments: argparse.Namespace, agent: AgentClient) -> OverrideRequest:
    return_at = arguments.return_at or (time.time() + arguments.return_in if arguments.return_in else 0.0)
    return OverrideRequest(
        action=arguments.action,
        weight=arguments.weight or 0,
        deadline_s=arguments.for_s,
        then=arguments.then,
        return_at=return_at,
        reason=arguments.reason,
        **_target(arguments.server, agent, arguments.action, host=arguments.host),
    )


def _target(name: str, agent: AgentClient, action: str, *, host: bool) -> dict[str, str]:
    """Whom ``name`` means.  Raises AgentRefused when that is nobody, or not clear."""
    known = agent.overrides().overrides
    decided = _decided(name, known, host=host)
    if decided is not None:
        return decided
    found = [(virtual, real) for virtual, real in _real_servers(agent) if name in _names(virtual, real)]
    if host:
        addresses = {real.address for _, real in found}
        if len(addresses) > 1:
            raise AgentRefused("bad_request", f"{name} is at {', '.join(sorted(addresses))}: say which address is meant")
        return {"host": addresses.pop() if addresses else name}
    if len(found) > 1:
        keys = ", ".join(f"{virtual}/{real.name}" for virtual, real in found)
        raise AgentRefused("bad_request", f"{name} is {keys}: say which is meant, or --host for all at its address")
    if not found:
        raise AgentRefused("not_found", f"there is no real server {name}: say VIRTUAL/SERVER, or a server's name or address")
    virtual, real = found[0]
    own = any((one.virtual, one.server) == (virtual, real.name) for one in known)
    if action in ANSWERS and not own and any(one.host == real.address for one in known):
        words = f"nothing is decided about {virtual}/{real.name} alone, but about its host: lvsctl server {action} {real.address} --host"
        raise AgentRefused("not_found", words)
    return {"virtual": virtual, "server": real.name}


def _decided(name: str, known: Sequence[OverrideInfo], *, host: bool) -> dict[str, str] | None:
    """A target as the list prints it: also of one that is not active now."""
    for one in known:
        if host and one.host == name:
            return {"host": name}
        if not host and one.server and f"{one.virtual}/{one.server}" == name:
            return {"virtual": one.virtual, "server": one.server}
    return None


def _real_servers(agent: AgentClient) -> list[tuple[str, RealServerState]]:
    found: list[Any] = []
    while True:
        state = agent.state(servers=True, page=len(found) // PAGE + 1, per_page=PAGE)
        found += state.virtual_servers
        if not state.virtual_servers or len(found) >= state.matching:
            return [(virtual.name, real) for virtual in found for real in virtual.real_servers]


def _names(virtual: str, real: RealServerState) -> set[str]:
    return {f"{virtual}/{real.name}", real.name, real.address}


def decisions_text(found: OverridesInfo) -> str:
    """What has been decided, a line each."""
    if not found.overrides:
        return "no real server is drained, forced, or has another weight than lvs.cf's\n"
    rows = [(target(one), one.action, one.phase or "-", moment(one.at), safe(one.words)) for one in found.overrides]
    return table(("TARGET", "WHAT", "PHASE", "SINCE", "WHO AND WHY"), rows)


def target(one: OverrideInfo) -> str:
    """As the command line takes it."""
    return f"{one.host} (--host)" if one.host else f"{one.virtual}/{one.server}"


HANDLERS = {"server": server}
