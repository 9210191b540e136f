"""The password of the user ``piranha``: the file that keeps its hash, and the command that sets it.

Owns the file's form (one line, ``piranha:HASH``, argon2id), its atomic replacement and the rules for a password.  There is no default
password and none is ever printed or logged.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import hashlib
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.files import replace_file
from app.settings import DEFAULT_PATH, ConsoleSettings, SettingsError, load_settings

USER = "piranha"
SHORTEST = 10
LONGEST = 1024
HASHER = PasswordHasher()
_MOST_AT_ONCE = 2
"""A hash takes 64 MiB: more at once than this would let strangers eat the machine's memory."""


class PasswordError(Exception):
    """The password or its file cannot be used; the message says why in words."""


def check_password_rules(password: str) -> None:
    """Raises PasswordError in words when ``password`` is not one to protect a router with."""
    if len(password) < SHORTEST:
        raise PasswordError(f"The password is too short: at least {SHORTEST} characters. A few words in a row are easy to remember.")
    if len(password) > LONGEST:
        raise PasswordError(f"The password is too long: at most {LONGEST} characters.")
    if len(set(password)) < 4 or password.lower() in (USER * 2, "piranha123", "password123", "1234567890", "administrator"):
        raise PasswordError("The password is too easy to guess: use other words.")


class PasswordFile:
    """The password file.  Read again whenever it changes, so that ``piranha-passwd`` counts at once."""

    def __init__(self, path: Path, hasher: PasswordHasher = HASHER) -> None:
        self.path = path
        self._hasher = hasher
        self._decoy = ""
        self._gate = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def stored_hash(self) -> str:
        """The hash, ``""`` when no password is set.  Raises PasswordError when the file is there but cannot be used."""
        try:
            text = self.path.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise PasswordError(f"{self.path} cannot be read: {error.strerror}") from error
        for line in text.splitlines():
            user, _, stored = line.partition(":")
            if user == USER and stored.startswith("$argon2"):
                return stored.strip()
        return ""

    def verify(self, user: str, password: str) -> bool:
        """Whether this user may come in; takes as long for a wrong user as for a wrong password."""
        stored = self.stored_hash()
        known = user == USER and bool(stored)
        with self._gate:
            matches = self._matches(stored if known else self._decoy_hash(), password)
        if known and matches:
            self._renew(stored, password)
        return known and matches

    def fingerprint(self) -> str:
        """What a session remembers of the password: another one after each change; empty when none is set."""
        stored = self.stored_hash()
        return hashlib.sha256(stored.encode("utf-8", "surrogateescape")).hexdigest()[:32] if stored else ""

    def set(self, password: str) -> None:
        """Store ``password``.  Raises PasswordError; the old file stays then."""
        check_password_rules(password)
        self._write(self._hash(password))

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_canonical(password))

    def _matches(self, stored: str, password: str) -> bool:
        if len(password) > LONGEST:
            return False
        try:
            return self._hasher.verify(stored, _canonical(password))
        except (VerificationError, InvalidHashError):
            return False

    def _decoy_hash(self) -> str:
        self._decoy = self._decoy or self._hasher.hash(secrets.token_urlsafe())
        return self._decoy

    def _renew(self, stored: str, password: str) -> None:
        """Store the hash again when its parameters have grown since; a login does not fail over it."""
        if self._hasher.check_needs_rehash(stored):
            with contextlib.suppress(PasswordError):
                self._write(self._hash(password))

    def _write(self, hashed: str) -> None:
        owner = _owner(self.path)
        try:
            replace_file(self.path, f"{USER}:{hashed}\n".encode(), prepare=lambda handle: _give(handle, owner, self.path))
        except OSError as error:
            raise PasswordError(f"{self.path} cannot be written: {error.strerror}") from error


def _canonical(password: str) -> bytes:
    """The same bytes for the same characters, however the keyboard composed them."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _owner(path: Path) -> os.stat_result | None:
    """Whose the file must stay: its owner's, else that of its folder (the console reads it, root may write it)."""
    for known in (path, path.parent):
        with contextlib.suppress(OSError):
            return known.stat()
    return None


def _give(handle: int, owner: os.stat_result | None, path: Path) -> None:
    """Root hands the file to whom it belongs; a group that could read the old file can read the new one."""
    if owner is None or os.geteuid() != 0:
        return
    os.fchown(handle, owner.st_uid, owner.st_gid)
    if path.exists() and owner.st_mode & 0o040:
        os.fchmod(handle, 0o640)


def main(argv: Sequence[str] | None = None) -> int:
    """``piranha-passwd``: set the password of the user ``piranha``."""
    arguments = _arguments(argv)
    try:
        path = Path(arguments.file) if arguments.file else _configured_path(arguments.config)
        PasswordFile(path).set(_wanted_password(arguments))
    except (PasswordError, SettingsError) as error:
        print(f"piranha-passwd: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\npiranha-passwd: nothing was changed", file=sys.stderr)
        return 1
    print(f"The password of the user {USER} is set. Sessions that are open end now.")
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="piranha-passwd", description=f"Set the password of the console's user {USER}.")
    parser.add_argument("password", nargs="?", help="as in Piranha; better left out: everyone on this machine can read it in ps")
    parser.add_argument("--stdin", action="store_true", help="read the password from the first line of standard input")
    parser.add_argument("--file", metavar="PATH", help="the password file, if not the one that the console uses")
    parser.add_argument("--config", metavar="PATH", type=Path, help=f"the console's settings (default {DEFAULT_PATH})")
    arguments = parser.parse_args(argv)
    if arguments.password is not None and arguments.stdin:
        parser.error("give the password or --stdin, not both")
    return arguments


def _configured_path(config: Path | None) -> Path:
    if config is None and not DEFAULT_PATH.exists():
        return ConsoleSettings().password_path
    return load_settings(config or DEFAULT_PATH).password_path


def _wanted_password(arguments: argparse.Namespace) -> str:
    if arguments.stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if arguments.password is not None:
        print(
            "piranha-passwd: warning: a password on the command line can be read by everyone on this machine (ps, the shell's history).",
            file=sys.stderr,
        )
        return str(arguments.password)
    password = getpass.getpass(f"New password for {USER}: ")
    check_password_rules(password)
    if getpass.getpass("Once more: ") != password:
        raise PasswordError("The two passwords are not the same; nothing was changed.")
    return password


if __name__ == "__main__":
    sys.exit(main())
