"""Whether everything is the same thing: file, running configuration and table, here and on the other director.

Pure.  A table's fingerprint is over its configuration: which servers are in, and with weight 0, follows from their health, and health is
left out, so that two directors that want the same have the same fingerprint whatever their checks say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lvsagent.core.overrides import NO_ORDERS, Orders
from lvsagent.core.pools import Expansion, Pool
from lvsagent.core.table import Entry, Server, ServerKey, Service, ServiceKey, Table


def wanted_print(expansion: Expansion) -> str:
    """The fingerprint of the table that a configuration leads to: SHA-256, hexadecimal."""
    return _hashed({key: (pool.service, {one.key: one.server for one in pool.members}) for key, pool in expansion.pools.items()})


def read_print(expansion: Expansion, have: Table, orders: Orders = NO_ORDERS) -> str:
    """The same of the table there is, as far as it is ours: equal to ``wanted_print`` when only health or an operator makes them differ."""
    ours = {key: pool for key, pool in expansion.pools.items() if key in have}
    if len(ours) == len(expansion.pools) and all(_settings(pool, have[key], orders) == _meant(pool) for key, pool in ours.items()):
        return wanted_print(expansion)
    return _hashed({key: _settings(pool, have[key], orders) for key, pool in ours.items()})


Settings = tuple[Service, Mapping[ServerKey, Server]]


def _meant(pool: Pool) -> Settings:
    return pool.service, {one.key: one.server for one in pool.members}


def _settings(pool: Pool, entry: Entry, orders: Orders) -> Settings:
    """What the data plane has for a pool, with health and operators taken out.

    A server that is out, or has less than its weight (it is down, its agent asks for less, it starts slowly, its host is busy), or no more
    than an operator gave it, counts as configured.
    """
    servers = {one.key: one.server for one in pool.members}
    ordered = {one.key: order.weight for one in pool.members if (order := orders.of(one.check, one.key.address)) is not None}
    for key, server in entry.servers.items():
        if pool.sorry and key == pool.sorry[0] and key not in servers:
            continue
        configured = servers.get(key)
        usual = configured is not None and server.weight <= max(configured.weight, ordered.get(key, 0))
        servers[key] = replace(server, weight=configured.weight) if configured is not None and usual else server
    return entry.service, servers


def _hashed(table: Mapping[ServiceKey, Settings]) -> str:
    digest = hashlib.sha256()
    for line in sorted(_lines(table)):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _lines(table: Mapping[ServiceKey, Settings]) -> Iterator[str]:
    for key, (service, servers) in table.items():
        flags = ",".join(sorted(service.scheduler_flags))
        persistence = f"{service.persistence_timeout_s}/{service.persistence_prefix}/{service.persistence_engine}"
        yield f"{key} {service.scheduler} {flags} {persistence} {int(service.one_packet)}"
        for name, server in servers.items():
            limits = f"{server.upper_threshold}/{server.lower_threshold}"
            yield f"{key} {name} {server.weight} {server.forwarding.value} {limits}"


@dataclass(frozen=True, slots=True)
class Side:
    """One director: ETags of its file and of what it runs, its serial, the fingerprints of the table it wants and has (``""``: unknown)."""

    file: str
    applied: str
    serial: int
    table: str
    table_read: str


@dataclass(frozen=True, slots=True)
class Found:
    """A difference: ``code`` and ``actions`` as in ``lvsagent.wire.sync.Difference``; ``here`` and ``peer`` in a word or two."""

    code: str
    words: str
    here: str = ""
    peer: str = ""
    actions: tuple[str, ...] = ()


def differences(here: Side, peer: Side | None, state: str, behind: int, foreign: int) -> list[Found]:
    """What is not as it should be, worst first.  ``state`` as in ``SyncInfo``; ``foreign`` virtual servers that lvs.cf does not name."""
    return [*_between(here, peer, state, behind), *_own(here), *_theirs(peer, state), *_foreign(foreign)]


def _between(here: Side, peer: Side | None, state: str, behind: int) -> Iterator[Found]:
    serials = (f"serial {here.serial}", f"serial {peer.serial}" if peer else "not known")
    if state == "diverged":
        yield Found("diverged", "lvs.cf was edited on both directors while they were apart", *serials)
    elif state == "behind":
        yield Found("peer-behind", f"the other director is behind by {behind}", *serials, ("now",))
    elif state == "ahead":
        yield Found("peer-ahead", "the other director has a newer lvs.cf", *serials, ("now",))
    elif state == "refused":
        yield Found("peer-behind", "the other director does not take this lvs.cf, or cannot be believed", *serials, ("now",))
    elif state == "unknown":
        yield Found("peer-unknown", "the other director has not answered yet, so what it has is not known", *serials, ("now",))
    if state == "in_step" and peer and peer.applied == here.applied and here.table and peer.table and here.table != peer.table:
        words = "the same lvs.cf leads to another table on the other director (does a host name have another address there?)"
        yield Found("peer-table", words, here.table[:12], peer.table[:12])


def _own(here: Side) -> Iterator[Found]:
    if here.file != here.applied:
        words = "lvs.cf on this director's disk is not what it runs"
        yield Found("file", words, f"file {here.file[:12] or 'missing'}, running {here.applied[:12]}", "", ("adopt", "restore"))
    if here.table and here.table != here.table_read:
        words = "the table of this director is not what lvs.cf wants"
        yield Found("table", words, f"wanted {here.table[:12]}, there {here.table_read[:12] or 'nothing'}", "", ("reconcile",))


def _theirs(peer: Side | None, state: str) -> Iterator[Found]:
    if peer is None or state in ("none", "unpaired"):
        return
    if peer.file != peer.applied:
        words = "lvs.cf on the other director's disk is not what it runs; its own console mends that"
        yield Found("peer-file", words, "", f"file {peer.file[:12] or 'missing'}, running {peer.applied[:12]}")
    if peer.table and peer.table_read != peer.table:
        words = "the table of the other director is not what its lvs.cf wants; its agent is putting that right"
        yield Found("peer-table", words, "", f"wanted {peer.table[:12]}, there {peer.table_read[:12] or 'nothing'}")


def _foreign(count: int) -> Iterator[Found]:
    if count:
        what = "a virtual server that lvs.cf does not name" if count == 1 else f"{count} virtual servers that lvs.cf does not name"
        yield Found("foreign", f"the table of this director has {what}", f"{count} foreign", "", ("adopt-foreign",))
