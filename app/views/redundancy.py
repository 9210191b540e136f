"""REDUNDANCY: the fields are edited and kept; the heartbeat itself comes with a later release, and the screen says so."""

from __future__ import annotations

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from app.editing import Basis
from app.forms.redundancy import RedundancyForm, switched
from app.frame import snapshot
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page

blueprint = Blueprint("redundancy", __name__)
TITLE = "Redundancy"


@blueprint.route("/redundancy", methods=["GET", "POST"])
def edit() -> ResponseReturnValue:
    """The screen; ACCEPT, REVIEW, and RESET, which types Piranha's defaults without writing them."""
    basis, form = basis_now(), RedundancyForm()
    open_form(form, basis)

    def show(notes: Notes) -> str:
        return _page(basis, form, notes)

    if request.method == "GET":
        return show(NO_NOTES)
    if request.form.get("action") == "reset":
        form.reset()
        flash("Piranha's defaults are in the fields. Nothing is written before ACCEPT.", "info")
        return show(NO_NOTES)
    here = url_for("redundancy.edit")
    return decide(Screen(title=TITLE, here=here, change=form.apply_to, show=show, done=lambda: here, home=here, form=form))


@blueprint.post("/redundancy/backup")
def switch() -> ResponseReturnValue:
    """ENABLE or DISABLE the redundant director."""
    basis, form, on = basis_now(), RedundancyForm(), request.form.get("on") == "1"
    form.start(basis.config, basis.etag)
    here = url_for("redundancy.edit")
    return decide(
        Screen(
            title="Enable the redundant director" if on else "Disable the redundant director",
            here=url_for("redundancy.switch"),
            change=lambda config: switched(config, on),
            show=lambda notes: _page(basis, form, notes),
            done=lambda: here,
            home=here,
            again=here,
        )
    )


def _page(basis: Basis, form: RedundancyForm, notes: Notes) -> str:
    settings, known = basis.config.globals, snapshot()
    return page(
        "redundancy/edit.html",
        notes,
        basis,
        form=form,
        active=settings.backup_active,
        settings=settings,
        missed=settings.deadtime / settings.keepalive if settings.keepalive > 0 else 0,
        peer=known.state.peer if known.state else None,
        config_state=known.state.config if known.state else None,
    )
