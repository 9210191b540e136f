"""What stands between an lvs.cf and its acceptance: a plan that has grown since it was shown, and a large change that nobody confirmed.

Owns the memory of the plans that were shown, and the words of both refusals.  It writes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable

from lvsagent.api.contract import Grown, Unavailable, Unconfirmed, Write
from lvsagent.core.continuity import TakenOut, taken_out
from lvsagent.core.plan import steps
from lvsagent.core.plan_prints import Lines, fingerprint, grown, plan_lines
from lvsagent.core.table import Operation, Table
from lvsagent.lvsd.configuration import Configuration
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.keeper import TableKeeper
from lvsagent.lvsd.receipts import names_of
from lvsagent.ports import AdapterError
from lvsagent.wire import Receipt, TakeOutInfo

KEPT_PLANS = 64
NAMES_TOLD = 10
MOST_NAMES = 500
SETTLED_ELSEWHERE = frozenset({"guard", "peer"})
"""Origins whose text was accepted before: there is nobody to ask again."""

Preview = Callable[[Configuration, str], Awaitable[Receipt]]


class Safety:
    """Asked before every accept."""

    def __init__(self, keeper: TableKeeper, book: HealthBook, share: float) -> None:
        self._keeper = keeper
        self._book = book
        self._share = share
        self._shown: OrderedDict[str, frozenset[str]] = OrderedDict()

    def show(self, operations: list[Operation], have: Table, before: Configuration, after: Configuration) -> str:
        """Remember that a plan is being shown; returns its fingerprint."""
        lines = frozenset(_lines(operations, have, before, after))
        print_ = fingerprint(lines)
        self._shown[print_] = lines
        self._shown.move_to_end(print_)
        while len(self._shown) > KEPT_PLANS:
            self._shown.popitem(last=False)
        return print_

    def takes_out(self, before: Configuration, after: Configuration) -> TakeOutInfo | None:
        """What a change takes out of service, when that is much."""
        found = taken_out(before.expansion, after.expansion)
        return _info(found) if found.large(self._share) else None

    async def check(self, candidate: Configuration, running: Configuration, write: Write, preview: Preview) -> None:
        """Raises Grown or Unconfirmed, each with what ``preview`` says now."""
        if write.origin in SETTLED_ELSEWHERE:
            return
        if write.plan and (more := await self._more_than_shown(candidate, running, write.plan)):
            words = f"the plan has grown since it was shown, by {_listed(more)}; nothing was written"
            raise Grown(words, await preview(candidate, write.if_match))
        takes = self.takes_out(running, candidate)
        if takes is not None and write.confirm != takes.token:
            raise Unconfirmed(
                f"{take_out_words(takes)}; nothing was written: this needs a confirmation", await preview(candidate, write.if_match)
            )

    async def _more_than_shown(self, candidate: Configuration, running: Configuration, shown: str) -> tuple[str, ...]:
        """The steps that nobody has seen, in words.  What happens without this change too is not its doing."""
        try:
            operations, have = await self._keeper.preview(candidate.expansion, self._book.sides_for(candidate.expansion.checks))
            lines = _lines(operations, have, running, candidate)
            if fingerprint(lines) == shown:
                return ()
            known = self._shown.get(shown)
            if known is None:
                return ("an unknown number of steps, because the one that was shown is no longer kept",)
            more = grown(known, lines)
            if more:
                anyway = plan_lines(*await self._keeper.preview(running.expansion, self._book.sides))
                more = tuple(line for line in more if line not in anyway)
        except (AdapterError, OSError) as error:
            raise Unavailable(f"the data plane cannot be read: {error}") from error
        return _words(more, lines, have, running, candidate)


def take_out_words(takes: TakeOutInfo) -> str:
    """What goes, counted and named."""
    counts = [
        f"{gone} of {total} {what}"
        for gone, total, what in (
            (takes.virtual_count, takes.virtual_total, "virtual servers"),
            (takes.real_count, takes.real_total, "real servers"),
        )
        if gone
    ]
    named = _listed([*takes.virtual, *takes.real], takes.virtual_count + takes.real_count)
    return f"this takes {' and '.join(counts)} out of service at once: {named}"


def _info(found: TakenOut) -> TakeOutInfo:
    return TakeOutInfo(
        token=found.token,
        virtual=list(found.virtual[:MOST_NAMES]),
        real=list(found.real[:MOST_NAMES]),
        virtual_count=len(found.virtual),
        virtual_total=found.virtual_total,
        real_count=len(found.real),
        real_total=found.real_total,
    )


def _lines(operations: list[Operation], have: Table, before: Configuration, after: Configuration) -> Lines:
    return plan_lines(operations, have, before.expansion.addresses, after.expansion.addresses)


def _words(more: Iterable[str], lines: Lines, have: Table, before: Configuration, after: Configuration) -> tuple[str, ...]:
    names = names_of(after, before)

    def told(line: str) -> str:
        operation = lines[line]
        if operation is None:
            return line
        (step,) = steps([operation], have, names)
        return f"{step.action} {step.what} {step.name}" + (f": {step.detail}" if step.detail else "")

    return tuple(told(line) for line in more)


def _listed(names: Collection[str], count: int = 0) -> str:
    """The first few, and how many more."""
    told = list(names)[:NAMES_TOLD]
    more = max(count, len(names)) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")
