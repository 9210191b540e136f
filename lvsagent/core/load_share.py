"""From loads to weights: which part of its weight a real server keeps while its host is busier than the others.

Pure; the time (seconds on any clock that only goes forward) is an argument.  The rule, whole:

- A host's load is its average over the last minute, damped: a new reading counts for ``1 - exp(-elapsed / DAMPING_S)`` of it.
- It is compared with the other servers of the same virtual server that take connections, each load in proportion to the weight that
  lvs.cf gives the server: twice the weight may carry twice the load.
- The share is ``(1 + others) / (1 + own)``, never more than the whole and never less than ``SMALLEST``.  The ones keep idle hosts,
  whose loads differ by much in proportion and by nothing that matters, alike.
- A share moves when it has ``STEP`` or more to go, or is to be whole again.
- A load that was not heard for ``STALE_S`` counts no more, neither for its server nor for the others; its server's share then grows back
  to the whole over ``RETURN_S``: slowly, because a host too busy to answer is one of the reasons for silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WHOLE = 1.0
SMALLEST = 0.1
STEP = 0.05
DAMPING_S = 40.0
STALE_S = 70.0
"""Three readings that did not come, and the time that each may take."""
RETURN_S = 300.0
LARGEST = 1e6


@dataclass(frozen=True, slots=True)
class HostLoad:
    """``damped`` is what counts, ``value`` what was read last, ``at`` when."""

    damped: float
    value: float
    at: float

    def known(self, now: float) -> bool:
        """Whether it is young enough to count."""
        return now - self.at < STALE_S


@dataclass(frozen=True, slots=True)
class Carrier:
    """A real server whose load counts.

    ``load``: the key of its host's load; ``weight``: how much it is meant to carry; ``serves``: it carries that, so the others are compared
    with it.
    """

    check: str
    load: str
    weight: float
    serves: bool


@dataclass(frozen=True, slots=True)
class LoadShare:
    """What a load did to a weight.  ``others``: the mean that it was compared with (None: nothing to compare with, or it is not known)."""

    load: str
    share: float = WHOLE
    others: float | None = None
    fresh: float = WHOLE
    """The share when the load was last known: what it grows back from."""


def damp(before: HostLoad | None, value: float, now: float) -> HostLoad:
    """With one more reading.  After a silence the past says nothing."""
    value = min(max(value, 0.0), LARGEST)
    if before is None or not before.known(now):
        return HostLoad(value, value, now)
    part = 1 - math.exp(-max(now - before.at, 0.0) / DAMPING_S)
    return HostLoad(before.damped + (value - before.damped) * part, value, now)


def compared(own: float, others: float) -> float:
    """The share that a load leads to beside the others' mean."""
    return min(max((1 + others) / (1 + own), SMALLEST), WHOLE)


def stepped(before: float, wanted: float) -> float:
    """The share from now on: small differences are noise."""
    return wanted if wanted in (before, WHOLE) or abs(wanted - before) >= STEP else before


def shares(carriers: Iterable[Carrier], hosts: Mapping[str, HostLoad], before: Mapping[str, LoadShare], now: float) -> dict[str, LoadShare]:
    """The shares of one virtual server's real servers by check key; ``before``: those in force."""
    carriers = [each for each in carriers if each.weight > 0]
    mean_weight = sum(each.weight for each in carriers) / len(carriers) if carriers else 1.0
    full = {
        each.check: host.damped * mean_weight / each.weight
        for each in carriers
        if (host := hosts.get(each.load)) is not None and host.known(now)
    }
    compete = {each.check for each in carriers if each.serves and each.check in full}
    total = sum(full[check] for check in compete)
    found = {}
    for each in carriers:
        old = before.get(each.check)
        if old is None or old.load != each.load:
            old = LoadShare(each.load)
        if each.check in full:
            rivals = len(compete) - (each.check in compete)
            others = (total - (full[each.check] if each.check in compete else 0.0)) / rivals if rivals else None
            found[each.check] = _fresh(old, full[each.check], others)
        else:
            found[each.check] = _returning(old, hosts.get(each.load), now)
    return found


def _fresh(old: LoadShare, own: float, others: float | None) -> LoadShare:
    share = stepped(old.share, WHOLE if others is None else compared(own, max(others, 0.0)))
    return LoadShare(old.load, share, others, share)


def _returning(old: LoadShare, host: HostLoad | None, now: float) -> LoadShare:
    silent_s = now - host.at - STALE_S if host is not None else RETURN_S
    wanted = min(old.fresh + (WHOLE - old.fresh) * max(silent_s, 0.0) / RETURN_S, WHOLE)
    return LoadShare(old.load, stepped(old.share, wanted), None, old.fresh)


def part(shares_: Mapping[str, LoadShare], check: str, load: str) -> float:
    """The share of the server of ``check`` whose host's load is ``load`` (``""``: none counts)."""
    found = shares_.get(check) if load else None
    return found.share if found is not None and found.load == load else WHOLE
