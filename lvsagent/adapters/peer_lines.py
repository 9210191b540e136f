"""The lines between two directors, as the one that asks sees them: what it writes, and what an answer means.

The other end is ``lvsagent.receive``.
"""

from __future__ import annotations

import json

from lvsagent.ports import PeerRefused, PeerUnreachable
from lvsagent.receive import ASK_AGAIN, NOT_NOW, SAID


class Again(Exception):
    """The other end has not looked at the request and wants a fresh session."""


def request_line(request: bytes) -> bytes:
    """One line: a line's end inside JSON is white space."""
    return request.replace(b"\n", b" ") + b"\n"


def file_line(digest: str) -> bytes:
    """The request is in the file that rsync has brought; ``digest`` is its SHA-256."""
    return b"file %s\n" % digest.encode()


def answer_of(line: bytes) -> bytes:
    """The answer in it.  Raises PeerRefused, PeerUnreachable, Again."""
    status, _, body = line.rstrip(b"\n").partition(b" ")
    if status == b"%d" % SAID:
        return body
    if status == b"%d" % ASK_AGAIN:
        raise Again
    words = message_of(body)
    if status == b"%d" % NOT_NOW:
        raise PeerUnreachable(f"the other director's agent: {words}")
    raise PeerRefused(f"the other director refuses: {words}")


def message_of(body: bytes) -> str:
    """What a refusal says, as far as it can be printed."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    message = found.get("message") if isinstance(found, dict) else None
    if not isinstance(message, str):
        return "an answer that cannot be understood"
    return printable(message)


def printable(words: str) -> str:
    """Somebody else's words, as far as they can be shown."""
    return "".join(letter for letter in words if letter.isprintable())[:500]
