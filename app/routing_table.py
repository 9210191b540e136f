"""CURRENT LVS ROUTING TABLE, processes, checks and events as rows of words.

Pure, like ``app.presentation``: values of the wire in, what a template prints out.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from app.presentation import (
    FORWARDINGS,
    SCHEDULERS,
    Badge,
    badge,
    duration,
    host_port,
    last_known,
    moment,
    number,
    percent,
    rate,
    real_badge,
    service_address,
    since,
    size,
    spark_path,
    spark_words,
    virtual_badge,
)
from lvsagent.wire import CheckInfo, CountersInfo, Event, ProcessInfo, RealServerState, State, VirtualServerState

COLLAPSE_ABOVE = 20
"""With more virtual servers than this the table starts with its real servers folded away, a page at a time."""
PAGE = 50
SORTS = {"name": "NAME", "state": "STATUS", "connections": "ACTIVE", "rate": "CONN/S"}


@dataclass(frozen=True, slots=True)
class View:
    """What the administrator wants to see of the table; lives in the page's address."""

    search: str = ""
    sort: str = ""
    page: int = 1
    opened: tuple[str, ...] = ()

    def url(self, path: str = "/control", **changes: object) -> str:
        """The address of this view with some of it changed; a change of search or order starts at page 1."""
        wanted = {"q": self.search, "sort": self.sort, "page": self.page, "open": self.opened}
        wanted.update(changes)
        if changes.keys() & {"q", "sort"}:
            wanted["page"] = 1
        given = {key: value for key, value in wanted.items() if value and not (key == "page" and value == 1)}
        query = urlencode(given, doseq=True, errors="surrogateescape")
        return f"{path}?{query}" if query else path

    def sorted_url(self, key: str) -> str:
        """Order by ``key``, or by the file's order again if that is how it is now."""
        return self.url(sort="" if self.sort == key else key)

    def toggled_url(self, name: str) -> str:
        """Unfold or fold one virtual server."""
        others = tuple(one for one in self.opened if one != name)
        return self.url(open=others if name in self.opened else (*others, name))


@dataclass(frozen=True, slots=True)
class Traffic:
    """A row's numbers, ready to print."""

    active: str
    inactive: str
    connections: str
    packets: str
    bytes: str
    spark: str
    spark_words: str


@dataclass(frozen=True, slots=True)
class RealRow:
    name: str
    address: str
    forwarding: str
    badge: Badge
    since: str
    reason: str
    weight: str
    weight_title: str
    traffic: Traffic
    release: str = ""
    """The check whose server can be released by hand (``""``: there is nothing to release)."""
    load: str = ""
    """Its host's load in a word or two (``""``: load_monitor asks for none)."""


