"""What of one configuration lives on in another, and what a change takes out of service.

Pure.  A virtual server lives on under its address and port or under its name, a real server likewise within it, so that a new port or a
new name is not taken for an end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from lvsagent.core.clean_text import clean
from lvsagent.core.pools import Expansion, Member, Pool
from lvsagent.core.table import ServerKey, ServiceKey

LEAST = 2
"""Taking out one is an everyday change, however large its share."""


@dataclass(frozen=True, slots=True)
class Heirs:
    """Virtual servers in service before → after, and real servers (by virtual server and key) before → after."""

    services: Mapping[ServiceKey, ServiceKey] = field(default_factory=dict)
    servers: Mapping[tuple[ServiceKey, ServerKey], Member] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakenOut:
    """What is in service before and not after, by name; and how many were in service."""

    virtual: tuple[str, ...] = ()
    real: tuple[str, ...] = ()
    virtual_total: int = 0
    real_total: int = 0

    @property
    def token(self) -> str:
        """Stands for exactly this list."""
        words = "\n".join(["virtual", *sorted(self.virtual), "real", *sorted(self.real)])
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    def large(self, share: float) -> bool:
        """Whether more than ``share`` (0 to 1) of either kind goes, and at least two of it."""
        pairs = ((len(self.virtual), self.virtual_total), (len(self.real), self.real_total))
        return any(gone >= LEAST and gone > share * total for gone, total in pairs)


def heirs(before: Expansion, after: Expansion) -> Heirs:
    """Who lives on where; only what is in service on both sides counts."""
    by_name = {pool.name: pool for pool in after.pools.values()}
    services: dict[ServiceKey, ServiceKey] = {}
    servers: dict[tuple[ServiceKey, ServerKey], Member] = {}
    for key, pool in before.pools.items():
        heir = after.pools.get(key) or by_name.get(pool.name)
        if heir is None:
            continue
        if serves(pool) and serves(heir):
            services[key] = heir.key
        if heir.members == pool.members:  # nearly all of thousands
            servers.update(((key, member.key), member) for member in in_service(pool))
            continue
        by_key = {member.key: member for member in in_service(heir)}
        named = {member.name: member for member in in_service(heir)}
        for member in in_service(pool):
            found = by_key.get(member.key) or named.get(member.name)
            if found is not None:
                servers[key, member.key] = found
    return Heirs(services, servers)


def taken_out(before: Expansion, after: Expansion) -> TakenOut:
    """The virtual servers and real servers that a change removes, deactivates or gives the weight 0."""
    kept = heirs(before, after)
    serving = [pool for pool in before.pools.values() if serves(pool)]
    members = [(pool, member) for pool in before.pools.values() for member in in_service(pool)]
    return TakenOut(
        virtual=tuple(clean(pool.name) for pool in serving if pool.key not in kept.services),
        real=tuple(f"{clean(member.name)} of {clean(pool.name)}" for pool, member in members if (pool.key, member.key) not in kept.servers),
        virtual_total=len(serving),
        real_total=len(members),
    )


def in_service(pool: Pool) -> tuple[Member, ...]:
    """The real servers that are to get traffic when they are well."""
    return tuple(member for member in pool.members if member.server.weight > 0)


def serves(pool: Pool) -> bool:
    """Whether anybody would answer there."""
    return bool(in_service(pool)) or pool.sorry is not None
