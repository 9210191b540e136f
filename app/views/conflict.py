"""Edited on both: three columns, and one, the other, or a merge of the two is accepted like any other change."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.conflicts import MERGE, conflict_of, picked, settled
from app.editing import Basis
from app.frame import services
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, page
from lvsagent.wire import ConflictInfo

blueprint = Blueprint("conflict", __name__)
MOVED = Notes(words=("One of the two was changed again meanwhile: this page shows both as they are now. Nothing was written.",))


@blueprint.route("/conflict", methods=["GET", "POST"])
def edit() -> ResponseReturnValue:
    """The three versions; REVIEW and ACCEPT of what is chosen."""
    basis, info = basis_now(), services().agent.conflict()
    if info is None:
        flash("lvs.cf is not in conflict: nobody has to decide anything.", "info")
        return redirect(url_for("drift.index"))
    if request.method == "GET":
        return _page(basis, info, NO_NOTES)
    seen = tuple(request.form.get(name, "") for name in ("etag", "here", "head"))
    if seen != (basis.etag, info.here.head, info.there.head) or info.here.etag != basis.etag:
        return _page(basis, info, MOVED), 409
    way, picks = request.form.get("way", ""), picked(info, request.form)
    return decide(
        Screen(
            title="Edited on both directors",
            here=url_for("conflict.edit"),
            change=lambda config: config,
            make=lambda on: settled(on, info, way, picks),
            joins=info.there.head,
            show=lambda notes: _page(basis, info, notes),
            done=lambda: url_for("drift.index"),
            home=url_for("drift.index"),
        )
    )


def _page(basis: Basis, info: ConflictInfo, notes: Notes) -> str:
    shown = conflict_of(info, picked(info, request.form), services().wall())
    way = request.form.get("way", MERGE)
    return page("conflict/conflict.html", notes, basis, conflict=shown, way=way)
