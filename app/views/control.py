"""CONTROL/MONITORING: what runs, what it serves, what just happened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app import directors, picture, routing_table
from app.errors import explain
from app.frame import services, settings, snapshot
from app.routing_table import COLLAPSE_ABOVE, PAGE, SORTS, View
from lvsagent.client import AgentError
from lvsagent.wire import Checks, Event, Events, State, VirtualServerState

blueprint = Blueprint("control", __name__)

COOKIE = "monitor"
SHORTEST_S, LONGEST_S, USUAL_S = 1, 3600, 10
MOST_UNFOLDED = 10
BUSIEST, BUSIEST_KEPT_S = 6, 2.0
CHECKS_HERE, CHECKS_A_PAGE = 10, 50
EVENTS_HERE, EVENTS_A_PAGE = 6, 50
MOST_PROBLEMS = 6
SAID_BY_THE_FRAME = "both-active"
"""The alert that every page has in its frame already."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """MONITOR's two fields: whether the page updates itself, and how often."""

    auto: bool = True
    every_s: int = USUAL_S


@blueprint.get("/")
def start() -> ResponseReturnValue:
    """The first page after logging in."""
    return redirect("/control")


@blueprint.get("/control")
def index() -> ResponseReturnValue:
    """The whole page."""
    return render_template("control/control.html", monitor=_monitor(), **_everything())


@blueprint.get("/control/live")
def live() -> ResponseReturnValue:
    """The parts of the page that change, each replacing its namesake."""
    return render_template("control/live.html", **_everything())


@blueprint.post("/control/monitor")
def monitor() -> ResponseReturnValue:
    """Update information now; Auto update and its frequency are remembered by this browser."""
    text = request.form.get("frequency", "").strip()
    if not text.isascii() or not text.isdigit() or not SHORTEST_S <= int(text[:6]) <= LONGEST_S:
        flash(
            f"Update frequency: {text[:20] or 'nothing'} is not a number of seconds from {SHORTEST_S} to {LONGEST_S}; nothing was changed.",
            "bad",
        )
        return redirect(_view().url())
    answer = make_response(redirect(_view().url()))
    chosen = f"{int('auto' in request.form)}.{int(text)}"
    answer.set_cookie(COOKIE, chosen, max_age=365 * 86400, httponly=True, secure=settings().tls, samesite="Strict", path="/control")
    return answer


@blueprint.post("/control/announce")
def announce() -> ResponseReturnValue:
    """Tell the neighbours again where the virtual addresses are."""
    try:
        services().agent.announce()
    except AgentError as error:
        found = explain(error)
        flash(f"{found.title}: {found.words}", "bad")
    else:
        flash("The neighbours are told again where the virtual addresses are (gratuitous ARP).", "good")
    return redirect("/control")


@blueprint.get("/control/table")
def plain() -> ResponseReturnValue:
    """The routing table as ipvsadm prints it, to copy."""
    rules = "rules" in request.args
    text = services().agent.table_text(rules=rules)
    if "text" in request.args:
        return Response(text.encode("utf-8", "surrogateescape"), mimetype="text/plain")
    return render_template("control/plain.html", text=text, rules=rules)


