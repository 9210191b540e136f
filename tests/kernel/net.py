"""Network namespaces from inside one Python process: a socket stays in the namespace in which it was made."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter(descriptor: int) -> None:
    """Move this thread (and the threads and processes it starts from now on) to an open namespace."""
    _checked(_libc.setns(descriptor, CLONE_NEWNET))


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """This thread inside a named namespace."""
    with _kept(), open(f"/run/netns/{name}") as there:  # noqa: PTH123 -- a descriptor, not a file's content
        enter(there.fileno())
        yield


@contextmanager
def fresh_namespace() -> Iterator[None]:
    """This thread inside a new namespace with loopback up, gone afterwards."""
    with _kept():
        _checked(_libc.unshare(CLONE_NEWNET))
        ip("link set lo up")
        yield


@contextmanager
def _kept() -> Iterator[None]:
    with open("/proc/thread-self/ns/net") as home:  # noqa: PTH123 -- as above
        try:
            yield
        finally:
            enter(home.fileno())


def ip(*lines: str) -> None:
    """Run many ``ip`` commands in one process."""
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{lines}"


def output(*command: str) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def sysctl(name: str, value: str) -> None:
    """Set a kernel setting of this thread's namespace (``net/ipv4/ip_forward``)."""
    (Path("/proc/sys") / name).write_text(value)
