"""From the agent's snapshot to what people read: words, colours, rates, durations, rows.

Pure: values in, values out; the time is an argument; no Flask, no I/O.  A colour never stands alone: every ``Badge`` has its word.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from app.services import Snapshot
from lvsagent.wire import CountersInfo, PeerInfo, RealServerState, RoleInfo, State, SyncInfo, VirtualServerState

UP, DOWN, WARN, IDLE = "up", "down", "warn", "idle"

STATE_KINDS = {
    "up": UP,
    "running": UP,
    "active": UP,
    "present": UP,
    "ready": UP,
    "down": DOWN,
    "failed": DOWN,
    "stopped": DOWN,
    "refused": DOWN,
    "unavailable": DOWN,
    "absent": IDLE,
    "rising": WARN,
    "falling": WARN,
    "starting": WARN,
    "drained": WARN,
    "held down": WARN,
}

SCHEDULERS = {
    "rr": "round robin",
    "wrr": "weighted round robin",
    "lc": "least-connections",
    "wlc": "weighted least-connections",
    "lblc": "locality-based least-connection",
    "lblcr": "locality-based least-connection with replication",
    "dh": "destination hash",
    "sh": "source hash",
    "sed": "shortest expected delay",
    "nq": "never queue",
    "mh": "Maglev hash",
    "fo": "weighted failover",
    "ovf": "weighted overflow",
}
FORWARDINGS = {"nat": "NAT", "direct": "Direct Routing", "tunnel": "Tunneling", "proxy": "proxy"}


@dataclass(frozen=True, slots=True)
class Badge:
    """A state for people: its word, the kind that chooses shape and colour (up, down, warn, idle), and a reason for the curious."""

    word: str
    kind: str
    title: str = ""


def badge(state: str, reason: str = "") -> Badge:
    """The badge of any of the wire's state words."""
    return Badge(state, STATE_KINDS.get(state, IDLE), reason)


def last_known(now: Badge, down: bool) -> Badge:
    """A badge that does not claim more than is known: while the agent is silent, things *were* so."""
    return Badge(f"was {now.word}", IDLE, now.title) if down else now


# --- numbers ------------------------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """How long, in the two units that matter: ``4 h 48 min``, ``2 min 5 s``, ``140 ms``."""
    if seconds < 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
    whole = round(seconds)
    for unit, size, smaller, small in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{seconds:.1f} s" if seconds < 9.95 and abs(seconds - whole) >= 0.05 else f"{whole} s"


def since(at: float, now: float) -> str:
    """How long since ``at``; empty when that is not known."""
    return duration(max(0.0, now - at)) if at else ""


