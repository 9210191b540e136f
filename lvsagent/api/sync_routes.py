"""The API's routes about the other director: what it asks, how it stands, what may be done about it.

Owns these routes alone; the server around them checks the caller and turns refusals into answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from lvsagent.api.contract import BadRequest, Service, Unavailable
from lvsagent.wire import SyncRequest

BODY_LIMIT_S = 20.0
TEXT_LIMIT = 500
PEER_AT_ONCE = 4
"""The other director has one conversation and now and then a plan; each request may be large, and is held in memory."""


def sync_routes(service: Service, user: Callable[[web.Request], str]) -> list[web.RouteDef]:
    """The routes, for the server's table.  ``user``: who asks, when they do not say it themselves."""

    turns = asyncio.Semaphore(PEER_AT_ONCE)

    async def post_peer(request: web.Request) -> web.Response:
        if turns.locked():
            raise Unavailable(f"{PEER_AT_ONCE} requests of the other director are under way: this one can wait")
        async with turns:
            return web.Response(body=await service.peer(await _body(request)), content_type="application/json")

    async def get_sync(_request: web.Request) -> web.Response:
        return _json(service.sync())

    async def post_sync(request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await _body(request), type=SyncRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadRequest(f"the request cannot be understood: {error}") from error
        return _json(await service.sync_action(SyncRequest(action=asked.action, actor=(asked.actor or user(request))[:TEXT_LIMIT])))

    async def get_conflict(_request: web.Request) -> web.Response:
        return _json(service.conflict())

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


async def _body(request: web.Request) -> bytes:
    async with asyncio.timeout(BODY_LIMIT_S):
        return await request.read()


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
