"""send and expect, and HTTP: a check by itself and one of thousands come to the same verdict about the same server."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvsagent.adapters.checks import Checks
from lvsagent.adapters.checks.connects import Connects
from lvsagent.core.check_spec import CheckSpec, Details, Method, Outcome
from tests.contract.test_connect_contract import full_listener
from tests.misbehaving import Behaviour, drips, half_closes, resets, says, serving, stays, talks_forever

QUICK = {"timeout_s": 0.2}
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


def talk(**changes: Any) -> CheckSpec:
    base = CheckSpec("v/one", "127.0.0.1", 80, "tcp", Method.SEND_EXPECT, send=b"GET / HTTP/1.0\r\n\r\n", expect=b"HTTP", timeout_s=5)
    return replace(base, **changes)


def http(**changes: Any) -> CheckSpec:
    return replace(talk(method=Method.HTTP, send=b"", expect=None, details=Details(path="/health", host="www.example.com")), **changes)


class Both:
    """Makes a check in both ways, at the same time."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._numbers = itertools.count(1)
        self.quick: Connects = checks.quick(self._done)

    async def check(self, spec: CheckSpec) -> tuple[Outcome, Outcome]:
        assert self.quick.takes(spec)
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self.quick.begin(spec, number)
        return await asyncio.gather(self._checks.check(spec), self._waiting[number])

    def close(self) -> None:
        self.quick.close()
        self._checks.close()

    def _done(self, ended: list[tuple[int, Outcome]]) -> None:
        for number, outcome in ended:
            self._waiting.pop(number).set_result(outcome)


def run(what: Callable[[Both], Any]) -> Any:
    async def with_both() -> Any:
        both = Both(Checks())
        try:
            return await what(both)
        finally:
            both.close()

    return asyncio.run(with_both())


def verdict(outcome: Outcome) -> tuple[Any, ...]:
    """What must be the same.  How long things took is each one's own."""
    stages = (outcome.connect_s > 0, outcome.first_byte_s > 0)
    return outcome.ok, outcome.reason, outcome.conclusive, outcome.connect_timed_out, outcome.reply, stages


async def floods_interim_answers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 3000)
        await writer.drain()


