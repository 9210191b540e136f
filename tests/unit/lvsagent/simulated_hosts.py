"""What the simulation is made of: two hosts, and the ways between them.  Owns their state alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lvsagent.core.failover import Heard, Machine, Settings
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY

KEEPALIVE_S = 1.0
PATHS = ("public", "private")
NAMES = (("lefty", PRIMARY), ("righty", BACKUP))


@dataclass(slots=True)
class Lane:
    """One direction of a path."""

    cut: bool = False
    loss: float = 0.0
    doubled: float = 0.0
    low_s: float = 0.001
    high_s: float = 0.002

    @property
    def sound(self) -> bool:
        """Whether every datagram gets through within ``high_s``."""
        return not self.cut and not self.loss


@dataclass(slots=True)
class Node:
    """A host: its process (or none), and what outlives the process."""

    name: str
    settings: Settings
    origin: float
    machine: Machine | None = None
    boots: int = 0
    paused: bool = False
    holding: bool = False
    ended_at: float = 0.0
    maintenance: bool = False
    links_whole: bool = True
    fit: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that have changed, and that this one has not been told yet."""
    inbox: list[Heard] = field(default_factory=list)
    tick_at: float = float("inf")

    @property
    def running(self) -> bool:
        """Whether it has a process and that process is not stopped."""
        return self.machine is not None and not self.paused

    @property
    def paired(self) -> bool:
        """Whether its settings make it one of two."""
        return self.settings.redundant and self.settings.keyed

    @property
    def active(self) -> bool:
        """Whether a running process believes itself active."""
        return self.machine is not None and not self.paused and self.machine.role == ACTIVE
