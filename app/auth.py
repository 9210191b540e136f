"""Who may use the console: the user ``piranha``, one session at a time limit, nobody else, nothing open by accident.

Owns the session's life (made at login, ended by idleness, age, logout or another password), deny by default, CSRF and the headers that
tell a browser what it must not do.  What a password is and how it is kept is ``app.passwd``'s business.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar, cast

from flask import Flask, Response, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf import CSRFProtect

from app.errors import problem_page
from app.frame import safe_target
from app.passwd import USER, PasswordError, PasswordFile
from app.settings import ConsoleSettings
from app.throttle import Throttle

AUTO_UPDATE_HEADER = "X-Auto-Update"
EXTENSION = "piranha-auth"
_MOST_ENDED = 4096

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

csrf = CSRFProtect()
View = TypeVar("View", bound=Callable[..., object])


class Administrator(UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    """The only user there is."""

    id = USER


class Auth:
    """The console's doorkeeper: password file, throttle, ended sessions, clocks."""

    def __init__(
        self, settings: ConsoleSettings, passwords: PasswordFile, wall: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.passwords = passwords
        self.throttle = Throttle()
        self.wall = wall
        self.monotonic = monotonic
        self.idle_s = settings.session_idle_minutes * 60
        self.longest_s = settings.session_hours * 3600
        self._lock = threading.Lock()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def start_session(self) -> None:
        """A new session, with nothing of the one before it."""
        session.clear()
        login_user(Administrator())
        now = self.wall()
        session.update(sid=secrets.token_urlsafe(16), born=now, seen=now, password=self.passwords.fingerprint())

    def end_session(self) -> None:
        """Log out; the cookie is worthless afterwards, whoever has a copy."""
        with self._lock:
            self._ended[str(session.get("sid", ""))] = None
            while len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)
        logout_user()
        session.clear()

    def still_valid(self) -> bool:
        """Whether the session of this request is inside its limits and of the current password."""
        now, born, seen = self.wall(), session.get("born"), session.get("seen")
        if not isinstance(born, (int, float)) or not isinstance(seen, (int, float)):
            return False
        with self._lock:
            ended = session.get("sid") in self._ended
        fresh = now - seen <= self.idle_s and now - born <= self.longest_s
        try:
            fingerprint = self.passwords.fingerprint()
        except PasswordError:
            return False
        return fresh and not ended and bool(fingerprint) and secrets.compare_digest(str(session.get("password")), fingerprint)

    def touch(self) -> None:
        """Someone is there: the idle limit starts again.  Not for pages that a browser asks for by itself."""
        if AUTO_UPDATE_HEADER not in request.headers and "auto" not in request.args:
            session["seen"] = self.wall()


def public(view: View) -> View:
    """Mark a view as reachable without logging in.  Everything else needs a session."""
    view.public = True  # type: ignore[attr-defined]  # a mark on a function
    return view


def auth() -> Auth:
    """The doorkeeper of the running console."""
    return cast("Auth", current_app.extensions[EXTENSION])


def init_app(app: Flask, settings: ConsoleSettings, keeper: Auth) -> None:
    """Close every door, then give the application its keys."""
    app.extensions[EXTENSION] = keeper
    app.config.update(
        SESSION_COOKIE_NAME="__Host-piranha" if settings.tls else "piranha",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=settings.tls,
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours),
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_HEADERS=["X-CSRFToken"],
    )
    manager = LoginManager(app)
    manager.session_protection = None
    manager.user_loader(lambda name: Administrator() if name == USER and keeper.still_valid() else None)
    app.before_request(_deny_by_default)
    csrf.init_app(app)
    app.after_request(_guard_headers(settings.tls))


def _deny_by_default() -> ResponseReturnValue | None:
    """Runs before every request, known address or not."""
    view = current_app.view_functions.get(request.endpoint or "")
    if request.endpoint == "static" or getattr(view, "public", False):
        return None
    if current_user.is_authenticated:
        auth().touch()
        return None
    login = url_for("login.login", next=safe_target(_wanted_page()))
    if request.headers.get("HX-Request"):
        return Response("Log in again.", 401, {"HX-Redirect": login, "Content-Type": "text/plain; charset=utf-8"})
    if request.method in {"GET", "HEAD"}:
        return redirect(login)
    return problem_page(401)


def _wanted_page() -> str:
    """Where to go after logging in: the page asked for, or the page that a partial update belongs to."""
    current = request.headers.get("HX-Current-URL", "")
    if request.headers.get("HX-Request"):
        tail = current.partition("://")[2].partition("/")[2]
        return "/" + tail
    return request.full_path.rstrip("?")


def _guard_headers(tls: bool) -> Callable[[Response], Response]:
    def guard(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if tls:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    return guard
