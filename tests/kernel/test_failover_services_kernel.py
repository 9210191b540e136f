"""``service = fos`` with services that really run: they start with the role, move together, and a blind watcher moves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from lvsagent.core.services import PATIENCE_S, SETTLE_S
from lvsagent.wire import CheckInfo
from tests.kernel import cluster as lab
from tests.kernel import failover_service, net, two_directors
from tests.kernel.two_directors import LIMIT_S, Director, Pair, lvs_cf
from tests.waiting import until

pytestmark = pytest.mark.kernel("roles")

SERVICES = {"web": ("192.0.2.101", 8081), "ftp": ("192.0.2.102", 8082)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with two_directors.running() as running:
        yield running


def command(what: str, name: str) -> str:
    return f"{sys.executable} -I {failover_service.__file__} {what} {name} {SERVICES[name][1]}"


def failover_block(name: str, number: int) -> str:
    address, port = SERVICES[name]
    lines = [
        "active = 1",
        f"address = {address} eth1:{number}",
        "vip_nmask = 255.255.255.0",
        f"port = {port}",
        'send = "GET / HTTP/1.0\\r\\n\\r\\n"',
        f'expect = "{name}"',
        "use_regex = 1",
        "timeout = 1",
        "reentry = 1",
        f'start_cmd = "{command("start", name)}"',
        f'stop_cmd = "{command("stop", name)}"',
    ]
    return "\n".join([f"failover {name} {{", *(f"     {line}" for line in lines), "}", ""])


@pytest.fixture
def services(cluster: lab.Cluster) -> Iterator[Pair]:
    """Two directors with two failover services, which run on lefty."""
    text = lvs_cf().partition("nat_router")[0].replace("deadtime = 0.3", "deadtime = 1").replace("service = lvs", "service = fos")
    text += "".join(failover_block(name, number) for number, name in enumerate(SERVICES, start=1))
    allowed = [command(what, name) for name in SERVICES for what in ("start", "stop")]
    addresses = [address for address, _ in SERVICES.values()]
    with two_directors.pair(text, f"root_commands = {json.dumps(allowed)}\n", addresses) as both:
        both.settle(active="lefty")
        until(lambda: running_on("lefty") == set(SERVICES), LIMIT_S, both.words)
        yield both


def running_on(name: str) -> set[str]:
    """Which services run there."""
    found = set()
    with net.namespace(name):
        for service, (_, port) in SERVICES.items():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                found.add(service)
    return found


def checks(director: Director) -> dict[str, CheckInfo]:
    return {check.key.rpartition("/")[2]: check for check in director.client.checks().checks}


def test_failover_services_move_together_when_one_fails_but_not_when_the_watcher_has_no_network(
    services: Pair, cluster: lab.Cluster
) -> None:
    lefty, righty = services
    for name, (address, port) in SERVICES.items():
        assert cluster.fetch(address, port) == name.encode()
    until(lambda: running_on("righty") == set(), LIMIT_S, services.words)  # it may have had the role for a moment
    until(lambda: {name: check.state for name, check in checks(righty).items()} == dict.fromkeys(SERVICES, "up"), LIMIT_S, services.words)
    with net.namespace("lefty"):
        os.kill(int(failover_service.mark("web", "thread-self").read_text()), signal.SIGKILL)
    until(lambda: services.tidy() and righty.role == "active", PATIENCE_S + LIMIT_S, services.words)
    until(lambda: (running_on("lefty"), running_on("righty")) == (set(), set(SERVICES)), LIMIT_S, services.words)
    for name, (address, port) in SERVICES.items():
        assert cluster.fetch(address, port) == name.encode()
    assert "the failover service web failed on the active director: asking for the role" in [
        event.message for event in righty.client.events().events
    ]
    services.settle()
    until(lambda: checks(lefty)["ftp"].state == "up", LIMIT_S, services.words)
    since = righty.state().role.since
    until(lambda: lefty.state().at > lefty.state().role.since + SETTLE_S, LIMIT_S)
    two_directors.cut("lefty", "pub")
    until(lambda: all(check.failures >= 3 for check in checks(lefty).values()), LIMIT_S, services.words)
    two_directors.heal("lefty", "pub")
    until(lambda: all(check.state == "up" for check in checks(lefty).values()), LIMIT_S, services.words)
    assert (righty.role, righty.state().role.since, lefty.peer) == ("active", since, "alive")
    assert running_on("righty") == set(SERVICES)
