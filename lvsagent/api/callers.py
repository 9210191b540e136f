"""Who is at the other end of the agent's socket, and whether they may speak.

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


def may_speak(caller: Caller, socket_group: str) -> bool:
    """Root, the agent's own user, and members of the socket's group."""
    if caller.uid in {0, os.geteuid()}:
        return True
    try:
        return grp.getgrnam(socket_group).gr_gid in caller.groups
    except KeyError:
        return False


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
