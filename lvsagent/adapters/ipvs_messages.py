"""IPVS in generic netlink's terms: operations to bytes, bytes to table entries.  No socket here.

The kernel's words (service, destination, forwarding method) end at this module's border.  Layouts are packed and read with ``struct``,
because a table of thousands is written and read with them.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from app.lvscf.model import Forwarding, Protocol
from lvsagent.adapters.netlink import attribute, attributes
from lvsagent.core.table import (
    AddServer,
    AddService,
    Counters,
    DeleteServer,
    DeleteService,
    Family,
    Operation,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SetServer,
    SetService,
    SetTimeouts,
    Timeouts,
)

NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
SET_CONFIG, GET_CONFIG, GET_INFO = 12, 13, 15

_VERSION = 1
_SERVICE, _DEST, _TIMEOUT_TCP, _TIMEOUT_TCP_FIN, _TIMEOUT_UDP = 1, 2, 4, 5, 6
_SVC_AF, _SVC_PROTOCOL, _SVC_ADDR, _SVC_PORT, _SVC_FWMARK, _SVC_SCHED, _SVC_FLAGS, _SVC_TIMEOUT, _SVC_NETMASK = range(1, 10)
_SVC_STATS, _SVC_PE_NAME, _SVC_STATS64 = 10, 11, 12
_DEST_ADDR, _DEST_PORT, _DEST_METHOD, _DEST_WEIGHT, _DEST_UPPER, _DEST_LOWER, _DEST_ACTIVE, _DEST_INACTIVE, _DEST_PERSISTENT = range(1, 10)
_DEST_STATS, _DEST_FAMILY, _DEST_STATS64 = 10, 11, 12

_F_PERSISTENT, _F_ONE_PACKET = 0x1, 0x4
_SCHEDULER_FLAGS = {"flag-1": 0x8, "flag-2": 0x10, "flag-3": 0x20}
_FLAGS_WE_SET = 0xFFFFFFFF
_NAME_BYTES = 15

_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_PROTOCOLS = {Protocol.TCP: socket.IPPROTO_TCP, Protocol.UDP: socket.IPPROTO_UDP, Protocol.SCTP: 132}
_PROTOCOL_NAMES = {number: protocol for protocol, number in _PROTOCOLS.items()}
_METHODS = {Forwarding.NAT: 0, Forwarding.TUNNEL: 2, Forwarding.DIRECT: 3}
_FORWARDINGS = {number: forwarding for forwarding, number in _METHODS.items()} | {1: Forwarding.DIRECT, 4: Forwarding.DIRECT}
"""A server on the director itself (1) and a cache bypass (4) are other tools' entries; what arrives there is not rewritten."""

_U16, _PORT, _U32, _U64 = struct.Struct("=H"), struct.Struct("!H"), struct.Struct("=I"), struct.Struct("=Q")
_DEST_KEY = struct.Struct("=HHHH16sHH2s2xHHH2x")
_DEST_WHOLE = struct.Struct("=II16sIH2xIH2xIIIiIIII")
_DEST_HEADS = tuple(
    _U32.unpack(struct.pack("=HH", size, kind))[0]
    for size, kind in [
        *((_DEST_WHOLE.size, _DEST), (20, _DEST_ADDR), (6, _DEST_PORT), (6, _DEST_FAMILY)),
        *((8, kind) for kind in (_DEST_METHOD, _DEST_WEIGHT, _DEST_UPPER, _DEST_LOWER)),
    ]
)
"""The attributes' headers, length and kind in one number."""


def header(command: int) -> bytes:
    """generic netlink's own header."""
    return struct.pack("=BBH", command, _VERSION, 0)


def _u16(kind: int, value: int) -> bytes:
    return attribute(kind, _U16.pack(value))


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, _U32.pack(value))


