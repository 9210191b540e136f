"""``send_program``: a program of the administrator's, judged by its exit status and its output.

Owns which files may be run (agent.toml's ``program_dirs``), how they are run (argv, no shell, cleaned environment, a session of their own)
and that nothing of them is left when the check is over.  The privileges they run with are those of nanny: none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import stat
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from app.lvscf.posix_regex import BadPatternError, translate
from lvsagent.adapters.checks import reasons
from lvsagent.core.check_spec import CheckSpec, Outcome
from lvsagent.core.expect import ANSWER_LIMIT_BYTES, REPLY_LIMIT_BYTES, output_matches

OUTPUT_LIMIT_BYTES = 64 * 1024
"""Whoever prints more is ended."""
LEAVE_LIMIT_S = 1.0
"""How long a killed program is waited for; one that is stuck in the kernel is taken in whenever it ends."""
AT_ONCE = 32
"""How many programs run at the same time; the others wait, their time limit not yet running."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
MARK = "LVS_CHECK"
"""Set in the environment of every program: what left its process group is found by it."""

Search = Callable[[bytes, bytes], Awaitable[bool]]


class ProgramRefusedError(Exception):
    """The program may not be run; the message is the reason in words."""


def permitted(program: str, program_dirs: Sequence[Path], *, own: bool = False) -> Path:
    """The file that is really run for ``program``.  Raises ProgramRefusedError.

    Links resolved, it must lie in one of ``program_dirs``, and neither it nor a folder on the way to it may be writable by this process
    or by everybody.  ``own``: this process's user is the administrator (an agent without root), so what that user may write is fine.
    """
    if not program.startswith("/"):
        raise ProgramRefusedError(reasons.program_not_absolute(program))
    try:
        real = Path(program).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise ProgramRefusedError(reasons.program_missing(program)) from None
    home = next((folder for folder in _existing(program_dirs) if folder in real.parents), None)
    if home is None:
        raise ProgramRefusedError(reasons.program_outside(program))
    for path in (real, *[folder for folder in real.parents if folder == home or home in folder.parents]):
        if _changeable(path, own=own):
            raise ProgramRefusedError(reasons.program_writable(program, str(path)))
    return real


def _existing(folders: Sequence[Path]) -> list[Path]:
    found = []
    for folder in folders:
        with contextlib.suppress(OSError, RuntimeError):
            found.append(folder.resolve(strict=True))
    return found


def _changeable(path: Path, *, own: bool) -> bool:
    """Whether this process or everybody could change ``path``; an owner can always grant itself the right."""
    status = path.stat()
    if status.st_mode & stat.S_IWOTH:
        return True
    if own or os.geteuid() == 0:
        return False
    return status.st_uid == os.geteuid() or os.access(path, os.W_OK)


class ProgramRunner:
    """Runs programs within their time limits.  ``own`` as in ``permitted``."""

    def __init__(self, program_dirs: Sequence[Path], search: Search, *, own: bool = False, at_once: int = AT_ONCE) -> None:
        self._program_dirs = tuple(program_dirs)
        self._own = own
        self._search = search
        self._places = asyncio.Semaphore(at_once)

    async def check(self, spec: CheckSpec) -> Outcome:
        """Run ``spec.program``."""
        loop = asyncio.get_running_loop()
        async with self._places:
            started = loop.time()
            try:
                real = permitted(spec.program[0] if spec.program else "", self._program_dirs, own=self._own)
                run = _Run(real, spec)
            except ProgramRefusedError as refused:
                return Outcome(ok=False, duration_s=0.0, reason=str(refused))
            except ValueError:  # a NUL byte in an argument
                return Outcome(ok=False, duration_s=0.0, reason=reasons.program_arguments(spec.program[0]))
            except OSError as error:
                own = error.errno in reasons.OWN_FAILURES
                words = reasons.OWN_FAILURES[error.errno or 0] if own else reasons.program_not_started(spec.program[0], error)
                return Outcome(ok=False, duration_s=loop.time() - started, reason=words, conclusive=not own)
            reason = await run.finish(spec.timeout_s) or await self._judge(spec, bytes(run.output), bytes(run.complaint), run.returncode)
            reply = bytes(run.output[:REPLY_LIMIT_BYTES])
            return Outcome(ok=not reason, duration_s=loop.time() - started, reason=reason, reply=reply)

    async def _judge(self, spec: CheckSpec, output: bytes, complaint: bytes, returncode: int) -> str:
        """The reason of the failure, ``""`` for success."""
        if returncode != 0:
            return reasons.program_status(returncode, complaint)
        if spec.expect is None:
            return ""
        if not spec.use_regex:
            return "" if output_matches(spec.expect, output) else reasons.unexpected(spec, output)
        try:
            found = await self._search(translate(spec.expect).pattern, output[:ANSWER_LIMIT_BYTES])
        except BadPatternError as error:
            return reasons.bad_pattern(str(error))
        except TimeoutError:
            return reasons.PATTERN_TOO_SLOW
        return "" if found else reasons.unexpected(spec, output)


