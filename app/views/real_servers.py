"""REAL SERVER: the table of one virtual server's real servers, and the screens behind its buttons."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.advice import real_server_advice
from app.editing import Basis
from app.forms.choosing import chosen
from app.forms.real_server import NewRealServerForm, RealServerForm, activated, deleted
from app.listing import real_rows
from app.lvscf.model import Config
from app.refs import Ref, index_of
from app.views.converters import understand_names
from app.views.decisions import take_back
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page
from app.views.virtual_server import opened

blueprint = Blueprint("real_servers", __name__)
understand_names(blueprint)

BEHIND = {"edit": "real_servers.edit", "delete": "real_servers.delete", "decide": "decisions.decide"}
"""The page behind a button that acts on a chosen real server."""
CHOOSE = Notes(words=("Choose a real server first: the buttons act on the one whose circle is filled.",))


@blueprint.get("/virtual-servers/<name:server>/real-servers")
def index(server: Ref) -> ResponseReturnValue:
    """The table."""
    return _table(server, NO_NOTES)


@blueprint.post("/virtual-servers/<name:server>/real-servers")
def act(server: Ref) -> ResponseReturnValue:
    """What one of the table's buttons asks for; (DE)ACTIVATE is a change like any other."""
    here = url_for("real_servers.index", server=server)
    action, choice = request.form.get("action", ""), chosen(request.form.get("server", ""))
    if action == "add":
        return redirect(url_for("real_servers.add", server=server))
    if action == "back":
        return redirect(here)
    if choice is None:
        return _table(server, CHOOSE), 422
    if action in BEHIND:
        return redirect(url_for(BEHIND[action], server=server, real=choice.ref))
    return decide(
        Screen(
            title=f"{'Deactivate' if choice.active else 'Activate'} {choice.ref.name} of {server.name}",
            here=here,
            change=lambda config: activated(config, server, choice.ref, not choice.active),
            show=lambda notes: _table(server, notes),
            done=lambda: here,
            home=here,
        )
    )


@blueprint.route("/virtual-servers/<name:server>/real-servers/add", methods=["GET", "POST"])
def add(server: Ref) -> ResponseReturnValue:
    """A new real server, inactive, weight 1."""
    return _edit(server, NewRealServerForm(), Ref(""), url_for("real_servers.add", server=server))


@blueprint.route("/virtual-servers/<name:server>/real-servers/<name:real>/edit", methods=["GET", "POST"])
def edit(server: Ref, real: Ref) -> ResponseReturnValue:
    """One real server's settings."""
    return _edit(server, RealServerForm(), real, url_for("real_servers.edit", server=server, real=real))


def _edit(server: Ref, form: RealServerForm, real: Ref, here: str) -> ResponseReturnValue:
    basis, home = basis_now(), url_for("real_servers.index", server=server)
    form.virtual, form.ref = server, real
    open_form(form, basis, _key(basis.config, server, real))

    def show(notes: Notes) -> str:
        return page("real_servers/edit.html", notes, basis, form=form, vs=opened(basis, server), here=here)

    if request.method == "GET":
        return show(NO_NOTES)
    title = "A new real server" if form.adding else f"Real server {real.name}"

    def key(config: Config) -> int:
        name = form.setting("name")
        return _key(config, server, Ref(str(name.value)) if name.changed else real)

    return decide(Screen(title=title, here=here, change=form.apply_to, show=show, done=lambda: home, home=home, form=form, key=key))


@blueprint.route("/virtual-servers/<name:server>/real-servers/<name:real>/delete", methods=["GET", "POST"])
def delete(server: Ref, real: Ref) -> ResponseReturnValue:
    """Asks, naming what goes and how many live connections it has; then does it."""
    basis, home = basis_now(), url_for("real_servers.index", server=server)

    def show(notes: Notes) -> str:
        return _question(basis, server, real, notes)

    if request.method == "GET":
        return show(NO_NOTES)
    return decide(
        Screen(
            title=f"Delete {real.name} of {server.name}",
            here=url_for("real_servers.delete", server=server, real=real),
            change=lambda config: deleted(config, server, real),
            show=show,
            done=lambda: home,
            home=home,
        )
    )


def _question(basis: Basis, server: Ref, real: Ref, notes: Notes) -> str:
    vs = opened(basis, server, servers=True)
    rows = real_rows(vs.one.servers, vs.state.real_servers if vs.state else ())
    row = next((row for row in rows if row.ref == real), None)
    if row is None:
        abort(404)
    return page("real_servers/delete.html", notes, basis, vs=vs, row=row)


@blueprint.post("/virtual-servers/<name:server>/real-servers/release")
def release(server: Ref) -> ResponseReturnValue:
    """TAKE BACK: what was decided about one of them, or about its host."""
    real = Ref.parse(request.form.get("release", ""))
    vs = opened(basis_now(), server, servers=True)
    for row in real_rows(vs.one.servers, vs.state.real_servers if vs.state else ()):
        if row.ref == real:
            take_back(row)
    return redirect(url_for("real_servers.index", server=server))


def _table(server: Ref, notes: Notes) -> str:
    basis = basis_now()
    vs = opened(basis, server, servers=True)
    rows = real_rows(vs.one.servers, vs.state.real_servers if vs.state else ())
    return page("real_servers/index.html", notes, basis, vs=vs, rows=rows, advice=real_server_advice(basis.config, [vs.one]))


def _key(config: Config, server: Ref, real: Ref) -> int:
    try:
        servers = config.virtual[index_of(config.virtual, server)].servers
        return servers[index_of(servers, real)].key or 0
    except LookupError:
        return -1
