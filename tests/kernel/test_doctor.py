"""lvsctl doctor on a real director: it finds what is missing on real servers, and the commands that it gives mend it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lvsagent.ctl import run_command
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, lvs_cf, virtual

pytestmark = pytest.mark.kernel("cluster")

ONE = {"number1": lab.ADDRESSES["number1"]}
DIRECT = lvs_cf(virtual("http", servers=ONE), network="direct")
TUNNEL = lvs_cf(virtual("http", servers=ONE), network="tunnel")


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with lab.running() as running:
        yield running


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(DIRECT) as running:
        yield running


def examined(agent: Agent, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and the findings about number1."""
    capsys.readouterr()
    with net.namespace("lefty"):
        status = run_command(["--socket", str(agent.folder / "run" / "agent.sock"), "doctor", "--json"])
    [number1] = json.loads(capsys.readouterr().out)
    findings: list[dict[str, Any]] = number1["findings"]
    return status, findings


def run_on_number1(commands: list[str]) -> None:
    """As the administrator would; modules are there already."""
    with net.namespace("number1"):
        for command in commands:
            if not command.startswith("modprobe"):
                net.output(*shlex.split(command))


@contextmanager
def clean_number1() -> Iterator[None]:
    """What a test does to number1 is undone."""
    try:
        yield
    finally:
        with net.namespace("number1"):
            net.ip("address flush dev lo scope global", "link set tunl0 down")
            for setting in ("arp_ignore", "arp_announce"):
                net.sysctl(f"net/ipv4/conf/all/{setting}", "0")


@pytest.mark.parametrize("text", [DIRECT, TUNNEL], ids=["direct", "tunnel"])
def test_a_server_without_the_address_is_found_and_its_commands_mend_it(
    agent: Agent, cluster: lab.Cluster, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.serve(text)
    with clean_number1():
        status, findings = examined(agent, capsys)
        missing = [one for one in findings if one["wrong"]]
        assert status == 1
        assert [f"does not answer a connection to {lab.VIP} port 80" in one["words"] for one in missing] == [True]
        run_on_number1(missing[0]["commands"])
        status, findings = examined(agent, capsys)
        assert (status, [one for one in findings if one["wrong"]]) == (0, [])
        assert [("20 of the 1500 bytes" in one["words"]) for one in findings] == ([True] if text is TUNNEL else [])


def test_a_server_that_answers_arp_is_found_and_its_commands_mend_it(
    agent: Agent, cluster: lab.Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.serve(DIRECT)
    with clean_number1():
        run_on_number1([f"ip address add {lab.VIP}/32 dev lo"])
        status, findings = examined(agent, capsys)
        assert status == 1
        assert [one["words"].partition(":")[0] for one in findings] == [f"it answers ARP requests for {lab.VIP}"]
        run_on_number1(findings[0]["commands"])
        assert examined(agent, capsys) == (0, [])


def test_an_address_where_nothing_listens_is_told_from_no_address(
    agent: Agent, cluster: lab.Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put(lvs_cf(virtual("http", servers=ONE, port=81), network="direct"))
    with clean_number1():
        run_on_number1([f"ip address add {lab.VIP}/32 dev lo", "sysctl -w net.ipv4.conf.all.arp_ignore=1"])
        status, [finding] = examined(agent, capsys)
        assert (status, "nothing listens there on port 81" in finding["words"]) == (1, True)


def test_a_server_that_is_off_is_said_to_be(agent: Agent, cluster: lab.Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put(lvs_cf(virtual("http", servers={"number1": "10.11.12.77"}), network="direct"))
    status, [finding] = examined(agent, capsys)
    assert status == 1
    assert "it is off, or behind a router" in finding["words"]


def test_looking_leaves_no_connection_behind(agent: Agent, cluster: lab.Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    agent.serve(DIRECT)
    with clean_number1():
        run_on_number1([f"ip address add {lab.VIP}/32 dev lo"])
        examined(agent, capsys)
        with net.namespace("number1"):
            states = [line.split()[3] for name in ("tcp", "tcp6") for line in net.output("cat", f"/proc/net/{name}").splitlines()[1:]]
        assert "03" not in states, "a half-open connection (SYN_RECV)"
