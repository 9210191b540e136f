"""What an operator may ask of the role, and why not now.

Pure, words included.  What pulse makes of an accepted request is the failover machine's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lvsagent.core.identity import ACTIVE, STANDBY

ACTIONS = ("step_down", "take_over", "maintenance", "resume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stand.  ``peer`` is none, waiting, alive or dead."""

    redundant: bool
    role: str
    maintenance: bool
    peer: str
    peer_maintenance: bool = False


def why_not(action: str, standing: Standing) -> str:
    """The reason why ``action`` cannot be done now, ``""`` when it can."""
    if not standing.redundant and action not in {"maintenance", "resume"}:
        return "lvs.cf enables no backup director: there is nobody to change roles with"
    return _REASONS[action](standing)


def _step_down(standing: Standing) -> str:
    if standing.role != ACTIVE:
        return f"this director is {standing.role}: only the active one can step down"
    if standing.peer != "alive":
        return "the other director is not heard: nobody would take over"
    return "the other director is in maintenance: nobody would take over" if standing.peer_maintenance else ""


def _take_over(standing: Standing) -> str:
    if standing.role != STANDBY:
        return f"this director is {standing.role}: only a standby can take over"
    return "this director is in maintenance: resume first" if standing.maintenance else ""


def _maintenance(standing: Standing) -> str:
    return "this director is in maintenance already" if standing.maintenance else ""


def _resume(standing: Standing) -> str:
    return "" if standing.maintenance else "this director is not in maintenance"


_REASONS: dict[str, Callable[[Standing], str]] = {
    "step_down": _step_down,
    "take_over": _take_over,
    "maintenance": _maintenance,
    "resume": _resume,
}
