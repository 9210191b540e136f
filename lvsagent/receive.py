"""``lvsagent receive``: all that the other director's key may do here.  sshd starts it as a user of its own, whatever was asked for.

Owns what is accepted: requests to this director's agent, a JSON line each way, and one file of our own rsync.  It understands neither:
the agent decides, and rsync runs with arguments of ours.  Everything else is refused.  Whatever the other director sends, it takes no more
room here than two such files: the one that is there, and the one that is on its way.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import sys
import syslog
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from lvsagent.client import AgentClient, AgentDown, AgentError, AgentRefused
from lvsagent.core.introduction import COMMAND
from lvsagent.settings import AgentSettings, SettingsError, load_settings

LARGEST_LINE_BYTES = 32 * 1024 * 1024
AGENT_LIMIT_S = 120.0
BY_FILE = re.compile(rb"file ([0-9a-f]{64})\n")
RSYNC = "/usr/bin/rsync"
RSYNC_FILE = "request"
TURN_S = 2.0
"""How long an rsync waits for another one to end."""
_RSYNC_COMMAND = re.compile(rf"rsync --server -(Ize\.[A-Za-z]*) --timeout=([0-9]{{1,3}}) \. {RSYNC_FILE}")
OK, REFUSED = 0, 1
REFUSAL = "lvsagent: "
SAID, ASK_AGAIN, FORBIDDEN, TOO_LARGE, NOT_NOW = 200, 421, 403, 413, 503
"""What stands before an answer."""


def receive(config: Path, environment: Mapping[str, str], source: BinaryIO, target: BinaryIO) -> int:
    """Serve one session of the other director's.  Returns the exit status, or does not return: rsync takes this process's place."""
    asked = environment.get("SSH_ORIGINAL_COMMAND", "")
    client = environment.get("SSH_CONNECTION", "").partition(" ")[0] or "somebody"
    try:
        settings = load_settings(config)
    except SettingsError as error:
        return _refuse(client, f"this director's agent.toml cannot be used: {error}")
    if asked == COMMAND:
        return _serve(settings, source, target)
    argv = rsync_argv(asked)
    if argv is None:
        what = f'"{asked[:80]}"' if asked.isprintable() and asked else "a login"
        return _refuse(client, f"{what} is not what this key is for: it carries lvs.cf between two directors, and nothing else")
    return _become_rsync(settings, argv, client)


def rsync_argv(asked: str) -> list[str] | None:
    """The rsync to run here for what the other director's rsync asks; ``None`` when it is not our own call.

    The letters after ``e.`` only say what that rsync can do.
    """
    found = _RSYNC_COMMAND.fullmatch(asked)
    return [RSYNC, "--server", f"-{found[1]}", f"--timeout={found[2]}", ".", RSYNC_FILE] if found else None


def _become_rsync(settings: AgentSettings, argv: list[str], client: str) -> int:
    try:
        os.chdir(settings.inbox)
        os.umask(0o077)
        if not _turn_taken():
            return _refuse(client, "there is one rsync at a time, and another has not ended yet")
        _leave_one_file()
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_LINE_BYTES, LARGEST_LINE_BYTES))
        os.execve(argv[0], argv, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})  # noqa: S606 -- no shell is the point
    except OSError as error:
        return _refuse(client, f"{error.filename or settings.inbox}: {(error.strerror or str(error)).lower()}")


def _turn_taken() -> bool:
    """Lock this folder until the rsync that follows has ended, with every process of its own."""
    lock = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(lock, True)
    until = time.monotonic() + TURN_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        else:
            return True


def _leave_one_file() -> None:
    """The request that rsync is to replace.  Where a file is in its place, rsync takes no more than one."""
    for entry in os.scandir("."):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry)
        elif entry.name != RSYNC_FILE or not entry.is_file(follow_symlinks=False):
            Path(entry).unlink()  # what an rsync that was killed has left
    os.close(os.open(RSYNC_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))


def _serve(settings: AgentSettings, source: BinaryIO, target: BinaryIO) -> int:
    """Request after request, until the other director has no more, or is no longer the one that is paired with this one."""
    agent = AgentClient(settings.agent_socket)
    paired = _stamp(settings.authorized_keys)
    while line := source.readline(LARGEST_LINE_BYTES + 1):
        if _stamp(settings.authorized_keys) != paired:
            _answer(target, ASK_AGAIN, _problem("again", "the pairing has changed: this session is over"))
            return REFUSED
        if not line.endswith(b"\n"):
            _answer(target, TOO_LARGE, _problem("too_large", f"a request is one line of at most {LARGEST_LINE_BYTES // 1024 // 1024} MiB"))
            return REFUSED
        _answer(target, *_ask(agent, settings, line))
    return OK


def _ask(agent: AgentClient, settings: AgentSettings, line: bytes) -> tuple[int, bytes]:
    by_file = BY_FILE.fullmatch(line)
    try:
        request = _from_inbox(settings.inbox / RSYNC_FILE, by_file[1].decode()) if by_file else line[:-1]
        return SAID, agent.peer(request, AGENT_LIMIT_S)
    except AgentRefused as error:
        return NOT_NOW if error.code == "unavailable" else FORBIDDEN, _problem(error.code, str(error))
    except AgentDown as error:
        return NOT_NOW, _problem("down", str(error))
    except AgentError as error:
        return FORBIDDEN, _problem("refused", str(error))
    except OSError as error:
        return NOT_NOW, _problem("unavailable", f"what rsync brought cannot be read: {error.strerror}")


def _from_inbox(path: Path, digest: str) -> bytes:
    """What rsync brought.  It stays: the next one is sent as its difference to this."""
    with path.open("rb") as file:
        data = file.read(LARGEST_LINE_BYTES + 1)
    if hashlib.sha256(data).hexdigest() != digest:
        raise AgentRefused("unavailable", "what rsync brought is not what was sent")
    return data


def _answer(target: BinaryIO, status: int, body: bytes) -> None:
    """A line: the status and JSON.  A line's end inside JSON is white space."""
    target.write(b"%d %s\n" % (status, body.replace(b"\n", b" ")))
    target.flush()


def _problem(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_ctime_ns


def _refuse(client: str, words: str) -> int:
    """To the one who asked, and to the log of this host."""
    sys.stderr.write(f"{REFUSAL}{words}\n")
    syslog.openlog("lvsagent-receive", syslog.LOG_PID, syslog.LOG_AUTH)
    syslog.syslog(syslog.LOG_WARNING, f"refused {client}: {words}".replace("\n", " "))
    return REFUSED


def main(config: Path) -> int:
    """``lvsagent receive``."""
    try:
        return receive(config, os.environ, sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
