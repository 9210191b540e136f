"""The API's routes that only look: the state, the events, the checks, the table, and what a check would say now.

Owns these routes alone; none of them changes anything.
"""

from __future__ import annotations

from aiohttp import web

from lvsagent.api.contract import BadRequest, Question, Service
from lvsagent.api.requests import decoded, flag_of, json_answer, number_of
from lvsagent.wire import TrialRequest

MOST_EVENTS = 1000


class StateRoutes:
    """What is so."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """For the server's table."""
        return [
            web.get("/v1/state", self._get_state),
            web.get("/v1/events", self._get_events),
            web.get("/v1/checks", self._get_checks),
            web.get("/v1/checks/{key:.+}/results", self._get_results),
            web.post("/v1/trial", self._post_trial),
            web.get("/v1/table", self._get_table),
        ]

    async def _get_state(self, request: web.Request) -> web.Response:
        query = request.query
        question = Question(
            virtual=query.get("virtual", ""),
            search=query.get("search", ""),
            page=number_of(request, "page", 1),
            per_page=number_of(request, "per_page", 50),
            servers=flag_of(request, "servers"),
            sort=query.get("sort", ""),
        )
        return json_answer(self._service.state(question))

    async def _get_events(self, request: web.Request) -> web.Response:
        limit = number_of(request, "limit", 20)
        if not 1 <= limit <= MOST_EVENTS:
            raise BadRequest(f"limit is 1 to {MOST_EVENTS}")
        return json_answer(self._service.events(limit, number_of(request, "before", 0)))

    async def _get_checks(self, request: web.Request) -> web.Response:
        page, per_page = number_of(request, "page", 1), number_of(request, "per_page", 50)
        return json_answer(self._service.checks(request.query.get("virtual", ""), page, per_page))

    async def _get_results(self, request: web.Request) -> web.Response:
        return json_answer(await self._service.explain(request.match_info["key"]))

    async def _get_table(self, request: web.Request) -> web.Response:
        return web.Response(text=await self._service.table(rules=flag_of(request, "rules")), content_type="text/plain", charset="utf-8")

    async def _post_trial(self, request: web.Request) -> web.Response:
        return json_answer(await self._service.trial(await decoded(request, TrialRequest)))
