"""The article's cluster with both directors, and what can happen to them.

```
 client ──┬── lefty  192.0.2.11 ──┬── number1..3
         pub  eth1         eth0  priv
          └── righty 192.0.2.12 ──┘     10.11.12.11 and .12
```

A crash is a director from which the bridges take nothing any more, with every process killed; a cut is one cable; silence is one
director's heartbeats lost on their way; a stopped director has its processes stopped in their tracks while its kernel goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence

from lvsagent.client import AgentDown
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import Agent, virtual
from tests.waiting import until

DIRECTORS = {"lefty": 11, "righty": 12}
START_LIMIT_S = 120.0
LIMIT_S = 40.0
BRIDGES = ("pub", "priv")
DEVICES = {"pub": "eth1", "priv": "eth0"}
HEARTBEAT_PORT = 539

GLOBALS = """\
serial_no = 1
primary = 192.0.2.11
primary_private = 10.11.12.11
service = lvs
backup_active = 1
backup = 192.0.2.12
backup_private = 10.11.12.12
heartbeat = 1
heartbeat_port = {port}
keepalive = 0.1
deadtime = 0.3
network = {network}
"""


def lvs_cf(*lines: str, network: str = "nat", services: Sequence[str] = ()) -> str:
    """A whole lvs.cf for both; ``lines`` are more global settings."""
    more = "".join(f"{line}\n" for line in lines)
    router = agents.NAT_ROUTER if network == "nat" else ""
    return GLOBALS.format(port=HEARTBEAT_PORT, network=network) + more + router + "".join(services or [virtual()])


# --- the cables ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running() -> Iterator[lab.Cluster]:
    """The cluster with righty plugged in."""
    with lab.running() as cluster:
        net.ip("netns add righty", *lab.plug("righty", "eth1", "pub"), *lab.plug("righty", "eth0", "priv"))
        public, private = (
            ["192.0.2.12/24 dev eth1", "2001:db8:1::12/64 dev eth1 nodad"],
            ["10.11.12.12/24 dev eth0", "2001:db8:2::12/64 dev eth0 nodad"],
        )
        lab.configure("righty", [*public, *private], [])
        with net.namespace("righty"):
            net.sysctl("net/ipv4/ip_forward", "1")
            net.sysctl("net/ipv6/conf/all/forwarding", "1")
        try:
            yield cluster
        finally:
            # By hand: a connection that was cut keeps its namespace, and so its cables, for a while.
            cables = [f"{name}-priv" for name in (*DIRECTORS, *lab.NUMBERS)] + [f"{name}-pub" for name in (*DIRECTORS, "client")]
            net.ip(*(f"link delete {cable}" for cable in cables), "netns delete righty")


def cut(name: str, *bridges: str) -> None:
    """Pull a director's cables (all, or those named) at the bridge."""
    net.ip(*(f"link set {name}-{bridge} down" for bridge in bridges or BRIDGES))


def heal(name: str, *bridges: str) -> None:
    """Put them back."""
    net.ip(*(f"link set {name}-{bridge} up" for bridge in bridges or BRIDGES))


def swallow(name: str) -> None:
    """A director is off from one moment to the next, and its links do not even notice: the bridges take nothing from it any more."""
    _bridge(*(f"link set dev {name}-{bridge} state 0" for bridge in BRIDGES))


def release(name: str) -> None:
    """It is on again."""
    _bridge(*(f"link set dev {name}-{bridge} state 3" for bridge in BRIDGES))


