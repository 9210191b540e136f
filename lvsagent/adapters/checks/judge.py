"""The answer of a real server as far as it has come, and whether it is the expected one.

Owns when a pattern is searched.  The verdict on a prefix is ``lvsagent.core.expect``'s, that on a pattern the given matcher's.
"""

from __future__ import annotations

from app.lvscf.posix_regex import Translated, translate
from lvsagent.adapters.checks.waiter import Search, Waiter
from lvsagent.core.check_spec import CheckSpec, Outcome
from lvsagent.core.expect import ANSWER_LIMIT_BYTES, REPLY_LIMIT_BYTES, prefix_verdict

SEARCH_PAUSE_S = 0.05
"""A pattern is tried again on a longer answer at most this often."""


class Judge:
    """The answer so far, and whether it is the expected one."""

    def __init__(self, spec: CheckSpec, search: Search) -> None:
        self.spec = spec
        self.answer = bytearray()
        self.connect_s = 0.0
        self.first_byte_s = 0.0
        self._search = search
        self._pattern: Translated | None = None
        self.searches = 0
        self._searched_bytes = 0
        self._searched_at = float("-inf")
        if spec.use_regex and spec.expect is not None:
            self._pattern = translate(spec.expect)

    def take(self, data: bytes, elapsed_s: float) -> None:
        """More of the answer, at that time since the check began."""
        if data and not self.answer:
            self.first_byte_s = elapsed_s - self.connect_s
        self.answer += data

    @property
    def room(self) -> int:
        """How many more bytes are looked at."""
        return ANSWER_LIMIT_BYTES - len(self.answer)

    def look(self) -> bool | None:
        """The verdict on a prefix as soon as there is one; a pattern is searched when the socket has no more to read."""
        if self._pattern is not None or self.spec.expect is None:
            return None
        return prefix_verdict(self.spec.expect, bytes(self.answer))

    def search_in(self, waiter: Waiter) -> float | None:
        """When a search makes sense: None while the answer has not grown since the last one, else the seconds until that is long ago."""
        if self._pattern is None or self._pattern.needs_end or len(self.answer) == self._searched_bytes:
            return None
        return max(0.0, self._searched_at + SEARCH_PAUSE_S - waiter.loop.time())

    async def search_now(self, waiter: Waiter) -> bool | None:
        """True when the pattern matches what is there; else more may come."""
        self.searches += 1
        self._searched_at = waiter.loop.time()
        return await self.at_end() or None

    async def at_end(self) -> bool:
        """The verdict on all there will ever be.  Raises TimeoutError when the pattern is too slow."""
        if self.spec.expect is None:
            return True
        if self._pattern is None:
            return prefix_verdict(self.spec.expect, bytes(self.answer)) is True
        self._searched_bytes = len(self.answer)
        return bool(self.answer) and await self._search(self._pattern.pattern, bytes(self.answer))

    def outcome(self, reason: str, duration_s: float) -> Outcome:
        """The end of the check."""
        return Outcome(
            ok=not reason,
            duration_s=duration_s,
            reason=reason,
            reply=bytes(self.answer[:REPLY_LIMIT_BYTES]),
            connect_s=self.connect_s,
            first_byte_s=self.first_byte_s,
        )
