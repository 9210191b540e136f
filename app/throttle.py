"""How fast tries to log in may follow each other, per source and per account.

Pure but for its lock: time is an argument.  Memory is bounded whatever is tried.  It never says which part of a try was wrong, because it
does not know.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass

SOURCE_FREE_TRIES = 4
SOURCE_LONGEST_S = 900.0
ACCOUNT_FREE_TRIES = 12
ACCOUNT_LONGEST_S = 30.0
FORGOTTEN_AFTER_S = 3600.0
MOST_KEPT = 4096


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last: float = 0.0
    open_at: float = 0.0


class Throttle:
    """Grows a delay with each try that was not followed by success.

    A source waits 1, 2, 4 … seconds after its first free tries.  The account as a whole is slowed as well, for tries spread over many
    sources, but never for long and never for a source that logged in before: nobody can lock the administrator out from elsewhere.
    """

    def __init__(self, first_delay_s: float = 1.0) -> None:
        self._first = first_delay_s
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()

    def attempt(self, source: str, account: str, now: float) -> float:
        """Count a try *before* the password is looked at.  Returns 0 if it may go on, else the seconds until the next one may."""
        place, who = _source_key(source), f"account {account}"
        with self._lock:
            wait = self._wait(place, now)
            if place not in self._known:
                wait = max(wait, self._wait(who, now))
            if wait > 0:
                return wait
            self._count(place, now, SOURCE_FREE_TRIES, SOURCE_LONGEST_S)
            self._count(who, now, ACCOUNT_FREE_TRIES, ACCOUNT_LONGEST_S)
            return 0.0

    def succeeded(self, source: str, account: str, now: float) -> None:
        """The try was right: forget the failures, remember the source."""
        place = _source_key(source)
        with self._lock:
            self._records.pop(place, None)
            self._records.pop(f"account {account}", None)
            self._known[place] = now
            self._known.move_to_end(place)
            while len(self._known) > MOST_KEPT // 16:
                self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._records) + len(self._known)

    def _wait(self, key: str, now: float) -> float:
        record = self._records.get(key)
        return max(0.0, record.open_at - now) if record else 0.0

    def _count(self, key: str, now: float, free: int, longest: float) -> None:
        record = self._records.get(key)
        if record is None or now - record.last > FORGOTTEN_AFTER_S:
            record = self._records[key] = _Record()
        record.failures += 1
        record.last = now
        over = record.failures - free
        record.open_at = now + min(longest, self._first * 2 ** min(over, 30)) if over >= 0 else now
        self._records.move_to_end(key)
        while len(self._records) > MOST_KEPT:
            self._records.popitem(last=False)


def _source_key(source: str) -> str:
    """One key a host: an IPv6 source counts with its whole /64, which one host can have."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return f"source {source[:64]}"
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return f"source {mapped or ipaddress.ip_network((address, 64), strict=False)}"
    return f"source {address}"
