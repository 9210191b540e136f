"""What an operator has decided about real servers at run time: drained, forced down or up, another weight.

Pure; the time (of the wall: it has to mean the same on both directors and after a restart) is an argument.  Every decision is a register of
its own, one for each target, and the later one wins: ``counter``, then ``node`` say which that is, so that two directors that exchange
what they have end up with the same, in whatever order it arrives.  A decision that was taken back stays for a while as an empty register.

A drain ends by itself: drained at zero connections, and at its deadline it waits on, cuts, or asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

LARGEST_WEIGHT = 65535
LONGEST_S = 366 * 86400.0
KEPT_S = 30 * 86400.0
"""How long it is remembered that a decision was taken back: a director that was away for longer may bring the decision back."""
LARGEST_COUNTER = 2**53
HOST, SERVER = "host", "server"


class Action(StrEnum):
    """AUTO: nothing is decided, health and lvs.cf rule."""

    DOWN = "down"
    DRAIN = "drain"
    UP = "up"
    WEIGHT = "weight"
    AUTO = "auto"


class Then(StrEnum):
    """What a drain does at its deadline."""

    WAIT = "wait"
    CUT = "cut"
    ASK = "ask"


class Phase(StrEnum):
    """How far a drain has come.  WAITING: past its deadline, and told to wait on; CUT: out of the table."""

    DRAINING = "draining"
    DRAINED = "drained"
    WAITING = "waiting"
    ASKING = "asking"
    CUT = "cut"


STRENGTH = {Action.DOWN: 3, Action.DRAIN: 2, Action.UP: 1, Action.WEIGHT: 0, Action.AUTO: -1}
"""Where a server and its host have an override each, the one that takes out is the one that counts."""


@dataclass(frozen=True, slots=True)
class Override:
    """A decision.  ``target``: ``server:VIRTUAL/SERVER`` (the key of its check) or ``host:ADDRESS``.  0: no deadline, no return."""

    target: str
    action: Action
    at: float
    actor: str = ""
    reason: str = ""
    weight: int = 0
    deadline_at: float = 0.0
    then: Then = Then.WAIT
    return_at: float = 0.0
    phase: Phase = Phase.DRAINING
    counter: int = 0
    node: str = ""

    @property
    def version(self) -> tuple[object, ...]:
        """The greater one wins.  What follows ``node`` only tells two directors of one name apart."""
        return (self.counter, self.node, self.at, self.action, self.phase, self.weight, self.deadline_at, self.return_at, self.actor)

    @property
    def name(self) -> str:
        """The target for people."""
        kind, _, rest = self.target.partition(":")
        if kind == HOST:
            return f"host {rest}"
        virtual, _, server = rest.partition("/")
        return f"real server {server} of {virtual}"


def of_server(check: str) -> str:
    """The target that is one real server of one virtual server."""
    return f"{SERVER}:{check}"


def of_host(address: str) -> str:
    """The target that is every real server at an address."""
    return f"{HOST}:{address}"


def lets_in(before: Override | None, after: Override | None) -> bool:
    """Whether a server that served nobody may serve again, as its check says and with a weight that may grow.

    One whose drain is taken back while it still has connections has never stopped.
    """
    gone = before is not None and (
        before.action is Action.DOWN
        or (before.action is Action.DRAIN and before.phase in {Phase.DRAINED, Phase.CUT})
        or (before.action is Action.WEIGHT and not before.weight)
    )
    return gone and (after is None or (after.action is Action.WEIGHT and after.weight > 0))


@dataclass(frozen=True, slots=True)
class Orders:
    """The decisions in force, for the table."""

    by_target: Mapping[str, Override] = field(default_factory=dict)

    def of(self, check: str, address: str) -> Override | None:
        """The one that counts for a real server: its own or its host's, whichever takes out more; its own when they are alike."""
        if not self.by_target:
            return None
        own, hosts = self.by_target.get(of_server(check)), self.by_target.get(of_host(address))
        if own is None or hosts is None:
            return own or hosts
        return own if STRENGTH[own.action] >= STRENGTH[hosts.action] else hosts


