"""What ``uptime``, ``rup`` and ``ruptime`` print, read: the load of one host.

Pure.  Every system prints a little differently (``load average: 0,69, 0,80, 1,06``, ``load averages: 1.52 1.60 1.71``, ``load 12.50 8.01
0.07``); what they have in common is that three numbers end the line.  Whatever else comes is refused in words, never guessed at.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from lvsagent.core.check_spec import escaped

MOST_CHARACTERS = 64 * 1024
"""What is read of an answer."""
LONGEST_LINE = 512
"""A longer line is none that these programs print."""
SHOWN_CHARACTERS = 160
"""Of what a program says, in a reason."""
RUPTIME_NAME = 12
"""ruptime cuts names to so many characters."""

_NUMBER = r"(\d{1,6}(?:[.,]\d{1,6})?)"
_LOADS = re.compile(rf"\bload(?: averages?)?:?\s{{1,20}}{_NUMBER},?\s{{1,20}}{_NUMBER},?\s{{1,20}}{_NUMBER}\s*", re.ASCII | re.IGNORECASE)
_ROW = re.compile(r"(\S+)\s+(up|down)\s+(\S+)", re.ASCII)


class Monitor(StrEnum):
    """``load_monitor``, where it asks for something."""

    UPTIME = "uptime"
    RUP = "rup"
    RUPTIME = "ruptime"


class LoadUnreadable(Exception):
    """There is no load in it; the message says what there is instead."""


def load_of(monitor: Monitor, text: str, host: str) -> float:
    """The load of ``host`` over the last minute, finite and at least 0, from what ``monitor`` has printed.  Raises LoadUnreadable."""
    return _READERS[monitor](text[:MOST_CHARACTERS], host)


def excerpt(monitor: Monitor, text: str, host: str) -> str:
    """What of ``text`` is about ``host``: all of it, or of ruptime's table the host's own line where there is one."""
    own = _own_rows(text, host) if monitor is Monitor.RUPTIME else []
    return own[0].string if len(own) == 1 else text


def brief(text: str) -> str:
    """What a program says as one harmless line that is not too long."""
    shown = escaped(text[:SHOWN_CHARACTERS].encode("utf-8", "surrogateescape"))
    return shown if len(text) <= SHOWN_CHARACTERS and len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + "…"


def last_words(text: str) -> str:
    """The last thing said, which is where programs complain; ``""``: nothing was."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return brief(lines[-1]) if lines else ""


def _uptime(text: str, _host: str) -> float:
    found = [load for line in _lines(text) if (load := _load(line)) is not None]
    if not found:
        raise LoadUnreadable(f"there is no load in its answer: {_said(text)}")
    return found[-1]  # a greeting of the host's comes first, if there is one


def _rup(text: str, host: str) -> float:
    rows = [(line.split()[0], load) for line in _lines(text) if (load := _load(line)) is not None]
    own = [load for name, load in rows if name.lower() == host.lower()] or [load for _, load in rows if len(rows) == 1]
    if not own:
        raise LoadUnreadable(f"there is no load of {brief(host)} in its answer: {_said(text)}")
    return own[0]


def _ruptime(text: str, host: str) -> float:
    own = _own_rows(text, host)
    if not own:
        known = ", ".join(_rows(text))
        raise LoadUnreadable(f"ruptime knows no host {brief(host)}: {f'it knows {brief(known)}' if known else _said(text)}")
    row, name = own[0], brief(own[0][1])
    if len(own) > 1:
        raise LoadUnreadable(f"ruptime shows {name} more than once: it cuts names to {RUPTIME_NAME} characters")
    if row[2] == "down":
        raise LoadUnreadable(f"ruptime has heard nothing of {name} for {brief(row[3].rstrip(','))}")
    if (load := _load(row.string)) is None:
        raise LoadUnreadable(f"ruptime tells no load of {name}: {brief(row.string)}")
    return load


_READERS: dict[Monitor, Callable[[str, str], float]] = {Monitor.UPTIME: _uptime, Monitor.RUP: _rup, Monitor.RUPTIME: _ruptime}


@functools.lru_cache(maxsize=1)
def _rows(text: str) -> Mapping[str, list[re.Match[str]]]:
    """The lines of ruptime's table by the name they begin with; many hosts are looked up in one table."""
    rows: dict[str, list[re.Match[str]]] = {}
    for line in _lines(text):
        if match := _ROW.match(line):
            rows.setdefault(match[1].lower(), []).append(match)
    return rows


def _own_rows(text: str, host: str) -> list[re.Match[str]]:
    """Those of a host, however ruptime has cut its name."""
    names = {name[:RUPTIME_NAME].lower() for name in (host, host.partition(".")[0])}
    return [row for name in sorted(names) for row in _rows(text).get(name, [])]


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if 0 < len(line) <= LONGEST_LINE and not line.isspace())


def _load(line: str) -> float | None:
    """The first of the three numbers that end the line."""
    begins = max(line.lower().rfind("load"), 0)
    match = _LOADS.fullmatch(line, begins)
    return float(match[1].replace(",", ".")) if match else None


def _said(text: str) -> str:
    return last_words(text) or "it said nothing"
