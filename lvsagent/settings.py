"""agent.toml: what is true of this host alone (paths, keys, which director it is, which programs may be run).

Owns the keys, their defaults and the words said when one is wrong.  It reads that one file and touches nothing else.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from lvsagent.core.spread import MOST_NANNIES, NANNY, nanny_names

T = TypeVar("T")

SOCKET_PATH_LIMIT_BYTES = 107
"""What a Unix socket's address holds."""
LONGEST_NAME_BYTES = 32
"""What a heartbeat has room for."""
LONGEST_SOCKET_NAME = "/.supervisor.sock.4194304"
"""A socket is bound under such a name and then renamed."""


class SettingsError(Exception):
    """agent.toml cannot be used; the message names the file, the line (where there is one) and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """agent.toml, checked.

    ``name`` is what this director is called (``""``: as its host is).
    ``heartbeat_key_file``: heartbeat.key in the state folder unless it is given.  ``reconcile_interval`` is seconds;
    ``userspace_port_offset`` is added to every VIP's port by the userspace plane.  A change that takes more than ``confirm_share`` (0 to 1)
    of what is in service out at once has to be confirmed.  ``mark_rules`` is what sets
    the marks of mark_ports.  ``nannies``: how many processes make the health checks.  ``sync_user`` is whom the other director comes as,
    ``sync_dir`` that user's folder (``sync`` in the state folder when only that is given), ``sync_port`` where this host's sshd listens,
    ``ssh_host_key`` the public key it is known by, ``pair_port`` where ``lvsctl pair --wait`` listens.
    ``load_dir``: the key with which nanny asks real servers for their load (``load`` in the state folder when only that is given).
    ``peer_socket``: the other agent's socket, when both are on one machine for a demonstration.  ``path`` is no key of the file, but where
    it is.
    """

    lvs_cf: Path = Path("/etc/sysconfig/ha/lvs.cf")
    state_dir: Path = Path("/var/lib/lvsagent")
    runtime_dir: Path = Path("/run/lvsagent")
    dataplane: str = "kernel"
    node: str = "auto"
    name: str = ""
    socket_group: str = "lvsweb"
    check_user: str = "lvscheck"
    program_dirs: tuple[Path, ...] = (Path("/usr/local/libexec/piranha"),)
    root_commands: tuple[str, ...] = ()
    heartbeat_key_file: Path = Path("/var/lib/lvsagent/heartbeat.key")
    standby_checks: bool = True
    nannies: int = 1
    reconcile_interval: float = 5.0
    userspace_port_offset: int = 0
    confirm_share: float = 0.5
    mark_rules: str = "auto"
    sync_user: str = "lvssync"
    sync_dir: Path = Path("/var/lib/lvssync")
    sync_port: int = 22
    ssh_host_key: Path = Path("/etc/ssh/ssh_host_ed25519_key.pub")
    pair_port: int = 3639
    load_dir: Path = Path("/var/lib/lvscheck")
    peer_socket: Path | None = None
    path: Path = field(default=Path("/etc/piranha/agent.toml"), compare=False)

    @property
    def authorized_keys(self) -> Path:
        """What the other director's key may do here; sshd reads it."""
        return self.sync_dir / "authorized_keys"

    @property
    def inbox(self) -> Path:
        """Where the other director's rsync may write."""
        return self.sync_dir / "inbox"

    @property
    def agent_socket(self) -> Path:
        """The HTTP API."""
        return self.runtime_dir / "agent.sock"

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor says how its children are."""
        return self.runtime_dir / "supervisor.sock"

    @property
    def pulse_socket(self) -> Path:
        """Where pulse listens."""
        return self.runtime_dir / "pulse.sock"

    @property
    def nanny_names(self) -> tuple[str, ...]:
        """What the processes that make the health checks are called."""
        return nanny_names(self.nannies)

    def nanny_socket(self, name: str = NANNY) -> Path:
        """Where the nanny of that name listens."""
        return self.runtime_dir / f"{name}.sock"


class _Wrong(Exception):
    """A value that cannot be taken; the message says what is expected."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong('expected text in quotes, such as "value"')
    if "\0" in value:
        raise _Wrong("a NUL character has no place here")
    return value


