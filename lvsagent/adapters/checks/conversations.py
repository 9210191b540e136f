"""HTTP, TLS, SMTP and agent checks, and DNS over TCP: what is said over a connection, and when it has been said.

Owns the order of sending and reading and how much is read.  What bytes mean is ``lvsagent.core``'s, the connection is ``stream``'s.
"""

from __future__ import annotations

import encodings.idna
import encodings.punycode  # noqa: F401 -- as with encodings.idna: later nanny may not be able to read its folder
import secrets
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache

from cryptography import x509

from lvsagent.adapters.checks import reasons
from lvsagent.adapters.checks.datagrams import records_reason
from lvsagent.adapters.checks.dialogues import CannotAskError
from lvsagent.adapters.checks.judge import Judge
from lvsagent.adapters.checks.stream import FailedError, Stream, connect
from lvsagent.adapters.checks.waiter import OutOfTimeError, Search, Waiter, address_of, guarded
from lvsagent.core.certificates import certificate_warning
from lvsagent.core.check_agent import LINE_MOST_BYTES, agent_line, agent_word
from lvsagent.core.check_dns import MOST_BYTES as DNS_MOST_BYTES
from lvsagent.core.check_dns import BadQueryError, DnsQuestion, NotDnsError
from lvsagent.core.check_http import MOST_BYTES as HTTP_MOST_BYTES
from lvsagent.core.check_http import HttpAnswer, NotHttpError
from lvsagent.core.check_smtp import QUIT, REPLY_MOST_BYTES, NotSmtpError, smtp_ehlo, smtp_reply
from lvsagent.core.check_spec import CheckSpec, Method, Outcome, shown
from lvsagent.core.expect import REPLY_LIMIT_BYTES

MOST_SEARCHES = 8
"""How often a pattern is tried on an answer that grows, before its end is waited for."""


@dataclass(slots=True)
class Conversation:
    """One check's connection, and what has come of it so far."""

    spec: CheckSpec
    stream: Stream
    search: Search
    reply: bytearray = field(default_factory=bytearray)
    warning: str = ""
    share_percent: int = 100

    async def receive(self, most: int) -> bytes:
        """As the stream's, and remembered for those who want to see it."""
        data = await self.stream.receive(most)
        self.reply += data[: REPLY_LIMIT_BYTES - len(self.reply)]
        return data

    def outcome(self, reason: str) -> Outcome:
        """The end of the check."""
        stream = self.stream
        return Outcome(
            ok=not reason,
            duration_s=stream.waiter.elapsed,
            reason=reason,
            reply=bytes(self.reply),
            connect_s=stream.connect_s,
            tls_s=stream.tls_s,
            first_byte_s=stream.first_byte_s,
            warning=self.warning,
            share_percent=self.share_percent,
        )


Talk = Callable[[Conversation], Awaitable[str]]
"""Speaks, and returns the reason of the failure (``""``: there is none)."""


async def check_conversation(spec: CheckSpec, search: Search) -> Outcome:
    """Connect and speak what ``spec.method`` says."""
    talk = TALKS[spec.method]
    try:
        outcome = await guarded(spec, lambda waiter: _connected(spec, search, waiter, talk))
    except CannotAskError as error:
        return Outcome(ok=False, duration_s=0.0, reason=str(error), conclusive=False)
    return outcome


