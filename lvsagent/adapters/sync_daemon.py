"""The kernel's IPVS sync daemon over generic netlink: the port ``SyncDaemon``.

Owns the daemon's messages and the words for refusals.  Which director is to be master, and when, is pulse's business.
"""

from __future__ import annotations

import asyncio
import errno
import struct
from collections.abc import Callable
from typing import TypeVar

from lvsagent.adapters.ipvs_kernel import resolve, why_unavailable
from lvsagent.adapters.ipvs_messages import header
from lvsagent.adapters.netlink import NETLINK_GENERIC, NetlinkError, NetlinkSocket, attribute, attributes
from lvsagent.ports import DataPlaneUnavailable, SyncThread

_NEW_DAEMON, _DEL_DAEMON, _GET_DAEMON = 9, 10, 11
_DAEMON = 3
_STATE, _INTERFACE, _SYNC_ID = 1, 2, 3
_ROLES = {"master": 1, "backup": 2}
_NAMES = {number: role for role, number in _ROLES.items()}
_INTERFACE_BYTES = 15
_SYNC_IDS = range(256)
_U32 = struct.Struct("=I")

Result = TypeVar("Result")


class KernelSyncDaemon:
    """The sync daemon of the network namespace that this process is in.  Nothing is remembered between calls."""

    async def read(self) -> tuple[SyncThread, ...]:
        """What runs now.  Raises DataPlaneUnavailable."""
        return await asyncio.to_thread(_in_conversation, _read)

    async def become(self, role: str, interface: str, sync_id: int) -> str:
        """Stop what does not fit, start what is missing; a refusal in words, or ``""``."""
        wanted = None if role == "off" else SyncThread(role, interface, sync_id)
        if wanted and (unsayable := _unsayable(wanted)):
            return unsayable
        try:
            return await asyncio.to_thread(_in_conversation, lambda netlink, family: _become(netlink, family, wanted))
        except DataPlaneUnavailable as error:
            return str(error) if wanted else ""


def _in_conversation(work: Callable[[NetlinkSocket, int], Result]) -> Result:
    try:
        with NetlinkSocket(NETLINK_GENERIC) as netlink:
            return work(netlink, resolve(netlink, b"IPVS"))
    except NetlinkError as error:
        raise DataPlaneUnavailable(why_unavailable(error)) from error
    except OSError as error:
        raise DataPlaneUnavailable(f"the kernel's IPVS does not answer: {error.strerror or error}") from error


def _read(netlink: NetlinkSocket, family: int) -> tuple[SyncThread, ...]:
    return tuple(_decode(body) for body in netlink.dump(family, header(_GET_DAEMON)))


def _become(netlink: NetlinkSocket, family: int, wanted: SyncThread | None) -> str:
    """A thread of the other role ends first: the kernel would run both."""
    running = _read(netlink, family)
    requests = [(family, 0, header(_DEL_DAEMON) + _encode(thread)) for thread in running if thread != wanted]
    if wanted and wanted not in running:
        requests.append((family, 0, header(_NEW_DAEMON) + _encode(wanted)))
    refused = [error for error in netlink.run(requests).values() if error.errno != errno.ESRCH]
    return _words(refused[-1], wanted) if refused else ""


def _encode(thread: SyncThread) -> bytes:
    return attribute(
        _DAEMON,
        attribute(_STATE, _U32.pack(_ROLES[thread.role]))
        + attribute(_INTERFACE, thread.interface.encode(errors="surrogateescape") + b"\0")
        + attribute(_SYNC_ID, _U32.pack(thread.sync_id)),
    )


def _decode(body: bytes) -> SyncThread:
    [(start, end)] = [(start, end) for kind, start, end in attributes(body, 4) if kind == _DAEMON]
    found = {kind: body[inner:outer] for kind, inner, outer in attributes(body, start, end)}
    interface = found[_INTERFACE].rstrip(b"\0").decode(errors="surrogateescape")
    return SyncThread(_NAMES[_U32.unpack(found[_STATE])[0]], interface, _U32.unpack(found[_SYNC_ID])[0])


def _unsayable(thread: SyncThread) -> str:
    if not thread.interface:
        return "the sync daemon needs an interface (syncd_iface)"
    if len(thread.interface.encode(errors="surrogateescape")) > _INTERFACE_BYTES:
        return f"the sync daemon cannot run: {thread.interface} is longer than an interface's name can be"
    if thread.sync_id not in _SYNC_IDS:
        return f"the sync daemon cannot run: syncd_id {thread.sync_id} is not from 0 to 255"
    return ""


def _words(error: NetlinkError, wanted: SyncThread | None) -> str:
    if error.errno == errno.ENODEV and wanted:
        return f"the sync daemon cannot run: no interface {wanted.interface}"
    if error.errno == errno.EPERM:
        return "no privilege to run the sync daemon (CAP_NET_ADMIN)"
    return f"the sync daemon cannot {'run' if wanted else 'be stopped'}: {error.strerror}"
