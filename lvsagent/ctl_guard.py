"""lvsctl's safe side: accepting with the plan that was shown, naming what goes out of service, and the guard.

Owns what these do and print; their arguments are ``ctl``'s.
"""

from __future__ import annotations

import argparse
import json
import sys

import msgspec

from lvsagent.client import AgentClient, Unconfirmed
from lvsagent.ctl_text import guard_text, safe, take_out_text
from lvsagent.wire import GuardInfo, Receipt

OK, FAILED = 0, 1
WATCHING = frozenset({"watching", "going back"})


def accept(arguments: argparse.Namespace, agent: AgentClient, text: str, *, if_match: str, comment: str, origin: str = "") -> Receipt:
    """Write and apply.  What a large change takes out of service is named: before it is done, or because it is refused."""
    confirm = ""
    if arguments.yes_take_out:
        takes = agent.put_config(text, if_match=if_match, dry_run=True).takes_out
        if takes is not None:
            sys.stderr.write(take_out_text(takes))
            confirm = takes.token
    try:
        return agent.put_config(
            text, if_match=if_match, comment=comment, origin=origin, plan=arguments.plan, confirm=confirm, guard_s=arguments.guard
        )
    except Unconfirmed as error:
        if error.receipt.takes_out is not None:
            sys.stderr.write(take_out_text(error.receipt.takes_out) + "lvsctl: if that is meant, say --yes-take-out\n")
        raise


def guard(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """``status`` ends with 0 while a change is watched, else with 1."""
    if arguments.action == "status":
        found = agent.state(per_page=1).guard
        _tell(found, as_json=arguments.json)
        return OK if found is not None and found.state in WATCHING else FAILED
    _tell(agent.guard(arguments.action), as_json=arguments.json)
    return OK


def _tell(found: GuardInfo | None, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(found)) + "\n")
    else:
        sys.stdout.write(safe(guard_text(found)) + "\n" if found else "no change is being watched\n")


HANDLERS = {"guard": guard}
