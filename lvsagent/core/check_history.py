"""The last results of every check, for those who want to know why.

Pure.  What servers said is kept within a budget for all checks together, the newest first to be kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace

from lvsagent.core.check_spec import Outcome

KEPT = 20
"""Results of a check."""
REPLIES_BYTES = 48 * 1024 * 1024
"""What all checks of a director together may keep of the answers."""
LEAST_BYTES = 1024
"""A check's part of it is never less: one whole answer."""


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome and when it came (seconds since the epoch)."""

    at: float
    outcome: Outcome


class CheckHistory:
    """The last 20 results by check key.  ``replies_bytes``: what they may keep of the answers."""

    def __init__(self, replies_bytes: int = REPLIES_BYTES) -> None:
        self._replies_bytes = replies_bytes
        self._results: dict[str, deque[Result]] = {}

    def add(self, key: str, at: float, outcome: Outcome) -> None:
        """One more result; the oldest goes."""
        results = self._results.get(key)
        if results is None:
            results = self._results[key] = deque(maxlen=KEPT)
        results.append(Result(at, outcome))
        if outcome.reply:
            self._shorten(results)

    def of(self, key: str) -> list[Result]:
        """Newest first."""
        return list(reversed(self._results.get(key, ())))

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget every other check."""
        for key in self._results.keys() - set(keys):
            del self._results[key]

    def _shorten(self, results: deque[Result]) -> None:
        """Take the answers away from the oldest results until the rest is within this check's part of the budget."""
        left = max(LEAST_BYTES, self._replies_bytes // len(self._results))
        for place in range(len(results) - 1, -1, -1):
            reply = results[place].outcome.reply
            left -= len(reply)
            if reply and left < 0:
                results[place] = Result(results[place].at, replace(results[place].outcome, reply=b""))
