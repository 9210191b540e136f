"""GLOBAL SETTINGS."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from app.advice import real_server_advice
from app.editing import Basis
from app.forms.global_settings import GlobalSettingsForm
from app.frame import snapshot
from app.presentation import duration
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page

blueprint = Blueprint("global_settings", __name__)


@blueprint.route("/global-settings", methods=["GET", "POST"])
def edit() -> ResponseReturnValue:
    """The screen, and ACCEPT or REVIEW of it."""
    basis, form = basis_now(), GlobalSettingsForm()
    open_form(form, basis)

    def show(notes: Notes) -> str:
        return _page(basis, form, notes)

    if request.method == "GET":
        return show(NO_NOTES)
    here = url_for("global_settings.edit")
    return decide(Screen(title="Global settings", here=here, change=form.apply_to, show=show, done=lambda: here, home=here, form=form))


def _page(basis: Basis, form: GlobalSettingsForm, notes: Notes) -> str:
    advice = real_server_advice(basis.config)
    return page("global_settings/edit.html", notes, basis, form=form, now=_kernel_values(), advice=advice)


def _kernel_values() -> dict[str, str]:
    """The kernel's own idle limits, in words, by field."""
    state = snapshot().state
    if state is None:
        return {}
    plane = state.data_plane
    values = {"tcp_timeout": plane.tcp_timeout_s, "tcpfin_timeout": plane.tcpfin_timeout_s, "udp_timeout": plane.udp_timeout_s}
    return {name: f"In force now: {value} s ({duration(value)})." for name, value in values.items() if value}
