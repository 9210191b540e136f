"""The API's routes about the other director: what it asks, how it stands, what may be done about it.

Owns these routes alone; the server around them checks the caller and turns refusals into answers.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from lvsagent.api.contract import Service, Unavailable
from lvsagent.api.requests import actor_of, body_of, decoded, json_answer
from lvsagent.wire import SyncRequest

PEER_AT_ONCE = 4
"""The other director has one conversation and now and then a plan; each request may be large, and is held in memory."""


def sync_routes(service: Service) -> list[web.RouteDef]:
    """The routes, for the server's table."""

    turns = asyncio.Semaphore(PEER_AT_ONCE)

    async def post_peer(request: web.Request) -> web.Response:
        if turns.locked():
            raise Unavailable(f"{PEER_AT_ONCE} requests of the other director are under way: this one can wait")
        async with turns:
            return web.Response(body=await service.peer(await body_of(request)), content_type="application/json")

    async def get_sync(_request: web.Request) -> web.Response:
        return json_answer(service.sync())

    async def post_sync(request: web.Request) -> web.Response:
        asked = await decoded(request, SyncRequest)
        return json_answer(await service.sync_action(SyncRequest(action=asked.action, actor=actor_of(request, asked.actor))))

    async def get_conflict(_request: web.Request) -> web.Response:
        return json_answer(service.conflict())

    async def get_foreign(_request: web.Request) -> web.Response:
        text = service.foreign_text().encode("utf-8", "surrogateescape")
        return web.Response(body=text, content_type="text/plain", charset="utf-8")

    return [
        web.post("/v1/peer", post_peer),
        web.get("/v1/sync", get_sync),
        web.post("/v1/sync", post_sync),
        web.get("/v1/sync/conflict", get_conflict),
        web.get("/v1/sync/foreign", get_foreign),
    ]
