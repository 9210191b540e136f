"""The kernel's IPVS table over generic netlink: the port ``Ipvs`` for real directors.

Owns the conversation and the words for what the kernel refuses.  It decides nothing: what to change is ``lvsagent.core.plan``'s business.
Netlink calls block for as long as the kernel works, so they run in a thread, in chunks, one at a time.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from lvsagent.adapters import ipvs_messages as messages
from lvsagent.adapters.ipvs_words import words
from lvsagent.adapters.netlink import NETLINK_GENERIC, NetlinkError, NetlinkSocket, attribute, attributes
from lvsagent.core.table import Counters, Entry, Operation, Refusal, Server, ServerKey, Service, ServiceKey, Table, Timeouts
from lvsagent.garbage import uncollected
from lvsagent.ports import DataPlaneInfo, DataPlaneUnavailable

_CONTROL_FAMILY = 16
_GET_FAMILY = 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_CHUNK = 20_000
"""A twentieth of a second: whoever ends the agent does not wait for longer."""

Result = TypeVar("Result")


class KernelIpvs:
    """The table of the network namespace in which ``open()`` is called.  Forwarding goes on whatever becomes of this object."""

    def __init__(self) -> None:
        self._netlink: NetlinkSocket | None = None
        self._family = 0
        self._lock = asyncio.Lock()

    async def open(self) -> DataPlaneInfo:
        """Find IPVS in the kernel.  Raises DataPlaneUnavailable: no module, or no privilege."""
        await self.close()
        version, buckets = await self._in_thread(self._open)
        return DataPlaneInfo(kind="kernel", version=version, connection_table_size=buckets)

    async def read(self) -> Table:
        """The whole table, other people's entries included."""
        return await self._in_thread(self._read)

    async def read_timeouts(self) -> Timeouts:
        """The idle limits in force."""
        return await self._in_thread(lambda: messages.decode_timeouts(self._socket.ask(self._family, messages.header(messages.GET_CONFIG))))

    async def apply(self, operations: Sequence[Operation]) -> tuple[Refusal, ...]:
        """Carry the operations out in order; what the kernel refuses comes back in words, the rest is done."""
        refusals: list[Refusal] = []
        for start in range(0, len(operations), _CHUNK):
            refusals += await self._in_thread(partial(self._apply, operations[start : start + _CHUNK]))
        return tuple(refusals)

    async def close(self) -> None:
        """Let go of the socket; the table stays."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        async with self._lock:
            try:
                return await asyncio.to_thread(work)
            except OSError as error:
                raise DataPlaneUnavailable(f"the kernel's IPVS does not answer: {error.strerror or error}") from error

    @property
    def _socket(self) -> NetlinkSocket:
        if self._netlink is None:
            raise DataPlaneUnavailable("the kernel's IPVS has not been opened")
        return self._netlink

    def _open(self) -> tuple[str, int]:
        netlink = NetlinkSocket(NETLINK_GENERIC)
        try:
            self._family = resolve(netlink, b"IPVS")
            answer = netlink.ask(self._family, messages.header(messages.GET_INFO))
        except NetlinkError as error:
            netlink.close()
            raise DataPlaneUnavailable(why_unavailable(error)) from error
        self._netlink = netlink
        return messages.decode_info(answer)

    def _read(self) -> Table:
        with uncollected():
            entries = [messages.decode_service(body) for body in self._socket.dump(self._family, messages.all_services())]
            return {key: self._entry(key, service, counters) for key, service, counters in entries}

    def _entry(self, key: ServiceKey, service: Service, counters: Counters) -> Entry:
        servers: dict[ServerKey, Server] = {}
        server_counters: dict[ServerKey, Counters] = {}
        for body in self._servers_of(key):
            server_key, server, counted = messages.decode_server(body, key.family)
            servers[server_key] = server
            server_counters[server_key] = counted
        return Entry(service, servers, counters, server_counters)

    def _servers_of(self, key: ServiceKey) -> list[bytes]:
        try:
            return self._socket.dump(self._family, messages.servers_of(key))
        except NetlinkError as error:
            if error.errno == errno.ESRCH:  # somebody removed it since the list was read
                return []
            raise

    def _apply(self, operations: Sequence[Operation]) -> list[Refusal]:
        refusals: dict[int, Refusal] = {}

        def requests() -> Iterator[tuple[int, int, bytes]]:
            for place, operation in enumerate(operations):
                try:
                    yield self._family, 0, messages.encode(operation)
                except ValueError as unsayable:
                    refusals[place] = Refusal(operation, str(unsayable))

        with uncollected():
            refused = self._socket.run(requests())
        sent = [place for place in range(len(operations)) if place not in refusals] if refused else []
        for index, error in refused.items():
            operation = operations[sent[index]]
            refusals[sent[index]] = Refusal(operation, words(operation, error))
        return [refusals[place] for place in sorted(refusals)]


def resolve(netlink: NetlinkSocket, name: bytes) -> int:
    """The number that a generic netlink family has in this kernel; asking for one that is not loaded makes the kernel try to load it."""
    answer = netlink.ask(_CONTROL_FAMILY, messages.header(_GET_FAMILY) + attribute(_FAMILY_NAME, name + b"\0"))
    for kind, start, end in attributes(answer, 4):
        if kind == _FAMILY_ID:
            return int.from_bytes(answer[start:end], "little")
    raise NetlinkError(errno.ENOENT)


def why_unavailable(error: NetlinkError) -> str:
    if error.errno == errno.ENOENT:
        return "the kernel has no IPVS: load it with `modprobe ip_vs`, and have it loaded at every start (modules-load.d)"
    if error.errno == errno.EPERM:
        return "no privilege to use the kernel's IPVS: the agent needs CAP_NET_ADMIN (run it as root, or from its systemd unit)"
    return f"the kernel's IPVS does not answer: {error.strerror}"
