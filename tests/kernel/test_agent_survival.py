"""Processes of the agent die while a client asks every 20 ms: not one request fails, and nothing in the kernel changes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, lvs_cf, virtual
from tests.kernel.ticker import Ticker
from tests.waiting import until

pytestmark = pytest.mark.kernel("cluster")

SERVED = lvs_cf(virtual(), virtual("names", "protocol = udp", 'send = "who"', 'expect = "number"', port=lab.UDP_PORT))
RECOVERY_LIMIT_S = 40.0


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(SERVED) as running:
        yield running


def in_the_kernel() -> tuple[list[str], set[tuple[str, str]], set[tuple[str, str]]]:
    """The table and the addresses on the director."""
    return lab.ipvsadm_rules(), lab.director_addresses("eth0"), lab.director_addresses("eth1")


@contextmanager
def nothing_is_lost(agent: Agent) -> Iterator[None]:
    """A client asks all the while; afterwards the kernel holds what it held, and every address and server is as it was."""
    until(agent.settled, RECOVERY_LIMIT_S, agent.log)
    before = in_the_kernel()
    assert len(before[0]) == 8
    ticker = Ticker()
    try:
        yield
        killed_at = max(check.last_at for check in agent.client.checks().checks)
        until(lambda: all(check.last_at > killed_at for check in agent.client.checks().checks), RECOVERY_LIMIT_S, agent.log)
    finally:
        watch = ticker.stop()
    assert watch.asked - watch.stalled > 30
    assert watch.failures == [], f"{watch}\n{agent.log()}"
    assert in_the_kernel() == before
    until(agent.settled, RECOVERY_LIMIT_S, agent.log)
    assert in_the_kernel() == before


@pytest.mark.parametrize("name", ["lvsd", "pulse", "nanny"])
def test_kill_9_of_one_process_loses_no_request(agent: Agent, name: str) -> None:
    with nothing_is_lost(agent):
        old = agent.pids()[name]
        os.kill(old, signal.SIGKILL)
        until(lambda: agent.answers() and agent.pids()[name] not in {0, old}, RECOVERY_LIMIT_S, agent.log)


def test_kill_9_of_all_with_the_supervisor_loses_no_request(agent: Agent) -> None:
    with nothing_is_lost(agent):
        agent.kill_all()
        agent.start()


def test_kill_9_of_the_supervisor_alone_lets_its_children_go_in_peace(agent: Agent) -> None:
    with nothing_is_lost(agent):
        agent.kill_supervisor()
        agent.start()


def test_a_hitless_restart_of_everything_loses_no_request(agent: Agent) -> None:
    with nothing_is_lost(agent):
        old = agent.pids()
        os.kill(old["supervisor"], signal.SIGUSR1)
        until(lambda: all_new(agent, old), RECOVERY_LIMIT_S, agent.log)
        assert agent.pids()["supervisor"] == old["supervisor"]


def all_new(agent: Agent, old: dict[str, int]) -> bool:
    """Whether every child is another process than before."""
    return agent.answers() and all(agent.pids()[name] not in {0, old[name]} for name in ("lvsd", "pulse", "nanny"))


def test_what_was_added_while_it_was_dead_is_not_the_agents(agent: Agent) -> None:
    """An address that somebody else adds while no agent runs is left alone when it comes back and when it goes."""
    until(agent.settled, RECOVERY_LIMIT_S, agent.log)
    agent.kill_all()
    with net.namespace("lefty"):
        net.ip("address add 192.0.2.200/24 dev eth1 label eth1:mine")
    agent.start()
    until(agent.settled, RECOVERY_LIMIT_S, agent.log)
    assert ("192.0.2.200/24", "eth1:mine") in lab.director_addresses("eth1")


def test_a_planned_stop_leaves_the_director_as_it_was_found(agent: Agent, cluster: lab.Cluster) -> None:
    foreign = "-A -t 198.51.100.1:25 -s wlc"
    with net.namespace("lefty"):
        net.output("ipvsadm", *foreign.split())
    assert agent.stop() == 0, agent.log()
    assert lab.ipvsadm_rules() == [foreign]
    assert lab.director_addresses("eth0") == {("10.11.12.11/24", "eth0"), ("2001:db8:2::11/64", "")}
    assert lab.director_addresses("eth1") == {
        ("192.0.2.11/24", "eth1"),
        ("2001:db8:1::11/64", ""),
        ("192.0.2.200/24", "eth1:mine"),
    }