NO_ORDERS = Orders()


# --- events --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decide:
    """An operator's word.  ``deadline_s`` from now, 0: none; ``return_at`` on the wall's clock, 0: not by itself."""

    target: str
    action: Action
    actor: str = ""
    reason: str = ""
    weight: int = 0
    deadline_s: float = 0.0
    then: Then = Then.WAIT
    return_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operator says to a drain that asks, or earlier: wait on, or cut.  (To have it back is a ``Decide`` with AUTO.)"""

    target: str
    then: Then
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How many connections and templates each target that drains has left.  Only the active director looks: the standby's are copies."""

    left: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the other director has."""

    overrides: Sequence[Override]


@dataclass(frozen=True, slots=True)
class Gone:
    """These targets are no longer in lvs.cf."""

    targets: frozenset[str]


Event = Decide | Answer | Look | Heard | Gone


# --- commands ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Apply:
    """What is decided about these targets is another: the table follows, it is kept, and (``mirror``) the other director is told."""

    targets: frozenset[str]
    mirror: bool = True


@dataclass(frozen=True, slots=True)
class Tell:
    """For the events."""

    message: str
    severity: str = "info"
    actor: str = ""


Command = Apply | Tell


def why_not(event: Decide, now: float) -> str:
    """Why a decision makes no sense (``""``: it does)."""
    objections = (
        (event.action is Action.WEIGHT and not 0 <= event.weight <= LARGEST_WEIGHT, f"a weight is 0 to {LARGEST_WEIGHT}"),
        (not 0 <= event.deadline_s <= LONGEST_S, "a deadline is at most a year away"),
        (bool(event.deadline_s) and event.action is not Action.DRAIN, "only a drain has a deadline; anything may have a time of return"),
        (
            event.then is not Then.WAIT and not event.deadline_s,
            f"{event.then} is what happens at a deadline, and there is none: give it one",
        ),
        (event.return_at != 0 and event.action is Action.AUTO, "what is taken back needs no time of return"),
        (
            event.return_at != 0 and not now < event.return_at <= now + LONGEST_S,
            "the time of return is in the past, or more than a year away",
        ),
    )
    return next((words for holds, words in objections if holds), "")


class Overrides:
    """Every register that this director knows."""

    def __init__(self, node: str, known: Iterable[Override] = ()) -> None:
        self._node = node
        self._all = {one.target: one for one in known}

    @property
    def all(self) -> list[Override]:
        """Also those that were taken back; for the file and for the other director."""
        return list(self._all.values())

    @property
    def orders(self) -> Orders:
        """Those in force."""
        return Orders({one.target: one for one in self._all.values() if one.action is not Action.AUTO})

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from ``event`` at ``now``."""
        match event:
            case Decide():
                return self._decide(event, now)
            case Answer():
                return self._answer(event)
            case Look(left):
                return [command for one in self.orders.by_target.values() for command in self._look(one, left.get(one.target), now)]
            case Heard(overrides):
                return self._hear(overrides, now)
            case Gone(targets):
                return [command for target in sorted(targets) for command in self._gone(target, now)]

    def _decide(self, event: Decide, now: float) -> list[Command]:
        before = self.orders.by_target.get(event.target)
        if event.action is Action.AUTO and before is None:
            return []
        made = Override(
            target=event.target,
            action=event.action,
            at=now,
            actor=event.actor,
            reason=event.reason,
            weight=event.weight if event.action is Action.WEIGHT else 0,
            deadline_at=now + event.deadline_s if event.deadline_s else 0.0,
            then=event.then,
            return_at=event.return_at,
        )
        why = f": {event.reason}" if event.reason else ""
        return [*self._put(made), Tell(f"{made.name} {_said(made)}{why}", actor=event.actor)]

    def _answer(self, event: Answer) -> list[Command]:
        one = self.orders.by_target.get(event.target)
        if one is None or one.action is not Action.DRAIN or one.phase is Phase.CUT:
            return []
        if event.then is Then.CUT:
            return [*self._put(replace(one, phase=Phase.CUT)), Tell(f"{one.name} is cut", "warning", event.actor)]
        return [*self._put(replace(one, phase=Phase.WAITING, then=Then.WAIT)), Tell(f"the drain of {one.name} waits on", actor=event.actor)]

    def _look(self, one: Override, left: int | None, now: float) -> list[Command]:
        if one.return_at and now >= one.return_at:
            back = Override(one.target, Action.AUTO, now, one.actor, "its time of return has come")
            return [*self._put(back), Tell(f"{one.name} is back, as was asked for", actor=one.actor)]
        if one.action is not Action.DRAIN or one.phase in {Phase.CUT, Phase.DRAINED} or left is None:
            return []
        if left == 0:
            return [*self._put(replace(one, phase=Phase.DRAINED)), Tell(f"{one.name} is drained: no connection is left", actor=one.actor)]
        if one.phase is Phase.DRAINING and one.deadline_at and now >= one.deadline_at:
            return self._late(one, left)
        return []

    def _late(self, one: Override, left: int) -> list[Command]:
        words = f"the drain of {one.name} has come to its deadline with {left} left"
        phase, what, severity = {
            Then.WAIT: (Phase.WAITING, "it waits on", "info"),
            Then.CUT: (Phase.CUT, "it is cut", "warning"),
            Then.ASK: (Phase.ASKING, "wait, cut, or have it back?", "warning"),
        }[one.then]
        return [*self._put(replace(one, phase=phase)), Tell(f"{words}: {what}", severity, one.actor)]

    def _gone(self, target: str, now: float) -> list[Command]:
        one = self.orders.by_target.get(target)
        if one is None:
            return []
        dropped = Override(target, Action.AUTO, now, one.actor, "it is no longer in lvs.cf")
        return [*self._put(dropped), Tell(f"{one.name} is no longer in lvs.cf: that it was {_state(one)} is forgotten", actor="lvsd")]

    def _hear(self, overrides: Sequence[Override], now: float) -> list[Command]:
        newer = [one for one in overrides if one.target not in self._all or one.version > self._all[one.target].version]
        newer = [one for one in newer if one.action is not Action.AUTO or one.at > now - KEPT_S]
        self._all.update({one.target: one for one in newer})
        return [Apply(frozenset(one.target for one in newer), mirror=False)] if newer else []

    def _put(self, one: Override) -> list[Command]:
        """The newest of all: greater than every counter known, so that it also wins over what was forgotten long ago."""
        counter = 1 + max((each.counter for each in self._all.values()), default=0)
        self._all = {key: each for key, each in self._all.items() if each.action is not Action.AUTO or each.at > one.at - KEPT_S}
        self._all[one.target] = replace(one, counter=counter, node=self._node)
        return [Apply(frozenset({one.target}))]


def _state(one: Override) -> str:
    return {Action.DRAIN: "drained", Action.DOWN: "forced down", Action.UP: "forced up", Action.WEIGHT: "given another weight"}[one.action]


def _said(one: Override) -> str:
    return {
        Action.DRAIN: "is being drained",
        Action.DOWN: "is forced down",
        Action.UP: "is forced up",
        Action.WEIGHT: f"has weight {one.weight}",
        Action.AUTO: "is left to lvs.cf and its health again",
    }[one.action]


def estimate_s(samples: Sequence[tuple[float, int]]) -> float | None:
    """In how long nothing is left, from (time, left) samples, oldest first; ``None``: it does not get less, or not enough is known.

    As if the rest went at the pace seen so far.  It is a guess, and is shown as one: a single long download outlasts any of them.
    """
    if len(samples) < 2:
        return None
    (began, most), (ended, left) = samples[0], samples[-1]
    gone, took_s = most - left, ended - began
    if left <= 0:
        return 0.0
    return left * took_s / gone if gone > 0 and took_s > 0 else None