def _bridge(*lines: str) -> None:
    subprocess.run(["bridge", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


@contextlib.contextmanager
def silenced(name: str) -> Iterator[None]:
    """What a director says in its heartbeats is lost on its way; what it hears is not."""
    rule = f"-p udp --dport {HEARTBEAT_PORT} -j DROP".split()
    with net.namespace(name):
        net.output("iptables-legacy", "-A", "OUTPUT", *rule)
    try:
        yield
    finally:
        with net.namespace(name):
            net.output("iptables-legacy", "-D", "OUTPUT", *rule)


def holders(address: str) -> list[str]:
    """Which directors have an address on an interface, as their kernels say."""
    found = []
    for name in DIRECTORS:
        with net.namespace(name):
            if f" {address}/" in net.output("ip", "-oneline", "address"):
                found.append(name)
    return found


def pin_neighbours(name: str) -> list[str]:
    """What this one knows of its neighbours it will not change any more; the addresses."""
    with net.namespace(name):
        entries = json.loads(net.output("ip", "-json", "neighbour", "show", "dev", "eth0"))
        found = {entry["dst"]: entry["lladdr"] for entry in entries if "lladdr" in entry and ":" not in entry["dst"]}
        net.ip(*(f"neighbour replace {address} lladdr {hardware} dev eth0 nud permanent" for address, hardware in found.items()))
    return list(found)


# --- the agents ----------------------------------------------------------------------------------------------------------------


class Director(Agent):
    """The agent of one of them, with the pair's key; ``settings`` are more lines of agent.toml."""

    def __init__(self, name: str, text: str, key: str, settings: str = "") -> None:
        super().__init__(text, name, settings)
        key_file = self.folder / "heartbeat.key"
        key_file.touch(mode=0o600)
        key_file.write_text(key + "\n")
        with self.settings.open("a") as file:
            file.write(f'heartbeat_key_file = "{key_file}"\n')

    @property
    def role(self) -> str:
        """active, standby, …; ``""`` when it does not answer."""
        try:
            return self.client.state().role.role
        except AgentDown:
            return ""

    @property
    def peer(self) -> str:
        """What it believes of the other one."""
        try:
            return self.client.state().peer.state
        except AgentDown:
            return ""

    def settled(self) -> bool:
        """Its role is decided, its table made, every real server up."""
        state = self.state()
        served = all(virtual.state == "up" and virtual.up == virtual.enabled for virtual in state.virtual_servers)
        return served and state.role.role in {"active", "standby"} and state.peer.state == "alive"

    def crash(self) -> None:
        """Gone from one moment to the next, with no last word."""
        swallow(self.director)
        self.kill_all()

    def reboot(self) -> None:
        """The host goes down without a word and comes up again: nothing is left but what is on its disk."""
        self.crash()
        shutil.rmtree(self.folder / "run")
        with net.namespace(self.director):
            for address, device in ((lab.VIP, "eth1"), (lab.NAT_ROUTER, "eth0")):
                if self.director in holders(address):
                    net.ip(f"address delete {address}/24 dev {device}")
            net.output("ipvsadm", "--clear")
        release(self.director)
        self.start()

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        """There is no room left where it keeps its files."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def stopped_in_its_tracks(self, *names: str) -> Iterator[None]:
        """SIGSTOP to processes (all, or those named), SIGCONT afterwards."""
        pids = [pid for name, pid in self.pids().items() if name in (names or agents.NAMES)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


class Pair:
    """Both agents.  ``lefty`` is the primary; ``addresses`` are those that move with the role.

    ``{name}`` in ``settings`` is the director's.
    """

    def __init__(self, text: str, settings: str = "", addresses: Sequence[str] = (lab.VIP, lab.NAT_ROUTER)) -> None:
        key = secrets.token_hex(32)
        self.addresses = addresses
        self.lefty, self.righty = (Director(name, text, key, settings.replace("{name}", name)) for name in DIRECTORS)

    def __iter__(self) -> Iterator[Director]:
        return iter((self.lefty, self.righty))

    def start(self) -> None:
        """Both at once."""
        for director in self:
            director.launch()
        for director in self:
            until(director.answers, START_LIMIT_S, director.log)

    def words(self) -> str:
        """What both are and wrote, for a failing test."""
        lines = []
        for director in self:
            with contextlib.suppress(AgentDown):
                state = director.client.state()
                lines.append(f"{director.director}: {state.role}\n{state.peer}")
            lines.append(director.log()[-4000:])
        return "\n".join(lines)

    def settled(self) -> bool:
        """One active, one standby, each address on the active one only."""
        roles = sorted(director.role for director in self)
        return roles == ["active", "standby"] and all(director.settled() for director in self) and self.tidy()

    def tidy(self) -> bool:
        """Every address is on exactly the one that is active."""
        active = [director.director for director in self if director.role == "active"]
        return len(active) == 1 and all(holders(address) == active for address in self.addresses)

    def settle(self, active: str = "") -> None:
        """Wait until all is as it should be; ``active``: have that one active, by a planned step down if needed."""
        until(self.settled, LIMIT_S, self.words)
        if active and self.active.director != active:
            until(self._active_could_step_down, LIMIT_S, self.words)
            self.active.client.failover("step_down", actor="the lab")
            until(lambda: self.settled() and self.active.director == active, LIMIT_S, self.words)

    def _active_could_step_down(self) -> bool:
        """A link that was healed a moment ago is not yet known to be whole, and then the active one rightly refuses."""
        peer = self.active.state().peer
        return peer.state == "alive" and peer.links_whole

    @property
    def active(self) -> Director:
        """The one that is active."""
        [found] = [director for director in self if director.role == "active"]
        return found

    @property
    def standby(self) -> Director:
        """The other one."""
        return self.righty if self.active is self.lefty else self.lefty

    def serve(self, text: str) -> None:
        """Both accept the same lvs.cf."""
        for director in self:
            director.put(text)

    def close(self) -> None:
        for director in self:
            director.close()


@contextlib.contextmanager
def pair(text: str, settings: str = "", addresses: Sequence[str] = (lab.VIP, lab.NAT_ROUTER)) -> Iterator[Pair]:
    """Two agents that serve ``text``; nothing of them afterwards."""
    both = Pair(text, settings, addresses)
    try:
        both.start()
        both.settle()
        yield both
    finally:
        both.close()
