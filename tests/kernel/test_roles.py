"""What lvs.cf and operators can make of two directors: give back, maintenance over a reboot, IPv6, Piranha's own intervals."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from tests.kernel import cluster as lab
from tests.kernel import net, two_directors
from tests.kernel.agent import virtual
from tests.kernel.two_directors import LIMIT_S, Pair, lvs_cf
from tests.waiting import until

pytestmark = pytest.mark.kernel("roles")

DELAY_S = 2.0
SIX = virtual("six", "vip_nmask = ffff:ffff:ffff:ffff::", address=f"{lab.VIP6} eth1", servers=lab.ADDRESSES6)


def usual(*more: str) -> str:
    return lvs_cf(*more).replace("deadtime = 0.3", "deadtime = 1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with two_directors.running() as running:
        yield running


@pytest.fixture(scope="module")
def agents_of_both(cluster: lab.Cluster) -> Iterator[Pair]:
    with two_directors.pair(usual()) as both:
        yield both


@pytest.fixture
def pair(agents_of_both: Pair) -> Iterator[Pair]:
    """Both settled, lefty active; the usual lvs.cf before and afterwards."""
    agents_of_both.settle(active="lefty")
    yield agents_of_both
    agents_of_both.serve(usual())
    agents_of_both.settle()


def test_with_preempt_a_returning_primary_takes_the_role_back_after_the_delay(pair: Pair) -> None:
    pair.serve(usual("preempt = 1", f"preempt_delay = {DELAY_S:g}", "syncdaemon = 1", "syncd_iface = eth0"))
    pair.settle()
    pair.lefty.crash()
    until(lambda: pair.righty.role == "active", LIMIT_S, pair.righty.log)
    two_directors.release("lefty")
    pair.lefty.start()
    until(lambda: pair.lefty.role == "standby", LIMIT_S, pair.words)
    standby_since = pair.lefty.state().role.since
    until(lambda: pair.lefty.role == "active", LIMIT_S, pair.words)
    assert pair.lefty.state().role.since - standby_since >= DELAY_S
    pair.settle()
    assert pair.righty.state().role.reason == "the other director asked for the role"


def test_maintenance_survives_a_reboot_and_holds_even_when_the_other_dies(pair: Pair) -> None:
    pair.lefty.client.failover("maintenance", actor="the test")
    until(lambda: pair.righty.role == "active" and pair.lefty.state().role.maintenance, LIMIT_S, pair.words)
    pair.lefty.reboot()
    until(lambda: pair.lefty.role == "standby" and pair.lefty.peer == "alive", LIMIT_S, pair.words)
    assert pair.lefty.state().role.maintenance
    pair.righty.crash()
    until(lambda: pair.lefty.peer == "dead", LIMIT_S, pair.lefty.log)
    beats = pair.lefty.state().at
    until(lambda: pair.lefty.state().at > beats + 2, LIMIT_S)
    assert (pair.lefty.role, pair.lefty.state().role.maintenance) == ("standby", True)
    assert "lefty" not in two_directors.holders(lab.VIP)
    pair.lefty.client.failover("resume", actor="the test")
    until(lambda: two_directors.holders(lab.VIP)[:1] == ["lefty"], LIMIT_S, pair.lefty.log)
    two_directors.release("righty")
    pair.righty.start()
    pair.settle()
    assert pair.active is pair.lefty


def way_to(address: str) -> str:
    """The hardware address where the client believes this one to be."""
    with net.namespace("client"):
        entries = json.loads(net.output("ip", "-json", "neighbour", "show", address))
    return next((str(entry["lladdr"]) for entry in entries if "lladdr" in entry), "")


def hardware_of(name: str) -> str:
    with net.namespace(name):
        [link] = json.loads(net.output("ip", "-json", "link", "show", "dev", "eth1"))
    return str(link["address"])


@contextlib.contextmanager
def answering_by_way_of(gateway: str) -> Iterator[None]:
    """The real servers' IPv6 answers go out through this router (nat_router is an IPv4 address)."""
    for name in lab.NUMBERS:
        with net.namespace(name):
            net.ip(f"route replace default via {gateway}")
    try:
        yield
    finally:
        for name in lab.NUMBERS:
            with net.namespace(name):
                net.ip("route replace default via 2001:db8:2::11")


def test_an_ipv6_address_moves_and_the_neighbours_learn_it_from_an_unsolicited_advertisement(pair: Pair, cluster: lab.Cluster) -> None:
    """The client's kernel would go on believing the old way for half a minute and more; it must not have to ask."""
    pair.serve(usual().rstrip() + "\n" + SIX)
    until(lambda: pair.settled() and two_directors.holders(lab.VIP6) == ["lefty"], LIMIT_S, pair.words)
    assert sum(cluster.names(3, lab.VIP6).values()) == 3
    assert way_to(lab.VIP6) == hardware_of("lefty")
    with answering_by_way_of("2001:db8:2::12"):
        pair.lefty.crash()
        until(lambda: two_directors.holders(lab.VIP6)[-1:] == ["righty"], LIMIT_S, pair.righty.log)
        until(lambda: way_to(lab.VIP6) == hardware_of("righty"), 1.0, lambda: way_to(lab.VIP6))
        assert sum(cluster.names(3, lab.VIP6).values()) == 3
        two_directors.release("lefty")
        pair.lefty.start()
        pair.settle()
        assert two_directors.holders(lab.VIP6) == ["righty"]


def test_with_piranhas_own_intervals_a_crash_is_over_within_the_dead_time_and_two_keepalives(pair: Pair) -> None:
    pair.serve(usual().replace("keepalive = 0.1", "keepalive = 6").replace("deadtime = 1", "deadtime = 18"))
    pair.settle()
    until(lambda: pair.righty.state().role.takeover_s == 18, LIMIT_S, pair.words)
    crashed_at = time.time()
    pair.lefty.crash()
    until(lambda: pair.righty.role == "active", 40, pair.righty.log)
    took_s = pair.righty.state().role.since - crashed_at
    assert 18 - 6 <= took_s <= 18 + 2 * 6
    assert pair.righty.state().role.reason == "nothing was heard on any path for 18 s"
    two_directors.release("lefty")
    pair.lefty.start()
