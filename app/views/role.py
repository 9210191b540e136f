"""STEP DOWN, TAKE OVER, MAINTENANCE, RESUME: each asks on a page of its own, says what happens, then tells the agent.  And what it cost."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app import rehearsals as rehearsing
from app.directors import Question, is_beating, question
from app.errors import explain
from app.frame import current_config, services, snapshot
from app.views.review import ACTOR
from lvsagent.client import AgentDown, AgentError
from lvsagent.wire import RehearsalRequest

blueprint = Blueprint("role", __name__)
LONGEST_REASON = 200


@blueprint.get("/control/role/<slug>")
def ask(slug: str) -> ResponseReturnValue:
    """What happens if, before it does."""
    return _page(slug, _question(slug))


@blueprint.post("/control/role/<slug>")
def act(slug: str) -> ResponseReturnValue:
    """Tell the agent; a refusal is said on the same page in its words."""
    asked, reason = _question(slug), " ".join(request.form.get("reason", "").split())
    if len(reason) > LONGEST_REASON:
        return _page(slug, asked, f"The reason has {len(reason)} characters; {LONGEST_REASON} are kept.", 422)
    try:
        services().agent.failover(asked.action, actor=ACTOR, reason=reason)
    except AgentError as error:
        found = explain(error)
        return _page(slug, asked, f"{found.title}: {found.words}", found.status)
    flash(f"{asked.asked} This page shows what comes of it.", "good")
    return redirect("/control")


@blueprint.get("/control/rehearsals")
def rehearsals() -> ResponseReturnValue:
    """The failovers that were measured, and REHEARSE."""
    return _rehearsals()


@blueprint.post("/control/rehearsals")
def rehearse() -> ResponseReturnValue:
    """Begin to measure one on this director; a refusal is said on the same page."""
    seconds, virtual = rehearsing.seconds_of(request.form.get("seconds", "")), request.form.get("virtual", "")
    if seconds is None:
        return _rehearsals(f"For how long? A number of seconds from {rehearsing.SHORTEST_S:g} to {rehearsing.LONGEST_S:g}.", 422)
    asked = RehearsalRequest(virtual=virtual, seconds=seconds, although_active="here" in request.form, actor=ACTOR)
    try:
        services().agent.rehearse(asked)
    except AgentError as error:
        found = explain(error)
        return _rehearsals(f"{found.title}: {found.words}", found.status)
    return redirect("/control/rehearsals")


def _rehearsals(refused: str = "", status: int = 200) -> ResponseReturnValue:
    found, now = services().agent.rehearsals(), services().wall()
    state, form = snapshot().state, request.form
    if state is None:
        raise AgentDown(snapshot().reason)
    rows = rehearsing.rows(found.rehearsals, now)
    page = render_template(
        "role/rehearsals.html",
        rows=rows,
        last=next((row for row in rows if row.triggered), None),
        running=rehearsing.running(found, now),
        failure=found.failure,
        offer=rehearsing.offer(state, current_config()[1].config),
        refused=refused,
        typed={"virtual": form.get("virtual", ""), "seconds": form.get("seconds", f"{rehearsing.SECONDS:g}")[:20], "here": "here" in form},
    )
    return page, status


def _question(slug: str) -> Question:
    state = snapshot().state
    if state is None:
        raise AgentDown(snapshot().reason)
    if not (is_beating(state) or (slug == "resume" and state.role.maintenance)):
        abort(404)
    found = question(slug, state, current_config()[1].config.globals)
    if found is None:
        abort(404)
    return found


def _page(slug: str, asked: Question, refused: str = "", status: int = 200) -> ResponseReturnValue:
    reason = request.form.get("reason", "")[: 2 * LONGEST_REASON]
    return render_template("role/ask.html", slug=slug, asked=asked, refused=refused, reason=reason, longest=LONGEST_REASON), status
