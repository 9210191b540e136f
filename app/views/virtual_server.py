"""VIRTUAL SERVER: one virtual server's settings, and the frame its three sub-tabs share."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.editing import Basis
from app.forms.virtual_server import VirtualServerForm
from app.frame import snapshot
from app.listing import PER_PAGE, virtual_state, virtual_status
from app.lvscf.model import Config, VirtualServer
from app.presentation import Badge
from app.refs import Ref, index_of
from app.views.converters import understand_names
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page
from lvsagent.wire import VirtualServerState

blueprint = Blueprint("virtual_server", __name__)
understand_names(blueprint)


@dataclass(frozen=True)
class Opened:
    """The virtual server a sub-tab is about: as lvs.cf has it, and its state as far as it is known."""

    ref: Ref
    one: VirtualServer
    state: VirtualServerState | None
    status: Badge

    @property
    def key(self) -> int:
        return self.one.key or 0


def opened(basis: Basis, ref: Ref, *, servers: bool = False) -> Opened:
    """Find the virtual server, or end with the page that says there is none."""
    try:
        one = basis.config.virtual[index_of(basis.config.virtual, ref)]
    except LookupError:
        abort(404)
    known = snapshot(virtual=ref.name, per_page=PER_PAGE, servers=servers)
    state = virtual_state(ref, known.state.virtual_servers if known.state else ())
    return Opened(ref, one, state, virtual_status(one, state))


def block_key(config: Config, ref: Ref) -> int:
    """The key of that virtual server's block, -1 when it is not there."""
    try:
        return config.virtual[index_of(config.virtual, ref)].key or 0
    except LookupError:
        return -1


@blueprint.get("/virtual-servers/<name:server>")
def first(server: Ref) -> ResponseReturnValue:
    """The short address of a virtual server."""
    return redirect(url_for("virtual_server.edit", server=server))


@blueprint.route("/virtual-servers/<name:server>/virtual-server", methods=["GET", "POST"])
def edit(server: Ref) -> ResponseReturnValue:
    """The settings, and ACCEPT or REVIEW of them."""
    basis, form = basis_now(), VirtualServerForm()
    form.ref = server
    open_form(form, basis, block_key(basis.config, server))

    def show(notes: Notes) -> str:
        return page("virtual_server/edit.html", notes, basis, form=form, vs=opened(basis, server))

    if request.method == "GET":
        return show(NO_NOTES)

    return decide(
        Screen(
            title=f"Virtual server {server.name}",
            here=url_for("virtual_server.edit", server=server),
            change=form.apply_to,
            show=show,
            done=lambda: url_for("virtual_server.edit", server=_named(form)),
            form=form,
            key=lambda config: block_key(config, _named(form)),
        )
    )


def _named(form: VirtualServerForm) -> Ref:
    """The virtual server under the name it has once the form is accepted."""
    name = form.setting("name")
    return Ref(str(name.value)) if name.changed else form.ref
