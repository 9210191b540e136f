"""A data plane that forwards nothing and otherwise behaves like the kernel's table: what it refuses, keeps and forgets.

Held to the real ones by ``tests/contract/test_ipvs_contract.py``.  Tests look at ``table``, set counters, or tamper with it as somebody
with ipvsadm would (``clear``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from app.lvscf.model import Forwarding, Scheduler
from lvsagent.core.table import (
    NO_COUNTERS,
    AddServer,
    AddService,
    Counters,
    DeleteServer,
    DeleteService,
    Entry,
    Family,
    Operation,
    Refusal,
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
from lvsagent.ports import DataPlaneInfo, DataPlaneUnavailable

KERNEL_TIMEOUTS = Timeouts(tcp_s=900, tcpfin_s=120, udp_s=300)


class FakeIpvs:
    """An IPVS table in memory.

    ``unavailable``: in words, why there is no IPVS (``open`` raises).  ``missing_schedulers``: modules this "kernel" lacks.
    ``refuse``: extra reason to refuse an operation, for tests that need a particular failure.  ``batches`` is what was applied, in order.
    """

    def __init__(self, *, unavailable: str = "", missing_schedulers: Iterable[str] = ()) -> None:
        self.unavailable = unavailable
        self.missing_schedulers = set(missing_schedulers)
        self.refuse: Callable[[Operation], str] = lambda _operation: ""
        self.timeouts = KERNEL_TIMEOUTS
        self.batches: list[tuple[Operation, ...]] = []
        self.opened = 0
        self.closed = 0
        self.reads = 0
        self._services: dict[ServiceKey, Service] = {}
        self._servers: dict[ServiceKey, dict[ServerKey, Server]] = {}
        self._counters: dict[tuple[ServiceKey, ServerKey | None], Counters] = {}

    # --- the port ------------------------------------------------------------------------------------------------------------

    async def open(self) -> DataPlaneInfo:
        """Get ready, unless the test said there is no IPVS."""
        self._check_available()
        self.opened += 1
        return DataPlaneInfo(kind="kernel", version="1.2.1", connection_table_size=4096)

    async def read(self) -> Table:
        """A copy of the table with the counters the test set."""
        self._check_available()
        self.reads += 1
        return self.table

    async def read_timeouts(self) -> Timeouts:
        """The idle limits in force."""
        self._check_available()
        return self.timeouts

    async def apply(self, operations: Sequence[Operation]) -> tuple[Refusal, ...]:
        """Carry out what the kernel would, refuse what it would refuse, and remember the batch."""
        self._check_available()
        self.batches.append(tuple(operations))
        refusals = []
        for operation in operations:
            reason = self.refuse(operation) or self._apply_one(operation)
            if reason:
                refusals.append(Refusal(operation, reason))
        return tuple(refusals)

    async def close(self) -> None:
        """The table stays, as in the kernel."""
        self.closed += 1

    # --- for tests -----------------------------------------------------------------------------------------------------------

    @property
    def table(self) -> Table:
        """What is in the table now."""
        return {
            key: Entry(
                service=service,
                servers=dict(self._servers[key]),
                counters=self._counters.get((key, None), NO_COUNTERS),
                server_counters={server: self._counters.get((key, server), NO_COUNTERS) for server in self._servers[key]},
            )
            for key, service in self._services.items()
        }

    @property
    def operations(self) -> list[Operation]:
        """Every operation that was asked for, in order."""
        return [operation for batch in self.batches for operation in batch]

    def set_counters(self, service: ServiceKey, server: ServerKey | None, counters: Counters) -> None:
        """Give a virtual server (``server`` None) or one of its real servers these counters."""
        if service not in self._services or (server is not None and server not in self._servers[service]):
            raise KeyError((service, server))
        self._counters[service, server] = counters

    def clear(self) -> None:
        """What ``ipvsadm -C`` does behind everybody's back."""
        self._services.clear()
        self._servers.clear()
        self._counters.clear()

    # --- inside --------------------------------------------------------------------------------------------------------------

    def _check_available(self) -> None:
        if self.unavailable:
            raise DataPlaneUnavailable(self.unavailable)

    def _apply_one(self, operation: Operation) -> str:
        match operation:
            case AddService() | SetService():
                return self._put_service(operation)
            case DeleteService(key=key):
                return self._delete_service(key)
            case AddServer() | SetServer():
                return self._put_server(operation)
            case DeleteServer(service=service, key=server_key):
                return self._delete_server(service, server_key)
            case SetTimeouts(timeouts=timeouts):
                wanted = {name: getattr(timeouts, name) for name in ("tcp_s", "tcpfin_s", "udp_s")}
                self.timeouts = replace(self.timeouts, **{name: value for name, value in wanted.items() if value})
        return ""

    def _put_service(self, operation: AddService | SetService) -> str:
        key, service = operation.key, operation.service
        adding = isinstance(operation, AddService)
        if adding and key in self._services:
            return f"virtual server {key}: exists already"
        if not adding and key not in self._services:
            return f"virtual server {key}: no such virtual server"
        if service.scheduler in self.missing_schedulers or service.scheduler not in set(Scheduler):
            return f"scheduler {service.scheduler}: module missing"
        lowest, highest = (1, 128) if key.family is Family.IPV6 else (0, 32)
        if not lowest <= service.persistence_prefix <= highest:
            return f"virtual server {key}: persistence netmask /{service.persistence_prefix} out of range"
        self._services[key] = service
        self._servers.setdefault(key, {})
        return ""

    def _delete_service(self, key: ServiceKey) -> str:
        if key not in self._services:
            return f"virtual server {key}: no such virtual server"
        del self._services[key]
        del self._servers[key]
        for counted in [counted for counted in self._counters if counted[0] == key]:
            del self._counters[counted]
        return ""

    def _put_server(self, operation: AddServer | SetServer) -> str:
        key, server = operation.key, operation.server
        servers = self._servers.get(operation.service)
        if servers is None:
            return f"virtual server {operation.service}: no such virtual server"
        mixed = (":" in key.address) != (operation.service.family is Family.IPV6)
        if mixed and server.forwarding is not Forwarding.TUNNEL:
            return f"real server {key} of {operation.service}: another address family needs forwarding tunnel"
        if server.weight < 0 or server.lower_threshold > server.upper_threshold:
            return f"real server {key} of {operation.service}: weight or thresholds out of range"
        adding = isinstance(operation, AddServer)
        if adding and key in servers:
            return f"real server {key} of {operation.service}: exists already"
        if not adding and key not in servers:
            return f"real server {key} of {operation.service}: no such real server"
        servers[key] = server
        return ""

    def _delete_server(self, service: ServiceKey, key: ServerKey) -> str:
        servers = self._servers.get(service)
        if servers is None:
            return f"virtual server {service}: no such virtual server"
        if key not in servers:
            return f"real server {key} of {service}: no such real server"
        del servers[key]
        self._counters.pop((service, key), None)
        return ""
