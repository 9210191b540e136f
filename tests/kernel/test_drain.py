"""A real server leaves the service of a real director and comes back: what open connections, new ones and the kernel's table make of it.

An operator takes it out, or it fails; and with slow start it comes back little by little.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from lvsagent.wire import OverrideInfo, OverrideRequest, RealServerState
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, lvs_cf, virtual
from tests.waiting import until

pytestmark = pytest.mark.kernel("cluster")

TEXT = lvs_cf(virtual()).replace("serial_no = 1\n", "serial_no = 1\ntcpfin_timeout = 2\n")
STICKY = lvs_cf(virtual("http", "persistent = 300"))
WHOLE, SLOW_S = 90, 9
SLOWLY = TEXT.replace("scheduler = rr", f"scheduler = wrr\n     slow_start = {SLOW_S}").replace("weight = 1\n", f"weight = {WHOLE}\n")
LIMIT_S = agents.SETTLE_LIMIT_S
NUMBER1 = f"{lab.ADDRESSES['number1']}:80"


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(TEXT) as running:
        yield running


@pytest.fixture(autouse=True)
def served(agent: Agent) -> Iterator[None]:
    """All three in service before a test, and nothing decided after it."""
    agent.serve(TEXT)
    yield
    decide(agent, "auto")
    until(lambda: set(weights().values()) == {1}, LIMIT_S, agent.log)


def decide(agent: Agent, action: str, **fields: object) -> list[OverrideInfo]:
    asked = OverrideRequest(action=action, virtual="http", server="number1", actor="ann", **fields)  # type: ignore[arg-type]
    return agent.client.override(asked).overrides


def weights() -> dict[str, int]:
    """What ``ipvsadm -Sn`` says on the director: real server → weight."""
    with net.namespace("lefty"):
        lines = [line.split() for line in net.output("ipvsadm", "-S", "-n").splitlines() if line.startswith("-a")]
    return {words[words.index("-r") + 1]: int(words[words.index("-w") + 1]) for words in lines}


def shown(agent: Agent) -> RealServerState:
    return next(one for one in agent.state().virtual_servers[0].real_servers if one.name == "number1")


def says(connection: socket.socket) -> bytes:
    connection.sendall(b"hello")
    return connection.recv(100)


@contextlib.contextmanager
def one_on_number1(cluster: lab.Cluster) -> Iterator[socket.socket]:
    """A connection that number1 answers."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(cluster.connect()) for _ in lab.NUMBERS]
        (found,) = [one for one in opened if says(one).startswith(b"number1")]
        yield found


def test_a_drain_lets_an_open_connection_go_on_to_its_end_over_a_restart_of_everything(agent: Agent, cluster: lab.Cluster) -> None:
    with one_on_number1(cluster) as connection:
        decide(agent, "drain", reason="new disk")
        assert weights()[NUMBER1] == 0
        assert cluster.names(30) == {"number2": 15, "number3": 15}
        assert says(connection) == b"number1 hello"
        until(lambda: (order := shown(agent).order) is not None and order.left >= 1, LIMIT_S, agent.log)
        assert shown(agent).state == "draining"
        agent.kill_all()
        agent.start()
        assert weights()[NUMBER1] == 0
        assert says(connection) == b"number1 hello"
        assert cluster.names(30) == {"number2": 15, "number3": 15}
        assert shown(agent).reason.startswith("drained by ann: new disk")
    until(lambda: shown(agent).state == "drained", LIMIT_S, lambda: f"{shown(agent)}\n{agent.log()}")
    assert weights()[NUMBER1] == 0
    decide(agent, "drain", return_at=time.time() + 2)
    until(lambda: weights()[NUMBER1] == 1, LIMIT_S, agent.log)
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)
    assert shown(agent).order is None


def test_cut_stops_a_connections_packets_and_taking_it_back_lets_them_pass_again(agent: Agent, cluster: lab.Cluster) -> None:
    with one_on_number1(cluster) as connection:
        decide(agent, "drain", deadline_s=0.5, then="cut")
        until(lambda: NUMBER1 not in weights(), LIMIT_S, agent.log)
        assert shown(agent).state == "cut"
        assert cluster.names(10) == {"number2": 5, "number3": 5}
        connection.settimeout(1.0)
        with pytest.raises(TimeoutError):
            says(connection)
        decide(agent, "auto")
        assert weights()[NUMBER1] == 1
        connection.settimeout(LIMIT_S)
        assert connection.recv(100) == b"number1 hello"


