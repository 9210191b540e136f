"""The two directors: this one's role and addresses, the ways to the other one, and that one as it is heard.  Owns these shapes alone."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class AddressState(Wire, frozen=True):
    """An address pulse looks after.  ``state``: present, absent, refused."""

    address: str
    prefix: int
    interface: str
    label: str
    state: str
    reason: str = ""


class HeartbeatLinkInfo(Wire, frozen=True):
    """One way to the other director.  ``state``: up, silent (was heard once, is not any more) or never.

    ``lost`` and ``refused`` count datagrams since pulse started; ``refused_reasons`` says why each was not taken.
    """

    name: str
    local: str
    peer: str
    state: str
    heard_at: float = 0.0
    received: int = 0
    lost: int = 0
    refused: int = 0
    refused_reasons: dict[str, int] = {}


class RoleInfo(Wire, frozen=True):
    """``identity``: primary, backup, or unknown.  ``role``: active, standby, starting, stopped; with why and since when.

    ``takeover_s``: how long the other one would take to be active if this one died, from the numbers in lvs.cf.  ``late_s``: the worst
    wake-up of the last minute, with a ``late_warning`` in words when it is too late for the interval chosen.  ``key``: present, missing,
    or what is wrong with the key's file.  ``both_active_since``: 0, or since when both directors say that they are active.
    """

    identity: str
    role: str
    since: float
    reason: str
    addresses: list[AddressState] = []
    announced_at: float = 0.0
    maintenance: bool = False
    links: list[HeartbeatLinkInfo] = []
    takeover_s: float = 0.0
    late_s: float = 0.0
    late_warning: str = ""
    key: str = ""
    both_active_since: float = 0.0


class PeerInfo(Wire, frozen=True):
    """The other director as its heartbeats tell it.  ``state``: none (no backup enabled), waiting (never heard), alive, dead,
    unknown (pulse is not running).

    ``heard_at`` is 0 when it was never heard; ``up`` and ``total`` count its real servers; ``identity`` is its own.
    """

    state: str
    name: str = ""
    address: str = ""
    heard_at: float = 0.0
    serial: int = 0
    identity: str = ""
    role: str = ""
    version: str = ""
    up: int = 0
    total: int = 0
    maintenance: bool = False
    links_whole: bool = True


class FailoverRequest(Wire, frozen=True):
    """``action``: step_down, take_over, maintenance or resume; who asked and why are kept in an event."""

    action: str
    actor: str = ""
    reason: str = ""
