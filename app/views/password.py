"""CHANGE PASSWORD: by whoever knows the old one."""

from __future__ import annotations

import math

from flask import Blueprint, flash, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.auth import auth
from app.passwd import USER, PasswordError, check_password_rules
from app.presentation import duration

blueprint = Blueprint("password", __name__)


@blueprint.get("/password")
def form() -> ResponseReturnValue:
    """The form."""
    return render_template("password/password.html", errors={})


@blueprint.post("/password")
def change() -> ResponseReturnValue:
    """Set the new password; every other session ends, this one goes on."""
    keeper = auth()
    errors = _errors(request.form.get("new", ""), request.form.get("again", ""))
    if errors:
        return _refused(errors)
    source = request.remote_addr or ""
    wait = keeper.throttle.attempt(source, USER, keeper.monotonic())
    if wait > 0:
        response = make_response(_refused({"old": f"Too many tries. The next one is possible in {duration(math.ceil(wait))}."}, 429))
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    try:
        if not keeper.passwords.verify(USER, request.form.get("old", "")):
            return _refused({"old": "This is not the current password."})
        keeper.throttle.succeeded(source, USER, keeper.monotonic())
        keeper.passwords.set(request.form["new"])
    except PasswordError as error:
        return _refused({"new": str(error)})
    keeper.start_session()
    flash("The password is changed. Every other session has ended.", "good")
    return redirect("/control")


def _errors(new: str, again: str) -> dict[str, str]:
    try:
        check_password_rules(new)
    except PasswordError as error:
        return {"new": str(error)}
    return {} if new == again else {"again": "The two new passwords are not the same."}


def _refused(errors: dict[str, str], status: int = 422) -> tuple[str, int]:
    return render_template("password/password.html", errors=errors), status
