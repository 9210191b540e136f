"""From the table there is to the table that is wanted: the fewest operations, in an order that never leaves a virtual server empty.

Owns the comparison, its order and its words.  It carries nothing out, and never touches a service that is not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lvsagent.core.table import (
    NO_COUNTERS,
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    Entry,
    Operation,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SetServer,
    SetService,
    SetTimeouts,
    Table,
    Timeouts,
)


def plan(have: Table, wanted: Table, owned: Collection[ServiceKey]) -> list[Operation]:
    """The operations that make ``wanted`` of ``have``.

    ``owned``: the services that are ours besides those in ``wanted``; of these, what is not wanted goes.  All others stay as they are.
    What appears comes before what disappears, everywhere: an address or port that moves is served throughout.
    """
    operations: list[Operation] = []
    for key, entry in wanted.items():
        operations.extend(_entry(key, have.get(key), entry))
    operations.extend(DeleteService(key) for key in have if key in owned and key not in wanted)
    return operations


def _entry(key: ServiceKey, have: Entry | None, wanted: Entry) -> Iterator[Operation]:
    if have is None:
        yield AddService(key, wanted.service)
    elif have.service != wanted.service:
        yield SetService(key, wanted.service)
    present = have.servers if have else {}
    if present == wanted.servers:
        return
    changed = [(name, server) for name, server in wanted.servers.items() if present.get(name) != server]
    yield from (AddServer(key, name, server) for name, server in changed if name not in present)
    settings = [SetServer(key, name, server) for name, server in changed if name in present]
    yield from sorted(settings, key=lambda operation: operation.server.weight == 0)
    yield from (DeleteServer(key, name) for name in present if name not in wanted.servers)


def plan_timeouts(have: Timeouts, wanted: Timeouts) -> list[Operation]:
    """The idle limits to set: only those that lvs.cf gives and that differ."""
    pairs = ((wanted.tcp_s, have.tcp_s), (wanted.tcpfin_s, have.tcpfin_s), (wanted.udp_s, have.udp_s))
    tcp_s, tcpfin_s, udp_s = (asked if asked != there else 0 for asked, there in pairs)
    return [SetTimeouts(Timeouts(tcp_s, tcpfin_s, udp_s))] if tcp_s or tcpfin_s or udp_s else []


def applied(table: Table, operations: Iterable[Operation]) -> dict[ServiceKey, Entry]:
    """``table`` after operations that all succeeded: what a fresh reading would show, counters as they were."""
    result = dict(table)
    for operation in operations:
        match operation:
            case AddService(key, service):
                result[key] = Entry(service)
            case SetService(key, service):
                result[key] = replace(result[key], service=service)
            case DeleteService(key):
                result.pop(key, None)
            case AddServer(service_key, key, server) | SetServer(service_key, key, server):
                entry = result[service_key]
                result[service_key] = replace(entry, servers={**entry.servers, key: server})
            case DeleteServer(service_key, key):
                entry = result[service_key]
                result[service_key] = replace(entry, servers={name: server for name, server in entry.servers.items() if name != key})
            case SetTimeouts():
                pass
    return result


def service_of(operation: Operation) -> ServiceKey | None:
    """The virtual server that an operation concerns (``None``: the timeouts)."""
    match operation:
        case AddService(key) | SetService(key) | DeleteService(key):
            return key
        case AddServer(service) | SetServer(service) | DeleteServer(service):
            return service
        case SetTimeouts():
            return None


# --- in words --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One operation in words.  ``connections`` are the open ones that it touches: those of what goes, or is reached in another way."""

    action: str
    what: str
    name: str
    detail: str
    connections: int = 0


WORDS = {
    AddService: ("add", "virtual server"),
    SetService: ("change", "virtual server"),
    DeleteService: ("remove", "virtual server"),
    AddServer: ("add", "real server"),
    SetServer: ("change", "real server"),
    DeleteServer: ("remove", "real server"),
    SetTimeouts: ("change", "timeouts"),
}

Names = Callable[[ServiceKey, ServerKey | None], str]
"""What lvs.cf calls a virtual server, or a real server in it (``""``: nothing)."""


def steps(operations: Sequence[Operation], have: Table, names: Names) -> list[Step]:
    """A plan in words, for an administrator to read before accepting it."""
    return [_step(operation, have, names) for operation in operations]


