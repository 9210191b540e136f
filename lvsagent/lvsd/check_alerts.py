"""What the checks have to say for the top of every page: certificates that end, and the mass-failure brake.

Pure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from lvsagent.wire import Alert, CheckInfo

NAMED = 3
"""So many checks are named in one alert."""


def check_alerts(infos: Sequence[CheckInfo]) -> Iterator[Alert]:
    """Alerts about the checks that have a warning or are kept."""
    kept = [info for info in infos if info.kept_until]
    if kept:
        until = time.strftime("%H:%M:%S", time.localtime(max(info.kept_until for info in kept)))
        words = f"{_named(kept)} failed at once and {'are' if len(kept) > 1 else 'is'} kept in service until {until} (mass_failure_hold)"
        yield Alert(severity="error", code="mass-failure", message=words)
    warned = [info for info in infos if info.warning]
    if warned:
        more = f" (and {len(warned) - NAMED} more)" if len(warned) > NAMED else ""
        words = "; ".join(f"{info.key}: {info.warning}" for info in warned[:NAMED]) + more
        yield Alert(severity="warning", code="check-warning", message=words)


def _named(infos: Sequence[CheckInfo]) -> str:
    names = ", ".join(info.key for info in infos[:NAMED])
    return f"{names} and {len(infos) - NAMED} more real servers" if len(infos) > NAMED else names
