"""One request of the agent's API: who asks, what the body, the headers and the query say, and how an answer looks.

Owns the limits on what a caller may send and the words for what cannot be understood.  It calls nothing of the service.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TypeVar

import msgspec
from aiohttp import web

from lvsagent.api.callers import Caller, caller_of, name_of
from lvsagent.api.contract import BadRequest
from lvsagent.api.refusals import LARGEST_BODY_BYTES
from lvsagent.ports import ConfigFile

BODY_LIMIT_S = 20.0
TEXT_LIMIT = 500

T = TypeVar("T")


def route_of(request: web.Request) -> str:
    """The route that would answer, as it was declared; ``""``: none would."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource else ""


def caller_of_request(request: web.Request) -> Caller | None:
    """Whoever is at the other end; ``None`` when they have hung up."""
    connected: socket.socket | None = request.transport.get_extra_info("socket") if request.transport else None
    return caller_of(connected) if connected else None


def user_of(request: web.Request) -> str:
    """Who asks, when they do not say it themselves."""
    caller = caller_of_request(request)
    return name_of(caller) if caller else ""


def actor_of(request: web.Request, said: str) -> str:
    """Who asks: what they say themselves, else what the kernel says."""
    return (said or user_of(request))[:TEXT_LIMIT]


async def decoded(request: web.Request, kind: type[T]) -> T:
    """The body as ``kind``.  Raises BadRequest."""
    try:
        return msgspec.json.decode(await body_of(request), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request cannot be understood: {error}") from error


async def body_of(request: web.Request) -> bytes:
    """All of it.  Raises TimeoutError, and an aiohttp exception when it is too large."""
    length = request.content_length or 0
    if length > LARGEST_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(LARGEST_BODY_BYTES, length)
    async with asyncio.timeout(BODY_LIMIT_S):
        return await request.read()


def tags_of(header: str) -> list[str]:
    """The ETags that a header names."""
    return [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()]


def text_of(request: web.Request, name: str) -> str:
    """A word beside the body: as a header (percent-encoded) or in the query."""
    return request.headers.get(f"X-{name.title()}", "") or request.query.get(name, "")


def number_of(request: web.Request, name: str, default: int) -> int:
    """A whole number in the query.  Raises BadRequest."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadRequest(f"{name} is a whole number")
    return int(text)


def flag_of(request: web.Request, name: str) -> bool:
    """A yes (1) or no (0) in the query.  Raises BadRequest."""
    text = request.query.get(name, "0")
    if text not in {"0", "1"}:
        raise BadRequest(f"{name} is 0 or 1")
    return text == "1"


def file_headers(file: ConfigFile) -> dict[str, str]:
    """What is said beside lvs.cf, or instead of it."""
    return {"ETag": f'"{file.etag}"', "X-Exists": "1" if file.exists else "0", "Cache-Control": "no-store"}


def file_answer(file: ConfigFile) -> web.Response:
    """lvs.cf as it is, byte for byte."""
    return web.Response(body=file.data, content_type="text/plain", charset="utf-8", headers=file_headers(file))


def json_answer(value: msgspec.Struct, headers: dict[str, str] | None = None) -> web.Response:
    """The answer to what was asked, with its ETag if it has one."""
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)
