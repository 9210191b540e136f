"""Which director this host is, and the role that follows while there is no heartbeat.

Pure.  The machine that moves the role between two directors takes ``role_without_peer``'s place when it comes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.lvscf import ip_of
from app.lvscf.model import NO_ADDRESS, GlobalSettings

PRIMARY, BACKUP, UNKNOWN = "primary", "backup", "unknown"
ACTIVE, STANDBY, STARTING, STOPPED = "active", "standby", "starting", "stopped"


def identify(node: str, settings: GlobalSettings, own: Collection[str], resolved: Mapping[str, str] = {}) -> str:
    """``primary``, ``backup`` or ``unknown``.

    ``node`` is agent.toml's (``auto``: whichever of lvs.cf's addresses is in ``own``, this host's canonical addresses); ``resolved`` gives
    the addresses of names that lvs.cf uses in place of addresses.
    """
    if node in (PRIMARY, BACKUP):
        return node
    addresses = frozenset(own)
    for identity, hosts in (
        (PRIMARY, (settings.primary, settings.primary_private)),
        (BACKUP, (settings.backup, settings.backup_private)),
    ):
        if any(_address(host, resolved) in addresses for host in hosts if host and host != NO_ADDRESS):
            return identity
    return UNKNOWN


def redundancy_wanted(settings: GlobalSettings) -> bool:
    """Whether lvs.cf names a backup director and has it enabled."""
    return settings.backup_active and settings.backup != NO_ADDRESS


def _address(host: str, resolved: Mapping[str, str]) -> str:
    return resolved.get(host) or ip_of(host) or host


@dataclass(frozen=True, slots=True)
class Role:
    """A role and, in words, why."""

    role: str
    reason: str


def role_without_peer(identity: str, *, redundant: bool) -> Role:
    """The role of a director that hears no peer because nothing listens for one yet."""
    if identity == PRIMARY:
        if redundant:
            return Role(ACTIVE, "this is the primary; a backup is configured, but heartbeat is not watched by this version")
        return Role(ACTIVE, "this is the primary and no backup is enabled")
    if identity == BACKUP:
        if redundant:
            return Role(STANDBY, "this is the backup; heartbeat is not watched by this version, so it does not take over")
        return Role(STANDBY, "this is the backup, and lvs.cf does not enable it (backup_active = 0)")
    if redundant:
        return Role(STANDBY, "this host has neither the primary's nor the backup's address of lvs.cf (see node in agent.toml)")
    return Role(ACTIVE, "no backup is enabled, so this director is alone")
