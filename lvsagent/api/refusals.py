"""Every answer of the API that is a no: its status and a Problem in words, never a traceback.

Owns the mapping from exceptions to statuses.  It decides nothing.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from lvsagent.api.contract import BadRequest, Grown, Invalid, NotFound, Refused, Stale, Unavailable, Unconfirmed, Unread
from lvsagent.wire import Problem

LARGEST_BODY_BYTES = 32 * 1024 * 1024

STATUSES: dict[type[Refused], tuple[int, str]] = {
    Stale: (412, "stale"),
    Invalid: (422, "invalid"),
    Grown: (409, "grown"),
    Unconfirmed: (409, "unconfirmed"),
    NotFound: (404, "not_found"),
    Unavailable: (503, "unavailable"),
    BadRequest: (400, "bad_request"),
}


def refusal(request: web.Request, error: Refused | web.HTTPException | TimeoutError | ConnectionError) -> web.Response:
    """Every answer that is a no, as a Problem."""
    match error:
        case Refused():
            status, code = STATUSES.get(type(error), (400, "bad_request"))
            return problem(status, code, str(error), error)
        case web.HTTPRequestEntityTooLarge():
            return problem(413, "too_large", f"the request is larger than {LARGEST_BODY_BYTES // 1024 // 1024} MiB")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return problem(405, "bad_request", f"{request.path} cannot be used with {request.method}, only with {allowed}")
        case web.HTTPNotFound():
            return problem(404, "not_found", f"there is no {request.path}")
        case web.HTTPException():
            return problem(error.status, "bad_request", error.reason)
    return problem(408, "bad_request", "the request did not arrive whole, or not in time")


def problem(status: int, code: str, message: str, error: Refused | None = None) -> web.Response:
    """One no, with what ``error`` knows beside its words."""
    said = Problem(
        code=code,
        message=message,
        etag=error.etag if isinstance(error, Stale) else "",
        diagnostics=error.diagnostics if isinstance(error, Invalid) else [],
        receipt=error.receipt if isinstance(error, Unread) else None,
    )
    return web.Response(status=status, body=msgspec.json.encode(said), content_type="application/json")
