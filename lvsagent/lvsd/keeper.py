"""The keeper of the table: what is wanted, what is there, and making the one of the other.

Owns the Ipvs port, one writer at a time, and the memory of which services are ours.  A service that is not ours is never touched; one
that the data plane refuses does not stop the others; after every change the table is read again, and what is then still missing has
failed, with a reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from app.lvscf.model import Protocol
from lvsagent.core.desired import decide, decide_all
from lvsagent.core.plan import applied, plan, plan_timeouts, service_of
from lvsagent.core.pools import Expansion
from lvsagent.core.table import (
    AddServer,
    DeleteServer,
    DeleteService,
    Entry,
    Family,
    Operation,
    Refusal,
    ServerKey,
    ServiceKey,
    SetServer,
    Table,
    Timeouts,
)
from lvsagent.core.weights import Sides
from lvsagent.garbage import uncollected
from lvsagent.lvsd.runtime_file import RuntimeFile
from lvsagent.ports import AdapterError, DataPlaneInfo, Ipvs

log = logging.getLogger(__name__)

Subject = tuple[ServiceKey | None, ServerKey | None]
"""What a refusal is about: a virtual server, a real server in it, or neither (the timeouts)."""

NOT_KEPT = "the data plane took the change and does not show it"
NOT_OPENED = "the data plane has not been opened yet"


class Owned(msgspec.Struct, frozen=True):
    """A service that this agent has put into the table, as kept in the file."""

    family: str
    protocol: str
    address: str
    port: int
    fwmark: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass over the table did.  ``repaired``: what nobody had asked for since the last one, so somebody else had been there."""

    operations: tuple[Operation, ...] = ()
    before: Table = field(default_factory=dict)
    repaired: tuple[Operation, ...] = ()
    newly_failed: Mapping[Subject, str] = field(default_factory=dict)


