"""What lvsd says of this director, as the failover machine wants it.  Pure."""

from __future__ import annotations

from lvsagent.core.failover import Settings
from lvsagent.core.heartbeat import PATHS
from lvsagent.messages import PulseConfigure

SHORTEST_KEEPALIVE_S = 0.02
SHORTEST_DEADTIME_S = 0.06
UNKEYED = "two directors are configured, but there is no heartbeat key: neither takes over from the other until lvsctl pair made one"


def keepalive_s(configure: PulseConfigure | None) -> float:
    """The interval between two beats; something usual while nothing is configured."""
    return max(configure.keepalive_s, SHORTEST_KEEPALIVE_S) if configure else 1.0


def machine_settings(configure: PulseConfigure, *, keyed: bool) -> Settings:
    """The machine's settings; ``keyed``: there is a heartbeat key."""
    return Settings(
        identity=configure.identity,
        redundant=configure.redundant,
        keepalive_s=keepalive_s(configure),
        deadtime_s=max(configure.deadtime_s, SHORTEST_DEADTIME_S),
        preempt=configure.preempt,
        preempt_delay_s=configure.preempt_delay_s,
        monitor_links=configure.monitor_links,
        paths=tuple(path.name for path in configure.paths if path.name in PATHS),
        keyed=keyed,
    )
