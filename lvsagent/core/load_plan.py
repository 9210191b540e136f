"""Whose load is read, and how: one ``LoadSpec`` a host and monitor, however many virtual servers share it.

Owns the shapes of what is asked and what came back, and their words.  It runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.lvscf import ip_of
from lvsagent.core.load_text import Monitor

INTERVAL_S = 20.0
"""Between two readings of one host: a kernel's own average over a minute says little that is new any sooner."""
LIMIT_S = 10.0
"""How long one reading may take."""


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """``host`` is the address that is asked, or, for ruptime, which tells of hosts by name, what the host calls itself."""

    monitor: Monitor
    host: str

    @property
    def key(self) -> str:
        """``uptime 192.0.2.7``."""
        return f"{self.monitor} {self.host}"

    @property
    def job(self) -> str:
        """Readings of one job are one run of a program: ruptime tells of all hosts at once."""
        return self.monitor.value if self.monitor is Monitor.RUPTIME else self.key


@dataclass(frozen=True, slots=True)
class LoadReading:
    """What came of one reading.  ``load`` None: none, and ``reason`` says why.  ``received``: what came back, at most 1 KiB, harmless.

    ``age_s``: how long ago it was read.
    """

    key: str
    load: float | None
    reason: str = ""
    received: str = ""
    age_s: float = 0.0


def load_spec(monitor: str, *, address: str, written: str, name: str) -> LoadSpec | None:
    """Of a real server at ``address``, which lvs.cf writes as ``written`` and calls ``name``; None when nothing is to be read."""
    if monitor not in set(Monitor):
        return None
    kind = Monitor(monitor)
    if kind is not Monitor.RUPTIME:
        return LoadSpec(kind, address)
    return LoadSpec(kind, written if ip_of(written) is None else name)
