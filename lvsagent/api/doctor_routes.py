"""The API's routes about the doctor: have the real servers of a virtual server looked at, and what was found.

Owns these routes alone; the server around them checks the caller and turns refusals into answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from lvsagent.api.contract import BadRequest, Service
from lvsagent.wire import DoctorReport, DoctorRequest

BODY_LIMIT_S = 20.0
TEXT_LIMIT = 500


def doctor_routes(service: Service, user: Callable[[web.Request], str]) -> list[web.RouteDef]:
    """The routes, for the server's table.  ``user``: who asks, when they do not say it themselves."""

    async def get_report(request: web.Request) -> web.Response:
        return _json(200, service.doctor_report(request.query.get("virtual", "")))

    async def post_examination(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(BODY_LIMIT_S):
                asked = msgspec.json.decode(await request.read(), type=DoctorRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadRequest(f"the request cannot be understood: {error}") from error
        actor = (asked.actor or user(request))[:TEXT_LIMIT]
        return _json(202, await service.examine(msgspec.structs.replace(asked, actor=actor)))

    return [web.get("/v1/doctor", get_report), web.post("/v1/doctor", post_examination)]


def _json(status: int, value: DoctorReport) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
