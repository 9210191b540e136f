"""The other director kept in step: the loop around the machine of ``lvsagent.core.sync``.

Owns the one task that talks to the other director, so that no request of anybody waits for it (but for the standby's word, a fifth of a
second at most), and what is told of it: receipts, events, the state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from lvsagent.core.drift import Side, differences
from lvsagent.core.lineage import Relation, common, includes, recent
from lvsagent.core.revisions import KeptRevision
from lvsagent.core.sync import Answered, Asked, Command, Event, Heard, Moved, NotTaken, Paired, SyncMachine, Tick, Told
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.exchange import Exchange, Home
from lvsagent.ports import AdapterError, Clock, Peer, RevisionStore
from lvsagent.wire.peer import Planned, Standing
from lvsagent.wire.sync import ConflictInfo, ConflictText, Difference, Fingerprints, PeerReceipt, SyncInfo

SETTLED_S = 1.5
ON_THE_WAY = (Relation.BEHIND, Relation.AHEAD)
MIRROR_AGAIN_S = 3.0
STANDBY_FIRST_S = 0.2
"""What the active director waits for the standby's word before it applies a change itself."""

log = logging.getLogger(__name__)

Way = Callable[[], Peer | None]
"""The way to the other director now; ``None``: there is no other one, or it is not paired."""


