"""Which virtual servers are short of real servers, and the moment that this changes.

Owns the memory of it for the events and for virtual servers without a sorry server; for the others the table itself says it
(``lvsagent.core.desired``).  It decides nothing about the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lvsagent.core.clean_text import clean
from lvsagent.core.desired import Standing, sorry_is_in, standing
from lvsagent.core.pools import Expansion, Pool
from lvsagent.core.table import Entry, ServiceKey, Table


@dataclass(frozen=True, slots=True)
class Turn:
    """A quorum was lost or reached again."""

    name: str
    held: bool
    words: str


class QuorumWatch:
    """Looks at the virtual servers that have a quorum or a sorry server."""

    def __init__(self) -> None:
        self._held: dict[ServiceKey, bool] = {}
        self._words: dict[ServiceKey, str] = {}
        self._of: Expansion | None = None
        self._watched: tuple[Pool, ...] = ()

    def look(self, expansion: Expansion, sides: Mapping[str, bool], have: Table) -> list[Turn]:
        """After a pass over the table: what has turned since the last look."""
        if expansion is not self._of:
            self._of = expansion
            self._watched = tuple(pool for pool in expansion.pools.values() if pool.sorry or pool.quorum.least > 1)
            known = {pool.key for pool in self._watched}
            self._held = {key: held for key, held in self._held.items() if key in known}
            self._words = {key: words for key, words in self._words.items() if key in known}
        return [turn for pool in self._watched for turn in self._turned(pool, sides, have.get(pool.key))]

    def short(self, key: ServiceKey) -> str:
        """How the virtual server is short of real servers, in words; ``""``: it is not."""
        return self._words.get(key, "")

    def lost(self) -> list[tuple[str, str]]:
        """Name and words of each virtual server that is short."""
        return [(clean(pool.name), self._words[pool.key]) for pool in self._watched if pool.key in self._words]

    def _turned(self, pool: Pool, sides: Mapping[str, bool], entry: Entry | None) -> Iterator[Turn]:
        if entry is None:
            return  # not in the table: it is failed, which is said elsewhere
        now, before = standing(pool, sides, entry), self._held.get(pool.key, True)
        held = not sorry_is_in(pool, entry) if pool.sorry else pool.quorum.holds(now.up, now.awaited, held=before)
        self._held[pool.key] = held
        if held:
            self._words.pop(pool.key, None)
        else:
            self._words[pool.key] = _short_words(pool, now)
        if held != before:
            yield Turn(clean(pool.name), held, _reached_words(pool, now) if held else self._words[pool.key])


def _up_words(pool: Pool, now: Standing) -> str:
    verb = "is" if now.up == 1 else "are"
    return f"{now.up} of {len(pool.members)} real servers {verb} up"


def _short_words(pool: Pool, now: Standing) -> str:
    needed = "" if pool.quorum.least == 1 else f" and the quorum is {pool.quorum.least}"
    if not now.up:
        consequence = f"the sorry server {pool.sorry[0]} answers" if pool.sorry else "nobody answers"
    elif pool.sorry:
        consequence = f"the sorry server {pool.sorry[0]} takes all new connections"
    else:
        consequence = "what is left goes on, for there is no sorry server"
    return f"{_up_words(pool, now)}{needed}: {consequence}"


def _reached_words(pool: Pool, now: Standing) -> str:
    gone = ", and the sorry server has left" if pool.sorry else ""
    return f"{_up_words(pool, now)}: enough again{gone}"
