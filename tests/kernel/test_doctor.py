"""The doctor on a real director: it finds what is missing on real servers, and the commands that it gives mend it.

lvsd holds no privilege for it: what looks is a process of its own, as the checks' user.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lvsagent.ctl import run_command
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, lvs_cf, virtual

pytestmark = pytest.mark.kernel("cluster")

ONE = {"number1": lab.ADDRESSES["number1"]}
ONE6 = {"number1": lab.ADDRESSES6["number1"]}
AT_VIP6 = f"{lab.VIP6} eth1:1"
DIRECT = lvs_cf(virtual("http", servers=ONE), network="direct")
TUNNEL = lvs_cf(virtual("http", servers=ONE), network="tunnel")
DIRECT6 = lvs_cf(virtual("http", "vip_nmask = 64", servers=ONE6, address=AT_VIP6), network="direct")
TUNNEL6 = lvs_cf(virtual("http", "vip_nmask = 64", servers=ONE6, address=AT_VIP6), network="tunnel")
UDP_PORT = 5353


def udp(port: int) -> str:
    """A UDP service whose check asks something."""
    check = ("protocol = udp", "check = udp", 'send = "who is there?"', 'expect = "number1"')
    return lvs_cf(virtual("names", *check, servers=ONE, port=port), network="direct")


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with lab.running() as running:
        yield running


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(DIRECT) as running:
        yield running


@pytest.fixture(autouse=True)
def clean_number1(cluster: lab.Cluster) -> Iterator[None]:
    """What a test does to number1 is undone."""
    try:
        yield
    finally:
        with net.namespace("number1"):
            net.ip("address flush dev lo scope global", f"address flush to {lab.VIP6}/128", "link set eth0 mtu 1500")
            for device in ("tunl0", "ip6tnl0"):
                if Path(f"/proc/sys/net/ipv4/conf/{device}").exists():
                    net.ip(f"link set {device} down")
            for setting in ("ipv4/conf/all/arp_ignore", "ipv4/conf/all/arp_announce"):
                net.sysctl(f"net/{setting}", "0")


class Examined:
    """What ``lvsctl doctor`` said of number1."""

    def __init__(self, agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        self.status = run_command(["--socket", str(agent.folder / "run" / "agent.sock"), "doctor", "--json"])
        printed = capsys.readouterr()
        assert printed.err == ""
        [number1] = json.loads(printed.out)
        self.findings: list[dict[str, Any]] = number1["findings"]

    @property
    def wrong(self) -> list[dict[str, Any]]:
        return [one for one in self.findings if one["wrong"]]

    @property
    def words(self) -> list[str]:
        return [one["words"].partition(": ")[0] for one in self.wrong]


def run_on_number1(commands: list[str]) -> None:
    """As the administrator would; modules are there already, and a pipe's part stands for what it prints."""
    with net.namespace("number1"):
        for command in commands:
            if not command.startswith("modprobe"):
                net.output(*shlex.split(re.sub(r'"\$\(.*\)"', "eth0", command)))


