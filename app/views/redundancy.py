"""REDUNDANCY: the fields on one side, on the other what the heartbeat says right now."""

from __future__ import annotations

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.directors import redundancy
from app.editing import Basis
from app.forms.redundancy import RedundancyForm, switched
from app.frame import current_config, services, snapshot
from app.lvscf.model import GlobalSettings
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page

blueprint = Blueprint("redundancy", __name__)
TITLE = "Redundancy"
EVERY_S = 2
"""How often the live half asks."""


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


@blueprint.get("/redundancy/live")
def live() -> ResponseReturnValue:
    """The live half alone."""
    return render_template("redundancy/_live.html", **_known(current_config()[1].config.globals))


def _page(basis: Basis, form: RedundancyForm, notes: Notes) -> str:
    return page("redundancy/edit.html", notes, basis, form=form, **_known(basis.config.globals))


def _known(settings: GlobalSettings) -> dict[str, object]:
    """What lvs.cf says of redundancy, and what is known of the pair."""
    known, now = snapshot(), services().wall()
    return {
        "active": settings.backup_active,
        "settings": settings,
        "missed": settings.deadtime / settings.keepalive if settings.keepalive > 0 else 0,
        "pair": redundancy(known.state, now, down=known.down) if known.state else None,
        "now": None if known.down else now,
        "every_s": EVERY_S,
    }
