"""The feedback agent's line: what a real server says of itself.

Pure.  The protocol is the widespread one: connect, read one line of words separated by blanks, tabs or commas, such as ``up 75%``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lvsagent.core.check_spec import shown

LINE_MOST_BYTES = 1024
"""A longer line is not read to its end."""
_PERCENT = re.compile(r"([0-9]{1,3})%")
_UP = frozenset({"up", "ready"})
_DRAIN = frozenset({"drain"})
_DOWN = frozenset({"down", "fail", "failed", "stopped", "maint"})
_END = re.compile(rb"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class AgentWord:
    """``reason`` is why the server takes itself out (``""``: it does not), ``share_percent`` how much of its weight it wants."""

    reason: str = ""
    share_percent: int = 100


def agent_line(data: bytes, *, at_end: bool) -> bytes | None:
    """The line at the start of ``data``; None while more of it is to come."""
    found = _END.search(data)
    if found:
        return data[: found.start()]
    return data[:LINE_MOST_BYTES] if at_end or len(data) >= LINE_MOST_BYTES else None


def agent_word(line: bytes) -> AgentWord:
    """What ``line`` says.  Words that are not known are passed over; a line with none that is known counts against the server."""
    said, hash_sign, why = line.decode("utf-8", "surrogateescape").partition("#")
    known, share, down = False, 100, ""
    for word in re.split(r"[ \t,]+", said.strip().lower()):
        percent = _PERCENT.fullmatch(word)
        if percent:
            known, share = True, min(int(percent[1]), 100)
        elif word in _DRAIN:
            known, share = True, 0
        elif word in _UP:
            known = True
        elif word in _DOWN:
            known, down = True, down or word
    if not known:
        return AgentWord(f"the agent said nothing that is understood: {shown(line) or 'nothing at all'}")
    if down:
        because = f": {shown(why.strip().encode('utf-8', 'surrogateescape'))}" if hash_sign and why.strip() else ""
        return AgentWord(f"the agent says {down}{because}")
    return AgentWord(share_percent=share)
