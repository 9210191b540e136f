"""``lvsctl health release [SERVER]``: a server that is held down comes back, one that the brake keeps in service leaves.

Owns which checks are meant and what is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import msgspec

from lvsagent.client import AgentClient, AgentRefused
from lvsagent.ctl_explain import all_checks, meant
from lvsagent.ctl_text import safe
from lvsagent.wire import Released

OK, NOTHING = 0, 1


def add_arguments(command: Any) -> None:
    """Of the command ``health``."""
    command.add_argument("action", choices=("release",))
    words = "VIRTUAL/SERVER, or a server's name or address (default: all that are held, and the mass-failure brake ends)"
    command.add_argument("server", nargs="?", default="", metavar="SERVER", help=words)


def health(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Ends with 1 when nobody was held, here or on the other director."""
    done = _release(arguments.server, agent)
    if arguments.json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(done)) + "\n")
    else:
        lines = [f"{key}: no longer held down" for key in done.held]
        lines += [f"{key}: no longer kept in service by the mass-failure brake" for key in done.kept]
        lines = lines or ["no server is held down or kept in service" + (" here" if done.peer else "")]
        lines += [done.peer] if done.peer else []
        sys.stdout.write("".join(safe(line) + "\n" for line in lines))
    return OK if done.held or done.kept or done.there else NOTHING


def _release(server: str, agent: AgentClient) -> Released:
    if not server:
        return agent.release()
    chosen = meant(server, all_checks(agent))
    if not chosen:
        raise AgentRefused("not_found", f"no check is of {server}: say VIRTUAL/SERVER, SERVER or ADDRESS (see lvsctl checks)")
    done = [agent.release(check.key) for check in chosen]
    return Released(
        held=[key for one in done for key in one.held],
        kept=[key for one in done for key in one.kept],
        there=[key for one in done for key in one.there],
        peer="; ".join(dict.fromkeys(one.peer for one in done if one.peer)),
    )


HANDLERS = {"health": health}
