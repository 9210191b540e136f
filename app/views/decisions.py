"""What operators decide about real servers: the page of one, which asks first, and the list of all, each taken back by one click."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import decisions
from app.decisions import Typed
from app.editing import Basis
from app.errors import explain
from app.forms.values import legible
from app.frame import safe_target, services
from app.listing import RealRow, real_rows
from app.lvscf.model import NO_ADDRESS
from app.refs import Ref
from app.views.converters import understand_names
from app.views.review import ACTOR, NO_NOTES, Notes, basis_now, page
from app.views.virtual_server import Opened, opened
from lvsagent.client import AgentError, AgentRefused
from lvsagent.wire import OverrideRequest, OverridesInfo

blueprint = Blueprint("decisions", __name__)
understand_names(blueprint)
ANSWERS = ("auto", "wait", "cut")


@blueprint.get("/control/decisions")
def index() -> ResponseReturnValue:
    """All that hold."""
    found = services().agent.overrides()
    return render_template("decisions/index.html", rows=decisions.rows(found.overrides, services().wall()))


@blueprint.post("/control/decisions")
def act() -> ResponseReturnValue:
    """TAKE BACK, WAIT ON, CUT."""
    action = request.form.get("action", "")
    if action not in ANSWERS:
        abort(400)
    say(decisions.answer(action, request.form, ACTOR))
    return redirect(safe_target(request.form.get("next", url_for("decisions.index"))))


@blueprint.route("/virtual-servers/<name:server>/real-servers/<name:real>/decide", methods=["GET", "POST"])
def decide(server: Ref, real: Ref) -> ResponseReturnValue:
    """Asks, naming the connections; then does it."""
    basis = basis_now()
    vs, row = _row(basis, server, real)
    if request.method == "GET":
        return _page(basis, vs, row, Typed())
    found = decisions.typed(request.form)
    if found.errors:
        return _page(basis, vs, row, found), 422
    target = {"host": row.host} if found.scope == "host" and row.host else decided_target(server, real)
    try:
        done = services().agent.override(decisions.request_of(found, target, ACTOR, services().wall()))
    except AgentError as error:
        told = explain(error)
        status = 422 if isinstance(error, AgentRefused) else told.status
        return _page(basis, vs, row, found, Notes(words=(f"{told.title}: {told.words}",))), status
    flash(decisions.SAID[found.action], "good")
    warn(done)
    return redirect(url_for("real_servers.index", server=server))


def decided_target(server: Ref, real: Ref) -> dict[str, str]:
    """How the agent names a real server of a virtual server; of several with one name each has its number, as its check has."""
    number = f"#{real.ordinal}" if real.ordinal > 1 else ""
    return {"virtual": legible(server.name), "server": legible(real.name) + number}


def take_back(row: RealRow) -> None:
    """What was decided about a real server, or about its host, holds no more."""
    if row.order is not None:
        say(decisions.answer("auto", decisions.target_of(row.order), ACTOR))


def say(asked: OverrideRequest) -> None:
    """Tell the agent, and the next page what came of it."""
    try:
        done = services().agent.override(asked)
    except AgentError as error:
        found = explain(error)
        flash(f"{found.title}: {found.words}", "bad")
    else:
        flash(decisions.SAID[asked.action], "good")
        warn(done)


def warn(done: OverridesInfo) -> None:
    """What it leads to, and nobody may have meant."""
    for words in done.warnings:
        flash(f"{words[0].upper()}{words[1:]}.", "warn")


def _rows(vs: Opened) -> Sequence[RealRow]:
    return real_rows(vs.one.servers, vs.state.real_servers if vs.state else ())


def _row(basis: Basis, server: Ref, real: Ref) -> tuple[Opened, RealRow]:
    vs = opened(basis, server, servers=True)
    row = next((row for row in _rows(vs) if row.ref == real), None)
    if row is None:
        abort(404)
    return vs, row


def _page(basis: Basis, vs: Opened, row: RealRow, found: Typed, notes: Notes = NO_NOTES) -> str:
    now = services().wall()
    return page(
        "decisions/decide.html",
        notes,
        basis,
        vs=vs,
        row=row,
        typed=found,
        decided=decisions.row(row.order, now) if row.order else None,
        alone=decisions.alone(row, _rows(vs), sorry=vs.one.sorry_server not in {None, "", NO_ADDRESS}),
        actions=decisions.ACTIONS,
        then=decisions.THEN,
        longest=decisions.LONGEST_REASON,
    )
