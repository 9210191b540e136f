"""The API's routes by which people act on what runs: real servers, health, the role, rehearsals, the pairing.

Owns these routes alone, and that whoever asks is named in what they ask.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from lvsagent.api.contract import BadRequest, Service
from lvsagent.api.requests import TEXT_LIMIT, actor_of, decoded, json_answer
from lvsagent.wire import FailoverRequest, OverrideRequest, PairingRequest, Rehearsal, RehearsalRequest, ReleaseRequest


class OrderRoutes:
    """What people ask for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """For the server's table."""
        return [
            web.post("/v1/health/release", self._post_release),
            web.post("/v1/announce", self._post_announce),
            web.post("/v1/failover", self._post_failover),
            web.get("/v1/rehearsals", self._get_rehearsals),
            web.post("/v1/rehearsals", self._post_rehearsal),
            web.post("/v1/rehearsals/run", self._post_rehearsal_run),
            web.get("/v1/servers", self._get_servers),
            web.post("/v1/servers", self._post_servers),
            web.get("/v1/pairing", self._get_pairing),
            web.post("/v1/pairing", self._post_pairing),
        ]

    async def _get_servers(self, _request: web.Request) -> web.Response:
        return json_answer(self._service.overrides())

    async def _post_servers(self, request: web.Request) -> web.Response:
        asked = await decoded(request, OverrideRequest)
        if max(len(text) for text in (asked.virtual, asked.server, asked.host, asked.reason)) > TEXT_LIMIT:
            raise BadRequest(f"no text about a real server is longer than {TEXT_LIMIT} characters")
        named = msgspec.structs.replace(asked, actor=actor_of(request, asked.actor))
        return json_answer(await self._service.override(named))

    async def _post_release(self, request: web.Request) -> web.Response:
        asked = await decoded(request, ReleaseRequest)
        return json_answer(await self._service.release(ReleaseRequest(key=asked.key, actor=actor_of(request, asked.actor))))

    async def _post_announce(self, _request: web.Request) -> web.Response:
        self._service.announce()
        return web.Response(status=204)

    async def _post_failover(self, request: web.Request) -> web.Response:
        asked = await decoded(request, FailoverRequest)
        self._service.failover(FailoverRequest(action=asked.action, actor=actor_of(request, asked.actor), reason=asked.reason[:TEXT_LIMIT]))
        return web.Response(status=204)

    async def _get_rehearsals(self, _request: web.Request) -> web.Response:
        return json_answer(self._service.rehearsals())

    async def _post_rehearsal(self, request: web.Request) -> web.Response:
        rehearsal = await decoded(request, Rehearsal)
        if max(len(text) for text in (rehearsal.target, rehearsal.moved_from, rehearsal.actor, rehearsal.host)) > TEXT_LIMIT:
            raise BadRequest(f"no text in a rehearsal is longer than {TEXT_LIMIT} characters")
        self._service.add_rehearsal(rehearsal)
        return web.Response(status=204)

    async def _post_rehearsal_run(self, request: web.Request) -> web.Response:
        asked = await decoded(request, RehearsalRequest)
        self._service.rehearse(msgspec.structs.replace(asked, actor=actor_of(request, asked.actor)))
        return web.Response(status=202)

    async def _get_pairing(self, _request: web.Request) -> web.Response:
        return json_answer(self._service.pairing())

    async def _post_pairing(self, request: web.Request) -> web.Response:
        asked = await decoded(request, PairingRequest)
        if max(len(text) for text in (asked.action, asked.address, asked.code)) > TEXT_LIMIT:
            raise BadRequest(f"no text in a pairing is longer than {TEXT_LIMIT} characters")
        named = msgspec.structs.replace(asked, actor=actor_of(request, asked.actor))
        return json_answer(await self._service.pair(named))
