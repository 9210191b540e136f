"""This director in a pairing: who it says it is, and what it keeps of the other.

Owns the order of steps on one side, for the code and for the file.  The conversation is ``handshake``'s, the files are ``peer_keys``'s.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.lvscf import NO_ADDRESS, ip_of, load
from app.lvscf.model import GlobalSettings
from lvsagent.adapters.config_files import ConfigFilesOnDisk
from lvsagent.adapters.handshake import with_seen
from lvsagent.adapters.peer_keys import NotPaired, PeerKeys, read_private, write_new
from lvsagent.core.identity import BACKUP, PRIMARY, identify
from lvsagent.core.introduction import LONGEST_NAME_BYTES, BadIntroduction, Introduction, decode, encode, fingerprint
from lvsagent.ports import AdapterError
from lvsagent.settings import AgentSettings
from lvsagent.wire.pairing import PairingInfo


def own_name(settings: AgentSettings) -> str:
    """What this director is called."""
    return settings.name or socket.gethostname().encode()[:LONGEST_NAME_BYTES].decode(errors="ignore") or "director"


def lvs_cf_addresses(settings: AgentSettings) -> tuple[str, ...]:
    """This director's own addresses as lvs.cf gives them, the public one first; none when it is not known which director this is."""
    found = load(ConfigFilesOnDisk(settings.lvs_cf, settings.state_dir).read().data.decode("utf-8", "surrogateescape"))
    wanted = found.config.globals
    own = [address for address in _both(wanted) if _is_ours(address)]
    return addresses_of(identify(settings.node, wanted, own), wanted)


def addresses_of(identity: str, wanted: GlobalSettings) -> tuple[str, ...]:
    """The addresses of the primary or the backup in lvs.cf, the public one first; only those that are written as addresses."""
    hosts = {PRIMARY: (wanted.primary, wanted.primary_private), BACKUP: (wanted.backup, wanted.backup_private)}.get(identity, ())
    return tuple(dict.fromkeys(address for host in hosts if host and host != NO_ADDRESS and (address := ip_of(host))))


def _both(wanted: GlobalSettings) -> Collection[str]:
    return addresses_of(PRIMARY, wanted) + addresses_of(BACKUP, wanted)


def _is_ours(address: str) -> bool:
    """Whether this host has it: only then can a socket be bound to it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@dataclass(slots=True)
class OwnSide:
    """The ``Side`` of a handshake.  ``at`` is now, in seconds since the epoch; with ``rotate`` this director comes with a new key."""

    keys: PeerKeys
    name: str
    addresses: tuple[str, ...]
    at: float
    rotate: bool = False
    waiting: bool = False
    doubts: str = ""
    _fresh: tuple[bytes, str] | None = field(default=None, init=False)

    def introduce(self, heartbeat_key: bytes, address: str) -> Introduction:
        """Itself.  The waiting side says which heartbeat key is used: its own, the other's, or a new one."""
        if self.rotate and self._fresh is None:
            self._fresh = self.keys.fresh_key()
        introduction = self.keys.introduce(self.name, with_seen(self.addresses, address), self._fresh[1] if self._fresh else "")
        if not self.waiting or introduction.heartbeat_key:
            return introduction
        key = heartbeat_key or self.keys.heartbeat_key(make=True)
        return replace(introduction, heartbeat_key=key)

    def accept(self, introduction: Introduction) -> None:
        """Keep the other director, and come with the new key from now on."""
        self.doubts = self.keys.keep(introduction, self.at, heartbeat_key=introduction.heartbeat_key)
        if self._fresh:
            self.keys.install_key(*self._fresh)


def export_file(keys: PeerKeys, name: str, addresses: tuple[str, ...], path: Path, *, rotate: bool = False) -> Introduction:
    """Write this director's introduction into a new file, readable by root alone.  Raises AdapterError."""
    keys.heartbeat_key(make=True)
    fresh = keys.fresh_key() if rotate else None
    introduction = keys.introduce(name, addresses, fresh[1] if fresh else "")
    write_new(path, encode(introduction))
    if fresh:
        keys.install_key(*fresh)
    return introduction


def import_file(keys: PeerKeys, path: Path, at: float) -> tuple[Introduction, str]:
    """Keep the director that ``path`` introduces; the second half is what may be missing here.  Raises AdapterError."""
    try:
        introduction = decode(read_private(path))
    except BadIntroduction as error:
        raise AdapterError(f"{path} cannot be used: {error}") from None
    return introduction, keys.keep(introduction, at)


def pairing_info(keys: PeerKeys, last_contact_at: float = 0.0) -> PairingInfo:
    """The pairing as people see it; ``last_contact_at`` is whoever asks the other director's to know.  Raises AdapterError."""
    try:
        peer = keys.peer()
    except NotPaired:
        return PairingInfo(paired=False)
    other = peer.introduction
    return PairingInfo(
        paired=True,
        name=other.name,
        addresses=list(other.addresses),
        port=other.port,
        since=peer.since,
        user_key=fingerprint(keys.own_user_key()),
        host_key=fingerprint(keys.own_host_key()),
        peer_user_key=fingerprint(other.user_key),
        peer_host_key=fingerprint(other.host_key),
        last_contact_at=last_contact_at,
    )
