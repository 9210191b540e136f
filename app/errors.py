"""ONE table: what went wrong → the page, or the note beside a form, that says so in words.

Views let exceptions rise to here unless they can put the words beside a field; then they use ``explain`` for the words.  Every error page
speaks the console's language and none shows a traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flask import Flask, Response, make_response, render_template, request
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from lvsagent.client import AgentDown, AgentError, AgentRefused, InvalidConfig, StaleConfig
from lvsagent.wire import DiagnosticInfo


@dataclass(frozen=True, slots=True)
class Explained:
    """An error in words: the answer's status, a title, what happened, what to do, and lvs.cf's findings if it is about them."""

    status: int
    title: str
    words: str
    advice: str = ""
    diagnostics: tuple[DiagnosticInfo, ...] = ()


PAGES = {
    400: Explained(400, "That request makes no sense here", "The console could not read what the browser sent.", "Go back and try again."),
    401: Explained(
        401,
        "You are no longer logged in",
        "The session has ended, so nothing was changed.",
        "Log in again in another tab, come back here with the browser's Back button, and send the form once more.",
    ),
    403: Explained(403, "Not allowed", "This is not open to you.", ""),
    404: Explained(
        404,
        "There is no such page",
        "Nothing lives at this address. If it named a virtual server or a real server, it may have been renamed or deleted.",
        "The tabs lead to everything there is.",
    ),
    405: Explained(405, "Not like that", "This address does not take requests of this kind.", "Use the buttons of the page it belongs to."),
    413: Explained(
        413, "Too much at once", "What was sent is larger than anything this console takes here.", "An lvs.cf may have up to 16 MiB."
    ),
    429: Explained(429, "Too many tries", "Wait a little before trying again.", ""),
    500: Explained(
        500,
        "The console made a mistake",
        "This page failed in a way that nobody foresaw. The routers are not touched by it: they go on as they are.",
        "Try again; if it stays, the console's log has the details.",
    ),
    503: Explained(
        503,
        "The agent does not answer",
        "This page needs it.",
        "Traffic is not touched by this. On the router, look at: systemctl status lvsagent",
    ),
}
CSRF = Explained(
    400,
    "That form is no longer valid",
    "It was made for another session, or the page was open for too long, so nothing was changed.",
    "Go back, load the page again, and send the form once more.",
)


def explain(error: Exception) -> Explained:
    """What to say about ``error``, on a page of its own or beside a form."""
    for kind, make in TABLE:
        if isinstance(error, kind):
            return make(error)
    return PAGES[500]


def _stale(error: Exception) -> Explained:
    return Explained(
        409, "lvs.cf has changed meanwhile", str(error) or "Someone else changed lvs.cf.", "Nothing was written. Look at both versions."
    )


def _invalid(error: Exception) -> Explained:
    diagnostics = error.diagnostics if isinstance(error, InvalidConfig) else ()
    return Explained(422, "lvs.cf would have errors", str(error) or "The new lvs.cf has errors.", "Nothing was written.", diagnostics)


def _http(error: Exception) -> Explained:
    code = (error.code or 500) if isinstance(error, HTTPException) else 500
    return PAGES.get(code, PAGES[400] if code < 500 else PAGES[500])


TABLE: tuple[tuple[type[Exception], Callable[[Exception], Explained]], ...] = (
    (AgentDown, lambda error: replace(PAGES[503], words=f"{error or PAGES[503].words}")),
    (StaleConfig, _stale),
    (InvalidConfig, _invalid),
    (AgentRefused, lambda error: Explained(502, "The agent said no", str(error), "Nothing was changed.")),
    (AgentError, lambda error: Explained(502, "The agent could not do it", str(error))),
    (CSRFError, lambda _error: CSRF),
    (HTTPException, _http),
)


def problem_page(problem: int | Explained) -> Response:
    """The page for an HTTP status or an explained error."""
    found = PAGES[problem] if isinstance(problem, int) else problem
    inside = found.status not in {401, 500} and current_user.is_authenticated
    layout = "base.html" if inside else "bare.html"
    return make_response(render_template("errors/problem.html", problem=found, layout=layout), found.status)


def init_app(app: Flask) -> None:
    """Let every exception end on a page of ours."""
    app.register_error_handler(HTTPException, _handle_http)
    for kind in (AgentError, CSRFError):
        app.register_error_handler(kind, lambda error: problem_page(explain(error)))
    app.register_error_handler(500, lambda _error: problem_page(500))


def _handle_http(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400:
        return error.get_response(request.environ)  # type: ignore[return-value]  # werkzeug's own kind of response
    page = problem_page(explain(error))
    for name, value in error.get_headers(request.environ):
        if name.lower() in {"allow", "retry-after"}:
            page.headers[name] = value
    return page
