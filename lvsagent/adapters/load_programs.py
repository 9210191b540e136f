"""The load of real servers' hosts, by the programs that tell it: ``uptime`` over ssh, ``rup``, ``ruptime``.

Owns the command lines, the folder with ssh's key, and the words for what goes wrong.  What the programs print is read in
``lvsagent.core.load_text``.  No shell is started here, and the other side is asked for ``uptime`` and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lvsagent.adapters.commands import CommandResult, run_command
from lvsagent.core.check_spec import escaped
from lvsagent.core.expect import REPLY_LIMIT_BYTES
from lvsagent.core.load_plan import LIMIT_S, LoadReading, LoadSpec
from lvsagent.core.load_text import MOST_CHARACTERS, LoadUnreadable, Monitor, excerpt, last_words, load_of

CONNECT_LIMIT_S = 5
NICENESS = 10
"""A load that comes a moment later is as good; a health check is not."""
KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
PROGRAMS = {Monitor.UPTIME: "ssh", Monitor.RUP: "rup", Monitor.RUPTIME: "ruptime"}
_PACKAGES = {Monitor.UPTIME: "openssh-client", Monitor.RUP: "rstat-client", Monitor.RUPTIME: "rwho"}
_SSH_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_LIMIT_S}",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "IdentitiesOnly=yes",
    "PreferredAuthentications=publickey",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "LogLevel=ERROR",
)


class LoadPrograms:
    """``load_dir`` holds a key (``id_ed25519``), ``known_hosts`` and, where one is needed, a ``config`` of ssh's for users and ports.

    ``programs``: what is run for each monitor, instead of what PATH finds.
    """

    def __init__(self, load_dir: Path, programs: Mapping[Monitor, str] = PROGRAMS, *, limit_s: float = LIMIT_S) -> None:
        self._folder = load_dir
        self._programs = programs
        self._limit_s = limit_s

    async def read(self, specs: Sequence[LoadSpec]) -> list[LoadReading]:
        """Run the program once.  See ``lvsagent.ports.LoadReader``."""
        if not specs:
            return []
        monitor = specs[0].monitor
        if monitor is Monitor.UPTIME and (missing := self._without_key()):
            return [LoadReading(spec.key, None, missing) for spec in specs]
        argv = self._argv(specs[0])
        result = await run_command(argv, self._limit_s, limit_bytes=MOST_CHARACTERS, patient=False, niceness=NICENESS)
        return [self._reading(spec, result) for spec in specs]

    def _argv(self, spec: LoadSpec) -> list[str]:
        program = self._programs[spec.monitor]
        if spec.monitor is Monitor.UPTIME:
            return [program, *self._ssh_words(), "--", spec.host, "uptime"]
        return [program] if spec.monitor is Monitor.RUPTIME else [program, spec.host]

    def _ssh_words(self) -> list[str]:
        config = self._folder / "config"
        options = (*_SSH_OPTIONS, f"UserKnownHostsFile={_quoted(self._folder / 'known_hosts')}")
        keys = [word for path in self._keys() for word in ("-i", str(path))]
        return ["-T", "-F", str(config) if config.exists() else "none", *(word for option in options for word in ("-o", option)), *keys]

    def _keys(self) -> list[Path]:
        return [path for name in KEYS if (path := self._folder / name).exists()]

    def _without_key(self) -> str:
        """Why ssh need not be tried."""
        try:
            keys = self._keys()
        except OSError as error:
            return f"the key in {self._folder} cannot be reached: {error.strerror}"
        if not keys:
            return f"there is no key for ssh: {self._folder / KEYS[0]} is missing (docs/load.md says how to make one)"
        unread = next((path for path in keys if not os.access(path, os.R_OK)), None)
        return f"{unread} is there and cannot be read by the user that checks run as" if unread else ""

    def _reading(self, spec: LoadSpec, result: CommandResult) -> LoadReading:
        received = escaped(excerpt(spec.monitor, result.output, spec.host).encode()[:REPLY_LIMIT_BYTES])
        if not result.ok:
            return LoadReading(spec.key, None, self._why_not(spec, result), received)
        try:
            return LoadReading(spec.key, load_of(spec.monitor, result.output, spec.host), "", received)
        except LoadUnreadable as unreadable:
            return LoadReading(spec.key, None, str(unreadable), received)

    def _why_not(self, spec: LoadSpec, result: CommandResult) -> str:
        program = PROGRAMS[spec.monitor]
        if result.words.startswith("could not be started"):
            return f"{program} {result.words} (Debian's package is {_PACKAGES[spec.monitor]})"
        if result.words.startswith("killed"):
            return f"{program} was {result.words}"
        if spec.monitor is Monitor.UPTIME and (words := self._key_words(result.output)):
            return words
        said = last_words(result.output) or result.words
        return f"{program}: {said}" if not said.startswith(f"{program}:") else said

    def _key_words(self, output: str) -> str:
        """What is wrong with a key, the host's or our own, where ssh's last word would not say it."""
        unusable = next((line for line in output.splitlines() if line.startswith("Load key ")), "")
        if unusable:
            return f"ssh cannot use the key: {last_words(unusable)}"
        if "Host key verification failed" not in output:
            return ""
        known = self._folder / "known_hosts"
        if "IDENTIFICATION HAS CHANGED" in output:
            return f"ssh refused: the host has another host key than the one in {known}"
        return f"ssh refused: the host's key is not in {known}"


def _quoted(path: Path) -> str:
    """As ssh's options want a path with blanks."""
    return f'"{path}"'