def size(count: float) -> str:
    """Bytes: ``512 B``, ``1.5 KiB``, ``38 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("the last unit takes every number")


def number(value: float) -> str:
    """A whole number with thousands apart: ``1,332``."""
    return f"{round(value):,}"


def rate(value: float) -> str:
    """A rate a second: one decimal below 10, thousands apart above."""
    if 0 < value < 0.05:
        return "<0.1"
    return f"{value:.1f}" if 0 < value < 9.95 and abs(value - round(value)) >= 0.05 else number(value)


def percent(share: float) -> str:
    """A share of one: ``0.1 %``."""
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"


def clock(at: float) -> str:
    """The time of day here, ``14:02:31``."""
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def moment(at: float, now: float) -> str:
    """The time of day, with the date when that is not today's."""
    then, today = dt.datetime.fromtimestamp(at).astimezone(), dt.datetime.fromtimestamp(now).astimezone()
    return then.strftime("%H:%M:%S" if then.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def iso(at: float) -> str:
    """For ``<time datetime>``."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds")


def plural(count: int, one: str, many: str = "") -> str:
    """``1 real server``, ``3 real servers``, ``no real servers``."""
    if count == 1:
        return f"1 {one}"
    return f"{number(count) if count else 'no'} {many or one + 's'}"


# --- the header ---------------------------------------------------------------------------------------------------------------------

BEING_APPLIED_S = 2.0
"""A difference between the two directors that is younger is a change on its way, not drift."""


@dataclass(frozen=True, slots=True)
class Header:
    """The two lines at the top of every page: which router this is, is it serving, is the other one well, is lvs.cf in step."""

    host: str
    identity: str
    role: Badge
    role_since: str
    peer: str
    peer_badge: Badge | None
    peer_heard: str
    both_active: str
    serial: str
    step: Badge
    lamp: Badge | None
    lamp_since: str
    parted: bool
    demonstration: bool
    known: bool
    down: str
    age: str


def header(snapshot: Snapshot, now: float) -> Header:
    """The header's words for a snapshot."""
    state = snapshot.state
    if state is None:
        nothing = Badge("not known", IDLE)
        return Header(
            "this router",
            "",
            nothing,
            "",
            "",
            None,
            "",
            "",
            "",
            nothing,
            None,
            "",
            parted=False,
            demonstration=False,
            known=False,
            down=snapshot.reason,
            age="",
        )
    role, peer = state.role, state.peer
    both = bool(role.both_active_since)
    return Header(
        host=state.host,
        identity="" if role.identity == "unknown" else role.identity,
        role=last_known(role_badge(role), snapshot.down),
        role_since=since(role.both_active_since if both else role.since, now),
        peer="" if peer.state == "none" else peer.name or peer.address or "the other director",
        peer_badge=None if peer.state == "none" else last_known(peer_badge(peer, both_active=both), snapshot.down),
        peer_heard=f"heard {since(peer.heard_at, now)} ago" if peer.heard_at and peer.state != "alive" else "",
        both_active=since(role.both_active_since, now),
        serial=_serial(state),
        step=last_known(_step(state), snapshot.down),
        lamp=last_known(lit, snapshot.down) if (lit := lamp(state.sync, now)) else None,
        lamp_since=_lamp_since(state.sync, now),
        parted=state.sync.state == "diverged" and not snapshot.down,
        demonstration=state.data_plane.kind == "userspace",
        known=True,
        down=snapshot.reason,
        age=duration(snapshot.age_s) if snapshot.down else "",
    )


def role_badge(role: RoleInfo) -> Badge:
    """This director's role; that both are active outshouts everything else."""
    if role.both_active_since:
        return Badge("both active", DOWN, "Both directors say that they are active")
    if role.maintenance:
        return Badge(f"{role.role}, in maintenance", WARN, role.reason)
    return badge(role.role, role.reason)


def peer_badge(peer: PeerInfo, *, both_active: bool = False) -> Badge:
    """The other director in a word or two: its role while it is heard, else what is known of it."""
    if peer.state == "alive":
        role = peer.role or "alive"
        if both_active:
            return Badge(role, DOWN)
        if peer.maintenance:
            return Badge(f"{role}, in maintenance", WARN)
        return Badge(role, UP) if peer.links_whole else Badge(f"{role}, a link is down", WARN)
    return {"dead": Badge("silent", DOWN), "waiting": Badge("not heard yet", WARN)}.get(peer.state, Badge("state not known", IDLE))


def _serial(state: State) -> str:
    config = state.config
    if not config.exists:
        return "no lvs.cf yet"
    if config.in_step or config.serial == config.applied_serial:
        return f"serial {config.serial}"
    return f"serial {config.serial}, applied {config.applied_serial}"


def _step(state: State) -> Badge:
    config = state.config
    if config.in_step:
        return Badge("in step", UP, "What lvs.cf says is what the data plane has")
    return Badge("errors in lvs.cf" if config.errors else "not in step", DOWN if config.errors else WARN, config.reason)


def _lamp_since(sync: SyncInfo, now: float) -> str:
    """How long the lamp has said what it says: a difference is as old as its oldest, one that is just being applied has no age."""
    if sync.equal:
        return since(sync.equal_since, now)
    began = [one.since for one in sync.differences if one.since] if sync.state == "in_step" else []
    if not began:
        return since(sync.since, now)
    return since(min(began), now) if now - min(began) >= BEING_APPLIED_S else ""


def lamp(sync: SyncInfo, now: float) -> Badge | None:
    """Whether both directors have the same lvs.cf, in force on both; alone, ``None`` while everything is as it should be."""
    if sync.state == "none":
        return None if sync.equal or not sync.differences else Badge("drift", WARN, sync.differences[0].words)
    if sync.state == "in_step":
        if sync.equal:
            return Badge("both alike", UP, sync.words)
        fresh = all(now - one.since < BEING_APPLIED_S for one in sync.differences)
        return Badge("being applied", IDLE, sync.words) if fresh else Badge("not alike", WARN, sync.differences[0].words)
    words = {
        "unpaired": ("not paired", WARN),
        "unknown": ("peer’s lvs.cf not known", WARN),
        "behind": (f"peer behind by {sync.behind}", WARN),
        "ahead": ("peer is ahead", WARN),
        "diverged": ("edited on both", DOWN),
        "refused": ("peer refuses lvs.cf", DOWN),
    }
    word, kind = words.get(sync.state, (sync.state, IDLE))
    return Badge(word, kind, sync.words)


# --- virtual servers and real servers -----------------------------------------------------------------------------------------------


def service_address(server: VirtualServerState) -> str:
    """``192.0.2.100:80 tcp``, ``[2001:db8::1]:80 tcp`` or ``firewall mark 80``."""
    if server.fwmark:
        return f"firewall mark {server.fwmark}"
    return f"{host_port(server.address, server.port)} {server.protocol}"


def host_port(address: str, port: int) -> str:
    """An address and a port as the field writes them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def virtual_badge(server: VirtualServerState) -> Badge:
    """``2 of 3 up`` and the like: the state of a virtual server in words."""
    if server.state == "up":
        return Badge(f"{server.up} of {server.enabled} up", UP if server.up == server.enabled else WARN, server.reason)
    if server.state == "down":
        words = "down, sorry server answers" if server.sorry else "down"
        return Badge(words, DOWN, server.reason or "No real server is up.")
    return badge(server.state, server.reason)


def real_badge(server: RealServerState) -> Badge:
    """The state of a real server in words; one that answers and stays out for what it did before is held down."""
    if server.held is not None and not server.held.kept and server.state == "rising":
        return badge("held down", f"{server.reason}, until {clock(server.held.until)}")
    if server.held is not None and server.held.kept:
        return Badge("kept in service", WARN, f"{server.reason}; the mass-failure brake keeps it in until {clock(server.held.until)}")
    return badge(server.state, server.reason)


def spark_path(history: Sequence[float], top: float = 0.0, *, width: int = 104, height: int = 22) -> str:
    """The line of a sparkline as SVG path data; ``top`` is the value at its upper edge (0: the history's own highest).

    Long histories are thinned to a point each four units of width, keeping peaks.
    """
    most = width // 4
    values = list(history)
    if len(values) > most:
        step = len(values) / most
        values = [max(values[int(i * step) : max(int(i * step) + 1, int((i + 1) * step))]) for i in range(most)]
    if len(values) < 2:
        return ""
    highest = max(top, 1e-9, *values)
    across, usable = width / (len(values) - 1), height - 4
    return "M" + "L".join(f"{i * across:.0f} {height - 2 - max(0.0, value) / highest * usable:.1f}" for i, value in enumerate(values))


def spark_words(counters: CountersInfo) -> str:
    """What a sparkline says, for those who do not see it."""
    if not counters.history:
        return "no history yet"
    return f"connections a second over the last two minutes: now {rate(counters.connections_per_s)}, highest {rate(max(counters.history))}"
