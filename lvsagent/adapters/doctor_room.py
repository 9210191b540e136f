"""Where real servers are looked at for lvsd: a process of its own, which alone may send raw packets, and which parses what comes back.

Owns that process and the conversation with it.  It is forked before lvsd gives its privileges up, keeps one of them as the checks' user,
and waits; for each examination it forks once more, so that whatever an answer does to that process ends with it.  Without it (the agent
does not run as root) nothing can be looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import msgspec

from lvsagent.adapters import process
from lvsagent.adapters.doctor_probe import look
from lvsagent.core.patients import Patient, Seen
from lvsagent.ports import AdapterError

TITLE = "lvsd-doctor"
LONGEST_S = 60.0
"""An examination ends then, however many real servers are left."""
AT_ONCE = 16
_NICE = 10
_LINE_LIMIT_BYTES = 1 << 20
_MOST_FILES = 1 << 20
_CONTROL = 3
"""The descriptor on which the process is asked."""


@dataclass(frozen=True, slots=True)
class Helper:
    """The process, and the socket on which it is asked: it ends when that is closed."""

    pid: int
    socket: socket.socket


_prepared: list[Helper] = []


class _Look(msgspec.Struct, frozen=True):
    """What was seen of the patient at ``place``, or with ``failure`` why nothing more will be."""

    place: int
    seen: Seen = Seen()
    failure: str = ""


_looks = msgspec.json.Decoder(_Look)
_patients = msgspec.json.Decoder(list[Patient])


class DoctorRoom:
    """The port ``Examiner`` over that process."""

    def __init__(self, helper: Helper | None) -> None:
        """``helper``: what ``start`` has started."""
        self._helper = helper

    async def examine(self, patients: Sequence[Patient], seen: Callable[[int, Seen], None]) -> None:
        """Look at each; ``seen`` is told its place and what was seen, as they come.  Raises AdapterError."""
        if self._helper is None:
            raise AdapterError("looking at real servers takes raw packets, which only an agent that was started as root may send")
        ours, theirs = socket.socketpair()
        with contextlib.closing(theirs):
            try:
                socket.send_fds(self._helper.socket, [b"\0"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise AdapterError(f"the process that looks at real servers is gone until lvsd is restarted ({error.strerror})") from error
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT_BYTES)
        left = set(range(len(patients)))
        try:
            async with asyncio.timeout(LONGEST_S):
                writer.write(msgspec.json.encode(list(patients)) + b"\n")
                while left and (line := await reader.readline()):
                    _told(line, left, seen)
        except TimeoutError:
            raise AdapterError(f"after {LONGEST_S:.0f} s {len(left)} of {len(patients)} had not been looked at") from None
        except ConnectionError:
            pass  # it has ended, which the next lines say
        except (msgspec.MsgspecError, ValueError) as error:
            raise AdapterError(f"the process that looks at real servers cannot be understood: {error}") from error
        finally:
            writer.close()
        if left:
            raise AdapterError(f"the process that looks at real servers ended before it had looked at {len(left)} of {len(patients)}")

    def close(self) -> None:
        """The process ends."""
        if self._helper is not None:
            self._helper.socket.close()
            self._helper = None


def _told(line: bytes, left: set[int], seen: Callable[[int, Seen], None]) -> None:
    found = _looks.decode(line)
    if found.failure:
        raise AdapterError(found.failure)
    if found.place in left:
        left.discard(found.place)
        seen(found.place, found.seen)


def prepare(user: process.User) -> None:
    """Start the process now, for a ``DoctorRoom`` that is made after privileges were dropped."""
    _prepared.append(start(user))


def prepared() -> DoctorRoom:
    """The one over the process that ``prepare`` started; without one it says so when it is asked."""
    return DoctorRoom(_prepared.pop() if _prepared else None)


def start(user: process.User | None) -> Helper:
    """Start the process.  ``user``: who it becomes (``None``: it stays who it is)."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _be_the_process(theirs, user)
    theirs.close()
    return Helper(pid, ours)


# --- inside the process --------------------------------------------------------------------------------------------------------


def _be_the_process(theirs: socket.socket, user: process.User | None) -> None:
    """The process's life; it never returns into its parent's code."""
    try:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # its end is the end of lvsd
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that look
        control = _alone_with(theirs.fileno())
        process.set_title(TITLE)
        if user is not None:
            process.become(user, keep={process.CAP_NET_RAW})
        while wanted := _next(control):
            if os.fork() == 0:
                control.close()
                _look_at_all(wanted)
            wanted.close()
    except BaseException as error:
        sys.stderr.write(f"{TITLE}: {type(error).__name__}: {error}\n")
    finally:
        os._exit(0)


def _alone_with(descriptor: int) -> socket.socket:
    """Every other file is closed: a lock, a socket of lvsd's that stayed open here would outlive it."""
    os.dup2(descriptor, _CONTROL)
    os.closerange(_CONTROL + 1, min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _MOST_FILES))
    return socket.socket(fileno=_CONTROL)


def _next(control: socket.socket) -> socket.socket | None:
    """The other end of the next examination; ``None``: there will be none."""
    try:
        data, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
    except OSError:
        return None
    return socket.socket(fileno=descriptors[0]) if data and descriptors else None


def _look_at_all(wanted: socket.socket) -> None:
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(LONGEST_S) + 1)
        with contextlib.suppress(OSError):
            os.nice(_NICE)  # the table and the heartbeats go first
        with wanted.makefile("rb") as lines:
            found = _patients.decode(lines.readline())
        with ThreadPoolExecutor(AT_ONCE) as looking:
            places = {looking.submit(look, patient): place for place, patient in enumerate(found)}
            for done in as_completed(places):
                wanted.sendall(_line(places[done], done.result))
    except OSError:
        pass  # nobody listens any more
    except BaseException as error:
        sys.stderr.write(f"{TITLE}: {type(error).__name__}: {error}\n")
    finally:
        os._exit(0)


def _line(place: int, result: Callable[[], Seen]) -> bytes:
    try:
        found = _Look(place, result())
    except AdapterError as error:
        found = _Look(place, failure=str(error))
    return msgspec.json.encode(found) + b"\n"
