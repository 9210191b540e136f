"""DRIFT: what is in force here and on the other director, and a button for each thing that differs."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.drift import ACTIONS, drift
from app.editing import Basis
from app.errors import explain
from app.frame import services, snapshot
from app.lvscf import load
from app.lvscf.model import Config, VirtualServer
from app.services import sentence
from app.views.review import ACTOR, NO_NOTES, Notes, Screen, basis_now, decide, page
from lvsagent.client import AgentDown, AgentError

blueprint = Blueprint("drift", __name__)
EVERY_S = 2
DONE = {
    "now": "The two are being compared; this page shows what comes of it.",
    "adopt": "The file on the disk is in force.",
    "restore": "What runs is in the file again.",
    "reconcile": "The table is what lvs.cf says.",
}


@blueprint.get("/drift")
def index() -> ResponseReturnValue:
    """The page."""
    return _page(basis_now(), NO_NOTES)


@blueprint.get("/drift/live")
def live() -> ResponseReturnValue:
    """What changes by itself."""
    return render_template("drift/_live.html", **_known())


@blueprint.post("/drift")
def act() -> ResponseReturnValue:
    """One of the buttons."""
    action = request.form.get("action", "")
    if action not in ACTIONS:
        return _page(basis_now(), Notes(words=("There is no such button.",))), 422
    try:
        services().agent.sync_action(action, actor=ACTOR)
    except AgentError as error:
        found = explain(error)
        return _page(basis_now(), Notes(words=(f"{found.title}: {sentence(found.words)}",))), found.status
    flash(DONE[action], "good")
    return redirect(url_for("drift.index"))


@blueprint.post("/drift/foreign")
def adopt_foreign() -> ResponseReturnValue:
    """Virtual servers that lvs.cf does not name become part of it, like any other change."""
    basis = basis_now()
    here = url_for("drift.index")
    return decide(
        Screen(
            title="Adopt foreign virtual servers",
            here=url_for("drift.adopt_foreign"),
            change=lambda config: with_foreign(config, load(services().agent.foreign_text()).config.virtual),
            show=lambda notes: _page(basis, notes),
            done=lambda: here,
            home=here,
            again=here,
        )
    )


def with_foreign(config: Config, blocks: tuple[VirtualServer, ...]) -> Config:
    """``config`` with these blocks at its end, as new ones."""
    fresh = tuple(replace(one, key=None, servers=tuple(replace(server, key=None) for server in one.servers)) for one in blocks)
    return replace(config, virtual=(*config.virtual, *fresh))


def _page(basis: Basis, notes: Notes) -> str:
    return page("drift/drift.html", notes, basis, **_known())


def _known() -> dict[str, object]:
    known, now = snapshot(), services().wall()
    if known.state is None:
        raise AgentDown(known.reason)
    return {"drift": drift(known.state, now, down=known.down), "now": None if known.down else now, "every_s": EVERY_S}
