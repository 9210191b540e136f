"""Two failover machines side by side, their beats handed over at once: for tests that tell one story each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lvsagent.core.failover import Command, Event, Heard, Machine, Note, Operator, Send, Settings, Started, Tick
from lvsagent.core.failover_types import Action

KEEPALIVE_S = 1.0
DEADTIME_S = 3.0
PATHS = ("public", "private")
SETTINGS = Settings(redundant=True, keepalive_s=KEEPALIVE_S, deadtime_s=DEADTIME_S, paths=PATHS, monitor_links=True)


class Pair:
    """lefty is the primary, righty the backup.  ``deaf`` and ``dead`` name those that hear nothing, or do not run at all."""

    def __init__(self, **settings: Any) -> None:
        self.now = 100.0
        self.deaf: set[str] = set()
        self.dead: set[str] = set()
        self.boots = 0
        self.settings = {
            "lefty": replace(SETTINGS, identity="primary", **settings),
            "righty": replace(SETTINGS, identity="backup", **settings),
        }
        self.machines: dict[str, Machine] = {}
        self.done: list[tuple[str, Command]] = []

    def start(self, *names: str, **started: Any) -> Pair:
        """Start these processes, with what ``Started`` takes."""
        for name in names:
            self.boots += 1
            self.dead.discard(name)
            self.machines[name] = Machine(self.settings[name], f"{name}-{self.boots}")
        for name in names:
            self.give(name, Started(**started))
        return self

    def kill(self, name: str) -> None:
        """It does nothing any more."""
        self.dead.add(name)

    def give(self, name: str, event: Event) -> list[Command]:
        """Let it handle the event; what it sends is heard at once by the other, unless that one is deaf or dead."""
        commands = self.machines[name].handle(event, self.now)
        self.done += [(name, command) for command in commands if not isinstance(command, Send)]
        other = "righty" if name == "lefty" else "lefty"
        for command in commands:
            if isinstance(command, Send) and other in self.machines and not {other} & (self.dead | self.deaf):
                for path in command.paths:
                    self.give(other, Heard(path, command.beat))
        return commands

    def operator(self, name: str, action: Action) -> list[Command]:
        """Somebody says so."""
        return self.give(name, Operator(action, "somebody"))

    def pass_time(self, duration_s: float, *sleeping: str) -> Pair:
        """Let time pass, each machine getting its ticks when it wants them; those that sleep neither hear nor say anything."""
        end, deaf = self.now + duration_s, self.deaf
        self.deaf = deaf | set(sleeping)
        while True:
            awake = [name for name in self.machines if name not in self.dead and name not in sleeping]
            due = min((self.machines[name].next_at(self.now), name) for name in awake) if awake else (end + 1, "")
            if due[0] > end:
                self.now, self.deaf = end, deaf
                return self
            self.now = max(self.now, due[0])
            self.give(due[1], Tick())

    def roles(self) -> tuple[str, ...]:
        """lefty's and righty's, of those that run."""
        return tuple(machine.role for name, machine in sorted(self.machines.items()) if name not in self.dead)

    def notes(self, kind: str) -> list[str]:
        """What was noted of this kind, oldest first."""
        return [command.message for _, command in self.done if isinstance(command, Note) and command.kind == kind]
