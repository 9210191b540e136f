"""The agent's HTTP API on its Unix socket: decode, check the caller, call the service, encode.

Owns the routes and the limits on what a caller may send.  It decides nothing about lvs.cf or the table; that is the service's part.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from aiohttp import web

from lvsagent.api.callers import PEER_ROUTE, Caller, caller_of, may_call, name_of
from lvsagent.api.contract import (
    BadRequest,
    Question,
    Refused,
    Service,
    Write,
)
from lvsagent.api.doctor_routes import doctor_routes
from lvsagent.api.refusals import LARGEST_BODY_BYTES, problem, refusal
from lvsagent.api.sync_routes import sync_routes
from lvsagent.ports import ConfigFile
from lvsagent.wire import (
    FailoverRequest,
    GuardRequest,
    OverrideRequest,
    PairingRequest,
    Rehearsal,
    RehearsalRequest,
    ReleaseRequest,
    TrialRequest,
)

BODY_LIMIT_S = 20.0
FIRST_REQUEST_LIMIT_S = 4.0
"""A connection that has not managed one whole request by then is closed."""
JANITOR_S = 1.0
MOST_CONNECTIONS = 256
MOST_EVENTS = 1000
MOST_REVISIONS = 1000
TEXT_LIMIT = 500
LONGEST_GUARD_S = 3600.0
ORIGINS_OF_CALLERS = ("console", "lvsctl", "rollback", "import")
"""Where a caller may say that a change comes from; the others are the agent's own word."""

log = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer:
    """The listening socket and its connections."""

    def __init__(self, service: Service, path: Path, socket_group: str, sync_user: str = "") -> None:
        """``socket_group``: who may use it; ``sync_user``: who may use nothing but ``POST /v1/peer``."""
        self._service = service
        self._path = path
        self._group = socket_group
        self._sync_user = sync_user
        self._heard: set[object] = set()
        self._first_seen: dict[object, float] = {}
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._janitor: asyncio.Task[None] | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen.  A socket left by an earlier process is replaced from one moment to the next."""
        application = web.Application(middlewares=[self._guard], client_max_size=LARGEST_BODY_BYTES)
        application.add_routes(self._routes())
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, keepalive_timeout=30, lingering_time=1.0, shutdown_timeout=2.0
        )
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("the application has no server after its setup")
        listener = _listener(self._path, self._group)
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.get_running_loop().create_unix_server(self._runner.server, sock=listener, backlog=128)
        self._janitor = asyncio.get_running_loop().create_task(self._close_the_slow(self._runner.server))

    async def stop(self) -> None:
        """Finish what is under way, then close.  A successor's socket is left alone."""
        if self._janitor:
            self._janitor.cancel()
        if self._server:
            self._server.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        if self._runner:
            await self._runner.cleanup()

    async def _close_the_slow(self, server: web.Server) -> None:
        """Close connections that never finish a request, and the oldest of too many."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(JANITOR_S)
            now = loop.time()
            present = set(server.connections)
            self._heard &= present
            self._first_seen = {one: self._first_seen.get(one, now) for one in present}
            silent = sorted(present - self._heard, key=lambda one: self._first_seen[one])
            surplus = silent[: max(0, len(present) - MOST_CONNECTIONS)]
            for one in silent:
                if one in surplus or now - self._first_seen[one] > FIRST_REQUEST_LIMIT_S:
                    one.force_close()

    # --- around every request ------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._heard.add(request.protocol)
        try:
            if not self._allowed(request):
                return problem(403, "forbidden", self._forbidden(request))
            return await handler(request)
        except (Refused, web.HTTPException, TimeoutError, ConnectionError) as error:
            return refusal(request, error)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return problem(500, "unavailable", "something went wrong inside the agent; its log says what")

    def _allowed(self, request: web.Request) -> bool:
        caller = _caller(request)
        return caller is not None and may_call(caller, _route(request), socket_group=self._group, sync_user=self._sync_user)

    def _forbidden(self, request: web.Request) -> str:
        if _route(request) == PEER_ROUTE:
            return "only the other director may ask this, through lvsagent receive"
        return f"only root and members of the group {self._group} may talk to the agent"

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/config", self._get_config),
            web.put("/v1/config", self._put_config),
            web.get("/v1/config/previous", self._get_previous),
            web.get("/v1/history", self._get_history),
            web.get("/v1/history/{number:[0-9]{1,15}}", self._get_revision),
            web.get("/v1/history/{number:[0-9]{1,15}}/text", self._get_revision_text),
            web.get("/v1/state", self._get_state),
            web.get("/v1/events", self._get_events),
            web.get("/v1/checks", self._get_checks),
            web.get("/v1/checks/{key:.+}/results", self._get_results),
            web.post("/v1/health/release", self._post_release),
            web.post("/v1/trial", self._post_trial),
            web.post("/v1/announce", self._post_announce),
            web.post("/v1/failover", self._post_failover),
            web.post("/v1/guard", self._post_guard),
            web.get("/v1/rehearsals", self._get_rehearsals),
            web.post("/v1/rehearsals", self._post_rehearsal),
            web.post("/v1/rehearsals/run", self._post_rehearsal_run),
            web.get("/v1/table", self._get_table),
            *sync_routes(self._service, _user),
            *doctor_routes(self._service, _user),
            web.get("/v1/servers", self._get_servers),
            web.post("/v1/servers", self._post_servers),
            web.get("/v1/pairing", self._get_pairing),
            web.post("/v1/pairing", self._post_pairing),
        ]

    # --- lvs.cf --------------------------------------------------------------------------------------------------------------

    async def _get_config(self, request: web.Request) -> web.Response:
        file = self._service.file()
        if file.etag in _tags(request.headers.get("If-None-Match", "")):
            return web.Response(status=304, headers=_file_headers(file))
        return _file_answer(file)

    async def _get_previous(self, _request: web.Request) -> web.Response:
        return _file_answer(self._service.previous())

    async def _put_config(self, request: web.Request) -> web.Response:
        tags = _tags(request.headers.get("If-Match", ""))
        if len(tags) != 1 or "*" in tags:
            return problem(428, "bad_request", "say in If-Match which lvs.cf (its ETag) the new one was made from")
        origin = _text(request, "origin") or "console"
        if origin not in ORIGINS_OF_CALLERS:
            raise BadRequest(f"X-Origin is one of {', '.join(ORIGINS_OF_CALLERS)}")
        said = "" if origin == "lvsctl" else unquote(_text(request, "actor"), errors="replace")
        actor = said or _user(request)  # lvsctl speaks for the user that the kernel names; the console for whoever has logged in
        write = Write(
            data=await _body(request),
            if_match=tags[0],
            comment=unquote(_text(request, "comment"), errors="replace")[:TEXT_LIMIT],
            actor=actor[:TEXT_LIMIT],
            dry_run=_flag(request, "dry_run"),
            plan=_text(request, "plan")[:TEXT_LIMIT],
            confirm=_text(request, "confirm")[:TEXT_LIMIT],
            guard_s=_guard_s(_text(request, "guard")),
            origin=origin,
            other_parent=_joined(request),
        )
        receipt = await self._service.put(write)
        return _json(200, receipt, {"ETag": f'"{receipt.etag}"'})

    async def _get_history(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", 50)
        if not 1 <= limit <= MOST_REVISIONS:
            raise BadRequest(f"limit is 1 to {MOST_REVISIONS}")
        return _json(200, await self._service.history(limit, _number(request, "before", 0)))

    async def _get_revision(self, request: web.Request) -> web.Response:
        return _json(200, await self._service.revision(int(request.match_info["number"])))

    async def _get_revision_text(self, request: web.Request) -> web.Response:
        return _file_answer(await self._service.revision_text(int(request.match_info["number"])))

    # --- everything else -----------------------------------------------------------------------------------------------------

    async def _get_state(self, request: web.Request) -> web.Response:
        query = request.query
        question = Question(
            virtual=query.get("virtual", ""),
            search=query.get("search", ""),
            page=_number(request, "page", 1),
            per_page=_number(request, "per_page", 50),
            servers=_flag(request, "servers"),
            sort=query.get("sort", ""),
        )
        return _json(200, self._service.state(question))

    async def _get_events(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", 20)
        if not 1 <= limit <= MOST_EVENTS:
            raise BadRequest(f"limit is 1 to {MOST_EVENTS}")
        return _json(200, self._service.events(limit, _number(request, "before", 0)))

    async def _get_checks(self, request: web.Request) -> web.Response:
        page, per_page = _number(request, "page", 1), _number(request, "per_page", 50)
        return _json(200, self._service.checks(request.query.get("virtual", ""), page, per_page))

    async def _get_results(self, request: web.Request) -> web.Response:
        return _json(200, await self._service.explain(request.match_info["key"]))

    async def _post_release(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, ReleaseRequest)
        return _json(200, self._service.release(ReleaseRequest(key=asked.key, actor=(asked.actor or _user(request))[:TEXT_LIMIT])))

    async def _post_trial(self, request: web.Request) -> web.Response:
        return _json(200, await self._service.trial(await _decoded(request, TrialRequest)))

    async def _post_announce(self, _request: web.Request) -> web.Response:
        self._service.announce()
        return web.Response(status=204)

    async def _post_failover(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, FailoverRequest)
        self._service.failover(
            FailoverRequest(action=asked.action, actor=(asked.actor or _user(request))[:TEXT_LIMIT], reason=asked.reason[:TEXT_LIMIT])
        )
        return web.Response(status=204)

    async def _post_guard(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, GuardRequest)
        actor = (asked.actor or _user(request))[:TEXT_LIMIT]
        return _json(200, await self._service.guard(GuardRequest(action=asked.action, actor=actor, etag=asked.etag)))

    async def _get_servers(self, _request: web.Request) -> web.Response:
        return _json(200, self._service.overrides())

    async def _post_servers(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, OverrideRequest)
        if max(len(text) for text in (asked.virtual, asked.server, asked.host, asked.reason)) > TEXT_LIMIT:
            raise BadRequest(f"no text about a real server is longer than {TEXT_LIMIT} characters")
        actor = (asked.actor or _user(request))[:TEXT_LIMIT]
        return _json(200, await self._service.override(msgspec.structs.replace(asked, actor=actor)))

    async def _get_rehearsals(self, _request: web.Request) -> web.Response:
        return _json(200, self._service.rehearsals())

    async def _post_rehearsal(self, request: web.Request) -> web.Response:
        rehearsal = await _decoded(request, Rehearsal)
        if max(len(text) for text in (rehearsal.target, rehearsal.moved_from, rehearsal.actor, rehearsal.host)) > TEXT_LIMIT:
            raise BadRequest(f"no text in a rehearsal is longer than {TEXT_LIMIT} characters")
        self._service.add_rehearsal(rehearsal)
        return web.Response(status=204)

    async def _get_pairing(self, _request: web.Request) -> web.Response:
        return _json(200, self._service.pairing())

    async def _post_pairing(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, PairingRequest)
        if max(len(text) for text in (asked.action, asked.address, asked.code)) > TEXT_LIMIT:
            raise BadRequest(f"no text in a pairing is longer than {TEXT_LIMIT} characters")
        named = msgspec.structs.replace(asked, actor=(asked.actor or _user(request))[:TEXT_LIMIT])
        return _json(200, await self._service.pair(named))

    async def _post_rehearsal_run(self, request: web.Request) -> web.Response:
        asked = await _decoded(request, RehearsalRequest)
        self._service.rehearse(msgspec.structs.replace(asked, actor=(asked.actor or _user(request))[:TEXT_LIMIT]))
        return web.Response(status=202)

    async def _get_table(self, request: web.Request) -> web.Response:
        return web.Response(text=await self._service.table(rules=_flag(request, "rules")), content_type="text/plain", charset="utf-8")


def _listener(path: Path, group: str) -> socket.socket:
    """A bound socket that only the group may connect to; it appears under its name when it is ready."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    old_mask = os.umask(0o177)
    try:
        listener.bind(os.fspath(fresh))
    finally:
        os.umask(old_mask)
    try:
        os.chown(fresh, -1, grp.getgrnam(group).gr_gid)
        fresh.chmod(0o660)
    except (KeyError, PermissionError) as error:
        log.warning("the group %s cannot be given %s (%s): only this user and root can use it", group, path, error)
    listener.listen(128)
    fresh.replace(path)
    return listener