class TableKeeper:
    """The reconciler.  ``sides`` is the health book's live view: up or down by check key."""

    def __init__(self, plane: Ipvs, sides: Mapping[str, bool], owned_path: Path) -> None:
        self._plane = plane
        self._sides = sides
        self._file = RuntimeFile(owned_path, list[Owned], "the list of services that are ours")
        self._remembered = self._load_owned()
        self._changed: set[ServiceKey] = set()
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self.expansion = Expansion()
        self.have: Table = {}
        self.timeouts = Timeouts()
        self.info: DataPlaneInfo | None = None
        self.reason = NOT_OPENED
        self.failures: dict[Subject, str] = {}

    @property
    def adopts(self) -> bool:
        """Whether an earlier lvsd has left services of ours in the table."""
        return bool(self._remembered)

    @property
    def owned(self) -> frozenset[ServiceKey]:
        """The services that are ours: those lvs.cf names, and those we put there.

        While a virtual server's name cannot be resolved nobody can tell which one is its own, so that only the named ones are.
        """
        named = self.expansion.named
        return named | self._remembered if self.expansion.resolved else named

    def foreign(self) -> list[tuple[ServiceKey, Entry]]:
        """What is in the table and not ours."""
        ours = self.expansion.named | self._remembered
        return [(key, entry) for key, entry in self.have.items() if key not in ours]

    def touch(self, services: Iterable[ServiceKey]) -> None:
        """The health of one of their servers has changed."""
        self._changed.update(services)

    async def adopt(self, expansion: Expansion) -> Outcome:
        """Take over another configuration: make the table follow it."""
        async with self._lock:
            self.expansion = expansion
            if self.info is None:  # the first look: slow starts from before a restart go on where they are by now
                self._follow_shares()
            return await self._guarded(asked=True)

    async def reconcile(self) -> Outcome:
        """One whole pass: read, compare, repair."""
        async with self._lock:
            self._follow_shares()
            return await self._guarded(asked=False)

    async def settle(self) -> Outcome:
        """Follow the health that changed since the last pass, touching nothing else.  Whatever is refused leads to a whole pass."""
        async with self._lock:
            self._follow_shares()
            services, self._changed = self._changed, set()
            if not services or self.info is None:
                return Outcome()
            pools = self.expansion.pools
            wanted = {key: decide(pools[key], self._sides, self.have.get(key)) for key in services if key in pools}
            operations = plan({key: self.have[key] for key in wanted if key in self.have}, wanted, ())
            if not operations:
                return Outcome()
            try:
                refusals = await self._plane.apply(operations)
            except (AdapterError, OSError) as error:
                self._lost(error)
                return Outcome()
            if refusals:
                self._changed |= services
                return await self._guarded(asked=False)
            before, self.have = self.have, applied(self.have, operations)
            return Outcome(tuple(operations), before)

    async def preview(self, expansion: Expansion, sides: Mapping[str, bool]) -> tuple[list[Operation], Table]:
        """The operations that ``expansion`` would lead to now, and the table they were compared with."""
        async with self._lock:
            if self.info is None:
                return [], {}
            have = await self._plane.read()
            timeouts = await self._plane.read_timeouts()
            owned = expansion.named | self.owned if expansion.resolved else expansion.named
            with uncollected():
                wanted = decide_all(expansion, sides, have)
                return [*plan_timeouts(timeouts, expansion.timeouts), *plan(have, wanted, owned)], have

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """No change to the table is under way, and none begins."""
        async with self._lock:
            yield

    async def look(self, *, oldest_s: float = 0.0) -> Table:
        """The table with its counters, read no longer than ``oldest_s`` ago; what was last seen when it cannot be read."""
        async with self._lock:
            if self.info is not None and asyncio.get_running_loop().time() - self._read_at >= oldest_s:
                try:
                    self.have = await self._read()
                except (AdapterError, OSError) as error:
                    self._lost(error)
            return self.have

    async def open_connections(self) -> int:
        """How many connections real servers have now."""
        table = await self.look()
        return sum(counters.active for entry in table.values() for counters in entry.server_counters.values())

    async def withdraw(self) -> None:
        """The planned end: take what is ours out of the table, and forget it."""
        async with self._lock:
            if self.info is None:
                return
            try:
                have = await self._plane.read()
                refusals = await self._plane.apply([DeleteService(key) for key in have if key in self.owned])
            except (AdapterError, OSError) as error:
                log.warning("the table could not be emptied: %s", error)
                return
            for refusal in refusals:
                log.warning("%s: %s", service_of(refusal.operation), refusal.reason)
            self._file.discard()

    async def close(self) -> None:
        """Let go of the data plane as it is."""
        await self._plane.close()

    def _follow_shares(self) -> None:
        """Slow starts go on, and agents have spoken: their services are to be looked at."""
        if isinstance(self._sides, Sides):
            self._sides.advance(asyncio.get_running_loop().time())
            moved, self._sides.moved = self._sides.moved, set()
            self.touch(pool for key in moved if (pool := self.expansion.check_pool.get(key)))

    # --- inside --------------------------------------------------------------------------------------------------------------

    async def _guarded(self, *, asked: bool) -> Outcome:
        """A whole pass; a data plane that cannot be reached is noted and tried again next time."""
        try:
            if self.info is None:
                self.info = await self._plane.open()
                self.reason = ""
                asked = True
            return await self._pass(asked=asked)
        except (AdapterError, OSError) as error:
            self._lost(error)
            return Outcome()

    async def _pass(self, *, asked: bool) -> Outcome:
        changed, self._changed = self._changed, set()
        before, operations = await self._compare()
        changed |= self._changed  # health that came in while the table was read
        self._changed = set()
        failed_before = self.failures
        failures: dict[Subject, str] = {}
        have = before
        if operations:
            self._remember()
            refusals = await self._plane.apply(operations)
            have, left = await self._compare()
            failures = _failures(refusals, left, self._changed)
        self.have, self.failures = have, failures
        if not self.failures and self.expansion.resolved:
            self._write_owned(frozenset(self.expansion.pools))
        uncalled = () if asked else tuple(_uncalled(operations, changed, failed_before))
        news = {subject: reason for subject, reason in self.failures.items() if failed_before.get(subject) != reason}
        return Outcome(tuple(operations), before, uncalled, news)

    async def _compare(self) -> tuple[Table, list[Operation]]:
        have = await self._read()
        self.timeouts = await self._plane.read_timeouts()
        await asyncio.sleep(0)  # a large table takes a while, and others wait for an answer
        # No await from here to the caller's look at self._changed: health that comes in between would be taken for a failure.
        with uncollected():
            wanted = decide_all(self.expansion, self._sides, have)
            return have, [*plan_timeouts(self.timeouts, self.expansion.timeouts), *plan(have, wanted, self.owned)]

    async def _read(self) -> Table:
        self._read_at = asyncio.get_running_loop().time()
        return await self._plane.read()

    def _lost(self, error: Exception) -> None:
        self.info = None
        self.have = {}
        self.reason = str(error) or type(error).__name__

    def _remember(self) -> None:
        """Before anything is added: a crash in the middle must not leave services that nobody knows to be ours."""
        self._write_owned(self._remembered | self.expansion.pools.keys())

    def _write_owned(self, keys: frozenset[ServiceKey]) -> None:
        if keys == self._remembered:
            return
        self._remembered = keys
        kept = [Owned(key.family.value, key.protocol.value if key.protocol else "", key.address, key.port, key.fwmark) for key in keys]
        self._file.save(kept)

    def _load_owned(self) -> frozenset[ServiceKey]:
        try:
            return frozenset(
                ServiceKey(Family(one.family), Protocol(one.protocol) if one.protocol else None, one.address, one.port, one.fwmark)
                for one in self._file.load() or ()
            )
        except ValueError as error:
            log.warning("the list of services that are ours cannot be used: %s", error)
            return frozenset()


def subject_of(operation: Operation) -> Subject:
    """What a refusal of ``operation`` is about."""
    match operation:
        case AddServer(service, key) | SetServer(service, key) | DeleteServer(service, key):
            return service, key
    return service_of(operation), None


def _failures(refusals: Sequence[Refusal], left: Sequence[Operation], changed: set[ServiceKey]) -> dict[Subject, str]:
    """Why each thing that is still to be done was not.

    A server whose virtual server was refused needs no reason of its own.  What nobody refused and came up only now, with health that
    ``changed`` meanwhile, has not failed.
    """
    reasons = {subject_of(refusal.operation): refusal.reason for refusal in refusals}
    failed = {
        subject_of(operation): reasons.get(subject_of(operation), NOT_KEPT)
        for operation in left
        if subject_of(operation) in reasons or service_of(operation) not in changed
    }
    return {subject: reason for subject, reason in failed.items() if subject[1] is None or (subject[0], None) not in failed}


def _uncalled(operations: Sequence[Operation], changed: set[ServiceKey], failed: Mapping[Subject, str]) -> Iterable[Operation]:
    """The operations that neither a change of health nor an earlier failure explains."""
    failed_services = {service for service, server in failed if server is None}
    for operation in operations:
        service = service_of(operation)
        if service in changed or service in failed_services or subject_of(operation) in failed:
            continue
        yield operation
