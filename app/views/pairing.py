"""PAIRING: whom this director is paired with; a one-time code shown here, or typed here; the end of a pairing, on a page of its own."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import explain
from app.frame import agent_down, services, snapshot
from app.presentation import moment
from app.services import sentence
from app.views.review import ACTOR
from lvsagent.client import AgentError, AgentRefused
from lvsagent.wire import PairingInfo, PairingRequest

blueprint = Blueprint("pairing", __name__)
EVERY_S = 2
"""How often the page asks whether the code was used."""
LONGEST = 100
DONE = {
    "wait": "A code waits to be typed on the other director.",
    "join": "The other director is being asked; this page shows what comes of it.",
    "stop": "Nothing waits any more; the code is worth nothing.",
    "unpair": "The other director’s key opens nothing here any more. Do the same there.",
}


@blueprint.get("/redundancy/pairing")
def show() -> ResponseReturnValue:
    """The screen."""
    return _page()


@blueprint.post("/redundancy/pairing")
def act() -> ResponseReturnValue:
    """Show a code, stop waiting, type one, or unpair; a refusal is said on the same page in its words."""
    form = request.form
    action = form.get("action", "")
    asked = PairingRequest(
        action=action,
        address=form.get("address", "")[:LONGEST],
        code=form.get("code", "")[:LONGEST],
        rotate=form.get("rotate") == "1",
        actor=ACTOR,
    )
    try:
        services().agent.change_pairing(asked)
    except AgentError as error:
        if isinstance(error, AgentRefused) and error.code == "bad_request":
            return _page(sentence(str(error)), 422)
        found = explain(error)
        return _page(f"{found.title}: {found.words}", found.status)
    flash(DONE.get(action, ""), "good")
    return redirect(url_for("pairing.show"))


@blueprint.get("/redundancy/pairing/live")
def live() -> ResponseReturnValue:
    """What changes by itself, alone."""
    return render_template("pairing/_live.html", **_known(services().agent.pairing()))


@blueprint.get("/redundancy/pairing/unpair")
def unpair() -> ResponseReturnValue:
    """What happens if, before it does."""
    return render_template("pairing/unpair.html", info=services().agent.pairing())


def _page(refused: str = "", status: int = 200) -> ResponseReturnValue:
    blocked = agent_down()
    info = PairingInfo(paired=False) if blocked else services().agent.pairing()
    state = snapshot().state
    address = request.form.get("address", state.peer.address if state else "")[:LONGEST]
    return render_template("pairing/show.html", refused=refused, blocked=blocked, address=address, longest=LONGEST, **_known(info)), status


def _known(info: PairingInfo) -> dict[str, object]:
    now = services().wall()
    heard = moment(info.last_contact_at, now) if info.last_contact_at else ""
    state = snapshot().state
    beside = not info.paired and state is not None and state.sync.reachable
    return {"beside": beside, "info": info, "every_s": EVERY_S, "now": now, "since": moment(info.since, now), "heard": heard}
