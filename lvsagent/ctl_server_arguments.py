"""The arguments of ``lvsctl server``.

Owns them alone, and loads nothing: every lvsctl command reads this.
"""

from __future__ import annotations

import argparse
import re
import time
from datetime import datetime

ACTIONS = {
    "drain": "no new connections; those it has go on to their end",
    "down": "out, whatever its check says",
    "up": "in, whatever its check says",
    "weight": "this weight in the place of lvs.cf's",
    "auto": "take back what was decided: lvs.cf and its check rule again",
    "wait": "tell a drain whose deadline has come to wait on",
    "cut": "tell a drain to take the server out of the table",
    "list": "what has been decided",
}
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What ``lvsctl server`` takes."""
    command.add_argument("action", choices=tuple(ACTIONS), help="; ".join(f"{name}: {words}" for name, words in ACTIONS.items()))
    command.add_argument("server", nargs="?", default="", metavar="SERVER", help="VIRTUAL/SERVER, or a server's name or address")
    command.add_argument("weight", nargs="?", type=int, metavar="N", help="with weight: which")
    command.add_argument("--host", action="store_true", help="not in one virtual server, but everything at the address of SERVER")
    command.add_argument("--for", type=seconds, default=0.0, dest="for_s", metavar="TIME", help="a drain's deadline: 90, 10m, 2h")
    command.add_argument("--then", choices=("wait", "cut", "ask"), default="wait", help="at that deadline (default: %(default)s)")
    back = command.add_mutually_exclusive_group()
    back.add_argument("--return-in", type=seconds, default=0.0, metavar="TIME", help="have it back by itself after so long")
    back.add_argument("--return-at", type=when, default=0.0, metavar="TIME", help="have it back by itself at 14:30, or 2026-03-02T14:30")
    command.add_argument("--reason", default="", help="why; shown wherever the server is, and kept in the events")


def seconds(text: str) -> float:
    """``90``, ``90s``, ``10m``, ``2h``, ``1d`` in seconds."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: say 90, 10m, 2h or 1d")
    return int(found[1]) * UNITS[found[2]]


def when(text: str, now: float | None = None) -> float:
    """``14:30`` (the next one) or an ISO moment, in this host's time, as seconds since the epoch."""
    current = datetime.fromtimestamp(time.time() if now is None else now).astimezone()
    try:
        if re.fullmatch("[0-9]{1,2}:[0-9]{2}", text):
            hour, minute = (int(part) for part in text.split(":"))
            moment_ = current.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()
            return moment_ if moment_ > current.timestamp() else moment_ + UNITS["d"]
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment: say 14:30 or 2026-03-02T14:30") from error
