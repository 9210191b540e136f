"""What a process of the agent does to itself and to its children: privileges, the parent's death, titles, starting another one.

Owns the calls into the kernel.  Which process may keep what is decided in ``lvsagent.child``.  Nothing here starts a shell.
"""

from __future__ import annotations

import ctypes
import fcntl
import grp
import os
import pwd
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lvsagent.ports import AdapterError

CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12
CAP_NET_RAW = 13

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True, slots=True)
class User:
    """Who a process becomes."""

    name: str
    uid: int
    gid: int


def find_user(name: str) -> User:
    """The user of that name.  Raises AdapterError telling how to make it."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise AdapterError(
            f'there is no user "{name}" (check_user in agent.toml), as whom the health checks run. '
            f"Make it with: useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {name}"
        ) from None
    if entry.pw_uid == 0:
        raise AdapterError(f'check_user = "{name}" is root: health checks parse what real servers answer, and are never run as root')
    return User(name, entry.pw_uid, entry.pw_gid)


def find_group(name: str) -> int:
    """The number of the group of that name.  Raises AdapterError telling how to make it."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise AdapterError(
            f'there is no group "{name}" (socket_group in agent.toml), whose members may talk to the agent. '
            f"Make it with: groupadd --system {name}"
        ) from None


def is_root() -> bool:
    """Whether there are privileges to drop."""
    return os.geteuid() == 0


def keep_only(capabilities: Iterable[int], *, groups: Sequence[int] = ()) -> None:
    """Stay who one is, with these capabilities alone, for good: bounding set, ambient set and new privileges are closed too."""
    kept = frozenset(capabilities)
    os.setgroups(list(groups))
    _drop_bounding(kept)
    _set_capabilities(kept)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become(user: User, *, keep: Iterable[int] = ()) -> None:
    """Become ``user``, with no other group and no capability but those to ``keep``, for good."""
    kept = frozenset(keep)
    _drop_bounding(kept)
    os.setgroups([])
    _prctl(_PR_SET_KEEPCAPS, int(bool(kept)))  # the kernel takes it back with the next exec
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    _set_capabilities(kept)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.getresuid() != (user.uid,) * 3 or os.getresgid() != (user.gid,) * 3:
        raise AdapterError(f'could not become user "{user.name}"')


def leave_with_parent(parent: int, number: signal.Signals) -> bool:
    """Ask for signal ``number`` when the parent dies; false when it is already gone.

    Comes after privileges were dropped: the kernel forgets the wish when credentials change.
    """
    _prctl(_PR_SET_PDEATHSIG, int(number))
    return os.getppid() == parent


def set_title(title: str) -> None:
    """What ``ps`` shows, as command line and as command name."""
    from setproctitle import setproctitle  # noqa: PLC0415 -- lvsctl never needs it

    setproctitle(title)


def spawn(argv: Sequence[str], environment: Mapping[str, str], inherited: Sequence[int] = ()) -> int:
    """Start a program in its own process group with default signals; ``inherited`` files stay open in it.  Returns its process id."""
    for number in inherited:
        os.set_inheritable(number, True)
    try:
        return os.posix_spawn(
            argv[0],
            list(argv),
            dict(environment),
            setpgroup=0,  # Ctrl-C in a terminal reaches the supervisor alone, which then ends the others in order
            setsigmask=(),
            setsigdef=(signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE),
        )
    except OSError as error:
        raise AdapterError(f"{argv[0]} could not be started: {error.strerror}") from error
    finally:
        for number in inherited:
            os.set_inheritable(number, False)


def child_argv(name: str, config: Path, nannies: int) -> list[str]:
    """The command that starts one of the agent's processes; the working folder is kept off the import path.

    All are told how many nannies there are: agent.toml may have changed by the time one of them is started again.
    """
    options = ("--config", str(config), "--supervisor", str(os.getpid()), "--nannies", str(nannies))
    return [sys.executable, "-P", "-m", "lvsagent.cli", "child", name, *options]


def keep_out(numbers: Iterable[signal.Signals]) -> None:
    """These signals wait in the kernel from now on, also for the program that this process becomes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def let_in(numbers: Iterable[signal.Signals]) -> None:
    """They come in again, first of all those that have waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def waits(numbers: Iterable[signal.Signals]) -> bool:
    """Whether one of them has come and waits."""
    return not signal.sigpending().isdisjoint(numbers)


def restart_argv() -> list[str]:
    """The command that started this process (for a restart in place)."""
    return [sys.executable, *sys.orig_argv[1:]]


def become_program(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program, keeping its process id."""
    os.execv(argv[0], list(argv))  # noqa: S606 -- no shell is the point


def take_lock(path: Path) -> int | None:
    """Hold ``path`` as long as this process lives (a restart in place gives it up too); ``None`` when another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def _prctl(option: int, argument: int = 0) -> int:
    result = int(_libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {argument}): {os.strerror(number)}")
    return result


def _drop_bounding(kept: frozenset[int]) -> None:
    for capability in range(64):
        if capability in kept:
            continue
        try:
            if _prctl(_PR_CAPBSET_READ, capability):
                _prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            if capability > CAP_NET_RAW:
                return  # the kernel's last capability is behind us
            raise


def _set_capabilities(kept: frozenset[int]) -> None:
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)()
    for capability in kept:
        word, bit = divmod(capability, 32)
        sets[word].effective |= 1 << bit
        sets[word].permitted |= 1 << bit
    if _libc.capset(ctypes.byref(header), sets) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
