"""The agent's HTTP API on its Unix socket: who may connect and call, and what a failure looks like.

Owns the socket, its connections and what surrounds every request; the routes are in modules of their own (``*_routes``), what one request
says is ``requests``'.  It decides nothing about lvs.cf or the table; that is the service's part.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from lvsagent.api.callers import PEER_ROUTE, may_call
from lvsagent.api.config_routes import ConfigRoutes
from lvsagent.api.contract import Refused, Service
from lvsagent.api.doctor_routes import doctor_routes
from lvsagent.api.order_routes import OrderRoutes
from lvsagent.api.refusals import LARGEST_BODY_BYTES, problem, refusal
from lvsagent.api.requests import caller_of_request, route_of
from lvsagent.api.state_routes import StateRoutes
from lvsagent.api.sync_routes import sync_routes

FIRST_REQUEST_LIMIT_S = 4.0
"""A connection that has not managed one whole request by then is closed."""
JANITOR_S = 1.0
MOST_CONNECTIONS = 256

log = logging.getLogger(__name__)

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
        caller = caller_of_request(request)
        return caller is not None and may_call(caller, route_of(request), socket_group=self._group, sync_user=self._sync_user)

    def _forbidden(self, request: web.Request) -> str:
        if route_of(request) == PEER_ROUTE:
            return "only the other director may ask this, through lvsagent receive"
        return f"only root and members of the group {self._group} may talk to the agent"

    def _routes(self) -> list[web.RouteDef]:
        service = self._service
        return [
            *ConfigRoutes(service).routes(),
            *StateRoutes(service).routes(),
            *OrderRoutes(service).routes(),
            *sync_routes(service),
            *doctor_routes(service),
        ]


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
