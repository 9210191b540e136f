"""Logging in and out."""

from __future__ import annotations

import logging
import math

from flask import Blueprint, Response, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from app.auth import auth, public
from app.frame import safe_target
from app.passwd import PasswordError
from app.presentation import duration

blueprint = Blueprint("login", __name__)
log = logging.getLogger(__name__)


@blueprint.get("/login")
@public
def login() -> ResponseReturnValue:
    """The form; whoever is logged in already goes on."""
    target = safe_target(request.args.get("next", "/"))
    if current_user.is_authenticated:
        return redirect(target)
    return _page(target)


@blueprint.post("/login")
@public
def enter() -> ResponseReturnValue:
    """Try user and password; what was wrong is not told."""
    keeper = auth()
    target = safe_target(request.form.get("next", "/"))
    user = request.form.get("user", "").strip()
    source = request.remote_addr or ""
    wait = keeper.throttle.attempt(source, "piranha", keeper.monotonic())
    if wait > 0:
        response = _page(target, user, 429, f"Too many tries. The next one is possible in {duration(math.ceil(wait))}.")
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    try:
        right = keeper.passwords.verify(user, request.form.get("password", ""))
    except PasswordError as error:
        return _page(target, user, 503, str(error))
    if not right:
        log.warning("a login from %s was refused", source)
        return _page(target, user, 403, "User and password do not match.")
    keeper.throttle.succeeded(source, "piranha", keeper.monotonic())
    keeper.start_session()
    return redirect(target)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session, here and in every copy of its cookie."""
    auth().end_session()
    session["left"] = True
    return redirect(url_for("login.login"))


def _page(target: str, user: str = "", status: int = 200, error: str = "") -> Response:
    try:
        ready = bool(auth().passwords.stored_hash())
    except PasswordError as problem:
        ready, error = True, error or str(problem)
    left = bool(session.pop("left", False))
    page = render_template("login/login.html", target=target, user=user, error=error, ready=ready, left=left)
    return make_response(page, status)
