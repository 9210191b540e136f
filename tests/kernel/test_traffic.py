"""Every directive about traffic on a real director: clients get what lvs.cf says, and ``ipvsadm`` is the witness of the table."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from lvsagent.wire import OverrideRequest
from tests import waiting
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, lvs_cf, virtual

pytestmark = pytest.mark.kernel("traffic")

until = partial(waiting.until, limit_s=agents.SETTLE_LIMIT_S)

ARTICLE = lvs_cf(virtual())
DATAGRAMS = ("protocol = udp", 'send = "who"', 'expect = "number"')
TWO = {name: lab.ADDRESSES[name] for name in ("number1", "number2")}
SORRY = lab.ADDRESSES["number3"]


@pytest.fixture(scope="module")
def agent(cluster: lab.Cluster) -> Iterator[Agent]:
    with agents.running(ARTICLE, 'mark_rules = "iptables-legacy"\n') as running:
        yield running


def with_lines(text: str, name: str, *lines: str) -> str:
    """``text`` with more lines in the block of a real server."""
    head = f"server {name} {{\n"
    assert head in text
    return text.replace(head, head + "".join(f"         {line}\n" for line in lines))


def on_director(*command: str) -> str:
    with net.namespace("lefty"):
        return net.output(*command)


def from_one_port(count: int, says: bytes = b"who is there?") -> list[str]:
    """The names that answer ``count`` datagrams of one client socket."""
    with net.namespace("client"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(lab.PATIENCE_S)
        names = []
        for _ in range(count):
            asker.sendto(says, (lab.VIP, lab.UDP_PORT))
            names.append(asker.recv(2048).decode())
        return names


def name_of(connection: socket.socket) -> str:
    """Which real server is at the other end of an open connection."""
    connection.sendall(b"?")
    return connection.recv(100).decode().split()[0]


# --- the table -----------------------------------------------------------------------------------------------------------------


def test_each_server_is_reached_in_its_own_way(agent: Agent, cluster: lab.Cluster) -> None:
    text = with_lines(lvs_cf(virtual(), network="direct"), "number3", "forward = tunnel")
    with cluster.answering_directly(tunnels=True):
        agent.serve(text)
        assert [line.split()[4:6] for line in lab.ipvsadm_rules()[1:]] == [
            [f"{lab.ADDRESSES['number1']}:80", "-g"],
            [f"{lab.ADDRESSES['number2']}:80", "-g"],
            [f"{lab.ADDRESSES['number3']}:80", "-i"],
        ]
        assert cluster.names(30) == dict.fromkeys(lab.NUMBERS, 10)


def test_an_overloaded_server_gets_nothing_new(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(with_lines(lvs_cf(virtual(port=443)), "number1", "upper_threshold = 2", "lower_threshold = 1"))
    shown = [line.split()[2:4] for line in on_director("ipvsadm", "-L", "-n", "--thresholds").splitlines() if "10.11.12.21" in line]
    assert shown == [["2", "1"]]
    with ExitStack() as stack:
        names = [name_of(stack.enter_context(cluster.connect(port=443))) for _ in range(12)]
    assert {name: names.count(name) for name in lab.NUMBERS} == {"number1": 2, "number2": 5, "number3": 5}


def test_a_server_that_was_overloaded_takes_new_ones_again_below_its_lower_threshold(agent: Agent, cluster: lab.Cluster) -> None:
    text = lvs_cf(virtual("names", *DATAGRAMS, port=lab.UDP_PORT)).replace("serial_no = 1\n", "serial_no = 1\nudp_timeout = 2\n")
    agent.serve(with_lines(text, "number1", "upper_threshold = 2", "lower_threshold = 1"))
    names = [cluster.ask_datagram() for _ in range(9)]
    assert names.count("number1") <= 2 < names.count("number2")
    until(lambda: cluster.ask_datagram() == "number1", words=lambda: on_director("ipvsadm", "-L", "-n", "--thresholds"))


def test_one_packet_sends_every_datagram_on_its_own(agent: Agent, cluster: lab.Cluster) -> None:
    with cluster.answering_directly(tunnels=False):
        agent.serve(lvs_cf(virtual("names", *DATAGRAMS, port=lab.UDP_PORT), network="direct"))
        assert len(set(from_one_port(6))) == 1
        agent.serve(lvs_cf(virtual("names", *DATAGRAMS, "one_packet = 1", port=lab.UDP_PORT), network="direct"))
        assert lab.ipvsadm_rules()[0] == f"-A -u {lab.VIP}:{lab.UDP_PORT} -s rr -o"
        names = from_one_port(30)
        assert {name: names.count(name) for name in lab.NUMBERS} == dict.fromkeys(lab.NUMBERS, 10)


def test_with_nat_the_answers_to_one_packet_come_from_the_servers_own_address(agent: Agent, cluster: lab.Cluster) -> None:
    """What the diagnostic one-packet-with-nat says of the kernel."""
    agent.serve(lvs_cf(virtual("names", *DATAGRAMS, "one_packet = 1", port=lab.UDP_PORT)))
    with net.namespace("client"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        net.ip("route replace 10.11.12.0/24 via 192.0.2.11")
        asker.settimeout(lab.PATIENCE_S)
        asker.sendto(b"who is there?", (lab.VIP, lab.UDP_PORT))
        assert asker.recvfrom(2048)[1][0] in lab.ADDRESSES.values()
        net.ip("route delete 10.11.12.0/24")


def test_a_sip_call_stays_with_its_server_and_calls_of_one_client_are_told_apart(agent: Agent, cluster: lab.Cluster) -> None:
    calls = [f"INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: call-{n}@example.com\r\n\r\n".encode() for n in range(6)]
    with cluster.answering_directly(tunnels=False):
        lines = (*DATAGRAMS, "one_packet = 1", "persistent = 60", "pe = sip")
        agent.serve(lvs_cf(virtual("calls", *lines, port=lab.UDP_PORT), network="direct"))
        assert " ".join(lab.ipvsadm_rules()[0].split()) == f"-A -u {lab.VIP}:{lab.UDP_PORT} -s rr -p 60 --pe sip -o"
        first = [from_one_port(1, call)[0] for call in calls]
        assert {name: first.count(name) for name in lab.NUMBERS} == dict.fromkeys(lab.NUMBERS, 2)
        assert [from_one_port(1, call)[0] for call in calls] == first


def test_source_hashing_by_port_spreads_the_connections_of_one_client(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(lvs_cf(virtual("http", "scheduler = sh")))
    assert len(cluster.names(20)) == 1
    agent.serve(lvs_cf(virtual("http", "scheduler = sh", "scheduler_flags = sh-port,sh-fallback")))
    assert lab.ipvsadm_rules()[0] == f"-A -t {lab.VIP}:80 -s sh -b sh-fallback,sh-port"
    assert len(cluster.names(40)) == 3
    agent.serve(lvs_cf(virtual("http", "scheduler = mh", "scheduler_flags = mh-port")))
    assert lab.ipvsadm_rules()[0].startswith(f"-A -t {lab.VIP}:80 -s mh -b ")
    assert len(cluster.names(40)) == 3


def test_with_fallback_another_server_answers_for_the_one_that_the_hash_chose(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(lvs_cf(virtual("http", "scheduler = sh")))
    [chosen] = cluster.names(3)
    agent.client.override(OverrideRequest(action="drain", virtual="http", server=chosen))
    try:
        assert f"-a -t {lab.VIP}:80 -r {lab.ADDRESSES[chosen]}:80 -m -w 0" in lab.ipvsadm_rules()
        with pytest.raises(OSError, match="refused"):
            cluster.fetch()
        for scheduler in ("sh", "mh"):
            agent.put(lvs_cf(virtual("http", f"scheduler = {scheduler}", f"scheduler_flags = {scheduler}-fallback")))
            assert "-fallback" in lab.ipvsadm_rules()[0] or "flag-1" in lab.ipvsadm_rules()[0]
            [other] = cluster.names(3)
            assert other != chosen
    finally:
        agent.client.override(OverrideRequest(action="auto", virtual="http", server=chosen))


def test_sctp_reaches_the_real_servers(agent: Agent, cluster: lab.Cluster) -> None:
    listeners = {}
    for name in lab.NUMBERS:
        with net.namespace(name):
            listeners[name] = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
            listeners[name].bind(("", 80))
            listeners[name].listen()
            listeners[name].settimeout(lab.PATIENCE_S)
    with ExitStack() as stack:
        for listener in listeners.values():
            stack.enter_context(listener)
        agent.serve(lvs_cf(virtual("streams", "protocol = sctp", "scheduler = rr")))
        assert lab.ipvsadm_rules()[0] == f"-A --sctp-service {lab.VIP}:80 -s rr"
        for listener in reversed(listeners.values()):  # round robin begins at the last one added
            with net.namespace("client"), socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as client:
                client.settimeout(lab.PATIENCE_S)
                client.connect((lab.VIP, 80))
                with listener.accept()[0] as served:
                    served.sendall(b"hello")
                    assert client.recv(100) == b"hello"


def test_changes_touch_nobody_else(agent: Agent, cluster: lab.Cluster) -> None:
    """Connections of the untouched servers live through a change of every setting of another one and of the service."""
    agent.serve(lvs_cf(virtual(port=443)))
    with ExitStack() as stack:
        open_ones = [stack.enter_context(cluster.connect(port=443)) for _ in range(3)]
        names = [name_of(one) for one in open_ones]
        assert sorted(names) == sorted(lab.NUMBERS)
        text = lvs_cf(virtual("http", "scheduler = sh", "scheduler_flags = sh-port", "quorum = 2", f"sorry_server = {SORRY}", port=443))
        receipt = agent.serve(with_lines(text, "number1", "upper_threshold = 9", "lower_threshold = 3"))
        assert [(step.action, step.what) for step in receipt.steps] == [("change", "virtual server"), ("change", "real server")]
        receipt = agent.serve(with_lines(text, "number1", "forward = tunnel"))
        assert [(step.action, step.name.split()[0]) for step in receipt.steps] == [("change", "number1")]
        assert [name_of(one) for one, name in zip(open_ones, names, strict=True) if name != "number1"] == [
            name for name in names if name != "number1"
        ]


def test_at_every_change_the_connections_of_untouched_services_and_servers_live(agent: Agent, cluster: lab.Cluster) -> None:
    """One change after another to the virtual server http and two of its servers; the one called kept is never meant, nor is number3."""
    kept, more = virtual("kept", port=443), virtual("more", port=8000)
    http, two = virtual(), virtual(servers={name: lab.ADDRESSES[name] for name in ("number2", "number3")})
    first, at = lvs_cf(http, kept), f"address = {lab.ADDRESSES['number1']}\n         "
    agent.serve(first)
    theirs = [line for line in lab.ipvsadm_rules() if ":443 " in line]
    with ExitStack() as stack:
        open_ones = [stack.enter_context(cluster.connect(port=443)) for _ in lab.NUMBERS]
        third = next(one for _ in lab.NUMBERS if name_of(one := stack.enter_context(cluster.connect())) == "number3")
        names = [name_of(one) for one in open_ones]
        assert sorted(names) == sorted(lab.NUMBERS)

        def all_live(change: str) -> None:
            assert [name_of(one) for one in open_ones] == names, change
            assert [line for line in lab.ipvsadm_rules() if ":443 " in line] == theirs, change

        changes = {
            "a server leaves": lvs_cf(two, kept),
            "it comes back with another weight": lvs_cf(http, kept).replace("weight = 1\n", "weight = 3\n", 1),
            "another way to it": lvs_cf(with_lines(http, "number1", "forward = direct"), kept),
            "its thresholds": lvs_cf(with_lines(http, "number1", "upper_threshold = 5"), kept),
            "it is not active": lvs_cf(http.replace(f"{at}active = 1", f"{at}active = 0"), kept),
            "the scheduler, persistence": lvs_cf(virtual("http", "scheduler = wlc", "persistent = 60"), kept),
            "quorum, sorry server, quiesce": lvs_cf(virtual("http", "quorum = 2", f"sorry_server = {SORRY}", "quiesce_server = 1"), kept),
            "another check": lvs_cf(virtual("http", "check = connect", "slow_start = 9"), kept),
            "another service": lvs_cf(more, http, kept),
            "none any more, and other timeouts": first.replace("serial_no = 1\n", "serial_no = 1\ntcp_timeout = 901\n"),
        }
        for change, text in changes.items():
            assert agent.put(text).applied, change
            all_live(change)
            assert name_of(third) == "number3", change
        for action in ("drain", "cut", "down", "up", "auto"):
            agent.client.override(OverrideRequest(action=action, virtual="http", server="number1"))
            all_live(action)
            assert name_of(third) == "number3", action
        for change, text in (("it is not active", lvs_cf(http.replace("active = 1", "active = 0", 1), kept)), ("it is gone", lvs_cf(kept))):
            assert agent.put(text).applied, change
            all_live(change)


# --- load ----------------------------------------------------------------------------------------------------------------------


@contextmanager
def hosts_say(loads: Mapping[str, str]) -> Iterator[None]:
    """A rup where nanny looks first, by which each real server says this load."""
    folder = Path("/usr/local/sbin")
    net.output("mount", "-t", "tmpfs", "-o", "mode=755", "programs", str(folder))
    try:
        for name, load in loads.items():
            (folder / lab.ADDRESSES[name]).write_text(f"{name}          up    1+03:47,  load average: {load}, 1.25, 1.00\n")
        (folder / "rup").write_text(f'#!/bin/sh\nexec cat "{folder}/$1"\n')
        (folder / "rup").chmod(0o755)
        yield
    finally:
        net.output("umount", "-l", str(folder))


def test_a_busy_hosts_weight_goes_down_and_comes_back_and_its_connections_live(agent: Agent, cluster: lab.Cluster) -> None:
    plain = lvs_cf(virtual("http", "scheduler = wrr")).replace("weight = 1\n", "weight = 100\n")
    agent.serve(plain)
    with cluster.connect() as open_one, hosts_say({"number1": "9.00", "number2": "1.00", "number3": "1.00"}):
        name = name_of(open_one)
        assert agent.put(plain.replace("scheduler = wrr", "scheduler = wrr\n     load_monitor = rup")).applied
        less = [f"-a -t {lab.VIP}:80 -r {at}:80 -m -w {20 if name == 'number1' else 100}" for name, at in lab.ADDRESSES.items()]
        until(lambda: lab.ipvsadm_rules()[1:] == less, words=agent.log)
        assert cluster.names(11) == {"number1": 1, "number2": 5, "number3": 5}
        assert not [event for event in agent.client.events().events if event.kind == "repair"]
        assert agent.put(plain).applied
        assert lab.ipvsadm_rules()[1:] == [line.replace("-w 20", "-w 100") for line in less]
        assert name_of(open_one) == name


# --- quorum, sorry server ------------------------------------------------------------------------------------------------------


def test_below_the_quorum_the_sorry_server_takes_over_at_its_own_port_and_leaves_again(agent: Agent, cluster: lab.Cluster) -> None:
    text = lvs_cf(virtual("web", "quorum = 2", f"sorry_server = {SORRY}", "sorry_port = 443", servers=TWO))
    agent.serve(text)
    assert cluster.names(10) == {"number1": 5, "number2": 5}
    with cluster.connect() as kept, cluster.connect() as other:
        staying = next(one for one in (kept, other) if name_of(one) == "number2")
        cluster.stop("number1")
        try:
            until(lambda: agent.state().virtual_servers[0].sorry, words=agent.log)
            assert lab.ipvsadm_rules()[1:] == [
                f"-a -t {lab.VIP}:80 -r {lab.ADDRESSES['number2']}:80 -m -w 0",
                f"-a -t {lab.VIP}:80 -r {SORRY}:443 -m -w 1",
            ]
            assert cluster.names(10) == {"number3": 10}
            assert name_of(staying) == "number2"
            [state] = agent.state().virtual_servers
            words = f"1 of 2 real servers is up and the quorum is 2: the sorry server {SORRY}:443 takes all new connections"
            assert (state.state, state.reason) == ("down", words)
            assert [alert.message for alert in agent.client.state().alerts if alert.code == "quorum"] == [f"web: {words}"]
        finally:
            cluster.start("number1")
        until(lambda: agent.state().virtual_servers[0].state == "up", words=agent.log)
        assert cluster.names(10) == {"number1": 5, "number2": 5}
        assert name_of(staying) == "number2"
    told = [event.message for event in agent.client.events().events if event.message.startswith("web:")]
    assert told[:2] == ["web: 2 of 2 real servers are up: enough again, and the sorry server has left", f"web: {words}"]


def test_below_the_quorum_without_a_sorry_server_what_is_left_goes_on(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(lvs_cf(virtual("web", "quorum = 3")))
    cluster.stop("number1")
    try:
        until(lambda: agent.state().virtual_servers[0].state == "down", words=agent.log)
        assert cluster.names(10) == {"number2": 5, "number3": 5}
        assert agent.state().virtual_servers[0].reason.endswith("what is left goes on, for there is no sorry server")
    finally:
        cluster.start("number1")
    until(lambda: agent.state().virtual_servers[0].state == "up", words=agent.log)


def test_a_lost_quorum_outlives_the_agent(agent: Agent, cluster: lab.Cluster) -> None:
    """In the gap between lost and reached again only the table knows the side; a fresh agent goes on from there."""
    agent.serve(lvs_cf(virtual("web", "quorum = 2", "hysteresis = 1", f"sorry_server = {SORRY}", "sorry_port = 443")))
    up = partial(lambda count: agent.state().virtual_servers[0].up == count)
    try:
        for name in lab.NUMBERS:
            cluster.stop(name)
        until(lambda: agent.state().virtual_servers[0].sorry, words=agent.log)
        for name in lab.NUMBERS[:2]:
            cluster.start(name)
        until(lambda: up(2), words=agent.log)
        in_the_gap = lab.ipvsadm_rules()
        assert [line.split()[-1] for line in in_the_gap[1:]] == ["0", "0", "1"], in_the_gap
        agent.kill_all()
        agent.start()
        until(lambda: up(2), words=agent.log)
        assert sorted(lab.ipvsadm_rules()) == sorted(in_the_gap)
    finally:
        cluster.start("number3")
        for name in lab.NUMBERS[:2]:
            if name not in cluster.pids:
                cluster.start(name)
    until(lambda: agent.state().virtual_servers[0].state == "up", words=agent.log)
    cluster.stop("number1")
    try:
        until(lambda: up(2), words=agent.log)
        assert cluster.names(10) == {"number2": 5, "number3": 5}
        assert not agent.state().virtual_servers[0].sorry
    finally:
        cluster.start("number1")


def test_a_server_that_fails_with_quiesce_keeps_its_connections_and_gets_no_new_ones(agent: Agent, cluster: lab.Cluster) -> None:
    def health(name: str) -> socket.socket:
        with net.namespace(name):
            return socket.create_server((lab.ADDRESSES[name], 81), backlog=256)

    with ExitStack() as stack:
        checked = {name: stack.enter_context(health(name)) for name in lab.NUMBERS}
        agent.serve(lvs_cf(virtual("http", "check = connect", "check_port = 81", "quiesce_server = 1", port=443)))
        open_one = next(one for _ in lab.NUMBERS if name_of(one := stack.enter_context(cluster.connect(port=443))) == "number1")
        checked["number1"].close()
        out = f"-a -t {lab.VIP}:443 -r {lab.ADDRESSES['number1']}:443 -m -w 0"
        until(lambda: out in lab.ipvsadm_rules(), words=agent.log)
        assert cluster.names(10, port=443) == {"number2": 5, "number3": 5}
        assert name_of(open_one) == "number1"
        stack.enter_context(health("number1"))
        until(lambda: out not in lab.ipvsadm_rules(), words=agent.log)
        assert cluster.names(30, port=443) == dict.fromkeys(lab.NUMBERS, 10)
        agent.serve(ARTICLE)


# --- firewall marks ------------------------------------------------------------------------------------------------------------

SHOP = lvs_cf(virtual("shop", "fwmark = 7", 'mark_ports = "80,443/tcp"'))
OURS = [
    "-A PREROUTING -j PIRANHA-MARKS",
    f"-A PIRANHA-MARKS -d {lab.VIP}/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff",
    f"-A PIRANHA-MARKS -d {lab.VIP}/32 -p tcp -m tcp --dport 443 -j MARK --set-xmark 0x7/0xffffffff",
]
THEIRS = "-A PREROUTING -d 192.0.2.77/32 -j MARK --set-xmark 0x4d/0xffffffff"


def marking() -> list[str]:
    """The rules of the mangle table, as iptables says them."""
    return [line for line in on_director("iptables-legacy-save", "-t", "mangle").splitlines() if line.startswith("-A")]


def test_marks_are_set_for_the_ports_named_kept_over_restarts_and_leave_with_the_service(agent: Agent, cluster: lab.Cluster) -> None:
    on_director("iptables-legacy", "-t", "mangle", *THEIRS.replace("--set-xmark", "--set-mark").split())
    try:
        agent.serve(SHOP)
        assert marking() == [THEIRS, *OURS]
        assert lab.ipvsadm_rules()[0] == "-A -f 7 -s rr"
        mixed = [cluster.fetch(port=port).decode() for port in (80, 443) * 15]
        assert {name: mixed.count(name) for name in lab.NUMBERS} == dict.fromkeys(lab.NUMBERS, 10)
        agent.kill_all()
        assert marking() == [THEIRS, *OURS]
        assert sum(cluster.names(6).values()) == 6
        agent.start()
        until(agent.settled, words=agent.log)
        assert marking() == [THEIRS, *OURS]
        agent.serve(lvs_cf(virtual("shop", "fwmark = 7", "mark_ports = 443")))
        assert marking() == [THEIRS, OURS[0], OURS[2]]
        agent.serve(ARTICLE)
        assert marking() == [THEIRS]
        assert cluster.names(3) == dict.fromkeys(lab.NUMBERS, 1)
        agent.serve(SHOP)
        assert agent.stop() == 0
        assert marking() == [THEIRS]
    finally:
        on_director("iptables-legacy", "-t", "mangle", "-F")
        agent.start()


def test_marks_that_somebody_has_removed_come_back_and_it_is_said(agent: Agent, cluster: lab.Cluster) -> None:
    agent.serve(SHOP)
    on_director("iptables-legacy", "-t", "mangle", "-F")
    until(lambda: marking() == OURS, words=agent.log)
    until(lambda: any("firewall marks had been changed" in event.message for event in agent.client.events().events), words=agent.log)
    agent.serve(ARTICLE)


def test_without_the_privilege_it_is_said_what_to_do(cluster: lab.Cluster) -> None:
    with agents.running(ARTICLE) as plain:
        receipt = plain.put(SHOP)
        assert [refusal.subject for refusal in receipt.refusals] == ["firewall marks of mark_ports"]
        assert [step.detail for step in receipt.steps if step.what == "firewall mark"] == [
            f"on packets to {lab.VIP} 80/tcp",
            f"on packets to {lab.VIP} 443/tcp",
        ]
        [alert] = [alert for alert in plain.client.state().alerts if alert.code == "marks"]
        assert "mark_rules" in alert.message