# --- operations to bytes -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def _address_bytes(address: str) -> tuple[int, bytes]:
    """Address family and the sixteen bytes that the kernel has for either."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return family, socket.inet_pton(family, address).ljust(16, b"\0")
    except OSError:
        raise ValueError(f"{address} is not an IP address") from None


def _key_attributes(key: ServiceKey) -> bytes:
    family = _u16(_SVC_AF, _FAMILIES[key.family])
    if key.fwmark:
        return family + _u32(_SVC_FWMARK, key.fwmark)
    protocol = _u16(_SVC_PROTOCOL, _PROTOCOLS[key.protocol or Protocol.TCP])
    return family + protocol + attribute(_SVC_ADDR, _address_bytes(key.address)[1]) + attribute(_SVC_PORT, _PORT.pack(key.port))


@lru_cache(maxsize=65536)
def service_key(key: ServiceKey) -> bytes:
    """Which virtual server a message is about: an attribute for every message about it or its real servers."""
    return attribute(_SERVICE, _key_attributes(key))


def _service(key: ServiceKey, service: Service) -> bytes:
    flags = _F_PERSISTENT if service.persistence_timeout_s else 0
    flags |= _F_ONE_PACKET if service.one_packet else 0
    for name in service.scheduler_flags:
        flags |= _SCHEDULER_FLAGS[name]
    if key.family is Family.IPV6:
        netmask = _U32.pack(service.persistence_prefix)
    else:
        netmask = ((0xFFFFFFFF << (32 - service.persistence_prefix)) & 0xFFFFFFFF).to_bytes(4, "big")
    settings = [
        _key_attributes(key),
        attribute(_SVC_SCHED, service.scheduler.encode() + b"\0"),
        attribute(_SVC_FLAGS, _U32.pack(flags) + _U32.pack(_FLAGS_WE_SET)),
        _u32(_SVC_TIMEOUT, service.persistence_timeout_s),
        attribute(_SVC_NETMASK, netmask),
    ]
    if service.persistence_engine:
        settings.append(attribute(_SVC_PE_NAME, service.persistence_engine.encode() + b"\0"))
    return attribute(_SERVICE, b"".join(settings))


def _server_key(key: ServerKey) -> bytes:
    """A destination attribute that says which server it is."""
    family, address = _address_bytes(key.address)
    return _DEST_KEY.pack(
        *(_DEST_KEY.size, _DEST),
        *(20, _DEST_ADDR, address),
        *(6, _DEST_PORT, key.port.to_bytes(2, "big")),
        *(6, _DEST_FAMILY, family),
    )


def _server(key: ServerKey, server: Server) -> bytes:
    """A destination attribute with its settings, by the shortest way there is: a table of thousands is made of these."""
    family, address = _address_bytes(key.address)
    method = 0 if server.forwarding is Forwarding.NAT else _METHODS[server.forwarding]
    whole, place, port, kind, forwarding, weight, upper, lower = _DEST_HEADS
    key_values = (whole, place, address, port, socket.htons(key.port), kind, family)
    return _DEST_WHOLE.pack(
        *key_values, forwarding, method, weight, server.weight, upper, server.upper_threshold, lower, server.lower_threshold
    )


_HEADERS = {command: header(command) for command in range(1, 18)}


def encode(operation: Operation) -> bytes:
    """An operation as a generic netlink message.  Raises ValueError, in words, for what no message can say."""
    command = _COMMANDS[type(operation)]
    if isinstance(operation, (AddServer, SetServer)):  # nearly all of a large table
        try:
            return _beginning(command, operation.service) + _server(operation.key, operation.server)
        except struct.error:
            raise ValueError(f"real server {operation.key} of {operation.service}: weight or thresholds out of range") from None
    return _HEADERS[command] + _body(operation)


@lru_cache(maxsize=65536)
def _beginning(command: int, key: ServiceKey) -> bytes:
    """What all messages have in common that do the same to real servers of one virtual server."""
    return _HEADERS[command] + service_key(key)


_COMMANDS = {
    AddService: NEW_SERVICE,
    SetService: SET_SERVICE,
    DeleteService: DEL_SERVICE,
    AddServer: NEW_DEST,
    SetServer: SET_DEST,
    DeleteServer: DEL_DEST,
    SetTimeouts: SET_CONFIG,
}


def _body(operation: AddService | SetService | DeleteService | DeleteServer | SetTimeouts) -> bytes:
    match operation:
        case DeleteServer(of, server_key):
            return service_key(of) + _server_key(server_key)
        case AddService(key, service) | SetService(key, service):
            if why_not := _unsayable(key, service):
                raise ValueError(why_not)
            return _service(key, service)
        case DeleteService(key):
            return service_key(key)
        case SetTimeouts(timeouts):
            return _timeouts(timeouts)


def _timeouts(timeouts: Timeouts) -> bytes:
    pairs = ((_TIMEOUT_TCP, timeouts.tcp_s), (_TIMEOUT_TCP_FIN, timeouts.tcpfin_s), (_TIMEOUT_UDP, timeouts.udp_s))
    return b"".join(_u32(kind, seconds) for kind, seconds in pairs if seconds)


def _unsayable(key: ServiceKey, service: Service) -> str:
    """Why no message can carry these settings, in words; ``""`` when one can.  All other limits are the kernel's to know."""
    if key.family is Family.IPV4 and not 0 <= service.persistence_prefix <= 32:
        return f"virtual server {key}: persistence netmask /{service.persistence_prefix} out of range"
    if unknown := sorted(service.scheduler_flags - _SCHEDULER_FLAGS.keys()):
        return f"virtual server {key}: no scheduler flag {', '.join(unknown)}"
    return f"scheduler {service.scheduler}: module missing" if len(service.scheduler.encode()) > _NAME_BYTES else ""


