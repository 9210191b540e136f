"""What each kind of check makes of the bytes that come back, whatever they are."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvsagent.adapters.checks.conversations import warning_of
from lvsagent.core.certificates import certificate_warning
from lvsagent.core.check_agent import LINE_MOST_BYTES, AgentWord, agent_line, agent_word
from lvsagent.core.check_dns import BadQueryError, DnsQuestion, NotDnsError, same_record
from lvsagent.core.check_http import HttpAnswer, NotHttpError, accepts, host_header, request_bytes
from lvsagent.core.check_ping import echo_request, is_echo_reply
from lvsagent.core.check_smtp import NotSmtpError, smtp_ehlo, smtp_reply
from lvsagent.core.check_spec import CheckSpec, Details, Method

FUZZ = settings(max_examples=300, deadline=None)


def spec(method: Method, port: int = 80, address: str = "10.11.12.21", **details: Any) -> CheckSpec:
    return CheckSpec("v/one", address, port, "tcp", method, details=Details(**details))


# --- HTTP ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranges", "good", "bad"),
    [
        ("200", [200], [199, 201, 0]),
        ("200-299,301", [200, 250, 299, 301], [300, 302, 199]),
        ("200-399", [200, 399], [400, 100]),
        ("299-200", [], [200, 250, 299]),
    ],
)
def test_status_ranges(ranges: str, good: list[int], bad: list[int]) -> None:
    assert [accepts(ranges, status) for status in good + bad] == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize(
    ("made", "host"),
    [
        (spec(Method.HTTP), "10.11.12.21"),
        (spec(Method.HTTP, 8080), "10.11.12.21:8080"),
        (spec(Method.HTTP, 443, tls=True), "10.11.12.21"),
        (spec(Method.HTTP, 8443, host="www.example.com"), "www.example.com"),
        (spec(Method.HTTP, 80, "2001:db8::1"), "[2001:db8::1]"),
        (spec(Method.HTTP, 8080, "2001:db8::1"), "[2001:db8::1]:8080"),
    ],
)
def test_the_host_that_is_asked_for(made: CheckSpec, host: str) -> None:
    assert host_header(made) == host
    assert request_bytes(made).startswith(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n")
    assert request_bytes(made).endswith(b"Connection: close\r\n\r\n")


@pytest.mark.parametrize("details", [{"path": "/a b"}, {"path": "/\r\nX: y"}, {"host": "a\r\nX: y"}, {"path": "/ü"}])
def test_nothing_can_be_smuggled_into_a_request(details: dict[str, Any]) -> None:
    with pytest.raises(NotHttpError, match="cannot be asked for"):
        request_bytes(spec(Method.HTTP, **details))


ANSWERS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda head, body: b"HTTP/1.1 " + head + b"\r\n\r\n" + body,
        st.sampled_from([b"200 OK", b"204", b"100 x", b"200 OK\r\nTransfer-Encoding: chunked", b"200 x\r\nContent-Length: 5", b"999 x"]),
        st.one_of(st.binary(max_size=100), st.just(b"5\r\nhello\r\n0\r\n\r\n"), st.just(b"ffffffffff\r\nx")),
    ),
)


@FUZZ
@given(ANSWERS, st.lists(st.integers(0, 300), max_size=6))
def test_any_bytes_make_an_http_answer_or_a_reason_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def told(parts: list[bytes]) -> tuple[int, bytes, str]:
        answer = HttpAnswer(spec(Method.HTTP))
        reason = ""
        with contextlib.suppress(StopIteration):
            try:
                for part in parts:
                    if not answer.done:
                        answer.feed(part)
                if not answer.done:
                    answer.feed(b"")
            except NotHttpError as error:
                reason = str(error)
        assert len(answer.body) <= 4096
        return answer.status, answer.body, "wrong" if reason else ""

    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    parts = [part for first, last in itertools.pairwise(places) if (part := data[first:last])]
    assert told([data] if data else []) == told(parts)


def test_an_endless_head_is_not_kept() -> None:
    answer = HttpAnswer(spec(Method.HTTP))
    answer.feed(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 30_000)
    with pytest.raises(NotHttpError, match="not HTTP"):
        answer.feed(b"y" * 10_000)


# --- SMTP ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"220 ready\r\n", (220, 11)),
        (b"220 ready\n250", (220, 10)),
        (b"250-a\r\n250-b\r\n250 c\r\nrest", (250, 21)),
        (b"250\r\n", (250, 5)),
        (b"", None),
        (b"2", None),
        (b"220", None),
        (b"220 ready\r", None),
        (b"250-a\r\n25", None),
    ],
)
def test_smtp_replies(data: bytes, found: tuple[int, int] | None) -> None:
    assert smtp_reply(data) == found


@pytest.mark.parametrize("data", [b"hello", b"22x", b"220x", b"\n", b"22\r\n", b"250-a\r\n251 b\r\n", b"220 " + b"x" * 9000])
def test_what_is_no_smtp_reply(data: bytes) -> None:
    with pytest.raises(NotSmtpError):
        smtp_reply(data)


@FUZZ
@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([b"220-", b"250 x", b"\r\n", b"\n", b"2", b"\xff"])).map(b"".join)))
def test_any_bytes_are_an_smtp_reply_or_none(data: bytes) -> None:
    with contextlib.suppress(NotSmtpError):
        found = smtp_reply(data)
        if found is not None:
            assert 0 <= found[0] <= 999
            assert 0 < found[1] <= len(data)


def test_ehlo_is_one_line() -> None:
    assert smtp_ehlo("") == b"EHLO localhost\r\n"
    assert smtp_ehlo("www.example.com") == b"EHLO www.example.com\r\n"


# --- the feedback agent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"up", AgentWord()),
        (b"UP\t75%", AgentWord(share_percent=75)),
        (b"ready,up,5%", AgentWord(share_percent=5)),
        (b"maxconn:30 100%", AgentWord()),
        (b"300%", AgentWord()),
        (b"0%", AgentWord(share_percent=0)),
        (b"drain", AgentWord(share_percent=0)),
        (b"up # down", AgentWord()),
        (b"down", AgentWord("the agent says down")),
        (b"fail#disk full", AgentWord("the agent says fail: disk full")),
        (b"stopped 50%", AgentWord("the agent says stopped")),
        (b"", AgentWord("the agent said nothing that is understood: nothing at all")),
        (b"\xff\x1b", AgentWord("the agent said nothing that is understood: \\xff\\x1b")),
        (b"-5%", AgentWord("the agent said nothing that is understood: -5%")),
    ],
)
def test_what_an_agent_says(line: bytes, word: AgentWord) -> None:
    assert agent_word(line) == word


def test_a_line_ends_at_its_end_or_at_that_of_the_connection() -> None:
    assert agent_line(b"up\ndown\n", at_end=False) == b"up"
    assert agent_line(b"up\rdown", at_end=False) == b"up"
    assert agent_line(b"up", at_end=False) is None
    assert agent_line(b"up", at_end=True) == b"up"
    assert agent_line(b"x" * 5000, at_end=False) == b"x" * LINE_MOST_BYTES


@FUZZ
@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([b"up", b"down", b"7%", b" ", b",", b"#", b"\xc3"])).map(b"".join)))
def test_any_bytes_are_an_agents_word(data: bytes) -> None:
    word = agent_word(agent_line(data, at_end=True) or b"")
    assert 0 <= word.share_percent <= 100
    assert word.reason.isprintable()


# --- DNS -----------------------------------------------------------------------------------------------------------------------


def answer_to(question: DnsQuestion, *records: str, kind: str = "A") -> bytes:
    message = dns.message.make_response(dns.message.from_wire(question.wire))
    if records:
        message.answer.append(dns.rrset.from_text("www.example.com.", 60, "IN", kind, *records))
    return message.to_wire()


def test_the_records_of_an_answer() -> None:
    question = DnsQuestion(spec(Method.DNS, host="www.example.com"), 7)
    reason, records = question.answer(answer_to(question, "192.0.2.7", "192.0.2.8")) or ("none", [])
    assert (reason, sorted(records)) == ("", [b"192.0.2.7", b"192.0.2.8"])
    assert question.answer(answer_to(question)) == ("no A record in the answer", [])
    assert question.answer(answer_to(question, "a.example.com.", kind="CNAME")) == ("no A record in the answer", [])


def test_an_answer_to_another_question_is_none() -> None:
    question = DnsQuestion(spec(Method.DNS, host="www.example.com"), 7)
    for other in (DnsQuestion(spec(Method.DNS, host="www.example.com"), 8), DnsQuestion(spec(Method.DNS, host="example.com"), 7)):
        assert question.answer(answer_to(other, "192.0.2.7")) is None
    assert question.answer(question.wire) is None


@pytest.mark.parametrize("name", ["a" * 64, ".".join(["abcdefgh"] * 40), "a..b", ""])
def test_a_name_that_dns_cannot_carry(name: str) -> None:
    if name:
        with pytest.raises(BadQueryError, match="cannot be asked for"):
            DnsQuestion(spec(Method.DNS, host=name), 1)


@pytest.mark.parametrize(
    ("wanted", "record", "same"),
    [
        (b"192.0.2.7", b"192.0.2.7", True),
        (b"WWW.example.com", b"www.example.com.", True),
        (b"v=spf1 -all", b'"v=spf1 -all"', True),
        (b"192.0.2", b"192.0.2.7", False),
    ],
)
def test_when_a_record_is_the_expected_one(wanted: bytes, record: bytes, same: bool) -> None:
    assert same_record(wanted, record) is same


@FUZZ
@given(
    st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=8), st.sampled_from(["A", "TXT", "SRV"])
)
def test_any_bytes_are_an_answer_or_none(noise: bytes, changes: list[tuple[int, int]], record: str) -> None:
    question = DnsQuestion(spec(Method.DNS, host="www.example.com", record=record), 7)
    spoiled = bytearray(answer_to(question, "192.0.2.7") + noise[:20])
    for place, value in changes:
        spoiled[place % len(spoiled)] = value
    for data in (noise, question.wire[:2] + noise, bytes(spoiled)):
        with contextlib.suppress(NotDnsError):
            found = question.answer(data)
            assert found is None or found[0].isprintable()


# --- ping and certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "kind"), [(4, 0), (6, 129)])
def test_only_the_reply_to_this_echo_counts(version: int, kind: int) -> None:
    request = echo_request(version, 1, b"payload")
    reply = bytes([kind]) + request[1:]
    assert is_echo_reply(version, reply, 1, b"payload")
    assert not is_echo_reply(version, request, 1, b"payload")
    assert not is_echo_reply(version, reply, 2, b"payload")
    assert not is_echo_reply(version, reply, 1, b"other")
    assert not is_echo_reply(version, reply[:5], 1, b"payload")


@given(st.binary(max_size=60))
def test_no_other_packet_is_a_reply(packet: bytes) -> None:
    assert not is_echo_reply(4, packet, 1, b"secret")


DAY = 86400.0


@pytest.mark.parametrize(
    ("left_s", "days", "words"),
    [
        (20 * DAY, 14, ""),
        (14 * DAY, 14, ""),
        (13.9 * DAY, 14, "the certificate ends in 13 days"),
        (1.5 * DAY, 14, "the certificate ends in 1 day"),
        (60, 14, "the certificate ends in less than a day"),
        (-60, 14, "the certificate ended less than a day ago"),
        (-3 * DAY, 14, "the certificate ended 3 days ago"),
        (-3 * DAY, 0, ""),
    ],
)
def test_a_certificate_that_ends_soon(left_s: float, days: int, words: str) -> None:
    assert certificate_warning(1e9 + left_s, 1e9, days) == words


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_none(data: bytes) -> None:
    assert warning_of(data, 0, 14) == "the end of the certificate cannot be read"
