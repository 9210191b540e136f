"""The keeper's operations and refusals in the API's words.

Owns the words alone; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from app.lvscf.mark_ports import PortRange
from lvsagent.core.addresses import Address
from lvsagent.core.clean_text import clean
from lvsagent.core.desired import awaited
from lvsagent.core.marks import MarkRule
from lvsagent.core.plan import Names, server_name, server_words, service_of, steps
from lvsagent.core.table import Operation, ServerKey, ServiceKey, Table
from lvsagent.lvsd.configuration import Configuration
from lvsagent.lvsd.keeper import Subject
from lvsagent.wire import PlanStep, RefusalInfo

MOST_STEPS = 2000


def names_of(*configurations: Configuration) -> Names:
    """What the first of them that knows it calls a virtual or real server."""

    def name(service: ServiceKey, server: ServerKey | None) -> str:
        return next((found for one in configurations if (found := one.name_of(service, server))), "")

    return name


def plan_steps(
    operations: Sequence[Operation], have: Table, before: Configuration, after: Configuration, sides: Mapping[str, bool]
) -> list[PlanStep]:
    """The whole plan in words: the table, the servers that wait for their first check, the addresses, the firewall marks."""
    names = names_of(after, before)
    told = [
        PlanStep(action=step.action, what=step.what, name=step.name, detail=step.detail, connections=step.connections)
        for step in steps(operations[:MOST_STEPS], have, names)
    ]
    told.extend(islice(_awaited_steps(after, sides, have, names), MOST_STEPS))
    told.extend(_address_steps(before.expansion.addresses, after.expansion.addresses))
    told.extend(_mark_steps(before.expansion.marks, after.expansion.marks))
    more = max(len(operations), len(told)) - MOST_STEPS
    if more > 0:
        told[MOST_STEPS:] = [PlanStep(action="change", what="virtual server", name=f"and {more} more changes", detail="")]
    return told


def done_words(operations: Sequence[Operation], have: Table) -> str:
    """What was done to the table, in a line: ``2 changes to the table, touching 12 open connections``."""
    if not operations:
        return "no change to the table"
    touched = sum(step.connections for step in steps(operations[:MOST_STEPS], have, names_of()))
    changes = f"{len(operations)} change{'s' if len(operations) > 1 else ''} to the table"
    return f"{changes}, touching {touched} open connection{'s' if touched > 1 else ''}" if touched else changes


def _awaited_steps(after: Configuration, sides: Mapping[str, bool], have: Table, names: Names) -> Iterator[PlanStep]:
    for key, pool in after.expansion.pools.items():
        for member in awaited(pool, sides, have.get(key)):
            detail = f"{server_words(member.server)}, once its first check has succeeded"
            yield PlanStep(action="add", what="real server", name=server_name(key, member.key, names), detail=detail)


def _address_steps(before: Collection[Address], after: Collection[Address]) -> Iterator[PlanStep]:
    for action, addresses, others in (("add", after, set(before)), ("remove", before, set(after))):
        for one in addresses:
            if one not in others:
                yield PlanStep(action=action, what="address", name=f"{one.address}/{one.prefix}", detail=f"on {one.label}")


def _mark_steps(before: Collection[MarkRule], after: Collection[MarkRule]) -> Iterator[PlanStep]:
    for action, rules, others in (("add", after, set(before)), ("remove", before, set(after))):
        for one in rules:
            if one not in others:
                ports = PortRange(one.protocol, one.first, one.last)
                yield PlanStep(action=action, what="firewall mark", name=str(one.mark), detail=f"on packets to {one.address} {ports}")


def refusals(failures: Mapping[Subject, str], after: Configuration | None, before: Configuration, plane_reason: str) -> list[RefusalInfo]:
    """What could not be carried out, and (of ``after``) what cannot be served at all."""
    names = names_of(*([after] if after else []), before)
    told = [RefusalInfo(subject="data plane", reason=plane_reason)] if plane_reason else []
    told.extend(RefusalInfo(subject=_subject_words(subject, names), reason=reason) for subject, reason in failures.items())
    if after is not None:
        told.extend(
            RefusalInfo(subject=f"virtual server {clean(after.config.virtual[place].name)}", reason=reason)
            for place, reason in after.expansion.failed.items()
        )
    return told


def _subject_words(subject: Subject, names: Names) -> str:
    service, server = subject
    if service is None:
        return "timeouts"
    if server is not None:
        return f"real server {server_name(service, server, names)}"
    return f"virtual server {names(service, None) or service}"


def repair_words(operations: Iterable[Operation], running: Configuration) -> str:
    """What was put right, by virtual server."""
    counts: dict[str, int] = {}
    for operation in operations:
        service = service_of(operation)
        name = (running.name_of(service, None) or str(service)) if service else "timeouts"
        counts[name] = counts.get(name, 0) + 1
    listed = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:10])
    more = f" and {len(counts) - 10} more" if len(counts) > 10 else ""
    return f"the table had been changed by somebody else and is repaired: {listed}{more}"
