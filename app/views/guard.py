"""The countdown of a guarded change: CONFIRM, GO BACK NOW, and the part of every page that follows it."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import explain
from app.frame import safe_target, services
from app.views.review import ACTOR
from lvsagent.client import AgentError

blueprint = Blueprint("guard", __name__)
SAID = {
    "confirm": "Confirmed: the change stays.",
    "revert": "It has gone back: lvs.cf says again what it said before, as a new serial.",
}


@blueprint.get("/guard/live")
def live() -> ResponseReturnValue:
    """The banner alone, as it is now."""
    return render_template("partials/countdown.html")


@blueprint.post("/guard")
def act() -> ResponseReturnValue:
    """CONFIRM or GO BACK NOW, for the change that the page spoke of."""
    action = "revert" if request.form.get("action") == "revert" else "confirm"
    try:
        services().agent.guard(action, actor=ACTOR, etag=request.form.get("etag", ""))
    except AgentError as error:
        found = explain(error)
        flash(f"{found.title}: {found.words}", "bad")
    else:
        flash(SAID[action], "good")
    return redirect(safe_target(request.form.get("next", "/control")))
