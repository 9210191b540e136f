"""Interfaces with a shared hardware address over route netlink: the port ``VirtualMac``.

Each is a macvlan on an ordinary interface, marked as ours by its group, so that neither a kill nor a restart makes us forget it; others'
interfaces are never touched.  While one is there, the ordinary interface neither answers nor asks in the virtual addresses' names: it
would answer with a hardware address of its own.  What its settings were before stands in our interface's alias and is put back.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvsagent.adapters.links import IFF_UP
from lvsagent.adapters.netlink import CREATE, EXCL, NETLINK_ROUTE, NetlinkError, NetlinkSocket, attribute, attributes
from lvsagent.core.virtual_mac import device_name
from lvsagent.ports import AdapterError

GROUP = 0x6C7673
"""The group of every interface that this module makes."""

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_LINK_ADDRESS, _LINK_NAME, _LINK_PARENT, _LINK_INFO, _LINK_ALIAS, _LINK_SPEC, _LINK_GROUP = 1, 3, 5, 18, 20, 26, 27
_INFO_KIND, _INFO_DATA, _MACVLAN_MODE, _MODE_BRIDGE = 1, 2, 1, 4
_INET_CONF, _INET6_ADDRESS_MODE, _NO_ADDRESS = 1, 8, 1
_RP_FILTER, _ARP_ANNOUNCE, _ARP_IGNORE = 8, 18, 19
_QUIET = {_ARP_IGNORE: 1, _ARP_ANNOUNCE: 2}
"""Answer only for an interface's own addresses; ask in the name of an address of its own."""
_ASYMMETRIC = {_RP_FILTER: 2}
"""Clients come in by the shared address while the way to them is the ordinary interface."""
_HEADER = struct.Struct("=BxHiII")
_U32 = struct.Struct("=I")
_ALIAS = re.compile(r"lvsagent: shared by both directors; (.+) had arp_ignore=(\d+) arp_announce=(\d+)")

_Request = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class _Device:
    """An interface as far as this module cares; ``settings`` are IPv4's, by number."""

    index: int
    parent: int
    flags: int
    hardware: bytes
    group: int
    alias: str
    settings: Mapping[int, int]


class KernelVirtualMac:
    """In the network namespace that this process is in.  Nothing is remembered between calls."""

    async def have(self, wanted: Mapping[str, str], *, up: bool) -> tuple[tuple[str, str], ...]:
        """Have one on each interface named, up or down, and no other; those refused with the reason.  Raises AdapterError."""

        def work() -> tuple[tuple[str, str], ...]:
            with NetlinkSocket(NETLINK_ROUTE) as netlink:
                return _have(netlink, wanted, up=up)

        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise AdapterError(f"the kernel's interfaces do not answer: {error.strerror or error}") from error


def _have(netlink: NetlinkSocket, wanted: Mapping[str, str], *, up: bool) -> tuple[tuple[str, str], ...]:
    devices = _read(netlink)
    names = {device_name(interface) for interface in wanted}
    for name, device in devices.items():
        if device.group == GROUP and name not in names:
            _remove(netlink, device, devices)
    refused = {}
    for interface, hardware in wanted.items():
        try:
            _have_one(netlink, devices, interface, bytes.fromhex(hardware.replace(":", "")), up=up)
        except NetlinkError as error:
            refused[interface] = _words(error)
        except _Refused as reason:
            refused[interface] = str(reason)
    return tuple(refused.items())


class _Refused(Exception):
    """In words."""


def _have_one(netlink: NetlinkSocket, devices: Mapping[str, _Device], interface: str, hardware: bytes, *, up: bool) -> None:
    name = device_name(interface)
    parent, device = devices.get(interface), devices.get(name)
    if parent is None:
        raise _Refused(f"no interface {interface}")
    if device is not None and device.group != GROUP:
        raise _Refused(f"an interface {name} is there that the agent did not make")
    if device is not None and device.parent != parent.index:  # the ordinary interface was made anew under its old name
        _run(netlink, [_delete(device)])
        device = None
    if device is None:
        _run(netlink, [_create(name, parent, hardware)])
        device = _read(netlink)[name]
        netlink.run([_without_own_address(device.index)])  # refused where IPv6 is off: nothing to keep away then
    _run(netlink, _settle(device, parent, interface))
    if device.hardware != hardware:
        _run(netlink, [_set(device.index, attribute(_LINK_ADDRESS, hardware))])
    if bool(device.flags & IFF_UP) is not up:
        _run(netlink, [(_SETLINK, 0, _HEADER.pack(0, 0, device.index, IFF_UP if up else 0, IFF_UP))])


