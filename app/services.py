"""What the console's views share inside one process: the agent, the parsed lvs.cf, the last snapshot.

Owns two caches: lvs.cf parsed once per ETag, and the last answer to each question about the state, shown with its age while the agent
is down.  Knows nothing of Flask; ``app.frame`` ties it to a request.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from typing import TypeVar, cast

from app.lvscf import Loaded, load
from lvsagent.client import Agent, AgentDown, ConfigText
from lvsagent.wire import State

KEPT_CONFIGS = 4
KEPT_ANSWERS = 32
SLOW_S = 1.0
LEFT_ALONE_S = 3.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question to ``Agent.state``; the fields are its arguments."""

    virtual: str = ""
    search: str = ""
    page: int = 1
    per_page: int = 1
    servers: bool = False
    sort: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as far as it is known: ``state`` ``None`` before the first answer, ``reason`` empty while the agent answers.

    ``age_s`` is how old the state is when the agent does not answer, 0 when it does.
    """

    state: State | None
    reason: str = ""
    age_s: float = 0.0

    @property
    def down(self) -> bool:
        """Whether the agent did not answer."""
        return bool(self.reason)


class ConfigService:
    """lvs.cf as the agent has it, parsed once per ETag for all threads.  Values are immutable: edit them with ``dataclasses.replace``."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[ConfigText, Loaded]] = OrderedDict()
        self._latest: tuple[ConfigText, Loaded] | None = None
        self._outdated = ""

    def current(self, etag: str = "") -> tuple[ConfigText, Loaded]:
        """The configuration now.  ``etag``, when the caller just learnt it, saves fetching a text that is already here.

        Raises AgentDown.
        """
        kept = self.by_etag(etag) if etag and etag != self._outdated else None
        entry = kept or self.parsed(self._agent.config())
        with self._lock:
            self._latest = entry
            if entry[0].etag == self._outdated:
                self._outdated = ""
        return entry

    def outdated(self, etag: str) -> None:
        """The file is another one than this by now, although the agent's state says so only once it has noticed a hand edit."""
        with self._lock:
            self._outdated = etag

    def parsed(self, text: ConfigText) -> tuple[ConfigText, Loaded]:
        """``text`` with what it means."""
        kept = self.by_etag(text.etag)
        if kept is not None:
            return kept
        entry = (text, load(text.text))
        with self._lock:
            self._kept[text.etag] = entry
            while len(self._kept) > KEPT_CONFIGS:
                self._kept.popitem(last=False)
        return entry

    def by_etag(self, etag: str) -> tuple[ConfigText, Loaded] | None:
        """A configuration seen lately, for showing what a stale edit was based on; ``None`` when it is no longer kept."""
        with self._lock:
            entry = self._kept.get(etag)
            if entry is not None:
                self._kept.move_to_end(etag)
            return entry

    def latest(self) -> tuple[ConfigText, Loaded] | None:
        """The configuration used last, for reading while the agent is down."""
        with self._lock:
            return self._latest


class StateService:
    """The agent's answers, with the last one to each question kept for when it stops answering.

    An agent that hangs is left alone for a moment: while it takes seconds to say nothing, pages show at once what is known.
    """

    def __init__(self, agent: Agent, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._agent = agent
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()
        self._newest: State | None = None
        self._left_alone_until = 0.0
        self._last_reason = ""

    def snapshot(self, query: Query) -> Snapshot:
        """The answer to ``query``, or the last one known (to this query, else to any) with its age and the reason."""
        try:
            state = self.ask(query, lambda: self._agent.state(**asdict(query)))
        except AgentDown as error:
            return self._last(query, str(error))
        with self._lock:
            self._newest = state
        return Snapshot(state)

    def ask(self, key: Hashable, call: Callable[[], T], max_age_s: float = 0.0) -> T:
        """The answer of ``call``, remembered under ``key``; one that is younger than ``max_age_s`` is used again.  Raises AgentDown."""
        with self._lock:
            at, kept = self._kept.get(key, (0.0, None))
        if kept is not None and self._monotonic() - at < max_age_s:
            return cast("T", kept)
        if self._monotonic() < self._left_alone_until:
            raise AgentDown(self._last_reason)
        began = self._monotonic()
        try:
            answer = call()
        except AgentDown as error:
            if self._monotonic() - began > SLOW_S:
                self._left_alone_until, self._last_reason = self._monotonic() + LEFT_ALONE_S, str(error)
            raise
        with self._lock:
            self._kept[key] = (began, answer)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return answer

    def remembered(self, key: Hashable) -> object | None:
        """The last answer under ``key``, if it is still kept."""
        with self._lock:
            return self._kept.get(key, (0.0, None))[1]

    @property
    def newest(self) -> State | None:
        """The last state heard, whatever was asked."""
        with self._lock:
            return self._newest

    def _last(self, query: Query, reason: str) -> Snapshot:
        kept = self.remembered(query)
        state = kept if isinstance(kept, State) else self.newest
        age = max(0.0, self._wall() - state.at) if state else 0.0
        return Snapshot(state, sentence(reason) or "The agent does not answer.", age)


def sentence(words: str) -> str:
    """Words of the agent as a sentence: a capital first, a full stop last."""
    words = words.strip()
    return words and words[0].upper() + words[1:] + ("" if words[-1] in ".!?" else ".")


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a view needs of the world."""

    agent: Agent
    config: ConfigService
    state: StateService
    wall: Callable[[], float] = time.time


def make_services(agent: Agent, wall: Callable[[], float] = time.time) -> Services:
    """The services over one agent."""
    return Services(agent, ConfigService(agent), StateService(agent, wall), wall)
