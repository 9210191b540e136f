"""Two real agents on this machine's loopback, lefty and righty, and a client that asks their virtual server.

Owns processes and files under a temporary folder: the userspace data plane, heartbeats on an unprivileged port, one key.
"""

from __future__ import annotations

import contextlib
import grp
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep

from deploy.demo import children, cluster
from deploy.demo.children import Child
from deploy.demo.claims import Claims
from lvsagent.adapters.heartbeat_key import make_key_file, take_key_file
from lvsagent.client import AgentClient, AgentDown
from lvsagent.wire import State
from tests.stack import ROOT, web_server
from tests.waiting import until

BIN = Path(sys.executable).parent
VIP = "127.0.0.100"
ADDRESSES = {"lefty": ("127.0.0.11", "127.0.1.11"), "righty": ("127.0.0.12", "127.0.1.12")}
REAL_SERVERS = {"number1": "127.0.0.21", "number2": "127.0.0.22"}
KEEPALIVE_S, DEADTIME_S = 0.1, 0.3
LVS_CF = """\
serial_no = {serial}
primary = {lefty[0]}
primary_private = {lefty[1]}
service = lvs
backup_active = 1
backup = {righty[0]}
backup_private = {righty[1]}
heartbeat = 1
heartbeat_port = {heartbeat_port}
keepalive = {keepalive}
deadtime = {deadtime}
network = nat
virtual http {{
     active = 1
     address = {vip} lo:1
     vip_nmask = 255.255.255.255
     port = 80
     timeout = 1
     reentry = 1
     scheduler = rr
{servers}}}
"""
SERVER = """\
     server {name} {{
         address = {address}
         active = 1
         port = {port}
     }}
"""


@dataclass
class Side:
    """One director."""

    name: str
    folder: Path
    runtime: Path
    client: AgentClient
    agent: Child | None = None

    @property
    def lvs_cf(self) -> Path:
        return self.folder / "lvs.cf"

    def start(self) -> None:
        """Start its agent; it may take a moment until it answers."""
        argv = [str(BIN / "lvsagent"), "run", "--config", str(self.folder / "agent.toml")]
        self.agent = children.start(self.name, argv, self.folder / "log", ROOT)

    def kill(self) -> None:
        """The whole host dies, as far as the other one can see."""
        assert self.agent is not None
        os.killpg(self.agent.process.pid, signal.SIGKILL)
        self.agent.process.wait()

    def stop(self) -> None:
        """A planned stop."""
        if self.agent is not None:
            children.stop([self.agent], 20)

    def ended(self) -> bool:
        """Whether its agent has run and does no more."""
        return self.agent is not None and self.agent.process.poll() is not None

    def state(self) -> State | None:
        """``None`` while it does not answer."""
        try:
            return self.client.state(servers=True)
        except AgentDown:
            return None

    def role(self) -> str:
        state = self.state()
        return state.role.role if state else "down"

    def pid(self, process: str) -> int:
        state = self.state()
        return next((one.pid for one in state.processes if one.name == process), 0) if state else 0

    def words(self) -> str:
        """What it last said, for a test that fails."""
        state = self.state()
        said = f"{state.role}\n{state.peer}\n{state.alerts}" if state else "it does not answer"
        return f"{self.name}: {said}\n{self.agent.last_words(30) if self.agent else ''}"


@dataclass
class Pair:
    """Both of them; ``port`` is where the virtual server is reached."""

    lefty: Side
    righty: Side
    port: int

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.lefty, self.righty

    def active(self) -> Side | None:
        """The one that is active, when it is just one."""
        found = [side for side in self.sides if side.role() == "active"]
        return found[0] if len(found) == 1 else None

    def settled(self, active: Side) -> bool:
        """One active, the other standby, each knows it of the other, and every link is up."""
        standby = self.righty if active is self.lefty else self.lefty
        ours, theirs = active.state(), standby.state()
        if ours is None or theirs is None:
            return False
        roles = (ours.role.role, ours.peer.role, theirs.role.role, theirs.peer.role)
        links = {link.state for state in (ours, theirs) for link in state.role.links}
        return roles == ("active", "standby", "standby", "active") and {ours.peer.state, theirs.peer.state} == {"alive"} and links == {"up"}

    def wait_until_settled(self, active: Side, limit_s: float = 60) -> None:
        until(lambda: self.settled(active), limit_s, lambda: "\n".join(side.words() for side in self.sides))

    def words(self) -> str:
        return "\n".join(side.words() for side in self.sides)


