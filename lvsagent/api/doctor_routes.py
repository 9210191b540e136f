"""The API's routes about the doctor: have the real servers of a virtual server looked at, and what was found.

Owns these routes alone; the server around them checks the caller and turns refusals into answers.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from lvsagent.api.contract import Service
from lvsagent.api.requests import actor_of, decoded, json_answer
from lvsagent.wire import DoctorRequest


def doctor_routes(service: Service) -> list[web.RouteDef]:
    """The routes, for the server's table."""

    async def get_report(request: web.Request) -> web.Response:
        return json_answer(service.doctor_report(request.query.get("virtual", "")))

    async def post_examination(request: web.Request) -> web.Response:
        asked = await decoded(request, DoctorRequest)
        return json_answer(await service.examine(msgspec.structs.replace(asked, actor=actor_of(request, asked.actor))))

    return [web.get("/v1/doctor", get_report), web.post("/v1/doctor", post_examination)]