# --- requests for what is there ------------------------------------------------------------------------------------------------


def all_services() -> bytes:
    """The body of a dump request for every virtual server."""
    return header(GET_SERVICE)


def servers_of(key: ServiceKey) -> bytes:
    """The body of a dump request for the real servers of one virtual server: the kernel has no dump of all of them."""
    return _HEADERS[GET_DEST] + service_key(key)


# --- bytes to entries ----------------------------------------------------------------------------------------------------------

Path = tuple[int, ...]


class _Layout:
    """Where the wanted values stand in messages of one shape.

    The kernel writes the same attributes in the same order every time, so the walk through them is done once; after that the attribute
    headers are compared, all at once, and the values taken, all at once.
    """

    def __init__(self, body: bytes, wanted: Sequence[Path], texts: frozenset[Path]) -> None:
        headers: list[tuple[int, str]] = []
        values: list[tuple[int, str, Path]] = []
        self._walk(body, (4, len(body)), (), headers, values)
        kept = [(start, _code(path, code, texts), path) for start, code, path in values if path in wanted]
        self._headers = _sparse([(start, code) for start, code in headers], len(body))
        self._expected = self._headers.unpack(body)
        self._values = _sparse([(start, code) for start, code, _path in kept], len(body))
        order = {path: number for number, (_start, _code, path) in enumerate(kept)}
        self._pick: Any = itemgetter(*(order.get(path, len(kept)) for path in wanted))

    def read(self, body: bytes) -> tuple[Any, ...] | None:
        """The wanted values (0 for what the kernel does not send); ``None``: a message of another shape."""
        if self._headers.unpack(body) != self._expected:
            return None
        picked: tuple[Any, ...] = self._pick((*self._values.unpack(body), 0))
        return picked

    def _walk(
        self, body: bytes, span: tuple[int, int], path: Path, headers: list[tuple[int, str]], values: list[tuple[int, str, Path]]
    ) -> None:
        for kind, start, end in attributes(body, *span):
            here = (*path, kind)
            headers.append((start - 4, "I"))
            if here in _NESTED:
                self._walk(body, (start, end), here, headers, values)
            else:
                values.append((start, f"{end - start}s", here))


_NESTED = {
    (_SERVICE,),
    (_SERVICE, _SVC_STATS),
    (_SERVICE, _SVC_STATS64),
    (_DEST,),
    (_DEST, _DEST_STATS),
    (_DEST, _DEST_STATS64),
}
_INTEGERS = {"1s": "B", "2s": "H", "4s": "I", "8s": "Q"}


def _code(path: Path, code: str, texts: frozenset[Path]) -> str:
    return code if path in texts else _INTEGERS.get(code, code)


def _sparse(fields: list[tuple[int, str]], size: int) -> struct.Struct:
    """A Struct that takes the fields at these places and steps over everything else."""
    layout, position = "=", 0
    for start, code in fields:
        layout += f"{start - position}x{code}"
        position = start + struct.calcsize("=" + code)
    return struct.Struct(f"{layout}{size - position}x")


class _Reader:
    """Layouts by message length; several shapes of one length are tried in turn."""

    _LIMIT = 64

    def __init__(self, wanted: Sequence[Path], texts: Sequence[Path]) -> None:
        self._wanted = wanted
        self._texts = frozenset(texts)
        self._layouts: dict[int, list[_Layout]] = {}

    def read(self, body: bytes) -> tuple[Any, ...]:
        layouts = self._layouts.setdefault(len(body), [])
        for layout in layouts:
            values = layout.read(body)
            if values is not None:
                return values
        if len(layouts) >= self._LIMIT:
            layouts.clear()
        layouts.append(_Layout(body, self._wanted, self._texts))
        return self.read(body)


def _counters(path: Path) -> list[Path]:
    """Connections, packets in and out, bytes in and out."""
    return [(*path, kind) for kind in range(1, 6)]


