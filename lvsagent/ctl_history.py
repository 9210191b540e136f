"""lvsctl's history of lvs.cf: the list, one revision, two of them compared, and going back to one.

Owns what these commands do and print; their arguments are ``ctl``'s.  Going back is an ordinary change: the old text with a new serial
number, and refused like any other when lvs.cf has changed meanwhile.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from app.lvscf import diff, load, write
from lvsagent import ctl_text
from lvsagent.client import AgentClient, AgentRefused, ConfigText
from lvsagent.ctl_guard import accept
from lvsagent.wire import RevisionInfo

OK, FAILED = 0, 1
PAGE = 500
NOW = "lvs.cf"


def history(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """The newest revisions, newest first."""
    found: list[RevisionInfo] = []
    total = 0
    while len(found) < arguments.limit:
        page = agent.history(limit=min(PAGE, arguments.limit - len(found)), before=found[-1].number if found else 0)
        total = page.total
        if not page.revisions:
            break
        found += page.revisions
    if arguments.json:
        _as_json({"revisions": msgspec.to_builtins(found), "total": total})
    else:
        sys.stdout.write(ctl_text.history_text(found, total))
    return OK


def show(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """One revision: what is known of it, or with ``--text`` lvs.cf as it left it, byte for byte."""
    info = _info(agent, arguments.number)
    text = agent.revision_text(info.number)
    if arguments.json:
        _as_json({**msgspec.to_builtins(info), "text": text.text if text else None})
    elif arguments.text:
        _print_bytes(_kept(text, info.number).text)
    else:
        sys.stdout.write(ctl_text.revision_text(info))
    return OK


def compare(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """What leads from one revision to another, or to lvs.cf as it stands."""
    before = _kept(agent.revision_text(arguments.a), arguments.a)
    after = agent.config() if arguments.b is None else _kept(agent.revision_text(arguments.b), arguments.b)
    names = (f"revision {arguments.a}", NOW if arguments.b is None else f"revision {arguments.b}")
    words = [change.words for change in diff(load(before.text).config, load(after.text).config)]
    lines = list(_unified(before.text, after.text, names))
    if arguments.json:
        _as_json({"from": names[0], "to": names[1], "changes": words, "text": "".join(lines)})
        return OK
    if not arguments.text:
        sys.stdout.write("".join(f"{ctl_text.safe(one)}\n" for one in words) or "nothing that matters to the daemons\n")
    if not arguments.words:
        sys.stdout.write("" if arguments.text or not lines else "\n")
        _print_bytes("".join(lines))
    return OK


def rollback(arguments: argparse.Namespace, agent: AgentClient) -> int:
    """Put a revision's text back, as the next serial."""
    old = _kept(agent.revision_text(arguments.number), arguments.number)
    current = agent.config()
    found = load(old.text)
    serial = load(current.text).config.globals.serial_no + 1
    text = write(found.document, replace(found.config, globals=replace(found.config.globals, serial_no=serial)))
    comment = arguments.comment or f"back to revision {arguments.number}"
    receipt = accept(arguments, agent, text, if_match=current.etag, comment=comment, origin="rollback")
    if arguments.json:
        _as_json(msgspec.to_builtins(receipt))
    else:
        sys.stdout.write(ctl_text.receipt_text(receipt))
    return OK if receipt.applied and not receipt.refusals else FAILED


def _info(agent: AgentClient, number: int) -> RevisionInfo:
    found = agent.history(limit=1, before=number + 1).revisions
    if not found or found[0].number != number:
        raise AgentRefused("not_found", f"there is no revision {number}")
    return found[0]


def _kept(text: ConfigText | None, number: int) -> ConfigText:
    if text is None:
        raise AgentRefused("not_found", f"there is no revision {number}, or its text is no longer kept: see lvsctl history")
    return text


def _unified(before: str, after: str, names: tuple[str, str]) -> list[str]:
    """As ``diff -u``; a last line without its end says so."""
    lines = difflib.unified_diff(_lines(before), _lines(after), *names)
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]


def _lines(text: str) -> list[str]:
    """With their ends; only a line feed is one."""
    parts = text.split("\n")
    return [f"{line}\n" for line in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _as_json(values: Any) -> None:
    json.dump(values, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _print_bytes(text: str) -> None:
    """lvs.cf's own bytes: onto a terminal as safe text, into a file or a pipe as they are."""
    if sys.stdout.isatty():
        sys.stdout.write("\n".join(ctl_text.safe(line.replace("\t", "    ")) for line in text.split("\n")))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


HANDLERS: dict[str, Callable[[argparse.Namespace, AgentClient], int]] = {
    "history": history,
    "show": show,
    "diff": compare,
    "rollback": rollback,
}
