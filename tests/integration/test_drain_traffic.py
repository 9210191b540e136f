"""A drain with real traffic: an open connection lives to its end, new ones go elsewhere; and the other director goes on with it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from lvsagent.client import AgentClient
from lvsagent.wire import OverrideRequest, RealServerState
from tests.pair import VIP, Pair, running_pair
from tests.waiting import until

LIMIT_S = 20


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair(paired=True, deadtime_s=1.0) as found:
        found.wait_until_settled(found.lefty)
        yield found


def decide(client: AgentClient, action: str, **fields: object) -> None:
    client.override(OverrideRequest(action=action, virtual="http", server="number1", **fields))  # type: ignore[arg-type]


def shown(client: AgentClient) -> RealServerState:
    return client.state(servers=True).virtual_servers[0].real_servers[0]


def begin(port: int) -> socket.socket:
    """A request that is not over yet."""
    connection = socket.create_connection((VIP, port), timeout=5)
    connection.sendall(b"GET / HTTP/1.0\r\n")
    return connection


def end(connection: socket.socket) -> str:
    """Finish the request; who answers it."""
    with connection:
        connection.sendall(b"\r\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return answer.partition(b"\r\n\r\n")[2].decode().strip()


def names(port: int, count: int) -> Counter[str]:
    return Counter(end(begin(port)) for _ in range(count))


def test_an_open_connection_lives_to_its_end_and_the_server_returns_by_itself(pair: Pair) -> None:
    client = pair.lefty.client
    until(lambda: len(names(pair.port, 2)) == 2, LIMIT_S, pair.words)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(begin(pair.port)) for _ in range(2)]
        decide(client, "drain", reason="new disk")
        assert set(names(pair.port, 6)) == {"number2"}
        until(lambda: (order := shown(client).order) is not None and order.left == 1, LIMIT_S, pair.words)
        assert shown(client).state == "draining"
        assert {end(one) for one in opened} == {"number1", "number2"}
    until(lambda: shown(client).state == "drained", LIMIT_S, pair.words)
    decide(client, "drain", return_at=time.time() + 1)
    until(lambda: shown(client).order is None, LIMIT_S, pair.words)
    assert names(pair.port, 6) == {"number1": 3, "number2": 3}


def test_the_other_director_takes_over_with_what_was_decided(pair: Pair) -> None:
    decide(pair.lefty.client, "drain", reason="new disk")
    until(lambda: shown(pair.righty.client).order is not None, LIMIT_S, pair.words)
    until(lambda: pair.settled(pair.lefty), LIMIT_S, pair.words)
    pair.lefty.client.failover("step_down")
    pair.wait_until_settled(pair.righty, LIMIT_S)
    row = shown(pair.righty.client)
    assert row.order is not None
    assert (row.weight, row.order.actor, row.order.reason) == (0, "tester", "new disk")
    assert set(names(pair.port, 6)) == {"number2"}
    pair.lefty.kill()
    pair.lefty.start()
    until(lambda: pair.settled(pair.righty), LIMIT_S, pair.words)
    assert shown(pair.lefty.client).order is not None
    decide(pair.righty.client, "auto")
    until(lambda: shown(pair.lefty.client).order is None, LIMIT_S, pair.words)
