"""What lets a process wake up in time on a busy host: real-time priority, locked memory, and a collector that waits.

Owns the calls into the kernel and the interpreter.  Where the host does not permit one of them, that is said in words and all goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor

PRIORITY = 10
"""Above every ordinary process, below the kernel's own threads."""

_RLIMIT_RTPRIO = 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_THREADS = 4
_STACK_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def permit() -> None:
    """While there are privileges: raise this process's own limits, so that ``engage`` may do its work when they are gone."""
    for limit, value in ((_RLIMIT_RTPRIO, PRIORITY), (resource.RLIMIT_MEMLOCK, resource.RLIM_INFINITY)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


def forgo() -> None:
    """Neither this process nor anything that it starts may ever have real-time priority: a service manager's limits are meant for pulse."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(_RLIMIT_RTPRIO, (0, 0))


def engage() -> list[str]:
    """Real-time priority and locked memory for this process; returns in words what this host does not permit."""
    refused = []
    if reason := _raise_priority():
        refused.append(f"real-time priority is not permitted here ({reason}): on a busy host heartbeats may be late")
    if reason := _lock_memory():
        refused.append(f"memory cannot be locked here ({reason}): on a host short of memory heartbeats may be late")
    return refused


def threads() -> ThreadPoolExecutor:
    """Threads of the same priority as the event loop: one that is held up while it has the interpreter would hold up the beats."""
    threading.stack_size(_STACK_BYTES)
    return ThreadPoolExecutor(_THREADS, "pulse", initializer=_raise_priority)


def tame_collector() -> None:
    """From now on nothing is collected but by ``collect``, and nothing that is there now is ever looked at again."""
    gc.collect()
    gc.freeze()
    gc.disable()


def collect() -> None:
    """Collect what has become garbage, at a moment when nothing is due."""
    gc.collect()


def _lock_memory() -> str:
    """Returns why not, if so.  A limit that is enough for now would one day refuse memory that is needed."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return "RLIMIT_MEMLOCK is not infinite"
    failed = _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) < 0
    return os.strerror(ctypes.get_errno()).lower() if failed else ""


def _raise_priority() -> str:
    """For the calling thread; what it starts begins at ordinary priority.  Returns why not, if so."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""
