"""What goes into the failover machine and what comes out of it: settings, heartbeats, events, commands.

Owns these types alone; what follows from them is decided in ``lvsagent.core.failover``, which is where others import them from.  All
times are of this host's monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lvsagent.core.identity import PRIMARY, STARTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What lvs.cf and agent.toml say of this director.

    ``identity``: primary, backup or unknown.  ``keyed``: there is a heartbeat key; without one no word of a peer is believed.
    ``paths``: the names of the heartbeat links, the same on both directors.
    """

    identity: str = PRIMARY
    redundant: bool = False
    keepalive_s: float = 6.0
    deadtime_s: float = 18.0
    preempt: bool = False
    preempt_delay_s: float = 0.0
    monitor_links: bool = False
    paths: tuple[str, ...] = ()
    keyed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One heartbeat: what a director says of itself.

    ``boot_id`` is made anew whenever pulse starts; ``number`` counts its beats from 1, so that late and doubled ones are recognised.
    ``heard_boot_id`` and ``heard_number`` name the newest beat of the other that its writer had heard: who finds its own there knows that
    the path delivers both ways and that this beat is no older than that one.  ``hears``: the paths on which it hears the other now.
    ``confirmed``: an active director that did not sleep since it last knew the other to be standby (or silent).
    ``links_whole``: every watched link is up, or links are not watched.  ``fit``: its processes are there.  ``wants_role``: it asks the
    active one to step down.  ``role_for_s``: how long it has had its role.
    ``deadtime_s``: its own dead time; the longer of the two counts, so that both can be changed one after the other.
    ``serial``, ``up`` and ``total`` (lvs.cf's serial number, servers in service) are for people; pulse fills them in.
    """

    identity: str
    boot_id: str
    number: int
    role: str = STARTING
    confirmed: bool = True
    stepping_down: bool = False
    maintenance: bool = False
    links_whole: bool = True
    fit: bool = True
    wants_role: bool = False
    role_for_s: float = 0.0
    deadtime_s: float = 0.0
    heard_boot_id: str = ""
    heard_number: int = 0
    hears: tuple[str, ...] = ()
    serial: int = 0
    up: int = 0
    total: int = 0


# --- events --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """pulse has started.  ``holding``: it left this host as the active director and the addresses are still there; ``away_s``: for how
    long it was away.  ``maintenance`` as it was before, also over a reboot."""

    holding: bool = False
    away_s: float = float("inf")
    maintenance: bool = False
    links_whole: bool = True
    fit: bool = True


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed.  At ``Machine.next_at`` at the latest, after what waits on the sockets has been passed on."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat that was authentic came in on ``path``."""

    path: str
    beat: Beat


@dataclass(frozen=True, slots=True)
class LinksChanged:
    """Every watched link is up, or not; ``why`` names the link ("eth1 has no carrier")."""

    whole: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class ChildrenChanged:
    """The other processes are there, or cannot be kept up."""

    fit: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Configured:
    """lvs.cf or the key changed."""

    settings: Settings


class Action(StrEnum):
    """What an operator can ask for."""

    STEP_DOWN = "step_down"
    TAKE_OVER = "take_over"
    MAINTENANCE = "maintenance"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody said so; ``by`` who and why, for the event log."""

    action: Action
    by: str = ""


@dataclass(frozen=True, slots=True)
class FeedReady:
    """The connection-sync feed is coming in and every check has run (or no longer so): the condition for giving the role back."""

    ready: bool = True


@dataclass(frozen=True, slots=True)
class Stopping:
    """A planned stop of this pulse.  Nothing follows it."""


Event = Started | Tick | Heard | LinksChanged | ChildrenChanged | Configured | Operator | FeedReady | Stopping


# --- commands ------------------------------------------------------------------------------------------------------------------


class Cause(StrEnum):
    """Why a role changed."""

    ALONE = "alone"
    UNKEYED = "unkeyed"
    ADOPTED = "adopted"
    PEER_SILENT = "peer_silent"
    PEER_LEFT = "peer_left"
    PEER_DEAF = "peer_deaf"
    NOBODY_ACTIVE = "nobody_active"
    PEER_ACTIVE = "peer_active"
    BOTH_ACTIVE = "both_active"
    LINKS = "links"
    CHILDREN = "children"
    OPERATOR = "operator"
    MAINTENANCE = "maintenance"
    ASKED = "asked"
    CONFIGURED = "configured"
    UNDECIDED = "undecided"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this beat on these paths, ``times`` over."""

    beat: Beat
    paths: tuple[str, ...]
    times: int = 1


@dataclass(frozen=True, slots=True)
class Activate:
    """Take the addresses and announce them."""

    cause: Cause
    why: str


@dataclass(frozen=True, slots=True)
class Deactivate:
    """Give the addresses up, before anything that follows in the same list."""

    cause: Cause
    why: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Write down that this director is in maintenance, or no longer, so that it survives a reboot."""

    maintenance: bool


@dataclass(frozen=True, slots=True)
class Note:
    """For the event log: ``kind`` role, peer, split or problem; ``severity`` info, warning or error."""

    kind: str
    severity: str
    message: str


Command = Send | Activate | Deactivate | Remember | Note
