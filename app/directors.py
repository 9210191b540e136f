"""The two directors as people read them: the links between them, the peer, the key, how long a takeover takes, what may be asked.

Pure: from the agent's snapshot and lvs.cf's settings to words.  Whether a request is granted is the agent's business; here is only what
makes no sense to offer.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.lvscf.model import GlobalSettings
from app.presentation import DOWN, IDLE, UP, WARN, Badge, duration, last_known, number, peer_badge, percent, plural, since
from lvsagent.wire import HeartbeatLinkInfo, State

LINK_BADGES = {"up": ("heard", UP), "silent": ("silent", DOWN), "never": ("never heard", WARN)}


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One heartbeat link: its two ends, whether the other director is heard there, and what came and what did not."""

    name: str
    ends: str
    badge: Badge
    heard: str
    received: str
    lost: str
    refused: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other director as its heartbeats tell it; a text is empty while it is not known."""

    name: str
    identity: str
    badge: Badge
    heard: str
    version: str
    version_note: str
    serial: str
    serial_badge: Badge | None
    servers: str
    trouble: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A button that leads to the page that asks; ``off`` says why it makes no sense now."""

    slug: str
    label: str
    off: str = ""


@dataclass(frozen=True, slots=True)
class Redundancy:
    """What is known of the pair now.  ``beating``: the agent sends heartbeats and says how that goes."""

    beating: bool
    links: tuple[LinkRow, ...]
    peer: Peer | None
    key: Badge
    key_missing: bool
    takeover: str
    late: str
    offers: tuple[Offer, ...]


def redundancy(state: State, now: float, *, down: bool = False) -> Redundancy:
    """Everything about the second director that the console shows."""
    role = state.role
    return Redundancy(
        beating=is_beating(state),
        links=tuple(_link_row(one, now, down) for one in role.links),
        peer=_peer(state, now, down),
        key=_key(role.key),
        key_missing=bool(role.key) and role.key != "present",
        takeover=duration(role.takeover_s) if role.takeover_s > 0 else "",
        late=role.late_warning,
        offers=offers(state),
    )


def is_beating(state: State) -> bool:
    """Whether the agent watches heartbeats: only then can a role be moved."""
    return state.peer.state != "none" and bool(state.role.key or state.role.links)


def _link_row(one: HeartbeatLinkInfo, now: float, down: bool) -> LinkRow:
    word, kind = LINK_BADGES.get(one.state, (one.state, IDLE))
    expected = one.received + one.lost
    lost = f"{number(one.lost)} ({percent(one.lost / expected)})" if one.lost else "0"
    return LinkRow(
        name=one.name,
        ends=f"{one.local} → {one.peer}",
        badge=last_known(Badge(word, kind), down),
        heard=f"{since(one.heard_at, now)} ago" if one.heard_at else "never",
        received=number(one.received),
        lost=lost,
        refused=number(one.refused),
        reasons=tuple(f"{number(count)} {reason}" for reason, count in sorted(one.refused_reasons.items(), key=lambda pair: -pair[1])),
    )


def _peer(state: State, now: float, down: bool) -> Peer | None:
    peer = state.peer
    if peer.state == "none":
        return None
    here = state.config.applied_serial
    same = peer.serial == here
    return Peer(
        name=peer.name or peer.address or "the other director",
        identity=peer.identity,
        badge=last_known(peer_badge(peer, both_active=bool(state.role.both_active_since)), down),
        heard=f"{since(peer.heard_at, now)} ago" if peer.heard_at else "",
        version=peer.version,
        version_note=f"here {state.version}" if peer.version and peer.version != state.version else "",
        serial=number(peer.serial) if peer.heard_at else "",
        serial_badge=None if not peer.heard_at else Badge("as here" if same else f"here {here}", UP if same else WARN),
        servers=f"{number(peer.up)} of {plural(peer.total, 'real server')} up" if peer.total else "",
        trouble=_peer_trouble(state),
    )


def _peer_trouble(state: State) -> str:
    peer = state.peer
    if peer.state == "dead":
        return "Silent on every link. If it still runs, it cannot be heard from here."
    if peer.state == "waiting":
        return "Not heard since this agent started."
    if peer.maintenance:
        return "In maintenance: it does not take over until somebody resumes it."
    return "" if peer.links_whole else "One of its watched network links is down: it is no good heir."


def _key(key: str) -> Badge:
    if key == "present":
        return Badge("present", UP)
    return Badge(key, DOWN) if key else Badge("not known", IDLE)


