"""What operators decide about real servers, on the screens: from a form to a request, and from the agent's list to rows.

Pure; the time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.listing import RealRow
from app.presentation import since
from lvsagent.wire import OverrideInfo, OverrideRequest

LONGEST_REASON = 200
LARGEST_WEIGHT = 65535
LONGEST_MIN = 366 * 24 * 60
ACTIONS = {
    "drain": ("DRAIN", "No new connections; those it has go on to their end."),
    "down": ("FORCE DOWN", "Out, whatever its check says, as if it had failed."),
    "up": ("FORCE UP", "In with its whole weight, whatever its check says."),
    "weight": ("WEIGHT", "The weight below in the place of lvs.cf's, while its check succeeds."),
}
THEN = {
    "wait": "wait on until none is left",
    "ask": "ask: an alert on CONTROL/MONITORING",
    "cut": "cut: take it out of the table",
}
SAID = {
    "drain": "It is being drained: new connections go elsewhere.",
    "down": "It is forced down.",
    "up": "It is forced up.",
    "weight": "It has the weight you gave it.",
    "auto": "Taken back: lvs.cf and its check rule again.",
    "wait": "The drain waits on.",
    "cut": "It is out of the table.",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was typed, and what is wrong with it by field."""

    action: str = "drain"
    scope: str = "server"
    weight: str = ""
    deadline: str = ""
    then: str = "wait"
    back: str = ""
    reason: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One decision.  ``target``: the fields that name it again."""

    name: str
    words: str
    since: str
    target: Mapping[str, str]
    may_wait: bool
    may_cut: bool
    asks: bool


def typed(form: Mapping[str, str]) -> Typed:
    """Read the form; ``errors`` is empty when it can be asked for."""
    names = ("action", "scope", "weight", "deadline", "then", "back", "reason")
    values = {name: " ".join(form.get(name, "").split()) for name in names}
    errors = {}
    if values["action"] not in ACTIONS:
        errors["action"] = "Choose what is to happen."
    if values["action"] == "weight" and _number(values["weight"], LARGEST_WEIGHT) is None:
        errors["weight"] = f"A weight is a whole number from 0 to {LARGEST_WEIGHT}."
    for name in ("deadline", "back"):
        if values[name] and not _number(values[name], LONGEST_MIN):
            errors[name] = "A whole number of minutes, at most a year; or blank."
    if values["deadline"] and values["action"] in ACTIONS and values["action"] != "drain":
        errors["deadline"] = "Only a drain has a deadline."
    if values["then"] not in THEN:
        errors["then"] = "Choose what happens at the deadline."
    elif values["then"] != "wait" and values["action"] == "drain" and not values["deadline"]:
        errors["deadline"] = "When is that? Give a deadline, or have it wait on."
    if len(values["reason"]) > LONGEST_REASON:
        errors["reason"] = f"It has {len(values['reason'])} characters; {LONGEST_REASON} are kept."
    return Typed(**values, errors=errors)


def request_of(found: Typed, target: Mapping[str, str], actor: str, now: float) -> OverrideRequest:
    """What a form without errors asks for.  ``target``: ``virtual`` and ``server``, or ``host``."""
    minutes, back = _number(found.deadline, LONGEST_MIN) or 0, _number(found.back, LONGEST_MIN) or 0
    return OverrideRequest(
        action=found.action,
        weight=(_number(found.weight, LARGEST_WEIGHT) or 0) if found.action == "weight" else 0,
        deadline_s=minutes * 60.0,
        then=found.then if minutes else "wait",
        return_at=now + back * 60 if back else 0.0,
        reason=found.reason,
        actor=actor,
        virtual=target.get("virtual", ""),
        server=target.get("server", ""),
        host=target.get("host", ""),
    )


def answer(action: str, target: Mapping[str, str], actor: str) -> OverrideRequest:
    """``auto``, ``wait`` or ``cut`` for a decision that holds."""
    virtual, server, host = (target.get(name, "") for name in ("virtual", "server", "host"))
    return OverrideRequest(action=action, actor=actor, virtual=virtual, server=server, host=host)


def target_of(one: OverrideInfo) -> dict[str, str]:
    """The fields that name a decision's target."""
    return {"host": one.host} if one.host else {"virtual": one.virtual, "server": one.server}


def rows(found: Iterable[OverrideInfo], now: float) -> tuple[Row, ...]:
    """Those in force, as they come."""
    return tuple(row(one, now) for one in found)


def row(one: OverrideInfo, now: float) -> Row:
    """One of them.  A drain that is over has nothing to wait for."""
    goes_on = one.action == "drain" and one.phase in {"draining", "waiting", "asking"}
    return Row(
        name=f"host {one.host}" if one.host else f"{one.server} of {one.virtual}",
        words=one.words,
        since=since(one.at, now),
        target=target_of(one),
        may_wait=goes_on and (one.phase == "asking" or one.deadline_at > now),
        may_cut=goes_on,
        asks=one.phase == "asking",
    )


def alone(row: RealRow, rows: Iterable[RealRow], *, sorry: bool) -> str:
    """What it leads to if this real server is taken out and it is the last one (``""``: it is not)."""
    if not row.weight_now or any(other.weight_now for other in rows if other.ref != row.ref):
        return ""
    return f"No other real server takes new connections: without it {'the sorry server' if sorry else 'nobody'} answers."


def _number(text: str, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most else None