@blueprint.get("/control/checks")
def checks() -> ResponseReturnValue:
    """Every check, a page at a time."""
    virtual, page = request.args.get("virtual", ""), _page()
    found = services().agent.checks(virtual=virtual, page=page, per_page=CHECKS_A_PAGE)
    pages = max(1, -(-found.matching // CHECKS_A_PAGE))
    rows = routing_table.check_rows(found.checks, services().wall())
    return render_template("control/checks.html", rows=rows, matching=found.matching, page=page, pages=pages, virtual=virtual)


@blueprint.get("/control/events")
def events() -> ResponseReturnValue:
    """Everything that happened, newest first."""
    before = _whole(request.args.get("before", ""), 0)
    found = services().agent.events(limit=EVENTS_A_PAGE + 1, before=before).events
    rows = routing_table.event_rows(found[:EVENTS_A_PAGE], services().wall())
    return render_template("control/events.html", rows=rows, older=len(found) > EVENTS_A_PAGE, before=before)


def _everything() -> dict[str, object]:
    """What both the page and its live parts show."""
    view, now = _view(), services().wall()
    newest = services().state.newest
    small = newest is None or newest.virtual_total <= COLLAPSE_ABOVE
    known = snapshot(search=view.search, sort=view.sort, page=view.page, per_page=PAGE, servers=small)
    state = known.state
    words: dict[str, object] = {"view": view, "now": now, "cluster": state, "sorts": SORTS, "live_url": view.url("/control/live", auto=1)}
    if state is None:
        return words
    found = _checks(known.down)
    alerts = [one for one in state.alerts if one.code != SAID_BY_THE_FRAME]
    return words | {
        "table": routing_table.table(state, view, _unfolded(state, view, known.down), now),
        "picture": picture.picture(state, _shown(state, view, known.down), now),
        "daemon": routing_table.daemon_badge(state.processes, down=known.down),
        "processes": routing_table.process_rows(state.processes, now, down=known.down),
        "pair": directors.redundancy(state, now, down=known.down),
        "problems": alerts[:MOST_PROBLEMS],
        "more_problems": alerts[MOST_PROBLEMS:],
        "events": routing_table.event_rows(_events(known.down), now),
        "checks": routing_table.check_rows(found.checks, now),
        "checks_matching": found.matching,
        "announced": picture.announced(state.role.announced_at, now),
    }


def _shown(state: State, view: View, down: bool) -> list[VirtualServerState]:
    """The virtual servers in the picture: all of a small cluster, the busiest of a large one."""
    if state.virtual_total <= COLLAPSE_ABOVE and not view.search and view.page == 1:
        return list(state.virtual_servers)
    if state.virtual_total <= COLLAPSE_ABOVE:
        return _states("all", down, per_page=COLLAPSE_ABOVE, servers=True)
    kept, busiest = ("state", "busiest"), {"sort": "connections", "per_page": BUSIEST, "servers": True}
    found = _last_known(kept, down, lambda: services().agent.state(**busiest), BUSIEST_KEPT_S)  # type: ignore[arg-type]  # its own keywords
    return list(found.virtual_servers) if isinstance(found, State) else []


def _unfolded(state: State, view: View, down: bool) -> dict[str, VirtualServerState]:
    if state.virtual_total <= COLLAPSE_ABOVE:
        return {one.name: one for one in _states("all", down, per_page=COLLAPSE_ABOVE, servers=True)} if _without_servers(state) else {}
    here = {one.name for one in state.virtual_servers}
    wanted = [name for name in view.opened if name in here][:MOST_UNFOLDED]
    return {one.name: one for name in wanted for one in _states(name, down, virtual=name, servers=True)}


def _without_servers(state: State) -> bool:
    """The answer came without real servers, because the cluster was larger when it was last asked."""
    return any(one.total and not one.real_servers for one in state.virtual_servers)


def _states(key: str, down: bool, **query: object) -> list[VirtualServerState]:
    found = _last_known(("state", key), down, lambda: services().agent.state(**query))  # type: ignore[arg-type]  # Agent.state's own keywords
    return list(found.virtual_servers) if isinstance(found, State) else []


def _events(down: bool) -> list[Event]:
    found = _last_known("events", down, lambda: services().agent.events(limit=EVENTS_HERE))
    return found.events if isinstance(found, Events) else []


def _checks(down: bool) -> Checks:
    found = _last_known("checks", down, lambda: services().agent.checks(per_page=CHECKS_HERE))
    return found if isinstance(found, Checks) else Checks(checks=[], matching=0)


def _last_known(key: Hashable, down: bool, call: Callable[[], object], max_age_s: float = 0.0) -> object | None:
    """The agent's answer, or the last one while it is silent (then it is not asked again: it would only cost time)."""
    kept = services().state
    if not down:
        with contextlib.suppress(AgentError):
            return kept.ask(key, call, max_age_s)
    return kept.remembered(key)


def _view() -> View:
    sort = request.args.get("sort", "")
    return View(
        search=request.args.get("q", "").strip()[:100],
        sort=sort if sort in SORTS else "",
        page=_page(),
        opened=tuple(dict.fromkeys(request.args.getlist("open")))[:MOST_UNFOLDED],
    )


def _page() -> int:
    return max(1, _whole(request.args.get("page", ""), 1))


def _whole(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


def _monitor() -> Monitor:
    auto, _, every = request.cookies.get(COOKIE, "").partition(".")
    seconds = _whole(every, 0)
    return Monitor(auto == "1", seconds) if auto in {"0", "1"} and SHORTEST_S <= seconds <= LONGEST_S else Monitor()
