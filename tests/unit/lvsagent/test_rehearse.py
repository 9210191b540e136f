"""Measuring a gap in a service, from outside."""

from __future__ import annotations

import asyncio

import pytest

from lvsagent.rehearse import BadTarget, Probe, longest_gap, measure, parse_target


def probes(*outcomes: bool) -> list[Probe]:
    """One each 20 ms, answered in 1 ms or given up after 100 ms."""
    return [Probe(place * 0.02, place * 0.02 + (0.001 if ok else 0.1), ok) for place, ok in enumerate(outcomes)]


def test_the_gap_is_from_one_answer_to_the_next() -> None:
    assert longest_gap(probes(True, True, True)) == pytest.approx(0.02)
    assert longest_gap(probes(True, False, False, True, True)) == pytest.approx(0.06)


def test_no_answer_at_the_beginning_or_the_end_counts_too() -> None:
    assert longest_gap(probes(False, False, True)) == pytest.approx(0.041)
    assert longest_gap(probes(True, False)) == pytest.approx(0.119)
    assert longest_gap(probes(False)) == pytest.approx(0.1)
    assert longest_gap([]) == 0


def test_targets() -> None:
    web = parse_target("http://192.0.2.100/a?b=c")
    assert (web.host, web.port) == ("192.0.2.100", 80)
    assert web.request.startswith(b"GET /a?b=c HTTP/1.0\r\nHost: 192.0.2.100\r\n")
    assert (parse_target("[2001:db8::1]:25").host, parse_target("[2001:db8::1]:25").port) == ("2001:db8::1", 25)
    assert parse_target("www:8080").request == b""


@pytest.mark.parametrize("text", ["", "www", "ftp://www/", "http://", "www:99999", "http://www:port/", "http://www/ü"])
def test_what_is_no_target_says_what_is(text: str) -> None:
    with pytest.raises(BadTarget):
        parse_target(text)


async def test_a_listener_that_goes_away_and_comes_back() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def blackout() -> str:
        nonlocal server
        server.close()
        await asyncio.sleep(0.2)
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        return "lefty"

    found = await measure(parse_target(f"http://127.0.0.1:{port}/"), 1.6, blackout)
    server.close()
    assert 0.15 < found.longest_gap_s < 1.0
    assert 0 < found.failed < found.requests
    assert (found.triggered, found.moved_from) == (True, "lefty")
