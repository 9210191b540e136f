"""Who is at the other end of the agent's socket, and what they may call.

Owns that one question.  The kernel's word (SO_PEERCRED, SO_PEERGROUPS) counts, never what a caller says of itself.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

SO_PEERGROUPS = 59
"""In the kernel since 4.13; Python has no name for it."""
PEER_ROUTE = "POST /v1/peer"
"""What the other director asks, carried by ``lvsagent receive``."""
MOST_GROUPS = 256
"""What Python's getsockopt has room for; a process in more groups is known by those listed for its user."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A process that has connected, as it was then."""

    pid: int
    uid: int
    groups: frozenset[int]


def caller_of(connected: socket.socket) -> Caller:
    """The peer of a Unix socket, with its own groups and those that the user data base gives its user."""
    size = struct.calcsize("3i")
    pid, uid, gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return Caller(pid, uid, frozenset({gid}) | _process_groups(connected) | _listed_groups(uid, gid))


def may_call(caller: Caller, route: str, *, socket_group: str, sync_user: str) -> bool:
    """Whether this caller may use a route (``POST /v1/peer``; ``""``: there is no such route).

    Root and the agent's own user may use all.  The user as whom the other director comes may use that one route and no other, whatever
    groups it is in; members of the socket's group every other one.
    """
    if caller.uid in {0, os.geteuid()}:
        return True
    if caller.uid == _uid(sync_user):
        return route == PEER_ROUTE
    return route != PEER_ROUTE and _gid(socket_group) in caller.groups


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def name_of(caller: Caller) -> str:
    """The local user at the other end."""
    try:
        return pwd.getpwuid(caller.uid).pw_name
    except KeyError:
        return f"user id {caller.uid}"


def _process_groups(connected: socket.socket) -> frozenset[int]:
    try:
        packed = connected.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MOST_GROUPS)
    except OSError:
        return frozenset()
    return frozenset(struct.unpack(f"{len(packed) // 4}I", packed))


def _listed_groups(uid: int, gid: int) -> frozenset[int]:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return frozenset()
    return frozenset(os.getgrouplist(name, gid))
