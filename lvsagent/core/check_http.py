"""An HTTP check as bytes: the request, and what has come back so far.

Pure, on h11.  It judges the status and hands out the body; how much is read and for how long is the caller's business.
"""

from __future__ import annotations

import ipaddress

import h11

from lvsagent.core.check_spec import CheckSpec, shown
from lvsagent.core.expect import ANSWER_LIMIT_BYTES

AGENT = "piranha-check"
HEAD_LIMIT_BYTES = 32 * 1024
"""The longest head of an answer that is read."""
MOST_BYTES = 64 * 1024
"""All that is read of an answer, interim answers and framing included."""
DEFAULT_PORTS = {False: 80, True: 443}


class NotHttpError(Exception):
    """The answer is not HTTP, or the request cannot be put in HTTP; the message says what is wrong."""


def request_bytes(spec: CheckSpec) -> bytes:
    """The request that ``spec`` asks for.  Raises NotHttpError when its path or host cannot stand in one."""
    return HttpAnswer(spec).request


def accepts(ranges: str, status: int) -> bool:
    """Whether ``status`` is in ``ranges`` (``200-299,301``)."""
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and int(first) <= status <= int(last if last.isdecimal() else first):
            return True
    return False


def host_header(spec: CheckSpec) -> str:
    """The Host of the request: the name asked for, or the real server's address, with the port where it is not the usual one."""
    details = spec.particulars
    name = details.host or spec.address
    if _is_ipv6(name):
        name = f"[{name}]"
    return name if spec.port == DEFAULT_PORTS[details.tls] or details.host else f"{name}:{spec.port}"


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


class HttpAnswer:
    """The conversation of one check: ``request`` goes out, ``feed`` takes what comes back.

    ``status`` is 0 until the head of the answer is there.  ``body`` holds at most 4 KiB; ``done``: no more of it will be looked at.
    """

    def __init__(self, spec: CheckSpec) -> None:
        self.status = 0
        self.body = b""
        self.done = False
        self._ranges = spec.particulars.status
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        try:
            asked = h11.Request(
                method="GET",
                target=spec.particulars.path,
                headers=[("Host", host_header(spec)), ("User-Agent", AGENT), ("Accept", "*/*"), ("Connection", "close")],
            )
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise NotHttpError(f"check_path or check_host cannot be asked for: {error}") from None
        self.request = (self._connection.send(asked) or b"") + (self._connection.send(h11.EndOfMessage()) or b"")

    def feed(self, data: bytes) -> None:
        """Take what has come (``b""``: the end).  Raises NotHttpError."""
        try:
            self._connection.receive_data(data)
            while not self.done and self._take(self._connection.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            raise NotHttpError(f"the answer is not HTTP: {shown(str(error).encode('utf-8', 'surrogateescape'))}") from None

    @property
    def refused(self) -> str:
        """Why the status alone decides against the server (``""``: it does not)."""
        if not self.status or accepts(self._ranges, self.status):
            return ""
        return f"status {self.status}, expected {self._ranges}"

    def _take(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> bool:
        """Whether there may be another event."""
        if isinstance(event, h11.Response):
            self.status = event.status_code
        elif isinstance(event, h11.Data):
            self.body = (self.body + bytes(event.data))[:ANSWER_LIMIT_BYTES]
            self.done = len(self.body) >= ANSWER_LIMIT_BYTES
        elif not isinstance(event, h11.InformationalResponse):
            self.done = isinstance(event, h11.EndOfMessage | h11.ConnectionClosed)
            return False
        return True