async def _connected(spec: CheckSpec, search: Search, waiter: Waiter, talk: Talk) -> Outcome:
    where = address_of(spec)
    if where is None:
        return Outcome(ok=False, duration_s=0.0, reason=reasons.not_an_address(spec.target), conclusive=False)
    with socket.socket(where[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        await connect(sock, where[1], waiter)
        conversation = Conversation(spec, Stream(sock, waiter), search)
        try:
            reason = await talk(conversation)
        except FailedError as error:
            reason = str(error)
        except OutOfTimeError:
            reason = _too_late(conversation)
        except ssl.SSLError:
            reason = "the server broke off the TLS handshake"
        except ConnectionError:
            reason = reasons.RESET_WITHOUT_ANSWER if not conversation.reply else f"got {shown(bytes(conversation.reply))} and a reset"
        return conversation.outcome(reason)


def _too_late(conversation: Conversation) -> str:
    spec = conversation.spec
    wants_tls = spec.method is Method.TLS or spec.particulars.tls
    if wants_tls and not conversation.stream.tls_s and not conversation.reply:
        return f"no TLS within {reasons.seconds(spec.timeout_s)}"
    return reasons.not_whole_in_time(spec, bytes(conversation.reply))


# --- TLS -----------------------------------------------------------------------------------------------------------------------


@cache
def tls_context(*, verify: bool) -> ssl.SSLContext:
    """What certificates this director takes: any, or those that its own authorities have signed."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _shake_hands(conversation: Conversation) -> None:
    details = conversation.spec.particulars
    stream = conversation.stream
    await stream.start_tls(tls_context(verify=details.verify), details.host or conversation.spec.address)
    if stream.certificate:
        conversation.warning = warning_of(stream.certificate, time.time(), details.certificate_days)


def warning_of(certificate: bytes, now: float, warn_days: int) -> str:
    """What is to be said of a certificate (DER), whoever made it."""
    try:
        ends_at = x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    except (ValueError, OverflowError, x509.InvalidVersion):
        return "the end of the certificate cannot be read"
    return certificate_warning(ends_at, now, warn_days)


async def _talk_tls(conversation: Conversation) -> str:
    """Shake hands; send and expect when the spec says so."""
    spec, stream = conversation.spec, conversation.stream
    await _shake_hands(conversation)
    if not spec.send and spec.expect is None:
        conversation.reply += stream.tls_words.encode()
        return ""
    await stream.send(spec.send)
    judge = Judge(spec, conversation.search)
    try:
        return await _judged(conversation, judge)
    except OutOfTimeError:
        return "" if await judge.at_end() else reasons.out_of_time(spec, bytes(judge.answer))


async def _judged(conversation: Conversation, judge: Judge) -> str:
    """Read until the verdict is known."""
    verdict = True if judge.spec.expect is None else None
    while verdict is None and judge.room:
        data = await conversation.receive(judge.room)
        if not data:
            return "" if await judge.at_end() else reasons.ended_early(judge.spec, bytes(judge.answer))
        verdict = await _grown(judge, data, conversation.stream.waiter)
    if verdict is None:
        verdict = await judge.at_end()
    return "" if verdict else reasons.unexpected(judge.spec, bytes(judge.answer))


async def _grown(judge: Judge, data: bytes, waiter: Waiter) -> bool | None:
    """The verdict after some more of the answer, if that decides it."""
    judge.take(data, waiter.elapsed)
    if not judge.spec.use_regex:
        return judge.look()
    if judge.searches >= MOST_SEARCHES or judge.search_in(waiter) is None:
        return None
    return await judge.search_now(waiter)


# --- HTTP ----------------------------------------------------------------------------------------------------------------------


async def _talk_http(conversation: Conversation) -> str:
    spec = conversation.spec
    try:
        answer = HttpAnswer(spec)
    except NotHttpError as error:
        raise CannotAskError(str(error)) from None
    if spec.particulars.tls:
        await _shake_hands(conversation)
    judge = Judge(spec, conversation.search)
    await conversation.stream.send(answer.request)
    try:
        return await _http_verdict(conversation, answer, judge)
    except NotHttpError as error:
        return str(error)
    except OutOfTimeError:
        if not answer.status or spec.expect is None:
            raise
        return "" if await judge.at_end() else reasons.out_of_time(spec, answer.body)
    except ConnectionError:
        if not answer.status:
            raise
        return "" if await judge.at_end() else reasons.reset_early(spec, answer.body)


async def _http_verdict(conversation: Conversation, answer: HttpAnswer, judge: Judge) -> str:
    """Read until the status and, if lvs.cf asks for it, the body are known."""
    left = HTTP_MOST_BYTES
    while not answer.done and left > 0:
        data = await conversation.receive(min(left, 16384))
        if not data and left == HTTP_MOST_BYTES:
            return reasons.CLOSED_WITHOUT_ANSWER
        left -= len(data)
        before = len(answer.body)
        answer.feed(data)
        if answer.status and (answer.refused or conversation.spec.expect is None):
            return answer.refused
        if len(answer.body) > before:
            verdict = await _grown(judge, answer.body[before:], conversation.stream.waiter)
            if verdict is not None:
                return "" if verdict else reasons.unexpected(conversation.spec, answer.body)
    if not answer.status:
        return f"no status within {HTTP_MOST_BYTES // 1024} KiB"
    return "" if await judge.at_end() else reasons.unexpected(conversation.spec, answer.body)


# --- SMTP ----------------------------------------------------------------------------------------------------------------------


async def _talk_smtp(conversation: Conversation) -> str:
    left = b""
    try:
        for wanted, request in ((220, smtp_ehlo(conversation.spec.particulars.host)), (250, QUIT)):
            code, left = await _smtp_code(conversation, left)
            if code != wanted:
                return f"expected {wanted}, got {shown(bytes(conversation.reply))}"
            await conversation.stream.send(request)
    except NotSmtpError as error:
        return str(error)
    return ""


async def _smtp_code(conversation: Conversation, data: bytes) -> tuple[int, bytes]:
    """The code of the next reply, and what came behind it."""
    while (found := smtp_reply(data)) is None:
        more = await conversation.receive(REPLY_MOST_BYTES)
        if not more:
            raise NotSmtpError("the connection was closed before the end of the reply" if data else reasons.CLOSED_WITHOUT_ANSWER)
        data += more
        if len(data) > 2 * REPLY_MOST_BYTES:
            raise NotSmtpError("the reply has no end")
    return found[0], data[found[1] :]


# --- the feedback agent --------------------------------------------------------------------------------------------------------


async def _talk_agent(conversation: Conversation) -> str:
    await conversation.stream.send(conversation.spec.send)
    said = b""
    while (line := agent_line(said, at_end=False)) is None:
        data = await conversation.receive(LINE_MOST_BYTES)
        if not data:
            line = agent_line(said, at_end=True) or b""
            break
        said += data
    word = agent_word(line)
    conversation.share_percent = word.share_percent
    return word.reason


# --- DNS over TCP --------------------------------------------------------------------------------------------------------------


async def _talk_dns(conversation: Conversation) -> str:
    try:
        question = DnsQuestion(conversation.spec, secrets.randbelow(65536))
    except BadQueryError as error:
        raise CannotAskError(str(error)) from None
    await conversation.stream.send(len(question.wire).to_bytes(2, "big") + question.wire)
    size = int.from_bytes(await _exactly(conversation, 2), "big")
    data = await _exactly(conversation, min(size, DNS_MOST_BYTES))
    try:
        answer = question.answer(data)
    except NotDnsError as error:
        return str(error)
    if answer is None:
        return "the server answered another question"
    reason, records = answer
    if records:
        conversation.reply[:] = b"\n".join(records)[:REPLY_LIMIT_BYTES]
    return reason or await records_reason(conversation.spec, records, conversation.search)


async def _exactly(conversation: Conversation, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await conversation.receive(size - len(data))
        if not more:
            raise FailedError("the connection was closed before the end of the answer" if data else reasons.CLOSED_WITHOUT_ANSWER)
        data += more
    return data


TALKS: dict[Method, Talk] = {
    Method.TLS: _talk_tls,
    Method.HTTP: _talk_http,
    Method.SMTP: _talk_smtp,
    Method.AGENT: _talk_agent,
    Method.DNS: _talk_dns,
}