_SERVICE_FIELDS = [(_SERVICE, kind) for kind in (*range(_SVC_AF, _SVC_NETMASK + 1), _SVC_PE_NAME)]
_SERVICE_STATS, _SERVICE_STATS64 = _counters((_SERVICE, _SVC_STATS)), _counters((_SERVICE, _SVC_STATS64))
_DEST_FIELDS = [(_DEST, kind) for kind in (*range(_DEST_ADDR, _DEST_PERSISTENT + 1), _DEST_FAMILY)]
_DEST_COUNTS, _DEST_COUNTS64 = _counters((_DEST, _DEST_STATS)), _counters((_DEST, _DEST_STATS64))

_services = _Reader(
    [*_SERVICE_FIELDS, *_SERVICE_STATS, *_SERVICE_STATS64],
    [(_SERVICE, kind) for kind in (_SVC_ADDR, _SVC_PORT, _SVC_SCHED, _SVC_FLAGS, _SVC_NETMASK, _SVC_PE_NAME)],
)
_dests = _Reader([*_DEST_FIELDS, *_DEST_COUNTS, *_DEST_COUNTS64], [(_DEST, kind) for kind in (_DEST_ADDR, _DEST_PORT)])


@lru_cache(maxsize=65536)
def _address_text(family: int, data: bytes) -> str:
    if family == socket.AF_INET6:
        return str(ipaddress.IPv6Address(data))
    return socket.inet_ntop(socket.AF_INET, data[:4])


def _text(data: bytes | int) -> str:
    return data.rstrip(b"\0").decode("ascii", "replace") if isinstance(data, bytes) else ""


def decode_service(body: bytes) -> tuple[ServiceKey, Service, Counters]:
    """One message of the dump of all virtual servers."""
    values = _services.read(body)
    number, protocol, address, port, fwmark, scheduler, flag_bytes, timeout, netmask, engine = values[:10]
    family = Family.IPV6 if number == socket.AF_INET6 else Family.IPV4
    if fwmark:
        key = ServiceKey(family, fwmark=fwmark)
    else:
        protocol_name = _PROTOCOL_NAMES.get(protocol, Protocol.TCP)
        key = ServiceKey(family, protocol_name, _address_text(number, address), int.from_bytes(port, "big"))
    flags = _U32.unpack_from(flag_bytes)[0]
    service = Service(
        scheduler=_text(scheduler),
        persistence_timeout_s=timeout if flags & _F_PERSISTENT else 0,
        persistence_prefix=_prefix(family, netmask),
        one_packet=bool(flags & _F_ONE_PACKET),
        scheduler_flags=frozenset(name for name, bit in _SCHEDULER_FLAGS.items() if flags & bit),
        persistence_engine=_text(engine),
    )
    return key, service, _counted(values[10:20])


def decode_server(body: bytes, family: Family) -> tuple[ServerKey, Server, Counters]:
    """One message of the dump of a virtual server's real servers; ``family`` is the virtual server's."""
    values = _dests.read(body)
    address, port, method, weight, upper, lower, active, inactive, persistent, number = values[:10]
    key = ServerKey(_address_text(number or _FAMILIES[family], address), int.from_bytes(port, "big"))
    server = Server(weight, _FORWARDINGS.get(method & 7, Forwarding.NAT), upper, lower)
    return key, server, _counted(values[10:20], active, inactive, persistent)


def _counted(totals: tuple[int, ...], active: int = 0, inactive: int = 0, persistent: int = 0) -> Counters:
    """The 64-bit totals where the kernel has them: the others start again at 4,294,967,296."""
    narrow, wide = totals[:5], totals[5:]
    connections, packets_in, packets_out, bytes_in, bytes_out = wide if any(wide) else narrow
    return Counters(connections, packets_in, packets_out, bytes_in, bytes_out, active, inactive, persistent)


def _prefix(family: Family, netmask: bytes) -> int:
    if family is Family.IPV6:
        return int(_U32.unpack(netmask)[0])
    return int.from_bytes(netmask, "big").bit_count()


def decode_timeouts(body: bytes) -> Timeouts:
    """The answer to GET_CONFIG."""
    found = {kind: _U32.unpack_from(body, start)[0] for kind, start, _end in attributes(body, 4)}
    return Timeouts(found.get(_TIMEOUT_TCP, 0), found.get(_TIMEOUT_TCP_FIN, 0), found.get(_TIMEOUT_UDP, 0))


def decode_info(body: bytes) -> tuple[str, int]:
    """The answer to GET_INFO: IPVS's version, and the size of its connection table in buckets."""
    found = {kind: _U32.unpack_from(body, start)[0] for kind, start, _end in attributes(body, 4)}
    version = found.get(1, 0)
    return f"{version >> 16 & 255}.{version >> 8 & 255}.{version & 255}", found.get(2, 0)
