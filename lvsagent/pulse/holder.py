"""The addresses on this host's interfaces: put there, kept there, announced, taken away.

Owns what was added by this agent (and the record of it) and who was told.  It never touches an address that it did not add, and it does
not know why addresses are wanted.  It waits for interfaces only; beats do not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lvsagent.core.addresses import Address, AddressSteps, Announcements, next_steps
from lvsagent.ports import AdapterError, Announcer, Clock, Links
from lvsagent.wire import AddressState

PASSES = 3
"""Removing the first address of a subnet can take its neighbours away with it: look again at once."""
TOLD_ONE_BY_ONE = 10
"""Of more addresses than this that come or go together, one event tells."""


class Tell(Protocol):
    """Where events go."""

    def __call__(self, kind: str, severity: str, message: str, subject: str = "") -> None: ...


class AddressHolder:
    """``own`` writes down what is ours, before it is."""

    def __init__(
        self,
        links: Links,
        announcer: Announcer,
        clock: Clock,
        *,
        owned: frozenset[Address],
        own: Callable[[frozenset[Address]], None],
        tell: Tell,
    ) -> None:
        self._links = links
        self._announcer = announcer
        self._clock = clock
        self._own_now = own
        self._tell = tell
        self._announcements = Announcements()
        self._refused: dict[str, str] = {}
        self.owned = owned
        self.states: tuple[AddressState, ...] = ()
        self.announced_at = 0.0
        self.unannounced = ""

    async def hold(self, wanted: Sequence[Address], *, announce: bool = True) -> None:
        """Act until exactly these are there or it does not help.  New ones are announced as soon as they are there."""
        refused: dict[str, str] = {}
        present = await self._links.addresses()
        for _ in range(PASSES):
            steps = next_steps(wanted, self.owned, present)
            if steps.idle or refused:
                break
            self._own(steps.owned)
            refused = await self._carry_out(steps)
            if announce and steps.add:
                await self._announce(
                    [address for address in wanted if address in {*present, *steps.add} and _words(address) not in refused]
                )
            present = await self._links.addresses()
        self._own(self.owned & present)
        self._report_refusals(refused)
        if announce:
            await self._announce([address for address in wanted if address in present])
        foreign = next_steps(wanted, self.owned, present).foreign
        self.states = tuple(self._state_of(address, present, foreign) for address in wanted)

    def announce_again(self, addresses: Sequence[Address]) -> None:
        """Start the burst over, at the next ``hold``."""
        self._announcements.again(addresses, self._clock.now())

    def next_at(self) -> float | None:
        """When something is to be announced again."""
        return self._announcements.next_at()

    async def _carry_out(self, steps: AddressSteps) -> dict[str, str]:
        """Returns what was refused and why."""
        refused = list(await self._links.remove(steps.relabel)) if steps.relabel else []
        failed_to_add = await self._links.add(steps.add) if steps.add else ()
        failed_to_remove = await self._links.remove(steps.remove) if steps.remove else ()
        refused += [*failed_to_add, *failed_to_remove]
        no_longer = {address for address, _ in failed_to_add}
        added = [address for address in steps.add if address not in no_longer]
        self._tell_each([address for address in added if address not in steps.restored], "info", "added")
        self._tell_each([address for address in added if address in steps.restored], "warning", "had disappeared and is back")
        self._announcements.again(steps.restored, self._clock.now())
        stuck = {address for address, _ in failed_to_remove}
        self._tell_each([address for address in steps.remove if address not in stuck], "info", "removed")
        return {_words(address): reason for address, reason in refused}

    def _tell_each(self, addresses: Sequence[Address], severity: str, words: str) -> None:
        """Many at once are one event: a takeover is not to wait for its own log."""
        if len(addresses) > TOLD_ONE_BY_ONE:
            some = ", ".join(_words(address) for address in addresses[:3])
            self._tell("address", severity, f"{len(addresses)} addresses {words}: {some} and {len(addresses) - 3} more")
            return
        for address in addresses:
            self._tell("address", severity, f"{_words(address)} {words}", address.address)

    def _own(self, owned: frozenset[Address]) -> None:
        if owned != self.owned:
            self.owned = owned
            self._own_now(owned)

    def _report_refusals(self, refused: dict[str, str]) -> None:
        for address, reason in refused.items():
            if self._refused.get(address) != reason:
                self._tell("problem", "error", f"{address}: {reason}", address)
        self._refused = refused

    def _state_of(self, address: Address, present: frozenset[Address], foreign: frozenset[Address]) -> AddressState:
        reason = self._refused.get(_words(address), "")
        if address in present:
            state = "present"
            reason = "was there before the agent came; it is used and never removed" if address in foreign else ""
        else:
            state = "refused" if reason else "absent"
        return AddressState(
            address=address.address, prefix=address.prefix, interface=address.interface, label=address.label, state=state, reason=reason
        )

    async def _announce(self, present: Sequence[Address]) -> None:
        now = self._clock.now()
        self._announcements.carry(present, now)
        due = self._announcements.due(now)
        if not due:
            return
        try:
            refused = await self._announcer.announce(due)
        except AdapterError as error:
            self.unannounced = f"nothing can be announced: {error}"
            return
        self.unannounced = "; ".join(f"{_words(address)} could not be announced: {reason}" for address, reason in refused)
        if len(refused) < len(due):
            self.announced_at = self._clock.wall()


def _words(address: Address) -> str:
    label = f" {address.label}" if address.label and address.label != address.interface else ""
    return f"{address.address}/{address.prefix} on {address.interface}{label}"
