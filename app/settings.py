"""What console.toml says, as one frozen value.

Owns the keys, their defaults and the words for what is wrong with them; an unknown key is refused with the nearest one named.
It opens nothing but console.toml itself: files that the settings name are looked at by whoever uses them.
"""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

DEFAULT_PATH = Path("/etc/piranha/console.toml")


class SettingsError(Exception):
    """console.toml cannot be used; the message says why and where, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """The console's own settings; everything about the cluster is in lvs.cf instead.

    ``tls_cert`` and ``tls_key`` (``[tls]`` ``cert`` and ``key`` in the file) are empty when the console makes its own certificate.
    ``password_file`` empty means ``piranha.passwd`` in ``state_dir``.  ``try_delay_s`` is the first delay after failed tries to log in.
    """

    bind: str = "0.0.0.0"  # noqa: S104 -- as Piranha's console did; it speaks HTTPS only
    port: int = 3636
    tls_cert: str = ""
    tls_key: str = ""
    plain_http: bool = False
    agent_socket: str = "/run/lvsagent/agent.sock"
    password_file: str = ""
    state_dir: str = "/var/lib/piranha"
    session_idle_minutes: int = 60
    session_hours: int = 12
    threads: int = 16

    @property
    def password_path(self) -> Path:
        """Where the password of the user ``piranha`` is kept."""
        return Path(self.password_file) if self.password_file else Path(self.state_dir) / "piranha.passwd"

    @property
    def tls(self) -> bool:
        """Whether browsers reach the console over HTTPS."""
        return not self.plain_http


_LIMITS = {"port": (1, 65535), "session_idle_minutes": (1, 7 * 24 * 60), "session_hours": (1, 7 * 24), "threads": (2, 256)}
_TLS_KEYS = {"cert": "tls_cert", "key": "tls_key"}
_KEYS = tuple(f.name for f in fields(ConsoleSettings) if not f.name.startswith("tls_"))


def load_settings(path: Path) -> ConsoleSettings:
    """Read console.toml.  Raises SettingsError with the file's name, the key and what is wrong."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_settings(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, SettingsError) as error:
        raise SettingsError(f"{path}: {error}") from error


def parse_settings(text: str) -> ConsoleSettings:
    """The settings in ``text``.  Raises SettingsError or tomllib.TOMLDecodeError."""
    found: dict[str, Any] = {}
    for key, value in tomllib.loads(text).items():
        if key == "tls":
            found.update(_tls(value))
        elif key in _KEYS:
            found[key] = _checked(key, value)
        else:
            raise SettingsError(_unknown(key, (*_KEYS, "tls")))
    return check_settings(ConsoleSettings(**found))


def check_settings(settings: ConsoleSettings) -> ConsoleSettings:
    """The same settings, when they make sense together.  Raises SettingsError."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        missing, given = ("key", "cert") if settings.tls_cert else ("cert", "key")
        raise SettingsError(f"tls.{given} is given without tls.{missing}: a certificate and its private key belong together")
    if settings.plain_http and not is_loopback(settings.bind):
        raise SettingsError(
            f'plain_http = true with bind = "{settings.bind}": plain HTTP is for loopback only (bind = "127.0.0.1"), '
            "because the password would cross the network readable"
        )
    return settings


def override(settings: ConsoleSettings, **changes: object) -> ConsoleSettings:
    """The settings with those of ``changes`` that are not ``None`` (from the command line), checked again."""
    given: dict[str, Any] = {key: _checked(key, value) for key, value in changes.items() if value is not None}
    return check_settings(replace(settings, **given))


def is_loopback(host: str) -> bool:
    """Whether nothing outside this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise SettingsError('tls: must be a table: [tls] with cert = "…" and key = "…"')
    found = {}
    for key, path in value.items():
        if key not in _TLS_KEYS:
            raise SettingsError(_unknown(f"tls.{key}", tuple(f"tls.{known}" for known in _TLS_KEYS)))
        if not isinstance(path, str) or not path:
            raise SettingsError(f"tls.{key}: must be the path of a file, in quotes")
        found[_TLS_KEYS[key]] = path
    return found


def _checked(key: str, value: object) -> object:
    wanted = type(getattr(ConsoleSettings(), key))
    words = {str: "text in quotes", int: "a whole number", bool: "true or false"}[wanted]
    if type(value) is not wanted:
        raise SettingsError(f"{key}: must be {words}, not {value!r}")
    if key in _LIMITS:
        low, high = _LIMITS[key]
        if not low <= value <= high:  # type: ignore[operator]  # its type was checked just above
            raise SettingsError(f"{key}: must be between {low} and {high}, not {value}")
    return value


def _unknown(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(known)}"
    return f"unknown key {key}{hint}"