async def reads_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only when the whole of a long request has come."""
    await reader.readexactly(4_000_000)
    writer.write(b"HTTP")


CASES = {
    "right": (says(b"HTTP/1.0 200 OK\r\n\r\n", then=stays), talk()),
    "in segments": (says(b"H", b"T", b"TP", then=stays), talk()),
    "wrong": (says(b"FTP here", then=stays), talk()),
    "garbage": (says(b"\x00\xff\x1b[31m", then=stays), talk()),
    "half an answer and the end": (says(b"HT"), talk()),
    "half an answer and silence": (says(b"HT", then=stays), talk(**QUICK)),
    "the end": (says(), talk()),
    "half closes": (half_closes, talk()),
    "silence": (stays, talk(**QUICK)),
    "any byte": (says(b"HxTP", then=stays), talk(expect=b"H*TP")),
    "only expects": (says(b"220 ready\r\n", then=stays), talk(send=b"", expect=b"2*0")),
    "only sends": (stays, talk(expect=None)),
    "expects nothing at all": (stays, talk(expect=b"")),
    "neither": (stays, talk(send=b"", expect=None)),
    "a long answer": (says(b"HTTP" + b"x" * 100_000, then=stays), talk(expect=b"HTTP" + b"x" * 3000)),
    "longer than is looked at": (says(b"x" * 5000, then=stays), talk(expect=b"x" * 4097)),
    "a long request": (reads_all, talk(send=b"x" * 4_000_000)),
    "http": (says(HELLO, then=stays), http()),
    "http/1.0, until the end": (says(b"HTTP/1.0 200 OK\r\n\r\nhello"), http(expect=b"hello")),
    "a byte at a time": (says(*[HELLO[place : place + 1] for place in range(len(HELLO))], then=stays), http(expect=b"hello world")),
    "chunked": (says(CHUNKED, then=stays), http(expect=b"hello world")),
    "another body": (says(HELLO, then=stays), http(expect=b"good bye")),
    "a shorter body": (says(HELLO, then=stays), http(expect=b"hello world and more")),
    "a body that breaks off": (says(HELLO[:-3]), http(expect=b"hello world")),
    "a body that stops": (says(HELLO[:-3], then=stays), http(expect=b"hello world", **QUICK)),
    "another status": (says(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", then=stays), http()),
    "a status that is asked for": (says(b"HTTP/1.1 503 No\r\n\r\n"), http(details=Details(status="200-299,503"))),
    "an interim answer": (says(b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, then=stays), http(expect=b"hello")),
    "interim answers for ever": (floods_interim_answers, http()),
    "no head": (says(b"HTTP/1.1 200 OK\r\nServer: x", then=stays), http(**QUICK)),
    "no head and the end": (says(b"HTTP/1.1 200 OK\r\nServer: x"), http()),
    "a head without end": (says(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, then=stays), http()),
    "not http": (says(b"220 mail.example.com ESMTP\r\n", then=stays), http(**QUICK)),
    "http and nothing": (says(), http()),
    "http and silence": (stays, http(**QUICK)),
    "a path that cannot be asked for": (stays, http(details=Details(path="/a b"))),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_same_server_gets_the_same_verdict(case: str) -> None:
    behaviour, spec = CASES[case]
    both = Both(Checks())
    try:
        async with serving(behaviour) as port:
            alone, of_many = await both.check(replace(spec, port=port))
        assert verdict(of_many) == verdict(alone)
        assert of_many.duration_s < 3
    finally:
        both.close()


@pytest.mark.parametrize("spec", [talk(**QUICK), http(**QUICK)])
@pytest.mark.parametrize("behaviour", [resets, drips, talks_forever])
async def test_a_server_that_misbehaves_in_its_own_time_passes_neither(behaviour: Behaviour, spec: CheckSpec) -> None:
    both = Both(Checks())
    try:
        async with serving(behaviour) as port:
            outcomes = await both.check(replace(spec, port=port))
        for outcome in outcomes:
            assert (outcome.ok, outcome.conclusive) == (False, True)
            assert outcome.reason.isprintable()
            assert outcome.duration_s < 2
            assert len(outcome.reply) <= 1024
    finally:
        both.close()


@pytest.mark.parametrize("spec", [talk(**QUICK), http(**QUICK)])
async def test_nobody_there(spec: CheckSpec) -> None:
    both = Both(Checks())
    try:
        with socket.socket() as unused, full_listener() as full:
            unused.bind(("127.0.0.1", 0))
            for port, reason in ((unused.getsockname()[1], "connection refused"), (full, "no connection within 0.2 s")):
                alone, of_many = await both.check(replace(spec, port=port))
                assert verdict(of_many) == verdict(alone)
                assert of_many.reason == reason
    finally:
        both.close()


@pytest.mark.parametrize("spec", [talk(timeout_s=0.1), http(timeout_s=0.1)])
async def test_who_has_answered_while_this_director_stood_still_is_up_and_nobody_is_blamed(spec: CheckSpec) -> None:
    both = Both(Checks())
    try:
        async with serving(stays) as port:
            asyncio.get_running_loop().call_later(0.05, select.select, [], [], [], 1.3)
            for outcome in await both.check(replace(spec, port=port)):
                assert (outcome.ok, outcome.conclusive) == (False, False)
                assert outcome.reason == "this director stood still during the check"
    finally:
        both.close()


async def test_an_answer_that_was_there_at_the_limit_counts_however_late_it_is_looked_at() -> None:
    """A thousand answers and a thousand limits are due in the same moment: the answers come first."""
    answered = socket.create_server(("127.0.0.1", 0), backlog=2000)
    told: dict[int, Outcome] = {}
    quick = Checks().quick(told.update)
    try:
        callers = 1500
        for number in range(callers):
            quick.begin(talk(port=answered.getsockname()[1], send=b"", timeout_s=0.5), number)
        open_ = []
        for _ in range(callers):
            open_.append(answered.accept()[0])
            open_[-1].sendall(b"HTTP")
        select.select([], [], [], 0.6)  # this process looks at none of it until all limits have passed
        async with asyncio.timeout(5):
            while len(told) < callers:  # noqa: ASYNC110 -- what is waited for comes over sockets
                await asyncio.sleep(0.01)
        assert all(outcome.ok for outcome in told.values())
        for one in open_:
            one.close()
    finally:
        quick.close()
        answered.close()


ANSWERS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda version, status, head, body: b"HTTP/%s %d OK\r\n%s\r\n%s" % (version, status, head, body),
        st.sampled_from([b"1.0", b"1.1", b"2"]),
        st.integers(0, 700),
        st.sampled_from([b"", b"Content-Length: 3\r\n", b"Content-Length: x\r\n", b"Transfer-Encoding: chunked\r\n", b" folded\r\n"]),
        st.one_of(st.binary(max_size=12), st.sampled_from([b"3\r\nabc\r\n0\r\n\r\n", b"abc", b"z\r\n"])),
    ),
)
SPECS = st.sampled_from([talk(), talk(expect=b"*b", send=b""), http(), http(expect=b"abc"), http(expect=b"*")])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERS, SPECS, st.lists(st.integers(0, 60), max_size=4))
def test_whatever_is_answered_and_however_it_is_cut_both_agree(answer: bytes, spec: CheckSpec, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    segments = [answer[first:last] for first, last in itertools.pairwise(places)]

    async def judged(both: Both) -> tuple[Outcome, Outcome]:
        async with serving(says(*segments)) as port:
            return await both.check(replace(spec, port=port))

    alone, of_many = run(judged)
    assert (of_many.ok, of_many.conclusive) == (alone.ok, alone.conclusive)


async def test_nothing_stays_open() -> None:
    both = Both(Checks())
    try:
        async with serving(says(HELLO)) as port:
            await both.check(http(port=port))
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- the folder changes while it is read
            for _ in range(20):
                await both.check(http(port=port))
                await both.check(talk(port=port))
            await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208
    finally:
        both.close()
