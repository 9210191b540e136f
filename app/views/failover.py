"""FAILOVER: the services of a ``service = fos`` pair: the table, adding, editing, (de)activating and deleting."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.forms.choosing import chosen
from app.forms.failover import FailoverForm, NewFailoverForm
from app.forms.targets import activated, deleted
from app.listing import described, failover_rows
from app.lvscf.model import Config
from app.refs import Ref, index_of
from app.views.converters import understand_names
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page

blueprint = Blueprint("failover", __name__)
understand_names(blueprint)

CHOOSE = Notes(words=("Choose a failover service first: the buttons act on the one whose circle is filled.",))


@blueprint.get("/failover")
def index() -> ResponseReturnValue:
    """The table."""
    return _table(NO_NOTES)


@blueprint.post("/failover")
def act() -> ResponseReturnValue:
    """What one of the table's buttons asks for; (DE)ACTIVATE is a change like any other."""
    home = url_for("failover.index")
    action, choice = request.form.get("action", ""), chosen(request.form.get("server", ""))
    if action == "add":
        return redirect(url_for("failover.add"))
    if action == "back":
        return redirect(home)
    if choice is None:
        return _table(CHOOSE), 422
    if action in {"edit", "delete"}:
        return redirect(url_for(f"failover.{action}", service=choice.ref))
    return decide(
        Screen(
            title=f"{'Deactivate' if choice.active else 'Activate'} {choice.ref.name}",
            here=home,
            change=lambda config: activated(config, "failover", choice.ref, on=not choice.active),
            show=_table,
            done=lambda: home,
            home=home,
        )
    )


@blueprint.route("/failover/add", methods=["GET", "POST"])
def add() -> ResponseReturnValue:
    """A new failover service, inactive, with Piranha's screen defaults."""
    return _edit(NewFailoverForm(), Ref(""), url_for("failover.add"))


@blueprint.route("/failover/<name:service>/edit", methods=["GET", "POST"])
def edit(service: Ref) -> ResponseReturnValue:
    """One failover service's settings."""
    return _edit(FailoverForm(), service, url_for("failover.edit", service=service))


def _edit(form: FailoverForm, ref: Ref, here: str) -> ResponseReturnValue:
    basis, home = basis_now(), url_for("failover.index")
    form.ref = ref
    open_form(form, basis, _key(basis.config, ref))

    def show(notes: Notes) -> str:
        return page("failover/edit.html", notes, basis, form=form, ref=ref, here=here)

    if request.method == "GET":
        return show(NO_NOTES)
    title = "A new failover service" if form.adding else f"Failover service {ref.name}"

    def key(config: Config) -> int:
        name = form.setting("name")
        return _key(config, Ref(str(name.value)) if name.changed else ref)

    return decide(Screen(title=title, here=here, change=form.apply_to, show=show, done=lambda: home, home=home, form=form, key=key))


@blueprint.route("/failover/<name:service>/delete", methods=["GET", "POST"])
def delete(service: Ref) -> ResponseReturnValue:
    """Asks, naming what goes; then does it."""
    basis, home = basis_now(), url_for("failover.index")

    def show(notes: Notes) -> str:
        try:
            one = basis.config.failover[index_of(basis.config.failover, service)]
        except LookupError:
            abort(404)
        return page("failover/delete.html", notes, basis, ref=service, one=one, where=described(one))

    if request.method == "GET":
        return show(NO_NOTES)
    return decide(
        Screen(
            title=f"Delete {service.name}",
            here=url_for("failover.delete", service=service),
            change=lambda config: deleted(config, "failover", service),
            show=show,
            done=lambda: home,
            home=home,
        )
    )


def _table(notes: Notes) -> str:
    basis = basis_now()
    return page("failover/index.html", notes, basis, rows=failover_rows(basis.config.failover), in_use=basis.config.globals.service)


def _key(config: Config, ref: Ref) -> int:
    try:
        return config.failover[index_of(config.failover, ref)].key or 0
    except LookupError:
        return -1
