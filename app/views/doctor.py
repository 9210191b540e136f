"""DOCTOR: have the real servers of one virtual server looked at from this director, and what came of it."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.doctor import view
from app.errors import explain
from app.frame import agent_down, services
from app.refs import Ref
from app.views.converters import understand_names
from app.views.review import ACTOR, NO_NOTES, Notes, basis_now, page
from app.views.virtual_server import opened
from lvsagent.client import AgentError
from lvsagent.wire import DoctorReport

blueprint = Blueprint("doctor", __name__)
understand_names(blueprint)

REFRESH_S = 2
"""How often the page comes again without JavaScript while it is looked."""
SAME_NAME = "Another virtual server has the same name. Give this one a name of its own to have its real servers looked at."


@blueprint.get("/virtual-servers/<name:server>/doctor")
def show(server: Ref) -> ResponseReturnValue:
    """The last examination, or the one that runs."""
    return _page(server, NO_NOTES)


@blueprint.post("/virtual-servers/<name:server>/doctor")
def examine(server: Ref) -> ResponseReturnValue:
    """LOOK NOW; a refusal is said on the same page."""
    opened(basis_now(), server)
    if server.ordinal > 1:
        return _page(server, Notes(words=(SAME_NAME,))), 422
    try:
        services().agent.examine(server.name, actor=ACTOR)
    except AgentError as error:
        found = explain(error)
        return _page(server, Notes(words=(found.words,))), found.status
    return redirect(url_for("doctor.show", server=server), 303)


def _page(server: Ref, notes: Notes) -> str:
    basis = basis_now()
    vs = opened(basis, server)
    report = DoctorReport(virtual=server.name)
    if not agent_down() and server.ordinal == 1:
        report = services().agent.doctor(server.name)
    here = url_for("doctor.show", server=server)
    again = here if request.method == "GET" else ""
    return page(
        "doctor/show.html", notes, basis, vs=vs, doctor=view(report, services().wall()), here=here, again=again, refresh_s=REFRESH_S
    )