@dataclass(frozen=True, slots=True)
class VirtualRow:
    name: str
    address: str
    listens: str
    scheduler: str
    scheduler_title: str
    badge: Badge
    traffic: Traffic
    servers: tuple[RealRow, ...]
    count: int
    opened: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One page of the routing table.  ``folded``: there are so many that each is unfolded by hand."""

    rows: tuple[VirtualRow, ...]
    matching: int
    total: int
    page: int
    pages: int
    folded: bool
    foreign: tuple[tuple[str, str, str], ...] = ()


def table(state: State, view: View, unfolded: dict[str, VirtualServerState], now: float) -> Table:
    """The page of ``state`` as rows; ``unfolded`` has the virtual servers whose real servers are wanted though the rest is folded."""
    folded = state.virtual_total > COLLAPSE_ABOVE
    rows = tuple(_virtual_row(unfolded.get(one.name, one), not folded or one.name in view.opened, now) for one in state.virtual_servers)
    foreign = tuple((one.service, one.scheduler, number(one.servers)) for one in state.foreign)
    pages = max(1, -(-state.matching // PAGE))
    return Table(rows, state.matching, state.virtual_total, min(view.page, pages), pages, folded, foreign)


def _virtual_row(one: VirtualServerState, opened: bool, now: float) -> VirtualRow:
    parts = [one.scheduler, FORWARDINGS.get(one.forwarding, one.forwarding)]
    if one.persistent_s:
        parts.append(f"sticky {duration(one.persistent_s)}")
    top = max(one.counters.history, default=0.0)
    return VirtualRow(
        name=one.name,
        address=service_address(one),
        listens=one.listens,
        scheduler=" · ".join(part for part in parts if part),
        scheduler_title=SCHEDULERS.get(one.scheduler, ""),
        badge=virtual_badge(one),
        traffic=_traffic(one.counters),
        servers=tuple(_real_row(server, now, top) for server in one.real_servers) if opened else (),
        count=one.total,
        opened=opened,
    )


def _real_row(one: RealServerState, now: float, top: float) -> RealRow:
    in_force = "–" if one.weight is None else number(one.weight)
    differs = one.weight is not None and one.weight != one.configured_weight
    lessened = one.load is not None and one.load.share_percent < 100
    return RealRow(
        name=one.name,
        address=host_port(one.address, one.port),
        forwarding=FORWARDINGS.get(one.forwarding, one.forwarding),
        badge=real_badge(one),
        since=since(one.since, now),
        reason="" if one.state == "up" and one.order is None and not lessened else real_badge(one).title,
        release=one.held.key if one.held else "",
        weight=f"{in_force} ({number(one.configured_weight)})" if differs else in_force,
        weight_title=f"in force: {'none' if one.weight is None else in_force}, configured: {number(one.configured_weight)}"
        + (f"; {one.load.words}" if one.load else ""),
        traffic=_traffic(one.counters, top),
        load="" if one.load is None else "load ?" if one.load.damped is None else f"load {one.load.damped:.2f}",
    )


def _traffic(counters: CountersInfo, top: float = 0.0) -> Traffic:
    return Traffic(
        active=number(counters.active),
        inactive=number(counters.inactive),
        connections=rate(counters.connections_per_s),
        packets=rate(counters.packets_per_s),
        bytes=size(counters.bytes_per_s),
        spark=spark_path(counters.history, top),
        spark_words=spark_words(counters),
    )


# --- processes, checks, events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessRow:
    name: str
    badge: Badge
    pid: str
    cpu: str
    memory: str
    uptime: str
    restarts: int
    reason: str


def process_rows(found: list[ProcessInfo], now: float, *, down: bool = False) -> tuple[ProcessRow, ...]:
    """pulse, lvsd and nannies first, as people look for them; the supervisor last.  ``down``: this is only the last that was known."""
    order = {"pulse": 0, "lvsd": 1, "supervisor": 3}
    return tuple(
        ProcessRow(
            one.name,
            last_known(badge(one.state, one.reason), down),
            str(one.pid) if one.pid else "–",
            percent(one.cpu) if one.pid else "–",
            size(one.memory_bytes) if one.memory_bytes else "–",
            since(one.since, now) if one.state == "running" and not down else "",
            one.restarts,
            one.reason,
        )
        for one in sorted(found, key=lambda one: order.get(one.name, 2))
    )


def daemon_badge(found: list[ProcessInfo], *, down: bool = False) -> Badge:
    """Piranha's one line: ``Daemon: running`` or ``Daemon: stopped``; ours says which one when it is not all of them."""
    if down:
        return Badge("Daemon: no answer", "down")
    states = {one.name: one.state for one in found}
    wanted = dict.fromkeys(("pulse", "lvsd", "nanny", *(name for name in states if name != "supervisor")))
    missing = [name for name in wanted if states.get(name) != "running"]
    if not missing:
        return Badge("Daemon: running", "up")
    if len(missing) == len(wanted):
        return Badge("Daemon: stopped", "down")
    return Badge(f"Daemon: {', '.join(missing)} not running", "down")


@dataclass(frozen=True, slots=True)
class CheckRow:
    key: str
    target: str
    what: str
    badge: Badge
    since: str
    result: str
    took: str
    last: str
    next: str


def check_rows(found: list[CheckInfo], now: float) -> tuple[CheckRow, ...]:
    """Every check: what it does, how it ended last, when it runs again."""
    return tuple(
        CheckRow(
            one.key,
            one.target,
            one.what,
            badge(one.state, one.reason),
            since(one.since, now),
            _result(one),
            duration(one.last_duration_s) if one.last_at else "–",
            f"{since(one.last_at, now)} ago" if one.last_at else "not yet",
            duration(one.next_in_s) if one.next_in_s > 0 else "now",
        )
        for one in found
    )


def _result(one: CheckInfo) -> str:
    if not one.last_at:
        return "not run yet"
    if one.failures:
        return f"{one.reason or 'failed'}, {number(one.failures)} in a row"
    return f"passed, {number(one.successes)} in a row" if one.successes else one.reason or "passed"


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    at: float
    moment: str
    kind: str
    message: str
    actor: str


_EVENT_KINDS = {"error": "down", "warning": "warn"}


def event_rows(found: list[Event], now: float) -> tuple[EventRow, ...]:
    """Events, newest first, with the time of day."""
    return tuple(EventRow(one.id, one.at, moment(one.at, now), _EVENT_KINDS.get(one.severity, ""), one.message, one.actor) for one in found)
