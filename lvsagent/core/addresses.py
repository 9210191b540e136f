"""pulse's decisions about addresses: which to add, which to remove, which to announce and when.

Pure: told what is wanted, what interfaces have and what this agent added earlier.  An address that someone else added is used, and
never removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

REPEATS_S = (0.0, 1.0, 2.0, 3.0, 4.0)
"""When a new address is announced, counted from when it came: Piranha's five times, the first at once."""
REFRESH_S = 60.0
"""How often it is announced from then on, for neighbours that missed them all."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """An address on an interface: ``interface`` is the real one (``eth1``), ``label`` its alias (``eth1:1``, ``""``: none)."""

    address: str
    prefix: int
    interface: str
    label: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class AddressSteps:
    """What to do, in this order: ``relabel`` (remove, to be added again at once), ``add``, ``remove``.

    ``owned`` is what the record must say before any of it is done, ``restored`` those of ``add`` that someone else had removed,
    ``foreign`` the wanted ones that were there before us.
    """

    relabel: tuple[Address, ...]
    add: tuple[Address, ...]
    remove: tuple[Address, ...]
    owned: frozenset[Address]
    restored: tuple[Address, ...]
    foreign: frozenset[Address]

    @property
    def idle(self) -> bool:
        """Nothing to do."""
        return not (self.relabel or self.add or self.remove)


def next_steps(wanted: Collection[Address], owned: Collection[Address], present: Collection[Address]) -> AddressSteps:
    """From the three sets to the fewest steps.  ``owned`` is the record of what was added (or was about to be) by this agent."""
    wanted_set, owned_set, present_set = frozenset(wanted), frozenset(owned), frozenset(present)
    labels = {address: address.label for address in present_set}
    relabel = tuple(
        address
        for address in _in_order(wanted)
        if address in owned_set and address in present_set and _relabelled(address, labels[address])
    )
    missing = tuple(address for address in _in_order(wanted) if address not in present_set)
    return AddressSteps(
        relabel=relabel,
        add=(*relabel, *missing),
        remove=tuple(sorted((owned_set & present_set) - wanted_set)),
        owned=frozenset(owned_set & present_set) | frozenset(missing),
        restored=tuple(address for address in missing if address in owned_set),
        foreign=(wanted_set & present_set) - owned_set,
    )


def _relabelled(address: Address, label: str) -> bool:
    if ":" in address.address:
        return False  # IPv6 addresses have no labels
    return (address.label or address.interface) != (label or address.interface)


def _in_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Without repetitions, in the order given: lvs.cf's own."""
    return tuple(dict.fromkeys(addresses))


class Announcements:
    """The schedule of gratuitous ARP: a burst when an address comes, then repeats, then a slow refresh."""

    def __init__(self) -> None:
        self._began: dict[Address, float] = {}
        self._next: dict[Address, tuple[float, int]] = {}

    def carry(self, addresses: Collection[Address], now: float) -> None:
        """These are on the interfaces now: new ones are due at once, those that left are forgotten."""
        kept = set(addresses)
        for gone in [address for address in self._began if address not in kept]:
            del self._began[gone], self._next[gone]
        for address in kept - self._began.keys():
            self._begin(address, now)

    def again(self, addresses: Iterable[Address], now: float) -> None:
        """Start these over (asked by an operator, or they were put back)."""
        for address in addresses:
            if address in self._began:
                self._begin(address, now)

    def due(self, now: float) -> tuple[Address, ...]:
        """Those to announce now, all in one pass; each is scheduled for its next time."""
        ready = sorted(address for address, (at, _) in self._next.items() if at <= now)
        for address in ready:
            count = self._next[address][1] + 1
            if count < len(REPEATS_S):
                self._next[address] = (self._began[address] + REPEATS_S[count], count)
            else:
                self._next[address] = (now + REFRESH_S, count)
        return tuple(ready)

    def next_at(self) -> float | None:
        """When ``due`` will have something again."""
        return min((at for at, _ in self._next.values()), default=None)

    def _begin(self, address: Address, now: float) -> None:
        self._began[address] = now
        self._next[address] = (now + REPEATS_S[0], 0)
