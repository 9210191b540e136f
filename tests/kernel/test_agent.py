"""The whole agent on a real director: what lvs.cf says is what clients get, the kernel has and the state shows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from app.lvscf.model import Scheduler
from lvsagent.wire import State
from tests import waiting
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, lvs_cf, virtual

pytestmark = pytest.mark.kernel("cluster")

until = partial(waiting.until, limit_s=agents.SETTLE_LIMIT_S)

ARTICLE = lvs_cf(virtual())
IPV6 = virtual("six", "vip_nmask = ffff:ffff:ffff:ffff::", address=f"{lab.VIP6} eth1", servers=lab.ADDRESSES6)
DATAGRAMS = virtual("names", "protocol = udp", 'send = "who"', 'expect = "number"', port=lab.UDP_PORT)


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(ARTICLE) as running:
        yield running


def on_director(*command: str) -> str:
    """Run a program on the director, as an administrator would behind the agent's back."""
    with net.namespace("lefty"):
        return net.output(*command)


@contextmanager
def no_modules() -> Iterator[None]:
    """A kernel that can load no module."""
    loader = Path("/proc/sys/kernel/modprobe")
    before = loader.read_text()
    loader.write_text("/bin/false")
    try:
        yield
    finally:
        loader.write_text(before)


# --- traffic -------------------------------------------------------------------------------------------------------------------