def _name(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", text):
        raise _Wrong("expected the name of a user or group")
    return text


def _title(value: object) -> str:
    text = _text(value)
    if len(text.encode()) > LONGEST_NAME_BYTES or not text.isprintable():
        raise _Wrong(f"expected a name of at most {LONGEST_NAME_BYTES} bytes, without control characters")
    return text


def _path(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise _Wrong(f'expected a path that begins with "/", not "{value}"')
    return path


def _one_of(*words: str) -> Callable[[object], str]:
    def convert(value: object) -> str:
        text = _text(value)
        if text not in words:
            raise _Wrong(f'expected one of {", ".join(words)}, not "{text}"')
        return text

    return convert


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("expected true or false, without quotes")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("expected a number of seconds, without quotes")
    if not 0.1 <= value <= 3600:
        raise _Wrong(f"expected 0.1 to 3600 seconds, not {value}")
    return float(value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("expected a number from 0 to 1, without quotes")
    if not 0 <= value <= 1:
        raise _Wrong(f"expected a share from 0 to 1, not {value}")
    return float(value)


def _nannies(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong("expected a whole number, without quotes")
    if not 1 <= value <= MOST_NANNIES:
        raise _Wrong(f"expected 1 to {MOST_NANNIES} processes, not {value}")
    return value


def _port_offset(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong("expected a whole number, without quotes")
    if not 0 <= value <= 65534:
        raise _Wrong(f"expected 0 to 65534, not {value}")
    return value


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong("expected a whole number, without quotes")
    if not 1 <= value <= 65535:
        raise _Wrong(f"expected a port, 1 to 65535, not {value}")
    return value


def _list_of(convert: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    def convert_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _Wrong('expected a list, such as ["one", "two"]')
        return tuple(convert(item) for item in value)

    return convert_all


def _command_line(value: object) -> str:
    text = _text(value)
    if not text.startswith("/"):
        raise _Wrong(f'a command line begins with the program\'s whole path, not "{text}"')
    return text


_CONVERTERS: Mapping[str, Callable[[object], object]] = {
    "lvs_cf": _path,
    "state_dir": _path,
    "runtime_dir": _path,
    "dataplane": _one_of("kernel", "userspace"),
    "node": _one_of("auto", "primary", "backup"),
    "name": _title,
    "socket_group": _name,
    "check_user": _name,
    "program_dirs": _list_of(_path),
    "root_commands": _list_of(_command_line),
    "heartbeat_key_file": _path,
    "standby_checks": _boolean,
    "nannies": _nannies,
    "reconcile_interval": _seconds,
    "userspace_port_offset": _port_offset,
    "confirm_share": _share,
    "mark_rules": _one_of("auto", "nft", "iptables", "iptables-legacy"),
    "sync_user": _name,
    "sync_dir": _path,
    "sync_port": _port,
    "ssh_host_key": _path,
    "pair_port": _port,
    "load_dir": _path,
    "peer_socket": _path,
}


def load_settings(path: Path) -> AgentSettings:
    """Read agent.toml.  Raises SettingsError with every problem found, one a line."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; an example with every key explained is deploy/agent.toml") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    return replace(parse_settings(text, str(path)), path=path.absolute())


def parse_settings(text: str, name: str = "agent.toml") -> AgentSettings:
    """The settings in ``text``; ``name`` is what messages call it.  Raises SettingsError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: is not valid TOML: {error}") from None
    problems: list[str] = []
    values: dict[str, object] = {}
    for key, value in table.items():
        place = f"{name}, line {_line_of(key, text)}: {key}"
        if key not in _CONVERTERS:
            problems.append(f"{place}: there is no such key{_nearest(key)}")
            continue
        try:
            values[key] = _CONVERTERS[key](value)
        except _Wrong as wrong:
            problems.append(f"{place}: {wrong}")
    if "heartbeat_key_file" not in values and isinstance(state_dir := values.get("state_dir"), Path):
        values["heartbeat_key_file"] = state_dir / "heartbeat.key"
    if "sync_dir" not in values and isinstance(state_dir := values.get("state_dir"), Path):
        values["sync_dir"] = state_dir / "sync"
    if "load_dir" not in values and isinstance(state_dir := values.get("state_dir"), Path):
        values["load_dir"] = state_dir / "load"
    settings = AgentSettings(**values)  # type: ignore[arg-type]  # each value came out of its key's own converter
    if not problems:
        problems.extend(_whole(settings, name))
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _whole(settings: AgentSettings, name: str) -> list[str]:
    """What is wrong with values that are right one by one."""
    problems = []
    longest = len(bytes(settings.runtime_dir)) + len(LONGEST_SOCKET_NAME)
    if longest > SOCKET_PATH_LIMIT_BYTES:
        problems.append(
            f"{name}: runtime_dir: {settings.runtime_dir} is {longest - SOCKET_PATH_LIMIT_BYTES} bytes too long for a socket's path"
        )
    if settings.userspace_port_offset and settings.dataplane != "userspace":
        problems.append(f'{name}: userspace_port_offset: means nothing with dataplane = "{settings.dataplane}"')
    if settings.peer_socket and settings.dataplane != "userspace":
        problems.append(f'{name}: peer_socket: means nothing with dataplane = "{settings.dataplane}": two real directors use ssh')
    return problems


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, list(_CONVERTERS), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _line_of(key: str, text: str) -> int:
    """The line that gives ``key`` its value (1 when it cannot be told)."""
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)
