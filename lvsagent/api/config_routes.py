"""The API's routes about lvs.cf: the file, a new one, its history, and the safe apply of the last change.

Owns how a change is asked for: what it was based on, where it comes from, who makes it.  Whether it is made is the service's part.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from aiohttp import web

from lvsagent.api.contract import BadRequest, Service, Write
from lvsagent.api.refusals import problem
from lvsagent.api.requests import (
    TEXT_LIMIT,
    actor_of,
    body_of,
    decoded,
    file_answer,
    file_headers,
    flag_of,
    json_answer,
    number_of,
    tags_of,
    text_of,
)
from lvsagent.wire import GuardRequest

MOST_REVISIONS = 1000
LONGEST_GUARD_S = 3600.0
ORIGINS_OF_CALLERS = ("console", "lvsctl", "rollback", "import")
"""Where a caller may say that a change comes from; the others are the agent's own word."""


class ConfigRoutes:
    """lvs.cf, its history and its guard."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """For the server's table."""
        return [
            web.get("/v1/config", self._get_config),
            web.put("/v1/config", self._put_config),
            web.get("/v1/config/previous", self._get_previous),
            web.get("/v1/history", self._get_history),
            web.get("/v1/history/{number:[0-9]{1,15}}", self._get_revision),
            web.get("/v1/history/{number:[0-9]{1,15}}/text", self._get_revision_text),
            web.post("/v1/guard", self._post_guard),
        ]

    async def _get_config(self, request: web.Request) -> web.Response:
        file = self._service.file()
        if file.etag in tags_of(request.headers.get("If-None-Match", "")):
            return web.Response(status=304, headers=file_headers(file))
        return file_answer(file)

    async def _get_previous(self, _request: web.Request) -> web.Response:
        return file_answer(self._service.previous())

    async def _put_config(self, request: web.Request) -> web.Response:
        tags = tags_of(request.headers.get("If-Match", ""))
        if len(tags) != 1 or "*" in tags:
            return problem(428, "bad_request", "say in If-Match which lvs.cf (its ETag) the new one was made from")
        origin = text_of(request, "origin") or "console"
        if origin not in ORIGINS_OF_CALLERS:
            raise BadRequest(f"X-Origin is one of {', '.join(ORIGINS_OF_CALLERS)}")
        # lvsctl speaks for the user that the kernel names; the console for whoever has logged in
        said = "" if origin == "lvsctl" else unquote(text_of(request, "actor"), errors="replace")
        write = Write(
            data=await body_of(request),
            if_match=tags[0],
            comment=unquote(text_of(request, "comment"), errors="replace")[:TEXT_LIMIT],
            actor=actor_of(request, said),
            dry_run=flag_of(request, "dry_run"),
            plan=text_of(request, "plan")[:TEXT_LIMIT],
            confirm=text_of(request, "confirm")[:TEXT_LIMIT],
            guard_s=_guard_s(text_of(request, "guard")),
            origin=origin,
            other_parent=_joined(request),
        )
        receipt = await self._service.put(write)
        return json_answer(receipt, {"ETag": f'"{receipt.etag}"'})

    async def _get_history(self, request: web.Request) -> web.Response:
        limit = number_of(request, "limit", 50)
        if not 1 <= limit <= MOST_REVISIONS:
            raise BadRequest(f"limit is 1 to {MOST_REVISIONS}")
        return json_answer(await self._service.history(limit, number_of(request, "before", 0)))

    async def _get_revision(self, request: web.Request) -> web.Response:
        return json_answer(await self._service.revision(int(request.match_info["number"])))

    async def _get_revision_text(self, request: web.Request) -> web.Response:
        return file_answer(await self._service.revision_text(int(request.match_info["number"])))

    async def _post_guard(self, request: web.Request) -> web.Response:
        asked = await decoded(request, GuardRequest)
        named = GuardRequest(action=asked.action, actor=actor_of(request, asked.actor), etag=asked.etag)
        return json_answer(await self._service.guard(named))


def _joined(request: web.Request) -> str:
    """The head of the other director that a text settles a conflict with."""
    text = request.headers.get("X-Joins", "")
    if text and not re.fullmatch("[0-9a-f]{64}", text):
        raise BadRequest("X-Joins is the id of a revision")
    return text


def _guard_s(text: str) -> float:
    """The seconds of a guarded change; 0 when there is no guard."""
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if seconds and not 1 <= seconds <= LONGEST_GUARD_S:
        raise BadRequest(f"guard is 1 to {LONGEST_GUARD_S:.0f} seconds")
    return seconds