def test_nat_hands_300_requests_round_100_each(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(ARTICLE)
    assert cluster.names(300) == dict.fromkeys(lab.NUMBERS, 100)


def test_a_servers_weight_is_its_share_of_the_new_connections(agent: Agent, cluster: lab.Cluster) -> None:
    text = lvs_cf(virtual("http", "scheduler = wrr"))
    for weight, address in enumerate(lab.ADDRESSES.values(), start=1):
        head, tail = text.split(f"address = {address}", 1)
        text = f"{head}address = {address}{tail.replace('weight = 1', f'weight = {weight}', 1)}"
    agent.serve(text)
    assert [line.split()[-1] for line in lab.ipvsadm_rules()[1:]] == ["1", "2", "3"]
    assert cluster.names(30) == {"number1": 5, "number2": 10, "number3": 15}


def test_udp_goes_round(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(lvs_cf(DATAGRAMS))
    answers = [cluster.ask_datagram() for _ in range(30)]
    assert {name: answers.count(name) for name in lab.NUMBERS} == dict.fromkeys(lab.NUMBERS, 10)


def test_ipv6_goes_round_beside_ipv4(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(lvs_cf(virtual(), IPV6))
    assert cluster.names(30, lab.VIP6) == dict.fromkeys(lab.NUMBERS, 10)
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)
    assert (f"{lab.VIP6}/64", "") in lab.director_addresses("eth1")


def test_persistence_keeps_a_client_at_one_server(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(lvs_cf(virtual("http", "persistent = 60", "pmask = 255.255.255.0")))
    [count] = cluster.names(30).values()
    assert count == 30
    assert lab.ipvsadm_rules()[0] == f"-A -t {lab.VIP}:80 -s rr -p 60 -M 255.255.255.0"


def test_a_firewall_mark_groups_two_ports_into_one_service(agent: Agent, cluster: lab.Cluster) -> None:
    mark = ["iptables-legacy", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "-d", lab.VIP, "-j", "MARK", "--set-mark", "7", "--dport"]
    for port in ("80", "443"):
        on_director(*mark, port)
    try:
        agent.serve(lvs_cf(virtual("shop", "fwmark = 7")))
        assert lab.ipvsadm_rules()[0] == "-A -f 7 -s rr"
        mixed = [cluster.fetch(port=port).decode() for port in (80, 443) * 15]
        assert {name: mixed.count(name) for name in lab.NUMBERS} == dict.fromkeys(lab.NUMBERS, 10)
        agent.serve(lvs_cf(virtual("shop", "fwmark = 7", "persistent = 60")))
        assert len({cluster.fetch(port=port) for port in (80, 443) * 5}) == 1
    finally:
        on_director("iptables-legacy", "-t", "mangle", "-F")


@pytest.mark.parametrize("network", ["direct", "tunnel"])
def test_direct_routing_and_tunnels_deliver_every_byte(agent: Agent, cluster: lab.Cluster, network: str) -> None:
    with cluster.answering_directly(tunnels=network == "tunnel"):
        agent.serve(lvs_cf(virtual(), network=network))
        assert {line.split()[5] for line in lab.ipvsadm_rules()[1:]} == {"-g" if network == "direct" else "-i"}
        assert [cluster.fetch(path="/payload") == lab.PAYLOAD for _ in range(3)] == [True] * 3
        assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def test_a_server_that_dies_is_taken_out_and_comes_back(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(ARTICLE)
    cluster.stop("number2")
    try:
        until(lambda: server_states(agent.state())["number2"] == "down", words=agent.log)
        [number2] = [server for server in agent.state().virtual_servers[0].real_servers if server.name == "number2"]
        assert "refused" in number2.reason
        assert cluster.names(20) == {"number1": 10, "number3": 10}
    finally:
        cluster.start("number2")
    until(lambda: server_states(agent.state())["number2"] == "up", words=agent.log)
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def server_states(state: State) -> dict[str, str]:
    return {server.name: server.state for server in state.virtual_servers[0].real_servers}


# --- the table -----------------------------------------------------------------------------------------------------------------


def rules_by_state(state: State) -> list[str]:
    """What ``ipvsadm -Sn`` should print if the state tells the truth."""
    switches = {"nat": "-m", "direct": "-g", "tunnel": "-i"}
    lines = []
    for service in state.virtual_servers:
        lines.append(f"-A -t {service.address}:{service.port} -s {service.scheduler}")
        lines += [
            f"-a -t {service.address}:{service.port} -r {server.address}:{server.port} {switches[server.forwarding]} -w {server.weight}"
            for server in service.real_servers
        ]
    return lines


def test_ipvsadm_shows_what_the_state_says_for_every_scheduler(agent: Agent, cluster: lab.Cluster) -> None:
    services = [virtual(f"by-{name}", f"scheduler = {name}", port=8000 + n) for n, name in enumerate(Scheduler)]
    agent.serve(lvs_cf(*services))
    state = agent.state()
    assert [service.scheduler for service in state.virtual_servers] == list(Scheduler)
    assert lab.ipvsadm_rules() == rules_by_state(state)
    assert agent.client.table_text(rules=True).splitlines() == lab.ipvsadm_rules()
    for name, port in ((name, 8000 + n) for n, name in enumerate(Scheduler)):
        assert cluster.fetch(port=port).decode() in lab.NUMBERS, name


def test_the_agent_prints_the_table_as_ipvsadm_does(agent: Agent) -> None:
    agent.serve(
        lvs_cf(
            virtual(),
            IPV6,
            DATAGRAMS,
            virtual("long", "persistent = 300", "scheduler = wlc", port=443),
            virtual("shop", "fwmark = 7", "persistent = 360", "pmask = 255.255.0.0"),
        )
    )
    assert agent.client.table_text(rules=True) == on_director("ipvsadm", "-S", "-n")
    until(lambda: squeezed(agent.client.table_text()) == squeezed(on_director("ipvsadm", "-L", "-n")))


def squeezed(text: str) -> list[str]:
    """Without trailing blanks."""
    return [line.rstrip() for line in text.splitlines()]


def test_a_table_cleared_by_hand_is_repaired_and_told(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(ARTICLE)
    before = lab.ipvsadm_rules()
    on_director("ipvsadm", "-C")
    until(lambda: lab.ipvsadm_rules() == before, words=agent.log)
    until(lambda: any(event.kind == "repair" for event in agent.client.events().events), words=agent.log)
    assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def test_changes_by_hand_to_one_entry_are_put_right(agent: Agent) -> None:
    agent.serve(ARTICLE)
    before = lab.ipvsadm_rules()
    on_director("ipvsadm", "-e", "-t", f"{lab.VIP}:80", "-r", f"{lab.ADDRESSES['number1']}:80", "-m", "-w", "77")
    on_director("ipvsadm", "-E", "-t", f"{lab.VIP}:80", "-s", "lc")
    on_director("ipvsadm", "-d", "-t", f"{lab.VIP}:80", "-r", f"{lab.ADDRESSES['number3']}:80")
    until(lambda: lab.ipvsadm_rules() == before, words=agent.log)


def test_what_is_accepted_and_what_is_edited_by_hand_are_revisions_and_in_the_table(agent: Agent) -> None:
    agent.serve(ARTICLE)
    accepted = agent.client.history(limit=1).revisions[0]
    edited = ARTICLE.replace("scheduler = rr", "scheduler = wlc")
    agent.lvs_cf.write_text(edited)
    until(lambda: f"-A -t {lab.VIP}:80 -s wlc" in lab.ipvsadm_rules(), words=agent.log)
    until(lambda: agent.client.history(limit=1).revisions[0].number > accepted.number, words=agent.log)
    newest = agent.client.history(limit=1).revisions[0]
    assert (newest.origin, newest.actor, newest.parent, newest.outcome) == ("outside", "root", accepted.id, "applied")
    assert newest.changes == ["virtual server http: scheduler rr → wlc"]


def test_foreign_services_are_shown_and_never_touched(agent: Agent) -> None:
    agent.serve(ARTICLE)
    foreign = ["-A -t 198.51.100.1:25 -s wlc -p 60", "-a -t 198.51.100.1:25 -r 10.11.12.99:25 -m -w 9"]
    for rule in foreign:
        on_director("ipvsadm", *rule.split())
    try:
        until(lambda: [one.service for one in agent.state().foreign] == ["198.51.100.1:25 tcp"], words=agent.log)
        agent.serve(lvs_cf(virtual("other", port=443)))
        agent.serve(ARTICLE)
        assert [line for line in lab.ipvsadm_rules() if "198.51.100.1" in line] == foreign
    finally:
        on_director("ipvsadm", "-D", "-t", "198.51.100.1:25")


def test_neighbours_of_a_removed_server_keep_their_connections(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(ARTICLE)
    with ExitStack() as stack:
        connections = [stack.enter_context(cluster.connect()) for _ in range(6)]
        served = [asked(connection) for connection in connections]
        assert sorted(served) == sorted(lab.NUMBERS * 2)
        kept = {name: address for name, address in lab.ADDRESSES.items() if name != "number2"}
        receipt = agent.serve(lvs_cf(virtual(servers=kept)))
        assert [(step.action, step.what) for step in receipt.steps] == [("remove", "real server")]
        assert cluster.names(10) == {"number1": 5, "number3": 5}
        neighbours = [(connection, name) for connection, name in zip(connections, served, strict=True) if name != "number2"]
        assert [asked(connection) for connection, _ in neighbours] == [name for _, name in neighbours]
        agent.serve(lvs_cf(virtual("http", "scheduler = wrr", "persistent = 10", servers=kept)))
        assert [asked(connection) for connection, _ in neighbours] == [name for _, name in neighbours]


def asked(connection: socket.socket) -> str:
    """Who answers on a connection that stays open."""
    connection.sendall(b"hello\n")
    return connection.recv(4096).decode().split()[0]


def test_a_missing_scheduler_is_said_of_its_service_and_the_others_live(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(ARTICLE)
    until(lambda: "ip_vs_mh" not in Path("/proc/modules").read_text() or on_director("rmmod", "ip_vs_mh") == "")
    with no_modules():
        receipt = agent.put(lvs_cf(virtual(), virtual("hashed", "scheduler = mh", port=443)))
        assert [refusal.reason for refusal in receipt.refusals] == ["scheduler mh: module missing"]
        assert not receipt.applied
        states = {service.name: (service.state, service.reason) for service in agent.state().virtual_servers}
        assert states["hashed"] == ("failed", "scheduler mh: module missing")
        assert states["http"] == ("up", "")
        assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)
    until(agent.settled, words=agent.log)
    assert cluster.fetch(port=443).decode() in lab.NUMBERS


# --- addresses -----------------------------------------------------------------------------------------------------------------

SECOND = "192.0.2.101"


def test_addresses_carry_their_alias_labels_and_masks(agent: Agent) -> None:
    agent.serve(ARTICLE)
    assert (f"{lab.VIP}/24", "eth1:1") in lab.director_addresses("eth1")
    assert (f"{lab.NAT_ROUTER}/24", "eth0:1") in lab.director_addresses("eth0")


def test_a_vip_that_leaves_lvs_cf_leaves_the_interface(agent: Agent) -> None:
    agent.serve(lvs_cf(virtual(), virtual("second", address=f"{SECOND} eth1:2")))
    assert (f"{SECOND}/24", "eth1:2") in lab.director_addresses("eth1")
    agent.serve(ARTICLE)
    until(lambda: (f"{SECOND}/24", "eth1:2") not in lab.director_addresses("eth1"), words=agent.log)
    assert (f"{lab.VIP}/24", "eth1:1") in lab.director_addresses("eth1")
    assert ("192.0.2.11/24", "eth1") in lab.director_addresses("eth1")


def test_an_address_that_the_agent_did_not_add_is_never_removed(agent: Agent) -> None:
    agent.serve(ARTICLE)
    net_before = lab.director_addresses("eth1")
    on_director("ip", "address", "add", f"{SECOND}/24", "dev", "eth1", "label", "eth1:mine")
    try:
        agent.serve(lvs_cf(virtual(), virtual("second", address=f"{SECOND} eth1:2")))
        agent.serve(ARTICLE)
        agent.client.announce()
        until(lambda: {one.address for one in agent.state().role.addresses} == {lab.VIP, lab.NAT_ROUTER}, words=agent.log)
        assert lab.director_addresses("eth1") == net_before | {(f"{SECOND}/24", "eth1:mine")}
    finally:
        on_director("ip", "address", "delete", f"{SECOND}/24", "dev", "eth1")


def test_an_address_removed_by_hand_comes_back(agent: Agent) -> None:
    agent.serve(ARTICLE)
    on_director("ip", "address", "delete", f"{lab.VIP}/24", "dev", "eth1")
    until(lambda: (f"{lab.VIP}/24", "eth1:1") in lab.director_addresses("eth1"), words=agent.log)


def test_a_new_vip_is_announced_on_the_wire(agent: Agent) -> None:
    agent.serve(ARTICLE)
    with lab.announcements() as heard:
        agent.serve(lvs_cf(virtual(), virtual("second", address=f"{SECOND} eth1:2")))
        until(lambda: heard().count(SECOND) >= 2, words=agent.log)
        already = heard().count(lab.VIP)
        agent.client.announce()
        until(lambda: heard().count(lab.VIP) >= already + 2, words=agent.log)


def test_ip_forward_switched_off_is_reported_with_nat(agent: Agent) -> None:
    agent.serve(ARTICLE)
    until(lambda: not problems(agent, "ip_forward"))
    with net.namespace("lefty"):
        net.sysctl("net/ipv4/ip_forward", "0")
    try:
        until(lambda: problems(agent, "ip_forward"), words=agent.log)
    finally:
        with net.namespace("lefty"):
            net.sysctl("net/ipv4/ip_forward", "1")
    until(lambda: not problems(agent, "ip_forward"), words=agent.log)


def problems(agent: Agent, word: str) -> list[str]:
    """The alerts that speak of something."""
    return [alert.message for alert in agent.state().alerts if word in alert.message]
