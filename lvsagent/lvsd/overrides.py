"""What operators have decided, at work: kept over restarts, given to the table, mirrored to the other director, shown.

Owns overrides.json in the state folder.  What follows from what is ``core.overrides``'s.  Nothing waits for the other director: it gets the
whole set with the next greeting, which is asked for at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import msgspec

from app.lvscf import ip_of
from lvsagent.adapters.config_files import SystemFiles, replace_file
from lvsagent.api.contract import BadRequest, NotFound, Unavailable
from lvsagent.core.clean_text import clean
from lvsagent.core.desired import standing
from lvsagent.core.identity import ACTIVE
from lvsagent.core.overrides import (
    LARGEST_COUNTER,
    LARGEST_WEIGHT,
    Action,
    Answer,
    Apply,
    Command,
    Decide,
    Event,
    Gone,
    Heard,
    Look,
    Orders,
    Override,
    Overrides,
    Phase,
    Tell,
    Then,
    estimate_s,
    lets_in,
    of_host,
    of_server,
    why_not,
)
from lvsagent.core.pools import Member, Pool
from lvsagent.core.table import NO_COUNTERS
from lvsagent.lvsd.configuration import Configuration
from lvsagent.lvsd.event_log import EventLog
from lvsagent.lvsd.health_book import HealthBook
from lvsagent.lvsd.keeper import TableKeeper
from lvsagent.lvsd.names import Names
from lvsagent.lvsd.neighbours import Pulse
from lvsagent.lvsd.override_words import NOTHING, Left, left_words, override_info
from lvsagent.lvsd.quorums import QuorumWatch
from lvsagent.lvsd.sync import Sync
from lvsagent.ports import AdapterError, Clock
from lvsagent.wire import Alert, OverrideInfo, OverrideRequest, OverridesInfo
from lvsagent.wire.overrides import MOST_OVERRIDES, KeptOverride

ANSWERS = {"wait": Then.WAIT, "cut": Then.CUT}
SAMPLES = 60
LONGEST_TEXT = 1000
NOBODY = "no real server takes new connections: nobody answers"

log = logging.getLogger(__name__)


class Decided(Protocol):
    """What this needs of the director."""

    clock: Clock
    events: EventLog
    book: HealthBook
    keeper: TableKeeper
    pulse: Pulse
    quorums: QuorumWatch
    sync: Sync
    names: Names
    running: Configuration
    node: str

    async def settle(self) -> None: ...


class OverrideKeeper:
    """Every decision, and what came of it."""

    def __init__(self, path: Path, director: Decided, in_file_thread: Callable[[Callable[[bytes], None], bytes], Awaitable[None]]) -> None:
        self._path = path
        self._director = director
        self._in_file_thread = in_file_thread
        self._turn = asyncio.Lock()
        self._unkept = False
        self._followed: Configuration | None = None
        self._samples: dict[str, deque[tuple[float, int]]] = {}
        self._counted: dict[str, Left] = {}
        self._machine = Overrides(director.node, self._load())
        director.book.sides.orders = self._machine.orders
        if self._machine.all:
            director.sync.tell()

    # --- what comes in ---------------------------------------------------------------------------------------------------------

    async def act(self, request: OverrideRequest) -> OverridesInfo:
        """An operator's word.  Raises BadRequest, NotFound, Unavailable; then nothing has changed."""
        event = self._event(request)
        async with self._turn:
            before = self._machine.all
            commands = self._machine.handle(event, self._director.clock.wall())
            if isinstance(event, Answer) and not commands:
                raise NotFound("nothing is being drained there that could wait or be cut")
            try:
                await self._keep()
            except AdapterError as error:
                self._machine = Overrides(self._director.node, before)
                raise Unavailable(f"{error}; nothing was decided") from error
            await self._carry_out(commands)
        await self._director.keeper.look()  # whoever reads the answer may switch the server off
        self._count()
        warnings = list(self._warnings(event)) if isinstance(event, Decide) else []
        return msgspec.structs.replace(self.infos(), warnings=warnings)

    async def look(self) -> None:
        """One look at what the drained have left, from the table as last read."""
        self._count()
        if self._director.keeper.info is None or not self._ours():
            return
        await self._handle(Look({target: sum(counted) for target, counted in self._counted.items()}))

    async def hear(self, sent: Sequence[KeptOverride]) -> None:
        """What the other director has.  What cannot be believed is left out."""
        heard = [one for each in sent[:MOST_OVERRIDES] if (one := _believed(each)) is not None]
        await self._handle(Heard(heard))

    def sent(self) -> list[KeptOverride]:
        """Everything, for the other director."""
        return [KeptOverride(**asdict(one)) for one in self._machine.all[-MOST_OVERRIDES:]]

    async def follow(self) -> None:
        """Another lvs.cf is taken over: what it no longer names is forgotten.

        Only what it *no longer* names: a decision of the other director may be here before the lvs.cf that it is about.
        """
        running = self._director.running
        if not running.file.exists or running.errors:
            return
        before, self._followed = self._followed, running
        decided = frozenset(self._machine.orders.by_target)
        if not decided:
            return
        known = decided if before is None else decided & self._targets_of(before)
        if gone := known - self._targets_of(running):
            await self._handle(Gone(gone), settle=False)

    async def _handle(self, event: Event, *, settle: bool = True) -> None:
        async with self._turn:
            commands = self._machine.handle(event, self._director.clock.wall())
            if commands or self._unkept:
                try:
                    await self._keep()
                except AdapterError as error:  # it holds all the same, and is written with the next look
                    self._unkept = True
                    log.warning("%s", error)
            await self._carry_out(commands, settle=settle)

    async def _carry_out(self, commands: Iterable[Command], *, settle: bool = True) -> None:
        director, moved, mirror = self._director, set[str](), False
        for command in commands:
            match command:
                case Apply(targets):
                    moved |= targets
                    mirror = mirror or command.mirror
                case Tell(message, severity, actor):
                    director.events.add("server", severity, message, actor=actor)
        if not moved:
            return
        before, orders = director.book.sides.orders, self._machine.orders
        director.book.sides.orders = orders
        self._samples = {target: samples for target, samples in self._samples.items() if target in orders.by_target}
        concerned = [(pool, member) for pool, member in _members(director.running) if moved & _targets(member)]
        director.keeper.touch(pool.key for pool, _member in concerned)
        self._let_in((member for _pool, member in concerned), before)
        if mirror:
            director.sync.tell()
        if settle:
            await director.settle()

    def _let_in(self, members: Iterable[Member], before: Orders) -> None:
        """Those that may serve again start slowly, since when it was decided: the other director may have been told only now."""
        book, now = self._director.book, self._director.clock.wall()
        decided_at = {one.target: one.at for one in self._machine.all}
        for member in members:
            check, address = member.check, member.key.address
            if lets_in(before.of(check, address), book.sides.orders.of(check, address)):
                book.let_in(check, now - max(decided_at.get(target, 0.0) for target in _targets(member)))

    # --- what is shown ---------------------------------------------------------------------------------------------------------

    def of(self, member: Member) -> OverrideInfo | None:
        """What counts for a real server."""
        one = self._director.book.sides.orders.of(member.check, member.key.address)
        return self._info(one) if one is not None else None

    def infos(self) -> OverridesInfo:
        """All of them, the newest first."""
        newest = sorted(self._machine.orders.by_target.values(), key=lambda one: (-one.at, -one.counter))
        return OverridesInfo(overrides=[self._info(one) for one in newest])

    def alerts(self) -> Iterator[Alert]:
        """The drains that want to be told what to do."""
        for one in self._machine.orders.by_target.values():
            if one.phase is Phase.ASKING:
                info = self._info(one)
                left = f" with {left_words(info.left, info.active)}" if info.counted else ""
                message = f"the deadline of the drain of {one.name} has come{left}: wait, cut, or have it back?"
                yield Alert(severity="warning", code="drain-deadline", message=message, subject=info.virtual)

    def _info(self, one: Override) -> OverrideInfo:
        guess = estimate_s(tuple(self._samples.get(one.target, ())))
        return override_info(one, self._counted.get(one.target, NOTHING) if self._ours() else None, guess)

    def _warnings(self, made: Decide) -> Iterator[str]:
        """The virtual servers that are short of real servers with what was just decided."""
        if made.action in {Action.AUTO, Action.UP}:
            return
        director = self._director
        for key, pool in {pool.key: pool for pool, member in _members(director.running) if made.target in _targets(member)}.items():
            up = standing(pool, director.book.sides, director.keeper.have.get(key)).up
            if words := director.quorums.short(key) or ("" if up else NOBODY):
                yield f"{clean(pool.name)}: {words}"

    def _ours(self) -> bool:
        """Whether the connections are this director's: a standby's table has only copies of them."""
        return not self._director.sync.redundant or self._director.pulse.last_role == ACTIVE

    # --- inside ----------------------------------------------------------------------------------------------------------------

    def _event(self, request: OverrideRequest) -> Event:
        target = self._target(request)
        if request.action in ANSWERS:
            return Answer(target, ANSWERS[request.action], request.actor)
        try:
            action, then = Action(request.action), Then(request.then)
        except ValueError as error:
            known = ", ".join([*Action, *ANSWERS])
            raise BadRequest(f"action is one of {known}; then is one of {', '.join(Then)}") from error
        event = Decide(
            target=target,
            action=action,
            actor=request.actor,
            reason=request.reason,
            weight=request.weight,
            deadline_s=request.deadline_s,
            then=then,
            return_at=request.return_at,
        )
        if words := why_not(event, self._director.clock.wall()):
            raise BadRequest(words)
        return event

    def _target(self, request: OverrideRequest) -> str:
        if request.host and not (request.virtual or request.server):
            target = of_host(ip_of(request.host) or request.host)
        elif request.virtual and request.server and not request.host:
            target = of_server(f"{clean(request.virtual)}/{clean(request.server)}")
        else:
            raise BadRequest("say either which real server of which virtual server is meant, or the address of a host")
        if target not in self._machine.orders.by_target and not any(
            target in _targets(member) for _, member in _members(self._director.running)
        ):
            what = f"at {request.host}" if request.host else f"{request.server} of {request.virtual}"
            raise NotFound(f"there is no active real server {what}")
        return target

    def _targets_of(self, running: Configuration) -> frozenset[str]:
        """Every target that an lvs.cf names, active or not; while the name of a real server cannot be resolved any address may be its."""
        names, found = self._director.names, set[str]()
        for virtual in running.config.virtual:
            for server in virtual.servers:
                found.add(of_server(f"{clean(virtual.name)}/{clean(server.name)}"))
                address = ip_of(server.address) or names.address(server.address)
                found |= {of_host(address)} if address else self._decided_hosts()
        return frozenset(found.union(*(_targets(member) for _, member in _members(running))))

    def _decided_hosts(self) -> set[str]:
        return {target for target in self._machine.orders.by_target if target.startswith(of_host(""))}

    def _count(self) -> None:
        """What each target has left; one that is in no virtual server of the table as read has nothing, and is not counted."""
        orders, have, now = self._machine.orders.by_target, self._director.keeper.have, self._director.clock.now()
        counted: dict[str, Left] = {}
        for pool, member in _members(self._director.running) if orders else ():
            entry = have.get(pool.key)
            for target in _targets(member) & orders.keys() if entry is not None else ():
                counters = entry.server_counters.get(member.key, NO_COUNTERS) if entry is not None else NO_COUNTERS
                before = counted.get(target, NOTHING)
                counted[target] = Left(
                    before.active + counters.active, before.inactive + counters.inactive, before.templates + counters.persistent
                )
        self._counted = counted
        for target, found in counted.items():
            self._samples.setdefault(target, deque(maxlen=SAMPLES)).append((now, sum(found)))

    async def _keep(self) -> None:
        data = msgspec.json.encode([KeptOverride(**asdict(one)) for one in self._machine.all])
        await self._in_file_thread(lambda data: replace_file(self._path, data, SystemFiles()), data)
        self._unkept = False

    def _load(self) -> list[Override]:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=list[KeptOverride])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            message = f"what operators had decided about real servers is lost: {self._path} cannot be used: {error}"
            self._director.events.add("problem", "error", message)
            return []
        return [one for each in kept if (one := _believed(each)) is not None]


def _members(running: Configuration) -> Iterator[tuple[Pool, Member]]:
    for pool in running.expansion.pools.values():
        for member in pool.members:
            yield pool, member


def _targets(member: Member) -> set[str]:
    return {of_server(member.check), of_host(member.key.address)}


def _believed(kept: KeptOverride) -> Override | None:
    """A register as a value; ``None`` when it is none of ours (another version's)."""
    texts = (kept.target, kept.actor, kept.reason, kept.node)
    if max(map(len, texts)) > LONGEST_TEXT or not 0 < kept.counter <= LARGEST_COUNTER or not 0 <= kept.weight <= LARGEST_WEIGHT:
        return None
    try:
        values = {**msgspec.structs.asdict(kept), "action": Action(kept.action), "then": Then(kept.then), "phase": Phase(kept.phase)}
    except ValueError:
        return None
    return Override(**values)
