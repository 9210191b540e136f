"""lvsctl's commands about the other director's lvs.cf: ``sync`` and ``drift``.

Owns what they ask, print and return.  Nothing is decided here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

import msgspec

from lvsagent import ctl_text
from lvsagent.client import AgentClient
from lvsagent.wire import SyncInfo

ALIKE, DIFFERENT = 0, 1
SHOWN = 12
FINE = frozenset({"none", "in_step"})


def sync(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """In a sentence."""
    found = agent.sync_action("now") if arguments.now else agent.sync()
    _print(arguments, found, sync_text(found))
    return ALIKE if found.state in FINE else DIFFERENT


def drift(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Side by side, and what differs."""
    found = agent.sync_action(arguments.action) if arguments.action else agent.sync()
    _print(arguments, found, drift_text(found))
    return ALIKE if found.equal else DIFFERENT


def sync_text(info: SyncInfo) -> str:
    """One line for how it stands, one for when it was last heard."""
    lines = [info.words or "nothing is known yet"]
    if info.state != "none":
        lines.append(f"since {ctl_text.moment(info.since)}; it last answered: {ctl_text.moment(info.answered_at)}")
    return "".join(f"{ctl_text.safe(line)}\n" for line in lines)


def drift_text(info: SyncInfo) -> str:
    """The table of both sides, then each difference with its way out."""
    here, peer = info.here, info.peer
    pairs = [
        ("serial", str(here.serial), str(peer.serial) if peer else "-"),
        ("lvs.cf on the disk", here.file, peer.file if peer else "-"),
        ("lvs.cf in force", here.applied, peer.applied if peer else "-"),
        ("table wanted", here.table, peer.table if peer else "-"),
        ("table there is", here.table_read, peer.table_read if peer else "-"),
    ]
    rows = [(what, ours[:SHOWN] or "none", theirs[:SHOWN] or "none") for what, ours, theirs in pairs]
    text = ctl_text.table(("WHAT", "HERE", (info.peer_node or "there").upper()), rows)
    if not info.differences:
        return text + f"all alike since {ctl_text.moment(info.equal_since)}\n"
    for one in info.differences:
        ways = " or ".join(_WAYS[action] for action in one.actions if action in _WAYS)
        text += ctl_text.safe(f"{one.words}, since {ctl_text.moment(one.since)}{f': {ways}' if ways else ''}") + "\n"
    return text


_WAYS = {
    "now": "lvsctl sync --now",
    "adopt": "lvsctl drift --adopt",
    "restore": "lvsctl drift --restore",
    "reconcile": "lvsctl drift --reconcile",
}


def _print(arguments: argparse.Namespace, info: SyncInfo, text: str) -> None:
    sys.stdout.write(json.dumps(msgspec.to_builtins(info)) + "\n" if arguments.json else text)


HANDLERS: dict[str, Callable[[argparse.Namespace, AgentClient], int]] = {"sync": sync, "drift": drift}
