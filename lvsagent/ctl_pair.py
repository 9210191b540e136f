"""lvsctl for two directors: the role, moving it, and measuring what a failover costs.

Owns what these commands do and print, and what their exit statuses mean; their arguments are ``ctl``'s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from lvsagent import ctl_text
from lvsagent.client import AgentClient, AgentDown, AgentError
from lvsagent.rehearse import BadTarget, measure, parse_target
from lvsagent.wire import Rehearsal, State

OK, FAILED, OTHER_ROLE = 0, 1, 2
ROLE_STATUSES = {"active": 0, "standby": 1}
WATCH_S = 0.2

# --- role ----------------------------------------------------------------------------------------------------------------------


def role(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """The role, once or at every change."""
    if arguments.watch:
        return _watch(arguments, agent)
    state = agent.state(per_page=1)
    _tell_role(state, as_json=arguments.json)
    return ROLE_STATUSES.get(state.role.role, OTHER_ROLE)


def _watch(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Until Ctrl-C; an agent that is being restarted is waited for."""
    said: object = None
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                state = agent.state(per_page=1)
            except AgentDown as error:
                if said != "down":
                    sys.stderr.write(f"lvsctl: {error}\n")
                said = "down"
            else:
                now = (state.role.role, state.role.since, state.role.maintenance, state.peer.state, state.peer.role)
                if now != said:
                    _tell_role(state, as_json=arguments.json)
                    sys.stdout.flush()
                said = now
            time.sleep(WATCH_S)
    return OK


def role_values(state: State) -> dict[str, Any]:
    """``lvsctl role --json``."""
    own = msgspec.to_builtins(state.role)
    del own["addresses"]
    return {"at": state.at, "host": state.host, **own, "peer": msgspec.to_builtins(state.peer)}


def role_text(state: State) -> str:
    """A line about each director."""
    own = state.role
    head = f"{ctl_text.moment(state.at)}  {state.host} ({own.identity}): {ctl_text.role_words(state)} since {ctl_text.moment(own.since)}"
    lines = [f"{head}: {own.reason}", *(f"                     {line}" for line in ctl_text.peer_lines(state))]
    return "".join(f"{ctl_text.safe(line)}\n" for line in lines)


def _tell_role(state: State, *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(role_values(state)) + "\n" if as_json else role_text(state))


# --- failover ------------------------------------------------------------------------------------------------------------------


def failover(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """An operator's word."""
    agent.failover(arguments.action.replace("-", "_"), reason=arguments.reason)
    sys.stdout.write("pulse has been told; what comes of it: lvsctl role --watch\n")
    return OK


# --- rehearse ------------------------------------------------------------------------------------------------------------------


def rehearse(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Measure, keep and tell; or tell what was measured before."""
    if arguments.history:
        found = agent.rehearsals()
        _write(arguments, msgspec.to_builtins(found), history_text(found.rehearsals))
        return OK
    try:
        target = parse_target(arguments.url)
    except BadTarget as error:
        sys.stderr.write(f"lvsctl: --url {ctl_text.safe(error)}\n")
        return OTHER_ROLE
    trigger = _trigger(agent) if arguments.trigger else None
    rehearsal = asyncio.run(measure(target, max(arguments.seconds, 0.1), trigger))
    try:
        agent.add_rehearsal(rehearsal)
    except AgentError as error:
        sys.stderr.write(f"lvsctl: this rehearsal is not kept: {ctl_text.safe(error)}\n")
    _write(arguments, msgspec.to_builtins(rehearsal), rehearsal_text(rehearsal))
    return OK if rehearsal.failed < rehearsal.requests else FAILED


def _trigger(agent: AgentClient) -> Callable[[], Any]:
    """The planned failover: away from here when this director is active, to here when it is standby."""

    def move() -> str:
        state = agent.state(per_page=1)
        active = state.role.role == "active"
        agent.failover("step_down" if active else "take_over", reason="rehearsal")
        return state.host if active else state.peer.name or state.peer.address

    return lambda: asyncio.to_thread(move)


def rehearsal_text(rehearsal: Rehearsal) -> str:
    """The figure that was asked for."""
    gap = f"{rehearsal.longest_gap_s * 1000:.0f} ms"
    first = f"your failover takes {gap}" if rehearsal.triggered else f"longest time without an answer: {gap}"
    return (
        f"{first}\n{rehearsal.requests} requests, one each {rehearsal.interval_s * 1000:.0f} ms, "
        f"{rehearsal.failed} without an answer within {rehearsal.limit_s * 1000:.0f} ms\n"
    )


def history_text(rehearsals: list[Rehearsal]) -> str:
    """A line a rehearsal."""
    rows = [
        (
            ctl_text.moment(one.began_at),
            one.target,
            f"{one.longest_gap_s * 1000:.0f}",
            one.failed,
            one.requests,
            one.moved_from or "-",
            one.host,
        )
        for one in rehearsals
    ]
    head = ("AT", "TARGET", "GAP MS", "FAILED", "REQUESTS", "MOVED FROM", "MEASURED ON")
    return ctl_text.table(head, rows, right=frozenset({2, 3, 4})) if rows else "nothing has been measured yet\n"


def _write(arguments: argparse.Namespace, values: Any, text: str) -> None:
    sys.stdout.write(json.dumps(values) + "\n" if arguments.json else text)


HANDLERS: dict[str, Callable[[argparse.Namespace, AgentClient], int]] = {
    "role": role,
    "failover": failover,
    "rehearse": rehearse,
}