class _Run:
    """One program from its start to the last of its children."""

    def __init__(self, real: Path, spec: CheckSpec) -> None:
        self.output = bytearray()
        self.complaint = bytearray()
        self.returncode = 0
        self._mark = secrets.token_hex(8)
        self._ended = asyncio.get_running_loop().create_future()
        self._taken_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = subprocess.Popen(  # noqa: S603 -- argv of a file that permitted() let through; there is no shell
            spec.program,
            executable=real,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, MARK: self._mark},
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        try:
            self._handle = os.pidfd_open(self._process.pid)
        except OSError:
            self._kill()
            self._process.communicate()
            raise

    async def finish(self, limit_s: float) -> str:
        """Wait for the end, or make one: the reason of an early one, else ``""``."""
        reason = ""
        try:
            async with asyncio.timeout(limit_s):
                await self._wait()
        except TimeoutError:
            reason = reasons.program_out_of_time(limit_s)
        finally:
            self._end()
        if not self._taken_in.done():
            await asyncio.wait([self._taken_in], timeout=LEAVE_LIMIT_S)
        too_much = max(len(self.output), len(self.complaint)) > OUTPUT_LIMIT_BYTES
        return reasons.program_talks_too_much(OUTPUT_LIMIT_BYTES) if too_much else reason

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        pipes = {}
        for pipe, kept in ((self._process.stdout, self.output), (self._process.stderr, self.complaint)):
            assert pipe is not None  # noqa: S101 -- both were asked for
            os.set_blocking(pipe.fileno(), False)
            pipes[pipe.fileno()] = self._reader(pipe.fileno(), kept)
        try:
            loop.add_reader(self._handle, self._exited)
            for descriptor, read in pipes.items():
                loop.add_reader(descriptor, read)
            await self._ended
            for read in pipes.values():  # what it said last; a child that keeps the pipe open is not waited for
                read()
        finally:
            for descriptor in (self._handle, *pipes):
                loop.remove_reader(descriptor)

    def _exited(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _reader(self, descriptor: int, kept: bytearray) -> Callable[[], None]:
        def read() -> None:
            room = OUTPUT_LIMIT_BYTES + 1 - len(kept)
            try:
                data = os.read(descriptor, max(room, 1))
            except BlockingIOError:
                return
            kept.extend(data)
            if not data:
                asyncio.get_running_loop().remove_reader(descriptor)
            elif room <= 0 or len(kept) > OUTPUT_LIMIT_BYTES:
                self._exited()

        return read

    def _end(self) -> None:
        """Kill whatever is left, in the process group and out of it."""
        self._kill()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._take_in()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for _ in range(3):  # somebody may be forking meanwhile
            strays = list(_marked(self._mark))
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not strays:
                break

    def _take_in(self) -> None:
        """Take in the exit status, later if the kernel is not done with it: nobody waits for a process stuck in a system call."""
        loop = asyncio.get_running_loop()
        returncode = self._process.poll()
        if returncode is None:
            loop.add_reader(self._handle, self._take_in)
            return
        loop.remove_reader(self._handle)
        os.close(self._handle)
        self.returncode = returncode
        if not self._taken_in.done():
            self._taken_in.set_result(None)


def _marked(mark: str) -> list[int]:
    """Processes that carry the mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == os.geteuid() and wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