def _step(operation: Operation, have: Table, names: Names) -> Step:
    action, what = WORDS[type(operation)]
    return Step(action, what, _name(operation, names), _detail(operation, have), _touched(operation, have))


def _name(operation: Operation, names: Names) -> str:
    match operation:
        case AddService(key) | SetService(key) | DeleteService(key):
            return _service_name(key, names)
        case AddServer(service, key) | SetServer(service, key) | DeleteServer(service, key):
            return server_name(service, key, names)
        case SetTimeouts():
            return "idle connections"


def _detail(operation: Operation, have: Table) -> str:
    words = ""
    match operation:
        case AddService(_, service):
            words = service_words(service)
        case SetService(key, service):
            words = _service_change(have[key].service, service)
        case AddServer(_, _, server):
            words = server_words(server)
        case SetServer(service_key, server_key, server):
            words = _server_change(have[service_key].servers[server_key], server)
        case SetTimeouts(timeouts):
            words = timeout_words(timeouts)
    return words


def _touched(operation: Operation, have: Table) -> int:
    """Open connections that end, or whose packets take another way."""
    match operation:
        case DeleteService(key):
            return _service_connections(have.get(key))
        case DeleteServer(service, server_key):
            return _connections(have, service, server_key)
        case SetServer(service, server_key, server) if have[service].servers[server_key].forwarding is not server.forwarding:
            return _connections(have, service, server_key)
    return 0


def _service_name(key: ServiceKey, names: Names) -> str:
    name = names(key, None)
    return f"{name} ({key})" if name else str(key)


def server_name(service: ServiceKey, key: ServerKey, names: Names) -> str:
    """A real server as people know it: ``number2 of http (10.11.12.22:80)``."""
    name, virtual = names(service, key), names(service, None) or str(service)
    return f"{name} of {virtual} ({key})" if name else f"{key} of {virtual}"


def _service_facts(service: Service) -> dict[str, str]:
    """Setting by setting; one that is off is not there."""
    facts = {"scheduler": service.scheduler}
    if service.scheduler_flags:
        facts["scheduler flags"] = ", ".join(sorted(service.scheduler_flags))
    if service.persistence_timeout_s:
        facts["persistence"] = f"{service.persistence_timeout_s} s, clients by /{service.persistence_prefix}"
    if service.one_packet:
        facts["one packet"] = "on"
    if service.persistence_engine:
        facts["persistence engine"] = service.persistence_engine
    return facts


def service_words(service: Service) -> str:
    """A virtual server's settings: ``scheduler rr, persistence 60 s, clients by /32``."""
    return ", ".join(f"{fact} {value}" for fact, value in _service_facts(service).items())


def _service_change(before: Service, after: Service) -> str:
    old, new = _service_facts(before), _service_facts(after)
    facts = [fact for fact in dict.fromkeys([*new, *old]) if old.get(fact) != new.get(fact)]
    return ", ".join(f"{fact} {old.get(fact, 'off')} → {new.get(fact, 'off')}" for fact in facts)


def server_words(server: Server) -> str:
    """A real server's settings: ``weight 1, nat``."""
    words = [f"weight {server.weight}", server.forwarding.value]
    if server.upper_threshold:
        words.append(f"at most {server.upper_threshold} connections")
    return ", ".join(words)


def _server_change(before: Server, after: Server) -> str:
    pairs = (
        ("weight", before.weight, after.weight),
        ("forwarding", before.forwarding.value, after.forwarding.value),
        ("upper threshold", before.upper_threshold, after.upper_threshold),
        ("lower threshold", before.lower_threshold, after.lower_threshold),
    )
    return ", ".join(f"{what} {old} → {new}" for what, old, new in pairs if old != new)


def timeout_words(timeouts: Timeouts) -> str:
    """The idle limits that are set: ``tcp 900 s``."""
    pairs = (("tcp", timeouts.tcp_s), ("tcpfin", timeouts.tcpfin_s), ("udp", timeouts.udp_s))
    return ", ".join(f"{what} {seconds} s" for what, seconds in pairs if seconds)


def _connections(have: Table, service: ServiceKey, key: ServerKey) -> int:
    entry = have.get(service)
    return entry.server_counters.get(key, NO_COUNTERS).active if entry else 0


def _service_connections(entry: Entry | None) -> int:
    return sum(counters.active for counters in entry.server_counters.values()) if entry else 0
