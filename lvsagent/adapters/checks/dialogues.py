"""What is said on a plain TCP connection, for checks that are made by the thousand: bytes in, a verdict out, nothing waited for.

Owns the verdicts of send and expect, and of HTTP, where neither TLS nor a pattern is wanted.  The socket and the time limit are
``connects``'s.  A check that is made by itself comes to the same verdict by ``sockets`` and ``conversations``: one suite holds both to it.
"""

from __future__ import annotations

from typing import Protocol

from lvsagent.adapters.checks import reasons
from lvsagent.core.check_http import MOST_BYTES as HTTP_MOST_BYTES
from lvsagent.core.check_http import HttpAnswer, NotHttpError
from lvsagent.core.check_spec import CheckSpec, Method, shown
from lvsagent.core.expect import ANSWER_LIMIT_BYTES, REPLY_LIMIT_BYTES, prefix_verdict

CHUNK_BYTES = 16 * 1024


class CannotAskError(Exception):
    """lvs.cf asks for something that cannot be asked: this says nothing about the server."""


class Dialogue(Protocol):
    """One check's conversation.  A verdict is the reason of the failure, ``""`` for success."""

    request: bytes

    @property
    def reply(self) -> bytes:
        """The beginning of what came back, to be shown."""
        ...

    @property
    def room(self) -> int:
        """How many more bytes are worth reading at once."""
        ...

    def asked(self) -> str | None:
        """The verdict once all is sent; None: an answer is to be waited for."""
        ...

    def take(self, data: bytes) -> str | None:
        """The verdict after more of the answer; None: more is needed."""
        ...

    def closed(self) -> str:
        """The server has closed."""
        ...

    def broken(self) -> str:
        """The server has reset the connection."""
        ...

    def too_late(self) -> str:
        """The time limit has come."""
        ...


def speaks(spec: CheckSpec) -> bool:
    """Whether the check is one of these."""
    if spec.protocol != "tcp" or spec.use_regex:
        return False
    return spec.method is Method.SEND_EXPECT or (spec.method is Method.HTTP and not spec.particulars.tls)


def dialogue(spec: CheckSpec) -> Dialogue | None:
    """The conversation that ``spec`` wants; None: to connect is all.  Raises CannotAskError."""
    if spec.method is Method.HTTP:
        return HttpDialogue(spec)
    return ExpectDialogue(spec) if spec.send or spec.expect is not None else None


class ExpectDialogue:
    """Send, and a prefix of the answer."""

    def __init__(self, spec: CheckSpec) -> None:
        self.request = spec.send
        self._spec = spec
        self._answer = b""

    @property
    def reply(self) -> bytes:
        """See ``Dialogue``."""
        return self._answer[:REPLY_LIMIT_BYTES]

    @property
    def room(self) -> int:
        """See ``Dialogue``."""
        return ANSWER_LIMIT_BYTES - len(self._answer)

    def asked(self) -> str | None:
        """See ``Dialogue``."""
        return None if self._spec.expect else ""

    def take(self, data: bytes) -> str | None:
        """See ``Dialogue``."""
        self._answer += data
        verdict = prefix_verdict(self._spec.expect or b"", self._answer)
        if verdict is None and self.room:
            return None
        return "" if verdict else reasons.unexpected(self._spec, self._answer)

    def closed(self) -> str:
        """See ``Dialogue``."""
        return reasons.ended_early(self._spec, self._answer)

    def broken(self) -> str:
        """See ``Dialogue``."""
        return reasons.reset_early(self._spec, self._answer)

    def too_late(self) -> str:
        """See ``Dialogue``."""
        return reasons.out_of_time(self._spec, self._answer)


class HttpDialogue:
    """GET, the status, and a prefix of the body where one is wanted."""

    def __init__(self, spec: CheckSpec) -> None:
        try:
            self._http = HttpAnswer(spec)
        except NotHttpError as error:
            raise CannotAskError(str(error)) from None
        self.request = self._http.request
        self._reply = b""
        self._spec = spec
        self._left = HTTP_MOST_BYTES

    @property
    def reply(self) -> bytes:
        """See ``Dialogue``."""
        return self._reply

    @property
    def room(self) -> int:
        """See ``Dialogue``."""
        return min(self._left, CHUNK_BYTES)

    def asked(self) -> str | None:
        """See ``Dialogue``."""
        return None

    def take(self, data: bytes) -> str | None:
        """See ``Dialogue``."""
        if len(self._reply) < REPLY_LIMIT_BYTES:
            self._reply += data[: REPLY_LIMIT_BYTES - len(self._reply)]
        self._left -= len(data)
        return self._fed(data)

    def closed(self) -> str:
        """See ``Dialogue``."""
        if self._left == HTTP_MOST_BYTES:
            return reasons.CLOSED_WITHOUT_ANSWER
        verdict = self._fed(b"")
        return self._at_end() if verdict is None else verdict

    def broken(self) -> str:
        """See ``Dialogue``."""
        if not self._http.status:
            return f"got {shown(self.reply)} and a reset" if self.reply else reasons.RESET_WITHOUT_ANSWER
        return "" if self._matches() else reasons.reset_early(self._spec, self._http.body)

    def too_late(self) -> str:
        """See ``Dialogue``."""
        if not self._http.status or self._spec.expect is None:
            return reasons.not_whole_in_time(self._spec, self.reply)
        return "" if self._matches() else reasons.out_of_time(self._spec, self._http.body)

    def _fed(self, data: bytes) -> str | None:
        http, before = self._http, len(self._http.body)
        try:
            http.feed(data)
        except NotHttpError as error:
            return str(error)
        if http.status and (http.refused or self._spec.expect is None):
            return http.refused
        if len(http.body) > before and self._spec.expect is not None:
            verdict = prefix_verdict(self._spec.expect, http.body)
            if verdict is not None:
                return "" if verdict else reasons.unexpected(self._spec, http.body)
        return self._at_end() if http.done or self._left <= 0 else None

    def _at_end(self) -> str:
        if not self._http.status:
            return f"no status within {HTTP_MOST_BYTES // 1024} KiB"
        return "" if self._matches() else reasons.unexpected(self._spec, self._http.body)

    def _matches(self) -> bool:
        return self._spec.expect is None or prefix_verdict(self._spec.expect, self._http.body) is True