def test_where_the_kernel_ends_connections_of_servers_that_are_gone_cut_ends_them(agent: Agent, cluster: lab.Cluster) -> None:
    with net.namespace("lefty"):
        net.sysctl("net/ipv4/vs/expire_nodest_conn", "1")
    try:
        with one_on_number1(cluster) as connection:
            decide(agent, "drain")
            decide(agent, "cut")
            connection.settimeout(LIMIT_S)
            with pytest.raises(ConnectionResetError):
                says(connection)
    finally:
        with net.namespace("lefty"):
            net.sysctl("net/ipv4/vs/expire_nodest_conn", "0")


def test_a_drain_shows_the_persistence_templates_that_still_lead_there(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(STICKY)
    name = cluster.fetch().decode()
    asked = OverrideRequest(action="drain", virtual="http", server=name, actor="ann")
    agent.client.override(asked)
    try:
        until(lambda: agent.client.overrides().overrides[0].templates == 1, LIMIT_S, agent.log)
        assert cluster.fetch().decode() == name, "a template outlasts a drain, unless expire_quiescent_template is 1"
    finally:
        agent.client.override(OverrideRequest(action="auto", virtual="http", server=name))


def test_forced_and_weighed_servers_are_so_in_the_kernel(agent: Agent, cluster: lab.Cluster) -> None:
    decide(agent, "weight", weight=7)
    assert weights()[NUMBER1] == 7
    decide(agent, "down")
    assert NUMBER1 not in weights()
    cluster.stop("number1")
    try:
        decide(agent, "up")
        assert weights()[NUMBER1] == 1
        until(lambda: "its check: down" in shown(agent).reason, LIMIT_S, agent.log)
        assert weights()[NUMBER1] == 1
    finally:
        cluster.start("number1")


# --- slow start ----------------------------------------------------------------------------------------------------------------


def climb(agent: Agent, seen: list[tuple[float, int]], until_weight: int) -> None:
    """Look at number1's weight all the time until it is so much; every other one is a line in ``seen``, with when it was."""

    def look() -> bool:
        weight = weights().get(NUMBER1, 0)
        if weight and (not seen or seen[-1][1] != weight):
            seen.append((time.monotonic(), weight))
        return weight >= until_weight

    until(look, LIMIT_S, lambda: f"{seen}\n{agent.log()}")


def test_a_server_that_comes_back_climbs_to_its_weight_and_a_restart_of_lvsd_does_not_end_the_climb(
    agent: Agent, cluster: lab.Cluster
) -> None:
    agent.serve(SLOWLY)
    assert set(weights().values()) == {WHOLE}, "up at its first check: the whole weight"
    cluster.stop("number1")
    until(lambda: NUMBER1 not in weights(), LIMIT_S, agent.log)
    cluster.start("number1")
    seen: list[tuple[float, int]] = []
    climb(agent, seen, 1)
    assert seen[0][1] <= WHOLE // 3
    assert cluster.names(20).get("number1", 0) <= 5
    climb(agent, seen, WHOLE // 4)
    lvsd = agent.pids()["lvsd"]
    os.kill(lvsd, signal.SIGKILL)
    climb(agent, seen, WHOLE)
    until(agent.answers, LIMIT_S, agent.log)
    assert agent.pids()["lvsd"] != lvsd
    began, climbed = seen[0][0], [weight for _, weight in seen]
    assert climbed == sorted(climbed), f"never back to the beginning: {seen}"
    assert len(climbed) >= 4
    assert all(weight <= WHOLE * (at - began + 3) / SLOW_S for at, weight in seen), f"never ahead of the time: {seen}"
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)
    decide(agent, "down")
    assert cluster.names(10) == {"number2": 5, "number3": 5}
    decide(agent, "auto")
    assert 0 < weights()[NUMBER1] <= WHOLE // 3
    assert "slow start" in shown(agent).reason
    agent.serve(TEXT)