@dataclass
class Watcher:
    """A client that asks each 20 ms, one request at a time."""

    port: int
    answers: list[float] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        until(lambda: len(self.answers) > 5, 10, lambda: f"nobody answers: {self.failures[-3:]}")
        self.failures.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def longest_gap_s(self) -> float:
        return max(later - earlier for earlier, later in pairwise(self.answers))

    def gap_around_s(self, moment: float) -> float:
        """From the last answer before ``moment`` to the first one after it."""
        return min(at for at in self.answers if at > moment) - max(at for at in self.answers if at <= moment)

    def answered_since(self, moment: float) -> bool:
        return bool(self.answers) and self.answers[-1] > moment

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with socket.create_connection((VIP, self.port), timeout=0.5) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    if not connection.recv(16).startswith(b"HTTP/1"):
                        raise ConnectionError("no answer")
                self.answers.append(monotonic())
            except OSError as error:
                self.failures.append((monotonic(), repr(error)))
            sleep(0.02)


@contextlib.contextmanager
def running_pair(
    *, agent_keys: str = "", key: bool = True, deadtime_s: float = DEADTIME_S, at_once: bool = False, paired: bool = False
) -> Iterator[Pair]:
    """Both agents, lefty first so that it is active (unless ``at_once``); ``agent_keys`` are lines for agent.toml.

    ``paired``: their lvs.cf and what operators decide travel too.
    """
    with tempfile.TemporaryDirectory(prefix="pair-", ignore_cleanup_errors=True) as name, contextlib.ExitStack() as stack:
        path = Path(name)
        path.chmod(0o755)
        claims = stack.enter_context(Claims())
        web = cluster.next_free(REAL_SERVERS.values(), 18200, claims=claims)
        for server, address in REAL_SERVERS.items():
            stack.enter_context(web_server(server, address, web))
        offset = cluster.next_free([VIP], 20180, claims=claims) - 80
        text = LVS_CF.format(
            serial=1,
            vip=VIP,
            heartbeat_port=_free_udp_port(),
            keepalive=KEEPALIVE_S,
            deadtime=deadtime_s,
            servers="".join(SERVER.format(name=server, address=address, port=web) for server, address in REAL_SERVERS.items()),
            **ADDRESSES,
        )
        if key:
            make_key_file(path / "key")
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pair-", dir=_memory(), ignore_cleanup_errors=True)))
        memory.chmod(0o755)
        sides = [
            _side(path / side, memory / side, identity, text, offset, agent_keys + way)
            for side, identity, way in (
                ("lefty", "primary", f'peer_socket = "{memory}/righty/agent.sock"\n' if paired else ""),
                ("righty", "backup", f'peer_socket = "{memory}/lefty/agent.sock"\n' if paired else ""),
            )
        ]
        if key:
            for side in sides:
                take_key_file(path / "key", side.folder / "heartbeat.key")
        pair = Pair(sides[0], sides[1], 80 + offset)
        try:
            pair.lefty.start()
            until(lambda: at_once or pair.lefty.role() == "active" or pair.lefty.ended(), 30, pair.words)
            pair.righty.start()
            until(lambda: all(side.state() or side.ended() for side in sides), 30, pair.words)
            if any(side.ended() for side in sides):
                raise AssertionError(pair.words())
            yield pair
        finally:
            for side in sides:
                side.stop()


def _side(folder: Path, runtime: Path, identity: str, lvs_cf: str, offset: int, agent_keys: str) -> Side:
    for each in (folder, runtime, folder / "state", folder / "programs"):
        each.mkdir(mode=0o755)
    side = Side(folder.name, folder, runtime, AgentClient(runtime / "agent.sock", timeout_s=2, actor="tester"))
    side.lvs_cf.write_text(lvs_cf)
    (folder / "agent.toml").write_text(
        f"""\
lvs_cf = "{side.lvs_cf}"
state_dir = "{folder / "state"}"
runtime_dir = "{side.runtime}"
heartbeat_key_file = "{folder / "heartbeat.key"}"
dataplane = "userspace"
userspace_port_offset = {offset}
node = "{identity}"
socket_group = "{grp.getgrgid(os.getegid()).gr_name}"
check_user = "nobody"
program_dirs = ["{folder / "programs"}"]
{agent_keys}"""
    )
    return side


def _memory() -> str | None:
    """A folder in memory, as /run is on a director; the system's temporary folder where there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of our own is made in it


def _free_udp_port() -> int:
    """One that is free at every address of the two."""
    for _ in range(50):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            sockets = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for pair in ADDRESSES.values() for _ in pair]
            sockets[0].bind(("127.0.0.11", 0))
            port = int(sockets[0].getsockname()[1])
            others = [address for pair in ADDRESSES.values() for address in pair][1:]
            for each, address in zip(sockets[1:], others, strict=True):
                each.bind((address, port))
            return port
    raise OSError("no port is free at every heartbeat address")
