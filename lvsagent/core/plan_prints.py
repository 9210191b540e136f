"""The fingerprint of a plan: what would be done to the table and the addresses, so that what was shown can be held against a later plan.

Pure.  Counters are no part of it.  Each step is a line of its own, so that "more than was shown" is a difference of sets: a plan moves
with the health of real servers, and one that has become smaller surprises nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence

from lvsagent.core.addresses import Address
from lvsagent.core.plan import server_words, service_words, timeout_words
from lvsagent.core.table import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    Operation,
    SetServer,
    SetService,
    SetTimeouts,
    Table,
)

FREE = "add server "
"""Begins the lines that may come in addition: a real server that is named in the new lvs.cf, and whose check has succeeded meanwhile."""

Lines = dict[str, Operation | None]
"""A plan's lines and the operation behind each (``None``: an address)."""


def plan_lines(operations: Sequence[Operation], have: Table, before: Collection[Address] = (), after: Collection[Address] = ()) -> Lines:
    """A plan line by line.  A virtual server that goes takes its real servers along: each is a line."""
    lines: Lines = {line: each for operation in operations for line, each in _lines(operation, have)}
    for word, addresses, others in (("add", after, before), ("remove", before, after)):
        lines |= dict.fromkeys(f"{word} address {one.address}/{one.prefix} {one.label}" for one in addresses if one not in others)
    return lines


def fingerprint(lines: Collection[str]) -> str:
    """The same plan has the same one, on any host and after any restart; 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def grown(shown: Collection[str], now: Collection[str]) -> tuple[str, ...]:
    """The lines of a plan that nobody has been shown."""
    return tuple(line for line in now if line not in shown and not line.startswith(FREE))


def _lines(operation: Operation, have: Table) -> Iterator[tuple[str, Operation]]:
    match operation:
        case AddService(key, service):
            yield f"add service {key} {service_words(service)}", operation
        case SetService(key, service):
            yield f"change service {key} {service_words(service)}", operation
        case DeleteService(key):
            yield f"remove service {key}", operation
            for server in have[key].servers if key in have else ():
                yield f"remove server {key} {server}", DeleteServer(key, server)
        case AddServer(service_key, server_key, server):
            yield f"{FREE}{service_key} {server_key} {server_words(server)}", operation
        case SetServer(service_key, server_key, server):
            yield f"change server {service_key} {server_key} {server_words(server)} {server.lower_threshold}", operation
        case DeleteServer(service_key, server_key):
            yield f"remove server {service_key} {server_key}", operation
        case SetTimeouts(timeouts):
            yield f"change timeouts {timeout_words(timeouts)}", operation