@pytest.mark.parametrize("text", [DIRECT, TUNNEL, DIRECT6, TUNNEL6], ids=["direct", "tunnel", "direct6", "tunnel6"])
def test_a_server_without_the_address_is_found_and_its_commands_mend_it(
    agent: Agent, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put(text)
    vip = lab.VIP6 if text in {DIRECT6, TUNNEL6} else lab.VIP
    missing = Examined(agent, capsys)
    assert missing.status == 1
    assert [one["words"].startswith(f"it does not answer a connection to {vip} port 80") for one in missing.wrong] == [True]
    run_on_number1(missing.wrong[0]["commands"])
    mended = Examined(agent, capsys)
    assert (mended.status, mended.wrong) == (0, [])
    short = {TUNNEL: "a tunnel takes 20 of the 1500 bytes", TUNNEL6: "a tunnel takes 40 of the 1500 bytes"}.get(text)
    assert [one["words"].partition(" of a packet")[0] for one in mended.findings] == ([short] if short else [])


@pytest.mark.parametrize(("text", "claim"), [(DIRECT, "ARP requests"), (DIRECT6, "neighbour solicitations")], ids=["arp", "ndp"])
def test_a_server_that_claims_the_address_is_found_and_its_commands_mend_it(
    agent: Agent, text: str, claim: str, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put(text)
    six = text is DIRECT6
    vip = lab.VIP6 if six else lab.VIP
    run_on_number1([f"ip -6 address add {vip}/64 dev eth0 nodad" if six else f"ip address add {vip}/32 dev lo"])
    found = Examined(agent, capsys)
    assert (found.status, found.words) == (1, [f"it answers {claim} for {vip}"])
    run_on_number1(found.wrong[0]["commands"])
    assert Examined(agent, capsys).findings == []


def test_an_address_where_nothing_listens_is_told_from_no_address(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    run_on_number1([f"ip address add {lab.VIP}/32 dev lo", "sysctl -w net.ipv4.conf.all.arp_ignore=1"])
    for text in (lvs_cf(virtual("http", servers=ONE, port=81), network="direct"), udp(UDP_PORT)):
        agent.put(text)
        found = Examined(agent, capsys)
        port = 81 if "port = 81" in text else UDP_PORT
        assert found.words == [f"it has {lab.VIP}, and nothing listens there on port {port}"]


def test_a_rule_that_changes_the_address_of_answers_is_found(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put(DIRECT)
    own = lab.ADDRESSES["number1"]
    match = f"tc filter add dev eth0 egress protocol ip prio 1 u32 match ip src {lab.VIP}/32"
    run_on_number1(
        [
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
            f"ip address add {lab.VIP}/32 dev lo",
            "tc qdisc add dev eth0 clsact",
            f"{match} action nat egress {lab.VIP}/32 {own}",
        ]
    )
    try:
        found = Examined(agent, capsys)
    finally:
        run_on_number1(["tc qdisc delete dev eth0 clsact"])
    assert found.words == [f"it answers from {own} instead of {lab.VIP}"]
    assert found.wrong[0]["words"].endswith("A NAT rule on it changes the address")
    assert Examined(agent, capsys).findings == []


def test_a_udp_service_that_answers_from_another_address_is_found_until_it_listens_on_the_right_one(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put(udp(lab.UDP_PORT))
    run_on_number1([f"ip address add {lab.VIP}/32 dev lo", "sysctl -w net.ipv4.conf.all.arp_ignore=1"])
    found = Examined(agent, capsys)
    assert found.words == [f"it answers from {lab.ADDRESSES['number1']} instead of {lab.VIP}"]
    agent.put(udp(UDP_PORT))
    with answering_udp(lab.VIP, UDP_PORT):
        assert Examined(agent, capsys).findings == []


@contextmanager
def answering_udp(address: str, port: int) -> Iterator[None]:
    """A program on number1 that listens on that address alone."""
    with net.namespace("number1"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address, port))

    def serve() -> None:
        while True:
            question, asker = listener.recvfrom(2048)
            assert question == b"who is there?"
            listener.sendto(b"number1", asker)

    pid = lab.forked(serve)
    try:
        yield
    finally:
        lab.killed(pid)
        listener.close()


@pytest.mark.parametrize(("text", "room"), [(DIRECT, 1500), (TUNNEL6, 1460)], ids=["direct", "tunnel6"])
def test_an_mtu_that_is_too_small_is_found_and_its_commands_mend_it(
    agent: Agent, text: str, room: int, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.put(text)
    with net.namespace("number1"):
        net.sysctl("net/ipv4/conf/all/arp_ignore", "1")
        net.ip(f"address add {lab.VIP}/32 dev lo", f"address add {lab.VIP6}/128 dev lo", "link set ip6tnl0 up", "link set eth0 mtu 1400")
    small = Examined(agent, capsys)
    passes = 1400 if text is DIRECT else 1300
    assert small.words == [f"packets to it get lost when they have more than {passes} bytes, and this director sends up to {room}"]
    run_on_number1(small.wrong[0]["commands"])
    assert Examined(agent, capsys).wrong == []


def test_with_nat_a_default_route_that_leads_elsewhere_is_found_and_its_commands_mend_it(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = "forward = nat"
    text = lvs_cf(virtual("http", servers=ONE), network="direct").replace("weight = 1\n", f"weight = 1\n         {mixed}\n")
    agent.serve(text)
    with net.namespace("number1"):
        net.ip("route delete default")
    try:
        found = Examined(agent, capsys)
        assert found.words == ["it answers this director, but what it answers to a client does not come back here"]
        assert found.wrong[0]["commands"] == ["ip route replace default via 10.11.12.11"], "no nat_router in this lvs.cf"
        run_on_number1(found.wrong[0]["commands"])
        assert Examined(agent, capsys).findings == []
    finally:
        with net.namespace("number1"):
            net.ip(f"route replace default via {lab.NAT_ROUTER}")


def test_a_server_that_is_off_is_said_to_be(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put(lvs_cf(virtual("http", servers={"number1": "10.11.12.77"}), network="direct"))
    [words] = [one["words"] for one in Examined(agent, capsys).wrong]
    assert "it is off, or behind a router" in words


def test_looking_leaves_no_connection_behind(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put(DIRECT)
    run_on_number1([f"ip address add {lab.VIP}/32 dev lo"])
    Examined(agent, capsys)
    with net.namespace("number1"):
        states = [line.split()[3] for name in ("tcp", "tcp6") for line in net.output("cat", f"/proc/net/{name}").splitlines()[1:]]
    assert "03" not in states, "a half-open connection (SYN_RECV)"


def test_what_looks_holds_one_privilege_and_is_nobody_else(agent: Agent) -> None:
    lvsd = agent.pids()["lvsd"]
    [helper] = [pid for pid in _children(lvsd) if Path(f"/proc/{pid}/comm").read_text().strip() == "lvsd-doctor"]
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{helper}/status").read_text().splitlines() if ":\t" in line)
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {1 << 13}, "CAP_NET_RAW alone"
    assert set(status["Uid"].split()) == {"65534"}
    assert status["NoNewPrivs"] == "1"
    assert int(dict(_status(lvsd))["CapPrm"], 16) == 1 << 12, "and lvsd has no more than before"


def _status(pid: int) -> list[tuple[str, str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if dict(_status(int(entry.name)))["PPid"] == str(parent):
                    found.append(int(entry.name))
    return found
