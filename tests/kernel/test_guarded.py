"""A guarded change on real directors with real traffic: each of the three reasons takes it back, and so does the time, killed or not."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from lvsagent.client import AgentDown
from lvsagent.wire import GuardInfo
from tests.kernel import cluster as lab
from tests.kernel import two_directors
from tests.kernel.agent import virtual
from tests.kernel.gap import GapClient
from tests.kernel.two_directors import HEARTBEAT_PORT, LIMIT_S, Director, Pair, lvs_cf
from tests.waiting import until

pytestmark = pytest.mark.kernel("guard")

CHECKED = ('send = "GET / HTTP/1.0\\r\\n\\r\\n"', 'expect = "HTTP"')
TEXT = lvs_cf(services=[virtual("http", *CHECKED)]).replace("deadtime = 0.3", "deadtime = 1")
FAR_S = 120.0
"""Time enough for a reason to show; nobody waits for it."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with two_directors.running() as running:
        yield running


@pytest.fixture(scope="module")
def agents(cluster: lab.Cluster) -> Iterator[Pair]:
    with two_directors.pair(TEXT) as both:
        yield both


@pytest.fixture
def pair(agents: Pair) -> Pair:
    """Both settled, lefty active."""
    agents.settle(active="lefty")
    return agents


@contextlib.contextmanager
def visited() -> Iterator[GapClient]:
    """A client asks fifty times a second meanwhile."""
    client = GapClient()
    try:
        yield client
    finally:
        client.stop()


def accept(director: Director, old: str, new: str, guard_s: float) -> str:
    """Accept one change under guard; the text before it."""
    before = director.client.config()
    serial = director.client.state().config.serial
    text = before.text.replace(f"serial_no = {serial}\n", f"serial_no = {serial + 1}\n").replace(old, new)
    assert director.client.put_config(text, if_match=before.etag, guard_s=guard_s).written
    return before.text


def guard_of(director: Director) -> GuardInfo | None:
    try:
        return director.client.state().guard
    except AgentDown:
        return None


def went_back(director: Director, before: str) -> str:
    """Waits until it has, to what was there before; the reason."""
    until(lambda: (found := guard_of(director)) is not None and found.state == "went back", LIMIT_S, director.log)
    found = guard_of(director)
    assert found is not None
    old = f"serial_no = {found.previous_serial}\n"
    assert old in before
    assert director.lvs_cf.read_text() == before.replace(old, f"serial_no = {found.serial + 1}\n")
    return found.reason


def test_checks_that_fail_after_the_change_take_it_back_and_clients_are_served_again(pair: Pair, cluster: lab.Cluster) -> None:
    with visited():
        before = accept(pair.lefty, 'expect = "HTTP"', 'expect = "GOPHER"', FAR_S)
        assert "every real server" in (reason := went_back(pair.lefty, before)) or "are still up" in reason
        until(pair.lefty.settled, LIMIT_S, pair.words)
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def test_clients_that_no_longer_arrive_take_it_back(pair: Pair, cluster: lab.Cluster) -> None:
    with visited():
        until(lambda: steady(pair.lefty), LIMIT_S, pair.words)
        before = accept(pair.lefty, "     port = 80\n     scheduler", "     port = 8080\n     scheduler", FAR_S)
        assert lab.ipvsadm_rules()[0].startswith(f"-A -t {lab.VIP}:8080 ")
        assert went_back(pair.lefty, before).startswith("new connections fell from ")
        until(pair.lefty.settled, LIMIT_S, pair.words)
    assert lab.ipvsadm_rules()[0].startswith(f"-A -t {lab.VIP}:80 ")
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def steady(director: Director) -> bool:
    """It has been counting them for a while."""
    (one,) = director.client.state().virtual_servers
    return len([rate for rate in one.counters.history[-4:] if rate > 10]) == 4


def test_a_heartbeat_that_is_no_longer_heard_takes_it_back(pair: Pair, cluster: lab.Cluster) -> None:
    before = accept(pair.lefty, f"heartbeat_port = {HEARTBEAT_PORT}\n", f"heartbeat_port = {HEARTBEAT_PORT + 1}\n", FAR_S)
    assert went_back(pair.lefty, before) == "the other director's heartbeat is not heard any more"
    pair.settle()
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


@pytest.mark.parametrize("who", ["standby", "active"])
def test_every_process_killed_in_the_middle_it_still_goes_back(pair: Pair, cluster: lab.Cluster, who: str) -> None:
    director = pair.standby if who == "standby" else pair.active
    before = accept(director, "scheduler = rr", "scheduler = wlc", 3.0)
    director.kill_all()
    director.start()
    assert went_back(director, before) == "nobody confirmed it within 3 s"
    pair.settle()
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def test_lvsd_of_the_active_director_killed_in_the_middle_it_still_goes_back_and_nobody_notices(pair: Pair, cluster: lab.Cluster) -> None:
    since, rules = pair.lefty.state().role.since, lab.ipvsadm_rules()
    before = accept(pair.lefty, "scheduler = rr", "scheduler = wlc", 3.0)
    assert "-s wlc" in lab.ipvsadm_rules()[0]
    client = GapClient()
    os.kill(pair.lefty.pids()["lvsd"], signal.SIGKILL)
    assert went_back(pair.lefty, before) == "nobody confirmed it within 3 s"
    until(lambda: lab.ipvsadm_rules() == rules, LIMIT_S, pair.words)
    assert client.stop().failures == []
    pair.settle()
    assert (pair.active, pair.lefty.state().role.since) == (pair.lefty, since)
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)
