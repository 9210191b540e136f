"""What follows the role: addresses, the shared hardware address, the sync daemon; and what is wrong around them.

Owns the order in which they change.  It may take its time: beats do not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lvsagent.core.addresses import Address
from lvsagent.core.identity import ACTIVE, STANDBY, STARTING
from lvsagent.core.virtual_mac import hardware_address, moved
from lvsagent.messages import PulseConfigure
from lvsagent.ports import AdapterError, SyncThread
from lvsagent.pulse.holder import AddressHolder, Tell
from lvsagent.pulse.record import Record
from lvsagent.pulse.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Goal:
    """What there is to follow.  ``undecided``: what is there stays until the role is known; ``announce``: the role is ours for certain."""

    role: str
    configure: PulseConfigure | None
    undecided: bool = False
    announce: bool = True


class Follower:
    """``save`` writes the record."""

    def __init__(self, around: Surroundings, last: Record, save: Callable[[], None], tell: Tell) -> None:
        self._around = around
        self._save = save
        self._tell = tell
        self.sync = last.sync
        self.virtual_mac = last.virtual_mac
        self.sync_role = ""
        self.problems: tuple[str, ...] = ()
        self._sync_problem = ""
        self._unshared: dict[str, str] = {}
        self._interfaces_problem = ""
        self._sync_done: SyncThread | None = None
        self.holder = AddressHolder(
            around.links, around.announcer, around.clock, owned=frozenset(last.owned), own=lambda _owned: save(), tell=tell
        )

    async def step(self, goal: Goal) -> None:
        """Have everything as the role wants it.  Raises AdapterError when the interfaces do not answer."""
        if not goal.undecided:
            active = goal.role == ACTIVE
            if active:
                await self._share_hardware_address(goal, up=True)
            await self.holder.hold(self.wanted(goal), announce=goal.announce)
            await self._follow_with_sync(goal)
            if not active:
                await self._share_hardware_address(goal, up=False)
        await self._look_around(goal)

    def wanted(self, goal: Goal) -> tuple[Address, ...]:
        """The addresses that this director is to have, on the interfaces where they are to be."""
        if goal.configure is None or goal.role != ACTIVE:
            return ()
        specs = (Address(spec.address, spec.prefix, spec.interface, spec.label) for spec in goal.configure.addresses)
        shared = _shared(goal.configure)
        return tuple(dict.fromkeys(moved(one) if one.interface in shared and one.interface not in self._unshared else one for one in specs))

    async def _share_hardware_address(self, goal: Goal, *, up: bool) -> None:
        wanted = _shared(goal.configure) if goal.configure else {}
        if not wanted and not self.virtual_mac:
            self._unshared = {}
            return
        if wanted and not self.virtual_mac:
            self.virtual_mac = True
            self._save()
        try:
            self._unshared = dict(await self._around.virtual_mac.have(wanted, up=up))
        except AdapterError as error:
            self._unshared = dict.fromkeys(wanted, str(error))
        if not wanted and not self._unshared:
            self.virtual_mac = False
            self._save()

    async def _follow_with_sync(self, goal: Goal) -> None:
        """Only a daemon that lvs.cf wants, or that this agent has started, is touched."""
        configure = goal.configure
        if goal.role == STARTING:
            return
        enabled = configure is not None and configure.sync_enabled and goal.role in {ACTIVE, STANDBY}
        role = "off" if not enabled else "master" if goal.role == ACTIVE else "backup"
        interface, sync_id = (configure.sync_interface, configure.sync_id) if configure and enabled else ("", 0)
        wanted = SyncThread(role, interface, sync_id)
        if role == "off" and not self.sync:
            self._sync_problem = ""
        elif wanted != self._sync_done:
            await self._have_sync(wanted)
        elif not await self._sync_runs(wanted):
            await self._have_sync(wanted)
            if not self._sync_problem:
                self._tell("problem", "warning", f"the sync daemon ({role} on {interface}) had been stopped or changed, and runs again")

    async def _have_sync(self, wanted: SyncThread) -> None:
        enabled = wanted.role != "off"
        if enabled and not self.sync:
            self.sync = True
            self._save()
        try:
            problem = await self._around.sync.become(wanted.role, wanted.interface, wanted.sync_id)
        except AdapterError as error:
            problem = str(error)
        self._sync_done = None if problem else wanted
        self._sync_problem = problem
        self.sync_role = wanted.role if not problem else ""
        if not enabled and not problem:
            self.sync = False
            self._save()

    async def _sync_runs(self, wanted: SyncThread) -> bool:
        """Whether nobody has stopped or changed it by hand meanwhile."""
        try:
            return await self._around.sync.read() == (wanted,)
        except AdapterError:
            return False

    async def _look_around(self, goal: Goal) -> None:
        problems = [self.holder.unannounced] if self.holder.unannounced else []
        if goal.configure is not None:
            problems += [text for family in goal.configure.forwarding_needed if (text := self._around.forwarding_problem(family))]
        for interface in sorted({address.interface for address in self.wanted(goal)}):
            if not await self._around.links.up(interface):
                problems.append(f"interface {interface} is missing, down or without a link")
        problems += [f"virtual_mac: {interface}: {reason}" for interface, reason in self._unshared.items()]
        problems += [self._sync_problem] if self._sync_problem else []
        for problem in problems:
            if problem not in self.problems:
                self._tell("problem", "error", problem)
        self.problems = tuple(problems)


def _shared(configure: PulseConfigure) -> dict[str, str]:
    """Interfaces that get a hardware address which both directors share."""
    if not configure.virtual_mac or not configure.paths:
        return {}
    pair = (configure.paths[0].local, configure.paths[0].peer)
    return {interface: hardware_address(pair, interface) for interface in dict.fromkeys(one.interface for one in configure.addresses)}