# --- what an operator may ask -------------------------------------------------------------------------------------------------------


def offers(state: State) -> tuple[Offer, ...]:
    """The buttons for how things stand; none where no heartbeat runs."""
    role = state.role
    resume = Offer("resume", "RESUME")
    if not is_beating(state):
        return (resume,) if role.maintenance else ()
    found = []
    if role.role == "active":
        found.append(Offer("step-down", "STEP DOWN", _no_heir(state)))
    elif role.role == "standby":
        found.append(Offer("take-over", "TAKE OVER", _not_ours(state)))
    return (*found, resume if role.maintenance else Offer("maintenance", "MAINTENANCE"))


def _not_ours(state: State) -> str:
    if state.role.key != "present":
        return "without a shared key no role can be moved"
    if state.role.maintenance:
        return "this director is in maintenance: RESUME first"
    return "" if state.peer.state == "alive" else "the other director is not heard: it cannot be asked for the role"


def _no_heir(state: State) -> str:
    if state.role.key != "present":
        return "without a shared key no role can be moved"
    if state.peer.state != "alive":
        return "the other director is not heard: nobody would take over"
    return "the other director is in maintenance: nobody would take over" if state.peer.maintenance else ""


@dataclass(frozen=True, slots=True)
class Question:
    """The page before the deed.  ``action`` is the agent's word for it; ``warning`` is what speaks against it now."""

    action: str
    title: str
    button: str
    happens: tuple[str, ...]
    warning: str
    asked: str
    """What is said once the agent has been told."""


def question(slug: str, state: State, settings: GlobalSettings) -> Question | None:
    """What ``slug`` asks and what happens then; ``None`` for a word that is no action."""
    make = _QUESTIONS.get(slug)
    return make(state, settings) if make else None


def _step_down(state: State, settings: GlobalSettings) -> Question:
    here, there = state.host, other_director(state)
    return Question(
        "step_down",
        f"Let {here} step down?",
        "STEP DOWN",
        (
            f"{there} is told and takes over at once, without waiting for the dead time.",
            f"{here} removes its {_addresses(state)} and stands by. It goes on checking and can take over again at any moment.",
            _connections(settings),
        ),
        _no_heir(state),
        f"{there} is asked to take over.",
    )


def _take_over(state: State, settings: GlobalSettings) -> Question:
    here, there = state.host, other_director(state)
    return Question(
        "take_over",
        f"Let {here} take over?",
        "TAKE OVER",
        (
            f"{there} is asked for the role, gives it up at once and stands by.",
            f"{here} adds the virtual addresses and tells the neighbours (gratuitous ARP).",
            _connections(settings),
        ),
        _not_ours(state),
        f"{there} is asked for the role.",
    )


def _maintenance(state: State, settings: GlobalSettings) -> Question:
    here, there = state.host, other_director(state)
    happens = [f"{here} is never active until RESUME: not when {there} dies, and not after a reboot either."]
    heir = _no_heir(state)
    if state.role.role == "active":
        happens[:0] = ["It steps down." if heir else f"{there} takes over at once.", _connections(settings)]
    warning = f"Nobody serves then: {heir}." if heir and state.role.role == "active" else ""
    happens.append("Checks and the table go on, so that it is up to date when it comes back.")
    return Question(
        "maintenance", f"Put {here} into maintenance?", "MAINTENANCE", tuple(happens), warning, f"{here} is put into maintenance."
    )


def _resume(state: State, settings: GlobalSettings) -> Question:
    here, there = state.host, other_director(state)
    return Question(
        "resume",
        f"Let {here} serve again?",
        "RESUME",
        (f"{here} may be active again: it takes over when {there} steps down or is silent for {settings.deadtime:g} s.",),
        "",
        f"{here} is back from maintenance.",
    )


_QUESTIONS = {"step-down": _step_down, "take-over": _take_over, "maintenance": _maintenance, "resume": _resume}
SLUGS = tuple(_QUESTIONS)


def other_director(state: State) -> str:
    """What the other one is called."""
    return state.peer.name or state.peer.address or "the other director"


def _addresses(state: State) -> str:
    present = [one for one in state.role.addresses if one.state == "present"]
    return plural(len(present), "virtual address", "virtual addresses") if present else "virtual addresses"


def _connections(settings: GlobalSettings) -> str:
    if settings.syncdaemon:
        return "Established connections go on: the sync daemon has told the other director about them."
    return "Established connections may break: the sync daemon is off (syncdaemon = 0), so the other director does not know them."
