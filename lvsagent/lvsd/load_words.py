"""A host's load for people and programs: what was read, what it is compared with, what it did, and what went wrong.

Pure.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvsagent.core.load_share import WHOLE, HostLoad, LoadShare
from lvsagent.wire import Alert, LoadInfo

NAMED = 3
"""So many hosts are named in one alert."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The newest try: when (as loads are dated), why it failed (``""``: it did not), what came back."""

    at: float
    reason: str
    received: str


def load_info(
    key: str,
    host: HostLoad | None,
    heard: Heard | None,
    share: LoadShare | None,
    clock: tuple[float, float],
    *,
    overruled: bool,
) -> LoadInfo:
    """The wire's form.  ``clock``: now, on the clock of the loads and on the wall's.  ``overruled``: an operator has decided."""
    now, wall = clock
    monitor, _, name = key.partition(" ")
    known = host is not None and host.known(now)
    part = share.share if share is not None and share.load == key else WHOLE
    others = share.others if share is not None and known else None
    reason = heard.reason if heard is not None else ""
    words = _words(monitor, host if known else None, others, part, _silence(host, reason, wall - now))
    return LoadInfo(
        monitor=monitor,
        host=name,
        words=f"{words}; it does not count while an operator has decided about this server" if overruled and part < WHOLE else words,
        load=host.value if host is not None else None,
        damped=host.damped if host is not None and known else None,
        others=others,
        share_percent=round(part * 100),
        at=host.at + wall - now if host is not None else 0.0,
        tried_at=heard.at + wall - now if heard is not None else 0.0,
        reason=reason,
        received=heard.received if heard is not None else "",
    )


def _silence(host: HostLoad | None, reason: str, ahead: float) -> str:
    """What is said while a load is not known."""
    because = f" ({reason})" if reason else ""
    if host is None:
        return f"the load of its host cannot be read{because}" if reason else "the load of its host is not known yet"
    since = time.strftime("%H:%M:%S", time.localtime(host.at + ahead))
    return f"the load of its host is not known since {since}{because}"


def _words(monitor: str, host: HostLoad | None, others: float | None, part: float, silence: str) -> str:
    lessened = f"{part:.0%} of its weight"
    if host is None:
        return silence if part >= WHOLE else f"{silence}: {lessened} for now, which grows back"
    beside = f", the others {others:.2f}" if others is not None else ""
    said = f"load {host.damped:.2f} by {monitor}{beside}"
    return said if part >= WHOLE else f"{said}: {lessened}"


def load_alerts(failed: Mapping[str, Heard]) -> Sequence[Alert]:
    """An alert for each of the commonest reasons for which the load of hosts cannot be read, and one for all others."""
    groups: dict[str, list[str]] = {}
    for key, heard in failed.items():
        name = key.partition(" ")[2]
        groups.setdefault(heard.reason.replace(name, ""), []).append(key)  # many reasons name the host
    commonest = sorted(groups.values(), key=len, reverse=True)
    alerts = [_alert(_named([key.partition(" ")[2] for key in keys]), failed[keys[0]].reason) for keys in commonest[:NAMED]]
    others = sum(map(len, commonest[NAMED:]))
    return [*alerts, _alert(f"{others} more host{'s' if others > 1 else ''}", "for other reasons")] if others else alerts


def _alert(whose: str, reason: str) -> Alert:
    return Alert(severity="warning", code="load", message=f"the load of {whose} cannot be read and does not count: {reason}")


def answered_again(keys: Sequence[str]) -> str:
    """The load of these hosts is known again."""
    return f"the load of {_named(sorted(key.partition(' ')[2] for key in keys))} can be read again"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more hosts" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
