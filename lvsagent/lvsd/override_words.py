"""An operator's decision for people and programs: what, who, why, what is left, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from lvsagent.core.overrides import HOST, Action, Override, Phase
from lvsagent.wire import OverrideInfo

SAID = {Action.DRAIN: "drained", Action.DOWN: "forced down", Action.UP: "forced up", Action.WEIGHT: "given another weight", Action.AUTO: ""}
STATES = {Phase.DRAINED: "drained", Phase.CUT: "cut"}
AT_DEADLINE = {"wait": "waits on", "cut": "is cut", "ask": "asks"}


NOT_COUNTED = "the active director counts what is left"


class Left(NamedTuple):
    """What a drained server has left: connections as the kernel's table counts them, and persistence templates."""

    active: int = 0
    inactive: int = 0
    templates: int = 0

    @property
    def connections(self) -> int:
        """Active or not."""
        return self.active + self.inactive


NOTHING = Left()


def override_info(one: Override, counted: Left | None, guess_s: float | None) -> OverrideInfo:
    """The wire's form.  ``counted``: what is left, ``None``: not known here; ``guess_s`` until nothing is."""
    kind, _, rest = one.target.partition(":")
    virtual, _, server = rest.partition("/") if kind != HOST else ("", "", "")
    drains = one.action is Action.DRAIN
    return OverrideInfo(
        virtual=virtual,
        server=server,
        host=rest if kind == HOST else "",
        action=one.action.value,
        at=one.at,
        actor=one.actor,
        reason=one.reason,
        weight=one.weight,
        deadline_at=one.deadline_at,
        then=one.then.value,
        return_at=one.return_at,
        phase=one.phase.value if drains else "",
        left=counted.connections if counted else 0,
        active=counted.active if counted else 0,
        templates=counted.templates if counted else 0,
        empty_in_s=guess_s if drains and one.phase not in STATES else None,
        words=_words(one, counted, guess_s),
        counted=counted is not None,
    )


def left_words(left: int, active: int) -> str:
    """How many connections are left, and how many of them are active where that is another number."""
    words = "1 connection left" if left == 1 else f"{left} connections left"
    return words if active == left else f"{words}, {active} active"


def shown_state(order: OverrideInfo, health: str) -> str:
    """The state of a real server that somebody has decided about: draining, drained, cut, forced up, forced down, or its health."""
    if order.action == "drain":
        return order.phase if order.phase in {"drained", "cut"} else "draining"
    return f"forced {order.action}" if order.action in {"up", "down"} else health


def _words(one: Override, counted: Left | None, guess_s: float | None) -> str:
    who = f" by {one.actor}" if one.actor else ""
    whole = " (the whole host)" if one.target.startswith(HOST) else ""
    said = f"weight {one.weight} given" if one.action is Action.WEIGHT else SAID[one.action]
    parts = [f"{said}{who}{whole}{f': {one.reason}' if one.reason else ''}"]
    if one.action is Action.DRAIN:
        parts += _drain_words(one, counted, guess_s)
    if one.return_at:
        parts.append(f"returns at {_moment(one.return_at)}")
    return "; ".join(parts)


def _drain_words(one: Override, counted: Left | None, guess_s: float | None) -> list[str]:
    if one.phase is Phase.CUT:
        return ["taken out of the table"]
    left = counted or NOTHING
    parts = [left_words(left.connections, left.active) if counted or one.phase is Phase.DRAINED else NOT_COUNTED]
    if templates := left.templates:
        parts.append(f"{templates} persistence templates left" if templates > 1 else "1 persistence template left")
    if guess_s and one.phase is not Phase.DRAINED:
        parts.append(f"empty in about {_duration(guess_s)} at this pace")
    if one.phase is Phase.ASKING:
        parts.append("its deadline has come: wait, cut, or have it back?")
    elif one.phase is Phase.WAITING:
        parts.append("past its deadline, it waits on")
    elif one.deadline_at and one.phase is Phase.DRAINING:
        parts.append(f"at {_moment(one.deadline_at)} it {AT_DEADLINE[one.then]}")
    return parts


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _moment(at: float) -> str:
    """In the director's own time, as in its logs."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
