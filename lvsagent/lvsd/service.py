"""lvsd as the API sees it: the director's and the snapshot's answers under one roof."""

from __future__ import annotations

from lvsagent.api.contract import Question, Unavailable, Write
from lvsagent.core.ipvsadm_text import listing, rules
from lvsagent.lvsd.director import Director
from lvsagent.lvsd.snapshot import Snapshot
from lvsagent.lvsd.trial import run_trial
from lvsagent.ports import ConfigFile
from lvsagent.wire import Checks, Events, Receipt, State, TrialReport, TrialRequest


class LvsdService:
    """Each method is one route of the API."""

    def __init__(self, director: Director) -> None:
        self._director = director
        self._snapshot = Snapshot(director)

    def file(self) -> ConfigFile:
        """lvs.cf as it stands."""
        return self._director.file()

    def previous(self) -> ConfigFile:
        """What stood there before the last accepted change."""
        return self._director.previous()

    async def put(self, write: Write) -> Receipt:
        """Write and apply, or say what that would do."""
        return await self._director.put(write)

    def state(self, question: Question) -> State:
        """The snapshot with one page of virtual servers."""
        return self._snapshot.state(question)

    def events(self, limit: int, before: int) -> Events:
        """The newest events, newest first."""
        return Events(events=self._director.events.page(limit, before))

    def checks(self, virtual: str, page: int, per_page: int) -> Checks:
        """A page of checks."""
        return self._snapshot.checks(virtual, page, per_page)

    async def trial(self, request: TrialRequest) -> TrialReport:
        """TEST NOW."""
        return await run_trial(self._director, request)

    def announce(self) -> None:
        """Gratuitous ARP, again."""
        self._director.pulse.announce()
        self._director.events.add("address", "info", "gratuitous ARP was asked for")

    async def table(self, *, rules: bool) -> str:
        """The table as ipvsadm prints it, read afresh."""
        return await _table_text(self._director, as_rules=rules)


async def _table_text(director: Director, *, as_rules: bool) -> str:
    table = await director.keeper.look()
    info = director.keeper.info
    if info is None:
        raise Unavailable(f"the data plane is not available: {director.keeper.reason}")
    return rules(table) if as_rules else listing(table, version=info.version, size=info.connection_table_size)
