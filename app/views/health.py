"""The release of servers that are held down, or kept in service by the mass-failure brake: a page that asks, and the deed."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import explain
from app.frame import safe_target, services
from app.views.review import ACTOR
from lvsagent.client import AgentError
from lvsagent.wire import Held

blueprint = Blueprint("health", __name__)
LONGEST = 1000


@blueprint.get("/health/release")
def ask() -> ResponseReturnValue:
    """What happens if, before it does.  ``key``: the check whose server it is about; without it all that the brake keeps."""
    key = request.args.get("key", "")[:LONGEST]
    state = services().agent.state(servers=True, virtual=key.partition("/")[0]) if key else None
    found: Held | None = None
    if state is not None:
        holds = [real.held for one in state.virtual_servers for real in one.real_servers if real.held]
        found = next((held for held in holds if held.key == key), None)
    return render_template("real_servers/release.html", key=key, held=found, back=safe_target(request.args.get("next", "/control")))


@blueprint.post("/health/release")
def act() -> ResponseReturnValue:
    """Let go of one, or of all."""
    if "key" not in request.form:
        abort(400)
    try:
        done = services().agent.release(request.form["key"][:LONGEST], actor=ACTOR)
    except AgentError as error:
        found = explain(error)
        flash(f"{found.title}: {found.words}", "bad")
    else:
        if done.held:
            flash(f"No longer held down: {_names(done.held)}. It is in service again once its check is good.", "good")
        if done.kept:
            flash(f"No longer kept in service: {_names(done.kept)}.", "warn")
        if not done.held and not done.kept:
            flash("It was released already: its checks alone decide.", "info")
        if done.peer:
            flash(f"{done.peer[0].upper()}{done.peer[1:]}.", "info")
    return redirect(safe_target(request.form.get("next", "/control")))


def _names(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