def _route(request: web.Request) -> str:
    """The route that would answer, as it was declared; ``""``: none would."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource else ""


def _caller(request: web.Request) -> Caller | None:
    """Whoever is at the other end; ``None`` when they have hung up."""
    connected: socket.socket | None = request.transport.get_extra_info("socket") if request.transport else None
    return caller_of(connected) if connected else None


def _user(request: web.Request) -> str:
    """Who asks, when they do not say it themselves."""
    caller = _caller(request)
    return name_of(caller) if caller else ""


async def _decoded(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await _body(request), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request cannot be understood: {error}") from error


async def _body(request: web.Request) -> bytes:
    length = request.content_length or 0
    if length > LARGEST_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY_BYTES, length)
    async with asyncio.timeout(BODY_LIMIT_S):
        return await request.read()


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()]


def _text(request: web.Request, name: str) -> str:
    """A word beside the body: as a header (percent-encoded) or in the query."""
    return request.headers.get(f"X-{name.title()}", "") or request.query.get(name, "")


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


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadRequest(f"{name} is a whole number")
    return int(text)


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "0")
    if text not in {"0", "1"}:
        raise BadRequest(f"{name} is 0 or 1")
    return text == "1"


def _file_headers(file: ConfigFile) -> dict[str, str]:
    return {"ETag": f'"{file.etag}"', "X-Exists": "1" if file.exists else "0", "Cache-Control": "no-store"}


def _file_answer(file: ConfigFile) -> web.Response:
    return web.Response(body=file.data, content_type="text/plain", charset="utf-8", headers=_file_headers(file))


def _json(status: int, value: msgspec.Struct, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers)
