"""The seams: what the agent needs of the world, one protocol per kind of thing.

Owns signatures only.  Each port has a real adapter in ``lvsagent.adapters``, a fake with behaviour in ``tests.fakes``, and one contract
suite in ``tests/contract`` that both must pass.  Pure machines in ``lvsagent.core`` get no ports at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lvsagent.core.addresses import Address as Address  # noqa: PLC0414 -- the port's own type, offered from here
from lvsagent.core.check_spec import CheckSpec, Outcome
from lvsagent.core.load_plan import LoadReading, LoadSpec
from lvsagent.core.marks import MarkRule
from lvsagent.core.patients import Patient, Seen
from lvsagent.core.revisions import KeptRevision, Parents, Revision
from lvsagent.core.table import Operation, Refusal, ServiceKey, Table, Timeouts


class AdapterError(Exception):
    """The world said no; the message is in words an administrator can act on."""


class DataPlaneUnavailable(AdapterError):
    """There is no IPVS to talk to (no module, no privilege): the message says which and what to do."""


class PeerUnreachable(AdapterError):
    """The other director is not there now (refused, timed out, no route): worth trying again."""


class PeerRefused(AdapterError):
    """It is there and will not: changed or unknown host key (the message names both fingerprints), wrong key, not paired."""


@dataclass(frozen=True, slots=True)
class DataPlaneInfo:
    """``kind`` is ``kernel`` or ``userspace``; ``version`` the IPVS version, ``connection_table_size`` in buckets (0: not known)."""

    kind: str
    version: str
    connection_table_size: int = 0
    notes: tuple[str, ...] = ()


class Ipvs(Protocol):
    """A data plane.  One writer at a time; the caller serialises."""

    async def open(self) -> DataPlaneInfo:
        """Get ready.  Raises DataPlaneUnavailable."""
        ...

    async def read(self) -> Table:
        """The whole table as it is now, with counters, foreign services included."""
        ...

    async def read_timeouts(self) -> Timeouts:
        """The idle limits in force."""
        ...

    async def apply(self, operations: Sequence[Operation]) -> tuple[Refusal, ...]:
        """Carry the operations out in order.  One that is refused does not stop the others.

        Adding what exists, setting or deleting what does not exist are refusals, as in the kernel.
        """
        ...

    async def close(self) -> None:
        """Let go without changing anything (the kernel goes on forwarding; a userspace plane ends)."""
        ...


@runtime_checkable
class Switched(Protocol):
    """A data plane whose traffic does not follow the virtual addresses: it has to be told which director is active."""

    def serve(self, *, active: bool) -> tuple[ServiceKey, ...]:
        """Take new connections, or leave them to the other director; the table and open connections stay.

        Returns the virtual servers that cannot be opened: they have left the table, and adding them again tells why.
        """
        ...


class MarkRules(Protocol):
    """The rules that put firewall marks on packets: ours alone.  What anybody else has set is neither shown nor touched."""

    async def read(self) -> frozenset[MarkRule] | None:
        """Ours, as they are in force; ``None``: somebody has changed them into something else.  Raises AdapterError."""
        ...

    async def replace(self, rules: Sequence[MarkRule]) -> None:
        """Have exactly these, in one step; none takes away all that is ours.  Raises AdapterError."""
        ...


class Links(Protocol):
    """Interfaces and their addresses."""

    async def addresses(self) -> frozenset[Address]:
        """Every address on every interface of this host."""
        ...

    async def add(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Add addresses in one pass; returns those refused with the reason.  One that is already there is not an error."""
        ...

    async def remove(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Remove addresses; returns those refused with the reason.  One that is already gone is not an error."""
        ...

    async def up(self, interface: str) -> bool:
        """Whether the interface exists, is up and has a carrier."""
        ...


class Announcer(Protocol):
    """Gratuitous ARP and unsolicited neighbour advertisements."""

    async def announce(self, addresses: Sequence[Address]) -> tuple[tuple[Address, str], ...]:
        """Tell the neighbours of each address once (ARP request and reply form; NA for IPv6); returns those refused with the reason."""
        ...


@dataclass(frozen=True, slots=True)
class SyncThread:
    """A sync daemon that the kernel runs: ``role`` is master or backup."""

    role: str
    interface: str
    sync_id: int


class SyncDaemon(Protocol):
    """The IPVS sync daemon: the active director's connections, known to the standby."""

    async def read(self) -> tuple[SyncThread, ...]:
        """What runs now, whoever started it.  Raises AdapterError."""
        ...

    async def become(self, role: str, interface: str, sync_id: int) -> str:
        """Have exactly what ``role`` (master, backup, off) needs; what is so already stays untouched.

        Returns a refusal in words, or ``""``.
        """
        ...


LinkChanged = Callable[[str, bool], None]
"""Called with an interface and whether its link is whole: it is there, up and has a carrier."""


class LinkEvents(Protocol):
    """Links as they break and come back, at once."""

    async def watch(self, interfaces: Collection[str], changed: LinkChanged) -> None:
        """Watch exactly these from now on; each one's state is told before this returns, then every change.  Raises AdapterError."""
        ...

    def drain(self) -> None:
        """Tell now what has changed already, without waiting for the loop to notice.  Nothing happens when nothing is watched."""
        ...

    def close(self) -> None:
        """Nothing is told any more."""
        ...


class VirtualMac(Protocol):
    """Interfaces with a hardware address that both directors share (see ``lvsagent.core.virtual_mac`` for names and addresses)."""

    async def have(self, wanted: Mapping[str, str], *, up: bool) -> tuple[tuple[str, str], ...]:
        """Have one on each interface named (interface → hardware address), up on the active director and down on the standby.

        Those that are not wanted any more are removed; interfaces that others made are never touched.  What is so already stays as it is.
        Returns the interfaces where it could not be done, with the reason.
        """
        ...


class Checker(Protocol):
    """One health check, once."""

    async def check(self, spec: CheckSpec) -> Outcome:
        """Run the check within ``spec.timeout_s``.  Never raises for anything a real server does."""
        ...


@runtime_checkable
class QuickChecker(Checker, Protocol):
    """A checker that can run many simple checks at once, without a task for each."""

    def quick(self, done: Callable[[list[tuple[int, Outcome]]], None]) -> QuickChecks:
        """Get ready; ``done`` is called with the runs that have ended, never from within ``begin``."""
        ...


class QuickChecks(Protocol):
    """Checks under way, each named by the number of its run."""

    def takes(self, spec: CheckSpec) -> bool:
        """Whether this check is simple enough."""
        ...

    def begin(self, spec: CheckSpec, run: int) -> None:
        """Start it.  Never raises for anything a real server does."""
        ...

    def cancel(self, run: int) -> bool:
        """Nobody wants its outcome any more.  False when there is no such run."""
        ...

    def close(self) -> None:
        """End all; nothing is told any more."""
        ...


class LoadReader(Protocol):
    """How busy real servers' hosts are."""

    async def read(self, specs: Sequence[LoadSpec]) -> list[LoadReading]:
        """The loads of hosts of one job (one host, or many where one run tells of many), in the order asked for.

        Never takes longer than ``LIMIT_S`` by much, and never raises for anything that a host or a program does.
        """
        ...


class Examiner(Protocol):
    """The doctor's eyes: looks at real servers with packets such as IPVS would hand to them."""

    async def examine(self, patients: Sequence[Patient], seen: Callable[[int, Seen], None]) -> None:
        """Look at each; ``seen`` is told its place and what was seen, in whatever order, each place once.

        Bounded in time.  Raises AdapterError when not all could be looked at; what was told until then holds.
        """
        ...

    def close(self) -> None:
        """Nothing is looked at any more."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """lvs.cf as bytes, with its ETag (sha256, hex).  ``data`` is ``b""`` and ``exists`` false when there is none."""

    data: bytes
    etag: str
    exists: bool = True


class ConfigFiles(Protocol):
    """lvs.cf and the copy kept for undo.  Every write leaves the old file or the new one, whatever happens in between."""

    def read(self) -> ConfigFile:
        """Raises AdapterError when the file is there and cannot be read."""
        ...

    def write(self, data: bytes) -> ConfigFile:
        """Replace the file.  Raises AdapterError, the old file untouched."""
        ...


class HistoryDamaged(AdapterError):
    """What was kept cannot be trusted: it is set aside under the name in the message, and the store is empty now."""


class RevisionStore(Protocol):
    """The revisions of lvs.cf.  One writer.  Every method may raise AdapterError, and then nothing has changed, or HistoryDamaged."""

    def add(self, revision: Revision, text: bytes, changes: Sequence[str] = (), *, head: bool = True, outcome: str = "pending") -> int:
        """Keep a revision and its text for good before this returns; returns its number.

        With ``head`` it is what lvs.cf is from now on.  Without: one more that is known (the other director's), whether or not its parents
        are.  One that is here already keeps its number; with ``head`` its outcome is ``outcome`` from now on.  Raises ValueError when the
        id is not the one that the other fields lead to, or the ETag not the text's.
        """
        ...

    def finish(self, revision_id: str, outcome: str, words: str = "") -> None:
        """How it ended.  Raises KeyError when it is not known."""
        ...

    def retract(self, words: str) -> None:
        """The head never reached lvs.cf: it has failed, and the one that was the head before it is so again."""
        ...

    def head(self) -> KeptRevision | None:
        """The revision that lvs.cf is; ``None`` when the history has not begun."""
        ...

    def before_head(self) -> KeptRevision | None:
        """The revision that was the head before this one."""
        ...

    def by_number(self, number: int) -> KeptRevision | None: ...

    def by_id(self, revision_id: str) -> KeptRevision | None: ...

    def newest(self, limit: int, before: int = 0) -> tuple[KeptRevision, ...]:
        """Newest first; with ``before``, only those with a smaller number."""
        ...

    def total(self) -> int:
        """How many there are."""
        ...

    def text(self, etag: str) -> bytes | None:
        """A text; ``None`` when it was never here or is no longer kept."""
        ...

    def parents(self) -> Parents:
        """Every revision with its parents: what ``ancestors`` and ``missing`` of ``lvsagent.core.revisions`` work on."""
        ...

    def close(self) -> None: ...


class Peer(Protocol):
    """The way to the other director's agent."""

    async def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Carry one request to the other director's agent and bring its answer.

        Raises PeerUnreachable, PeerRefused (both AdapterError).
        """
        ...


class Clock(Protocol):
    """The only reader of time."""

    def now(self) -> float:
        """Monotonic seconds, for intervals; those in which the host was suspended count."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, for people."""
        ...
