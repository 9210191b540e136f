"""The files of a pairing: this director's own key, the other director as it introduced itself, and what its key may do here.

Owns their places, owners and modes.  Everything but authorized_keys is root's alone; authorized_keys is root's and readable, because sshd
reads it as the user whom the other director comes as.  What may stand in them is decided in ``lvsagent.core.introduction``.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from lvsagent.adapters.config_files import Stamp, SystemFiles, content_of, replace_file
from lvsagent.adapters.heartbeat_key import NoKey, new_key, read_keys, take_key
from lvsagent.core.introduction import (
    BadIntroduction,
    Introduction,
    agreed_heartbeat_key,
    authorized_line,
    decode,
    encode,
    known_host_line,
    merged,
    public_key,
)
from lvsagent.ports import AdapterError
from lvsagent.settings import AgentSettings

PRIVATE, PUBLIC = 0o600, 0o644
LARGEST_BYTES = 16384
RECORD_VERSION = 1


class NotPaired(AdapterError):
    """There is no other director yet."""

    def __init__(self) -> None:
        super().__init__("this director is not paired with another one; lvsctl pair does that")


@dataclass(frozen=True, slots=True)
class Peer:
    """The other director as it is kept here: ``since`` is when (seconds since the epoch); no heartbeat key is kept with it."""

    introduction: Introduction
    since: float


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    since: float
    introduction: str


class PeerKeys:
    """The folder ``state_dir/peer`` and the file ``sync_dir/authorized_keys``."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.folder = settings.state_dir / "peer"
        self.private_key = self.folder / "id_ed25519"
        self.known_host = self.folder / "known_host"
        self.record = self.folder / "peer.json"
        self.authorized_keys = settings.authorized_keys

    # --- what is there -------------------------------------------------------------------------------------------------------

    def peer(self) -> Peer:
        """The other director.  Raises NotPaired, or AdapterError when the record cannot be used."""
        data = content_of(self.record, LARGEST_BYTES)
        if data is None:
            raise NotPaired
        try:
            record = msgspec.json.decode(data, type=_Record)
            return Peer(decode(record.introduction.encode()), record.since)
        except (msgspec.MsgspecError, BadIntroduction, UnicodeError) as error:
            raise AdapterError(f"{self.record} cannot be used: {error}; pair the two directors again") from None

    def stamp(self) -> tuple[Stamp, Stamp]:
        """Cheap to ask: another one as soon as a pairing has been made, changed or ended."""
        return Stamp.of(self.record), Stamp.of(self.private_key)

    def own_user_key(self) -> str:
        """The public half of this director's key; made when there is none.  Raises AdapterError."""
        if content_of(self.private_key, LARGEST_BYTES) is None:
            self.install_key(*self.fresh_key())
        found = content_of(self.private_key.with_suffix(".pub"), LARGEST_BYTES)
        try:
            return public_key((found or b"").decode())
        except ValueError:
            raise AdapterError(f"{self.private_key}.pub does not hold a key: lvsctl pair --rotate makes a new one") from None

    def own_host_key(self) -> str:
        """The key by which this director's sshd is known.  Raises AdapterError telling how to make one."""
        path = self._settings.ssh_host_key
        found = content_of(path, LARGEST_BYTES)
        if found is None:
            raise AdapterError(f"there is no {path} (ssh_host_key in agent.toml): is sshd installed? Its keys are made with: ssh-keygen -A")
        try:
            return public_key(found.decode(errors="replace"))
        except ValueError as error:
            raise AdapterError(f"{path} (ssh_host_key in agent.toml): {error}") from None

    def fresh_key(self) -> tuple[bytes, str]:
        """A new key, not yet in force: the private half as OpenSSH writes it, and the public one."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- lvsd and lvsctl start without it
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 -- as above

        key = Ed25519PrivateKey.generate()
        openssh = serialization.PrivateFormat.OpenSSH
        private = key.private_bytes(serialization.Encoding.PEM, openssh, serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return private, public.decode()

    # --- what is changed -----------------------------------------------------------------------------------------------------

    def install_key(self, private: bytes, public: str) -> None:
        """Make this the key with which this director comes to the other one.  Raises AdapterError."""
        self._make_folder()
        replace_file(self.private_key, private, SystemFiles(), PRIVATE)
        replace_file(self.private_key.with_suffix(".pub"), f"{public}\n".encode(), SystemFiles(), PRIVATE)

    def introduce(self, name: str, addresses: tuple[str, ...], user_key: str = "") -> Introduction:
        """This director, for the other one to keep; ``user_key``: not the present one.  Raises AdapterError."""
        if not addresses:
            raise AdapterError(
                "it is not known where the other director reaches this one: no address of lvs.cf is this host's (see node in agent.toml)"
            )
        settings = self._settings
        return Introduction(
            name=name,
            addresses=addresses,
            port=settings.sync_port,
            user=settings.sync_user,
            user_key=user_key or self.own_user_key(),
            host_key=self.own_host_key(),
            heartbeat_key=self.heartbeat_key(),
        )

    def heartbeat_key(self, *, make: bool = False) -> bytes:
        """The pair's key, ``b""`` when there is none; with ``make`` one is made and put in force.  Raises AdapterError."""
        path = self._settings.heartbeat_key_file
        with contextlib.suppress(NoKey):
            return read_keys(path).present
        if not make:
            return b""
        fresh = new_key()
        take_key(fresh, path)
        return fresh

    def keep(self, introduction: Introduction, at: float, *, heartbeat_key: bytes | None = None) -> str:
        """Make that director the other one of this pair, in place of any before it.  Says in words what may be missing (``""``: nothing).

        ``heartbeat_key``: what both have agreed on; ``None``: whichever of the two every order of steps leads to.  Raises AdapterError.
        """
        if introduction.user_key == self.own_user_key():
            raise AdapterError("that is this director itself: carry the file to the other one")
        self._make_folder()
        agreed = agreed_heartbeat_key(self.heartbeat_key(), introduction.heartbeat_key) if heartbeat_key is None else heartbeat_key
        if agreed:
            take_key(agreed, self._settings.heartbeat_key_file)
        self._write(replace(introduction, heartbeat_key=b""), at)
        return self._doubts()

    def follow(self, addresses: tuple[str, ...]) -> bool:
        """The other director's addresses as lvs.cf gives them now, before those it was paired with; says whether that was news."""
        peer = self.peer()
        wanted = merged(addresses, peer.introduction.addresses)
        if wanted == peer.introduction.addresses:
            return False
        self._write(replace(peer.introduction, addresses=wanted), peer.since)
        return True

    def forget(self) -> bool:
        """End the pairing on this side: the other director's key is worth nothing here from now on, and ours is gone.

        The heartbeat key stays, so that no role moves.  Says whether there was anything to forget.
        """
        found = False
        public = self.private_key.with_suffix(".pub")
        for path in (self.authorized_keys, self.record, self.known_host, self.private_key, public):
            try:
                path.unlink()
                found = True
            except FileNotFoundError:
                continue
            except OSError as error:
                raise AdapterError(f"{path} cannot be removed: {(error.strerror or str(error)).lower()}") from error
        shutil.rmtree(self.folder / "outbox", ignore_errors=True)
        return found

    def _write(self, introduction: Introduction, since: float) -> None:
        """The record last: it is what says that there is a pairing."""
        try:
            line = authorized_line(introduction, self.forced_command())
        except ValueError as error:
            raise AdapterError(str(error)) from None
        _folder(self.authorized_keys.parent, 0o755)
        replace_file(self.authorized_keys, line.encode(), SystemFiles(), PUBLIC)
        replace_file(self.known_host, known_host_line(introduction).encode(), SystemFiles(), PRIVATE)
        record = _Record(version=RECORD_VERSION, since=since, introduction=encode(introduction).decode())
        replace_file(self.record, msgspec.json.encode(record), SystemFiles(), PRIVATE)

    def forced_command(self) -> str:
        """What sshd starts for the other director, whatever it asks for."""
        installed = Path(sys.executable).with_name("lvsagent")
        program = f"{installed}" if installed.exists() else f"{sys.executable} -P -m lvsagent.cli"
        return f"{program} receive --config {self._settings.path}"

    def _doubts(self) -> str:
        user = self._settings.sync_user
        try:
            pwd.getpwnam(user)
        except KeyError:
            return f'there is no user "{user}" (sync_user in agent.toml) here, as whom the other director comes: deploy/install makes it'
        return ""

    def _make_folder(self) -> None:
        _folder(self.folder, 0o700)


def _folder(path: Path, mode: int) -> None:
    try:
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(mode)  # whatever the umask
    except OSError as error:
        raise AdapterError(f"the folder {path} cannot be made: {(error.strerror or str(error)).lower()}") from error


def write_new(path: Path, data: bytes) -> None:
    """A new file for root alone.  Raises AdapterError; a file that is there is never replaced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), PRIVATE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise AdapterError(f"{path} is there already and is not overwritten: give another name, or remove it first") from None
    except OSError as error:
        raise AdapterError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def read_private(path: Path) -> bytes:
    """What ``write_new`` wrote and somebody carried over.  Raises AdapterError: there is none, or others can read it."""
    try:
        found = path.stat()
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        raise AdapterError(f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}) and holds a key: chmod 600 {path}")
    data = content_of(path, LARGEST_BYTES)
    return data or b""