class Sync:
    """``redundant``: whether lvs.cf names another director that takes part.  lvs.cf travels wherever there is a way."""

    def __init__(self, home: Home, store: RevisionStore, clock: Clock, events: EventLog, kept: Path, way: Way) -> None:
        self.exchange = Exchange(home, store)
        self.machine = SyncMachine()
        self.redundant = False
        self._store = store
        self._clock = clock
        self._events = events
        self._kept = kept
        self._way = way
        self._commands: list[Command] = []
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()
        self._slow = False
        self._untold = False
        self._mirror_at = 0.0
        self._said = ""
        self._since = clock.wall()
        self.answered_at = 0.0
        self._equal_since = 0.0
        self._first_seen: dict[str, float] = {}
        self._load()

    # --- the loop ------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        self.moved()
        while True:
            self._pair()
            self._feed(Tick())
            while self._commands:
                await self._carry_out(self._commands.pop(0))
            await self._mirror()
            pause = max(self.machine.due - self._clock.now(), 0.01) if self.machine.paired else 1.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, 1.0)):
                    await self._wake.wait()
            self._wake.clear()

    async def _carry_out(self, command: Command) -> None:
        peer = self._way()
        if peer is None:
            self.machine.busy = False
            return
        began = self._clock.now()
        try:
            event = await self._converse(command, peer)
        except Exception as error:  # a conversation that nobody foresaw must not end lvsd
            log.exception("a conversation with the other director failed")
            event = NotTaken(f"on this director: {error or type(error).__name__}")
        if isinstance(event, Answered):
            self.answered_at = self._clock.wall()
            if command is Command.PUSH:
                self._slow = self._clock.now() - began > STANDBY_FIRST_S
        self.moved()
        self._feed(event)
        self._keep()
        async with self._news:
            self._news.notify_all()

    def _converse(self, command: Command, peer: Peer) -> asyncio.Future[Event] | asyncio.Task[Event]:
        ways = {
            Command.GREET: lambda: self.exchange.greet(peer),
            Command.PUSH: lambda: self.exchange.push(peer),
            Command.FETCH: lambda: self.exchange.fetch(peer),
            Command.JOIN: self.exchange.join,
        }
        return asyncio.ensure_future(ways[command]())

    def _feed(self, event: Event) -> None:
        self._commands.extend(self.machine.handle(event, self._clock.now()))
        if self._commands:
            self._wake.set()
        self._tell()

    def _pair(self) -> None:
        paired = self._way() is not None
        if not paired and self.exchange.theirs is not None:  # whoever comes next is another one, or must be asked anew
            self.exchange.theirs = None
            self._kept.unlink(missing_ok=True)
        self._feed(Paired(yes=paired))

    # --- what happens here ---------------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """Our head may be another one."""
        try:
            head, _etag = self.exchange.head()
        except AdapterError as error:
            log.warning("the history cannot be read: %s", error)
            return
        try:
            answered: Answered | None = self.exchange.compared()
        except LookupError:
            answered = None
        self._feed(Moved(head, answered.relation if answered else None, answered.behind if answered else 0))

    def heard(self, *, alive: bool, serial: int) -> None:
        """The heartbeat's word about the other director."""
        self._feed(Heard(alive, serial))

    def ask(self) -> None:
        """Compare and push or fetch now."""
        self._pair()
        self._feed(Asked())

    def tell(self) -> None:
        """Operators have decided something: the other director hears of it now, or as soon as what is under way is over."""
        self._untold, self._mirror_at = True, 0.0
        self._wake.set()

    async def _mirror(self) -> None:
        """Whatever is the matter with lvs.cf: it has nothing to do with this."""
        peer = self._way()
        if peer is None or not self._untold or self._clock.now() < self._mirror_at:
            return
        self._untold, self._mirror_at = False, self._clock.now() + MIRROR_AGAIN_S
        try:
            told = await self.exchange.mirror(peer)
        except Exception:  # as in a conversation
            log.exception("what operators decided could not be told to the other director")
            told = False
        self._untold = self._untold or not told

    async def settled(self) -> None:
        """Wait until what is under way has come to its end, or for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_S), self._news:
                await self._news.wait_for(self._at_rest)

    def _at_rest(self) -> bool:
        machine = self.machine
        return not machine.busy and (machine.relation not in ON_THE_WAY or not machine.reachable)

    async def accepted(self, *, wait: bool) -> PeerReceipt | None:
        """lvs.cf has another head: what came of it on the other director by now.

        ``wait`` (this director is active) gives the standby a moment to apply it first, if it has been quick so far.
        """
        self._pair()
        if self.state == "none":
            return None
        began = self._clock.now()
        self.moved()
        if wait and self.machine.reachable and not self._slow:
            try:
                async with asyncio.timeout(STANDBY_FIRST_S), self._news:
                    await self._news.wait_for(lambda: self.machine.relation is not Relation.BEHIND or not self.machine.reachable)
            except TimeoutError:
                self._slow = True
        return self.receipt(self._clock.now() - began)

    async def answer(self, line: bytes) -> bytes:
        """A request of the other director."""
        answer = await self.exchange.answer(line)
        self.answered_at = self._clock.wall()
        self.moved()
        try:
            compared = self.exchange.compared()
        except (LookupError, AdapterError):
            return answer
        self._feed(Told(compared.theirs, compared.relation, compared.behind, compared.kept))
        self._keep()
        return answer

    async def plan_there(self, text: bytes) -> Planned | str:
        """What a text would do on the other director, or why that is not known."""
        peer = self._way()
        if peer is None:
            return "the two are not paired"
        return self.machine.trouble or await self.exchange.plan_there(peer, text)

    async def let_go_there(self, key: str, actor: str) -> list[str] | str:
        """The checks whose servers the other director released too, or why that is not known."""
        peer = self._way()
        if peer is None:
            return "the two are not paired"
        return self.machine.trouble or await self.exchange.let_go_there(peer, key, actor)

    # --- what is told --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """As in ``SyncInfo``."""
        return self.machine.state if self.machine.paired or self.redundant else "none"

    def words(self) -> str:
        """The state in a sentence for people."""
        machine, there = self.machine, self.exchange.theirs
        name = there.node if there else "the other director"
        away = f" ({machine.trouble})" if machine.trouble else ""
        return {
            "none": "there is no other director",
            "unpaired": "the other director is not paired: lvs.cf does not travel",
            "unknown": f"{name} has not answered yet{away}",
            "in_step": f"{name} has the same lvs.cf",
            "behind": f"{name} is behind by {machine.behind}{away}",
            "ahead": f"{name} has a newer lvs.cf, which is being fetched{away}",
            "diverged": f"lvs.cf was edited here and on {name} while they were apart: both are kept, and neither is overwritten",
            "refused": machine.refused,
        }[self.state]

    def receipt(self, waited_s: float) -> PeerReceipt:
        """What became of our head there."""
        there, state = self.exchange.theirs, self.state
        if state == "in_step" and there:
            words = f"applied on {there.node}, serial {there.applied_serial}"
            return PeerReceipt(state="applied", words=words, etag=there.applied, serial=there.applied_serial, waited_s=waited_s)
        if state == "behind" and self.machine.reachable:
            return PeerReceipt(state="pushing", words="on its way to the other director", behind=self.machine.behind, waited_s=waited_s)
        return PeerReceipt(state=state, words=self.words(), behind=self.machine.behind, waited_s=waited_s)

    def notice(self, code: str, *, there: bool) -> None:
        """A difference is there, or is gone, whether or not anybody is looking: it is as old as this says."""
        if there:
            self._first_seen.setdefault(code, self._clock.wall())
        else:
            self._first_seen.pop(code, None)

    def info(self, here: Fingerprints, foreign: int) -> SyncInfo:
        """Everything for the lamp."""
        state, there = self.state, self.exchange.theirs if self.machine.paired else None
        peer = _fingerprints(there) if there else None
        found = differences(_side(here), _side(peer) if peer else None, state, self.machine.behind, foreign)
        now = self._clock.wall()
        self._first_seen = {one.code: self._first_seen.get(one.code, now) for one in found}
        equal = not [one for one in found if one.code != "foreign"]
        self._equal_since = (self._equal_since or now) if equal else 0.0
        return SyncInfo(
            state=state,
            words=self.words(),
            since=self._since,
            reachable=self.machine.reachable,
            answered_at=self.answered_at,
            behind=self.machine.behind if state == "behind" else 0,
            peer_node=there.node if there else "",
            here=here,
            peer=peer,
            equal=equal,
            equal_since=self._equal_since,
            differences=[
                Difference(
                    code=one.code,
                    words=one.words,
                    here=one.here,
                    peer=one.peer,
                    since=self._since if one.code in ("diverged", "peer-behind", "peer-ahead") else self._first_seen[one.code],
                    actions=list(one.actions),
                )
                for one in found
            ],
        )

    def conflict(self) -> ConflictInfo | None:
        """The three texts; ``None`` when nothing has parted, or theirs is not here yet.  Raises AdapterError."""
        there = self.exchange.theirs
        if self.state != "diverged" or there is None:
            return None
        head, _etag = self.exchange.head()
        theirs = self._store.by_id(there.head)
        if theirs is None:
            return None
        parents = self.exchange.parents
        base = common(head, recent(there.head, parents, len(parents)), parents)
        return ConflictInfo(
            base=self._conflict_text(self._store.by_id(base) if base else None),
            here=self._conflict_text(self._store.head()),
            there=self._conflict_text(theirs),
        )

    def joinable(self) -> str:
        """The other director's head, if its revisions are here and parted from ours; else ``""``."""
        there = self.exchange.theirs
        if there is None or there.head not in self.exchange.parents:
            return ""
        head, _etag = self.exchange.head()
        return "" if includes(head, there.head, self.exchange.parents) else there.head

    def _conflict_text(self, kept: KeptRevision | None) -> ConflictText:
        if kept is None:
            return ConflictText()
        one = kept.revision
        text = self._store.text(one.etag) or b""
        return ConflictText(head=one.id, etag=one.etag, serial=one.serial, node=one.node, actor=one.actor, at=one.at, text=text)

    def _tell(self) -> None:
        """An event for every other state."""
        state = self.state
        said = f"{state} {self.machine.refused}"
        if said == self._said:
            return
        before, self._said = self._said, said
        self._since = self._clock.wall()
        severity = {"diverged": "error", "refused": "error", "behind": "warning"}.get(state, "info")
        quiet = state in ("none", "unpaired", "unknown", "ahead") or (state == "behind" and self.machine.reachable)
        first_word = state == "in_step" and before.split(" ")[0] in ("", "unknown", "unpaired", "none", "behind", "ahead")
        if not quiet and not first_word:
            self._events.add("config", severity, self.words())

    # --- over a restart ------------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        there = self.exchange.theirs
        if there is None:
            return
        fresh = self._kept.with_name(f"{self._kept.name}.new")
        try:
            fresh.write_bytes(msgspec.json.encode(there))
            fresh.replace(self._kept)
        except OSError as error:
            log.warning("where the other director stands cannot be kept in %s: %s", self._kept, error.strerror)

    def _load(self) -> None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            self.exchange.theirs = msgspec.json.decode(self._kept.read_bytes(), type=Standing)


def _fingerprints(one: Standing) -> Fingerprints:
    return Fingerprints(file=one.file, applied=one.applied, serial=one.applied_serial, table=one.table, table_read=one.table_read)


def _side(one: Fingerprints) -> Side:
    return Side(one.file, one.applied, one.serial, one.table, one.table_read)
