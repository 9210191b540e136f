"""VIRTUAL SERVERS: the table with ADD, DELETE, EDIT and (DE)ACTIVATE, adding one, and the question before one is deleted."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.editing import Basis
from app.forms.choosing import chosen
from app.forms.targets import activated, deleted
from app.forms.virtual_server import NewVirtualServerForm
from app.frame import snapshot
from app.listing import PER_PAGE, described, find, virtual_rows, virtual_state
from app.refs import Ref, index_of
from app.views.converters import understand_names
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page

blueprint = Blueprint("virtual_servers", __name__)
understand_names(blueprint)

CHOOSE = Notes(words=("Choose a virtual server first: the buttons act on the one whose circle is filled.",))


@blueprint.get("/virtual-servers")
def index() -> ResponseReturnValue:
    """The table, paged and searchable."""
    return _table(NO_NOTES)


@blueprint.post("/virtual-servers")
def act() -> ResponseReturnValue:
    """What one of the table's buttons asks for; (DE)ACTIVATE is a change like any other."""
    action, choice = request.form.get("action", ""), chosen(request.form.get("server", ""))
    if action == "add":
        return redirect(url_for("virtual_servers.add"))
    if action == "back":
        return redirect(_here())
    if choice is None:
        return _table(CHOOSE), 422
    if action == "edit":
        return redirect(url_for("virtual_server.edit", server=choice.ref))
    if action == "delete":
        return redirect(url_for("virtual_servers.delete", server=choice.ref))
    return decide(
        Screen(
            title=f"{'Deactivate' if choice.active else 'Activate'} {choice.ref.name}",
            here=_here(),
            change=lambda config: activated(config, "virtual", choice.ref, on=not choice.active),
            show=_table,
            done=_here,
        )
    )


@blueprint.route("/virtual-servers/add", methods=["GET", "POST"])
def add() -> ResponseReturnValue:
    """A new virtual server, inactive, with Piranha's screen defaults."""
    basis, form = basis_now(), NewVirtualServerForm()
    form.ref = Ref("")
    open_form(form, basis, -1)
    here = url_for("virtual_servers.add")

    def show(notes: Notes) -> str:
        return page("virtual_servers/add.html", notes, basis, form=form)

    if request.method == "GET":
        return show(NO_NOTES)

    def done() -> str:
        return url_for("real_servers.index", server=Ref(str(form.setting("name").value)))

    return decide(Screen(title="A new virtual server", here=here, change=form.apply_to, show=show, done=done, form=form, key=_last_key))


def _last_key(config: object) -> int:
    blocks = getattr(config, "virtual", ())
    return (blocks[-1].key or 0) if blocks else 0


@blueprint.route("/virtual-servers/<name:server>/delete", methods=["GET", "POST"])
def delete(server: Ref) -> ResponseReturnValue:
    """Asks, naming what goes and how many live connections it has; then does it."""
    basis = basis_now()

    def show(notes: Notes) -> str:
        return _question(basis, server, notes)

    if request.method == "GET":
        return show(NO_NOTES)
    home = url_for("virtual_servers.index")
    return decide(
        Screen(
            title=f"Delete {server.name}",
            here=url_for("virtual_servers.delete", server=server),
            change=lambda config: deleted(config, "virtual", server),
            show=show,
            done=lambda: home,
        )
    )


def _question(basis: Basis, ref: Ref, notes: Notes) -> str:
    try:
        one = basis.config.virtual[index_of(basis.config.virtual, ref)]
    except LookupError:
        abort(404)
    known = snapshot(virtual=ref.name, per_page=PER_PAGE)
    state = virtual_state(ref, known.state.virtual_servers if known.state else ())
    return page("virtual_servers/delete.html", notes, basis, ref=ref, one=one, where=described(one), state=state)


def _table(notes: Notes) -> str:
    basis = basis_now()
    search = request.args.get("q", "")[:200]
    found = find(basis.config, search, request.args.get("page", 1, type=int))
    known = snapshot(search=search.strip(), page=found.page, per_page=PER_PAGE)
    rows = virtual_rows(found.servers, known.state.virtual_servers if known.state else ())
    return page("virtual_servers/index.html", notes, basis, rows=rows, found=found, search=search, here=_here(), at=_at)


def _here() -> str:
    return _at(request.args.get("page", 1, type=int))


def _at(number: int) -> str:
    return url_for("virtual_servers.index", q=request.args.get("q") or None, page=number if number > 1 else None)
