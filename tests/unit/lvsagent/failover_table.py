"""The table of docs/failover.md: what becomes of each state at each event, asked of the machine itself.

``python -m tests.unit.lvsagent.failover_table`` writes it into the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lvsagent.core.failover import (
    Action,
    Beat,
    ChildrenChanged,
    Event,
    Heard,
    LinksChanged,
    Machine,
    Operator,
    Send,
    Started,
    Tick,
)
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY, STANDBY, STARTING, STOPPED
from tests.unit.lvsagent.failover_pair import DEADTIME_S, PATHS, SETTINGS

PAGE = Path(__file__).parents[3] / "docs" / "failover.md"
FRAME = re.compile(r"(<!-- table: .*? -->\n).*?(<!-- end -->)", re.DOTALL)


class Scene:
    """One machine in some state, and a peer whose words are put into its ear."""

    def __init__(self, identity: str) -> None:
        self.now = 50.0
        self.machine = Machine(replace(SETTINGS, identity=identity), "we")
        self.peer_identity = BACKUP if identity == PRIMARY else PRIMARY
        self.said: Beat | None = None
        self._number = 0
        self.give(Started())

    def give(self, event: Event) -> None:
        """Let it handle the event; what it says last is kept."""
        for command in self.machine.handle(event, self.now):
            if isinstance(command, Send):
                self.said = command.beat

    def hear(self, role: str, **words: Any) -> None:
        """The peer, which hears us well, says this of itself."""
        self.now += 0.1
        self._number += 1
        heard = self.said.number if self.said is not None else 0
        beat = Beat(identity=self.peer_identity, boot_id="peer", number=self._number, role=role, hears=PATHS, **words)
        self.give(Heard(PATHS[0], replace(beat, heard_boot_id="we", heard_number=heard)))

    def wait(self) -> None:
        """Nothing is heard for the dead time."""
        end = self.now + DEADTIME_S
        while self.now < end:
            self.now = min(end, self.machine.next_at(self.now))
            self.give(Tick())


def _starting(_scene: Scene) -> None:
    pass


def _standby(scene: Scene) -> None:
    scene.hear(ACTIVE)


def _active(scene: Scene) -> None:
    scene.wait()
    scene.hear(STANDBY)


def _maintenance(scene: Scene) -> None:
    scene.hear(ACTIVE)
    scene.give(Operator(Action.MAINTENANCE))


STATES: dict[str, Callable[[Scene], None]] = {
    "starting": _starting,
    "standby": _standby,
    "active": _active,
    "in maintenance": _maintenance,
}
EVENTS: dict[str, Callable[[Scene], None]] = {
    "the other is silent on all paths for `deadtime`": Scene.wait,
    "the other says: active": lambda scene: scene.hear(ACTIVE),
    "the other says: standby": lambda scene: scene.hear(STANDBY),
    "the other says: starting": lambda scene: scene.hear(STARTING),
    "the other steps down": lambda scene: scene.hear(STANDBY, stepping_down=True),
    "the other is stopped as planned": lambda scene: scene.hear(STOPPED),
    "the other asks for the role": lambda scene: scene.hear(STANDBY, wants_role=True),
    "a watched link is lost": lambda scene: scene.give(LinksChanged(whole=False, why="eth1 has no carrier")),
    "its own processes cannot be kept up": lambda scene: scene.give(ChildrenChanged(fit=False, why="lvsd cannot be kept up")),
    "operator: step down": lambda scene: scene.give(Operator(Action.STEP_DOWN)),
    "operator: take over": lambda scene: scene.give(Operator(Action.TAKE_OVER)),
    "operator: maintenance": lambda scene: scene.give(Operator(Action.MAINTENANCE)),
    "operator: resume": lambda scene: scene.give(Operator(Action.RESUME)),
}


def outcome(identity: str, state: str, event: str) -> str:
    """What becomes of it, in a word or two; ``–`` when it stays what it is."""
    scene = Scene(identity)
    STATES[state](scene)
    before = scene.machine.role, scene.machine.maintenance
    EVENTS[event](scene)
    machine = scene.machine
    if (machine.role, machine.maintenance) == before:
        return "asks the other" if scene.said is not None and scene.said.wants_role else "–"
    return "in maintenance" if machine.maintenance else f"**{machine.role}**" if machine.role == ACTIVE else machine.role


def cell(state: str, event: str) -> str:
    """The primary's and the backup's outcome, in one when they are the same."""
    primary, backup = outcome(PRIMARY, state, event), outcome(BACKUP, state, event)
    return primary if primary == backup else f"primary: {primary}; backup: {backup}"


def table() -> str:
    """The whole table, in Markdown."""
    lines = [f"| what happens | {' | '.join(STATES)} |", "| --- " * (len(STATES) + 1) + "|"]
    lines += [f"| {event} | {' | '.join(cell(state, event) for state in STATES)} |" for event in EVENTS]
    return "\n".join(lines) + "\n"


def page_with(text: str, lines: str) -> str:
    """The page with this table in its frame."""
    return FRAME.sub(lambda frame: frame.group(1) + lines + frame.group(2), text)


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(), table()))