def _settle(device: _Device, parent: _Device, interface: str) -> list[_Request]:
    """Write down the ordinary interface's settings before they are changed, then make both interfaces quiet."""
    requests = []
    if not _ALIAS.fullmatch(device.alias):
        ignore, announce = (parent.settings.get(number, 0) for number in (_ARP_IGNORE, _ARP_ANNOUNCE))
        alias = f"lvsagent: shared by both directors; {interface} had arp_ignore={ignore} arp_announce={announce}"
        requests.append(_set(device.index, attribute(_LINK_ALIAS, alias.encode(errors="surrogateescape"))))
    for found, settings in ((device, _QUIET | _ASYMMETRIC), (parent, _QUIET)):
        missing = {number: value for number, value in settings.items() if found.settings.get(number, 0) < value}
        if missing:
            requests.append(_configure(found.index, missing))
    return requests


def _remove(netlink: NetlinkSocket, device: _Device, devices: Mapping[str, _Device]) -> None:
    """Take ours away and put back what the ordinary interface had."""
    requests = [_delete(device)]
    saved = _ALIAS.fullmatch(device.alias)
    parent = next((other for other in devices.values() if other.index == device.parent), None)
    if saved and parent:
        requests.append(_configure(parent.index, {_ARP_IGNORE: int(saved[2]), _ARP_ANNOUNCE: int(saved[3])}))
    _run(netlink, requests)


def _run(netlink: NetlinkSocket, requests: Sequence[_Request]) -> None:
    """All of them or the first error.  Raises NetlinkError."""
    for error in netlink.run(requests).values():
        raise error


# --- messages ------------------------------------------------------------------------------------------------------------------


def _read(netlink: NetlinkSocket) -> dict[str, _Device]:
    return dict(_decode(body) for body in netlink.dump(_GETLINK, _HEADER.pack(0, 0, 0, 0, 0)))


def _decode(body: bytes) -> tuple[str, _Device]:
    _family, _kind, index, flags, _change = _HEADER.unpack_from(body)
    found = {kind: body[start:end] for kind, start, end in attributes(body, _HEADER.size)}
    device = _Device(
        index=index,
        parent=_U32.unpack(found.get(_LINK_PARENT, bytes(4)))[0],
        flags=flags,
        hardware=found.get(_LINK_ADDRESS, b""),
        group=_U32.unpack(found.get(_LINK_GROUP, bytes(4)))[0],
        alias=_text(found.get(_LINK_ALIAS, b"")),
        settings=_ipv4_settings(found.get(_LINK_SPEC, b"")),
    )
    return _text(found[_LINK_NAME]), device


def _ipv4_settings(spec: bytes) -> dict[int, int]:
    for family, start, end in attributes(spec):
        if family == socket.AF_INET:
            for kind, inner, outer in attributes(spec, start, end):
                if kind == _INET_CONF:
                    return dict(enumerate((value for (value,) in _U32.iter_unpack(spec[inner:outer])), start=1))
    return {}


def _create(name: str, parent: _Device, hardware: bytes) -> _Request:
    info = attribute(_INFO_KIND, b"macvlan\0") + attribute(_INFO_DATA, attribute(_MACVLAN_MODE, _U32.pack(_MODE_BRIDGE)))
    body = (
        attribute(_LINK_NAME, name.encode(errors="surrogateescape") + b"\0")
        + attribute(_LINK_PARENT, _U32.pack(parent.index))
        + attribute(_LINK_ADDRESS, hardware)
        + attribute(_LINK_GROUP, _U32.pack(GROUP))
        + attribute(_LINK_INFO, info)
    )
    return _NEWLINK, CREATE | EXCL, _HEADER.pack(0, 0, 0, 0, 0) + body


def _delete(device: _Device) -> _Request:
    return _DELLINK, 0, _HEADER.pack(0, 0, device.index, 0, 0)


def _set(index: int, payload: bytes) -> _Request:
    return _SETLINK, 0, _HEADER.pack(0, 0, index, 0, 0) + payload


def _without_own_address(index: int) -> _Request:
    """No IPv6 link-local address: both directors would have the same."""
    return _set(index, attribute(_LINK_SPEC, attribute(socket.AF_INET6, attribute(_INET6_ADDRESS_MODE, bytes([_NO_ADDRESS])))))


def _configure(index: int, settings: Mapping[int, int]) -> _Request:
    values = b"".join(attribute(number, _U32.pack(value)) for number, value in settings.items())
    return _set(index, attribute(_LINK_SPEC, attribute(socket.AF_INET, attribute(_INET_CONF, values))))


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="surrogateescape")


def _words(error: NetlinkError) -> str:
    if error.errno == errno.EPERM:
        return "no privilege to make interfaces (CAP_NET_ADMIN)"
    if error.errno == errno.EOPNOTSUPP:
        return "the kernel has no macvlan interfaces (module macvlan)"
    if error.errno == errno.EBUSY:
        return "the interface is used in a way that allows no virtual hardware address on it (a port of a bridge or a bond?)"
    return f"{error.strerror} ({error.hint})" if error.hint else str(error.strerror)
