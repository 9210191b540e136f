"""MONITORING SCRIPTS: the check of one virtual server, Piranha's three blanking buttons, and TEST NOW."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue

from app.editing import Basis
from app.errors import explain
from app.forms.check_kinds import written
from app.forms.monitoring_scripts import BLANKING, MonitoringScriptsForm
from app.forms.values import legible
from app.frame import agent_down, services
from app.refs import Ref
from app.views.converters import understand_names
from app.views.review import NO_NOTES, Notes, Screen, basis_now, decide, open_form, page
from app.views.virtual_server import Opened, block_key, opened
from lvsagent.client import AgentError, StaleConfig
from lvsagent.wire import CheckInfo, Explanation, TrialReport, TrialRequest

blueprint = Blueprint("monitoring_scripts", __name__)
understand_names(blueprint)

MOST_CHECKS = 100
"""Checks of one virtual server that are listed; all of them are on CONTROL/MONITORING."""


@blueprint.route("/virtual-servers/<name:server>/monitoring-scripts", methods=["GET", "POST"])
def edit(server: Ref) -> ResponseReturnValue:
    """The screen; ACCEPT, REVIEW, the blanking buttons (nothing is written before ACCEPT) and TEST NOW."""
    basis, form = basis_now(), MonitoringScriptsForm()
    form.ref = server
    open_form(form, basis, block_key(basis.config, server))
    here, action = url_for("monitoring_scripts.edit", server=server), request.form.get("action", "")

    def show(notes: Notes) -> str:
        return _page(basis, server, form, notes)

    if action in BLANKING:
        form.blank(action)
        flash(f"{action}: the field is empty now. Nothing is written before ACCEPT.", "info")
    if request.method == "GET" or action in BLANKING:
        return show(NO_NOTES)
    if action == "test":
        return _tested(basis, server, form)
    title = f"Monitoring scripts of {server.name}"
    key = partial(block_key, ref=server)
    return decide(Screen(title=title, here=here, change=form.apply_to, show=show, done=lambda: here, form=form, key=key))


def _tested(basis: Basis, server: Ref, form: MonitoringScriptsForm) -> ResponseReturnValue:
    """TEST NOW: the check as typed, against every real server, from this director; nothing is written."""
    if not form.validate():
        return _page(basis, server, form, NO_NOTES), 422
    try:
        report = services().agent.trial(_trial(basis, server, form))
    except (AgentError, UnicodeEncodeError, LookupError) as error:
        words, status = _why_not(error)
        return _page(basis, server, form, Notes(words=(words,))), status
    return _page(basis, server, form, NO_NOTES, report)


def _trial(basis: Basis, server: Ref, form: MonitoringScriptsForm) -> TrialRequest:
    """What is to be tried.  Raises LookupError when the agent could not tell which virtual server is meant."""
    if server.ordinal > 1:
        raise LookupError(server.name)
    one = form.target(form.apply_to(basis.config))
    return TrialRequest(
        etag=basis.etag,
        virtual=legible(server.name),
        send=one.send,
        expect=one.expect,
        use_regex=one.use_regex,
        send_program=one.send_program,
        changes=written(one),
    )


def _why_not(error: Exception) -> tuple[str, int]:
    """Why a test could not be run, and the status of the page that says so."""
    if isinstance(error, StaleConfig):
        return "lvs.cf changed while the test was asked for. Press TEST NOW again.", 409
    if isinstance(error, UnicodeEncodeError):
        return "The text holds bytes that are not UTF-8, which cannot be tested from here.", 422
    if isinstance(error, LookupError):
        return "Another virtual server has the same name. Give this one a name of its own to test it.", 422
    found = explain(error)
    return f"The test could not be run: {found.words}", found.status


def _page(basis: Basis, server: Ref, form: MonitoringScriptsForm, notes: Notes, report: TrialReport | None = None) -> str:
    vs = opened(basis, server)
    checks = _checks(vs)
    results = _explained(checks, request.args.get("results", "")) if request.method == "GET" else None
    return page("monitoring_scripts/edit.html", notes, basis, form=form, vs=vs, report=report, checks=checks, results=results)


def _checks(vs: Opened) -> list[CheckInfo]:
    """What the checks of this virtual server really do now, as the agent says it."""
    if agent_down() or not vs.one.active:
        return []
    try:
        return services().agent.checks(virtual=vs.ref.name, per_page=MOST_CHECKS).checks
    except AgentError:
        return []


def _explained(checks: list[CheckInfo], key: str) -> Explanation | str | None:
    """The last results of one of these checks, or why they cannot be had."""
    if not any(check.key == key for check in checks):
        return None
    try:
        return services().agent.explain(key)
    except AgentError as error:
        return f"The last results cannot be shown: {explain(error).words}"
