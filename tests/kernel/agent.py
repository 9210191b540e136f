"""The real agent on the article's director: ``lvsagent run`` with an lvs.cf, as an administrator would start it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lvsagent.client import AgentClient, AgentDown
from lvsagent.wire import Receipt, State
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.waiting import until

START_LIMIT_S = 60.0
SETTLE_LIMIT_S = 30.0
NAMES = ("supervisor", "lvsd", "pulse", "nanny")

TO_ITSELF = (443, lab.UDP_PORT)
"""Virtual ports whose real servers listen on the same one."""

GLOBALS = """\
serial_no = 1
primary = 192.0.2.11
primary_private = 10.11.12.11
service = lvs
backup_active = 0
backup = 0.0.0.0
heartbeat = 1
heartbeat_port = 539
keepalive = 6
deadtime = 18
network = {network}
"""
NAT_ROUTER = f"nat_router = {lab.NAT_ROUTER} eth0:1\nnat_nmask = 255.255.255.0\n"


def virtual(
    name: str = "http", *lines: str, address: str = f"{lab.VIP} eth1:1", servers: Mapping[str, str] = lab.ADDRESSES, port: int = 80
) -> str:
    """A virtual server as the console would write it; ``lines`` come last, so they win over what is usual here.

    ``port`` is its own; the real servers' is 80, or the same where they listen there.
    """
    body = [
        "active = 1",
        f"address = {address}",
        "vip_nmask = 255.255.255.0",
        f"port = {port}",
        "scheduler = rr",
        "timeout = 1",
        "reentry = 1",
        *lines,
    ]
    text = [f"virtual {name} {{", *(f"     {line}" for line in body)]
    for server, at in servers.items():
        body = [f"address = {at}", "active = 1", f"port = {80 if port not in TO_ITSELF else port}", "weight = 1"]
        text += [f"     server {server} {{", *(f"         {line}" for line in body), "     }"]
    return "\n".join([*text, "}", ""])


def lvs_cf(*blocks: str, network: str = "nat") -> str:
    """A whole lvs.cf for one director."""
    return GLOBALS.format(network=network) + (NAT_ROUTER if network == "nat" else "") + "".join(blocks)


class Agent:
    """One agent on a director, its files in a folder of its own; ``settings`` are more lines of its agent.toml."""

    def __init__(self, text: str, director: str = "lefty", settings: str = "") -> None:
        self.director = director
        self.folder = Path(tempfile.mkdtemp(prefix="agent-", dir="/run/tmp"))
        net.output("mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "agent", str(self.folder))
        self.lvs_cf = self.folder / "lvs.cf"
        self.lvs_cf.write_text(text)
        self.settings = self.folder / "agent.toml"
        group = "" if "socket_group" in settings else 'socket_group = "root"\n'
        self.settings.write_text(
            f'lvs_cf = "{self.lvs_cf}"\nstate_dir = "{self.folder}/state"\nruntime_dir = "{self.folder}/run"\ndataplane = "kernel"\n'
            'check_user = "nobody"\nreconcile_interval = 1\nconfirm_share = 1\n' + group + settings
        )
        self.client = AgentClient(self.folder / "run" / "agent.sock")
        self._log = (self.folder / "log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """As an administrator would, in the director's namespace; ready when the API answers."""
        self.launch()
        until(self.answers, START_LIMIT_S, self.log)

    def launch(self) -> None:
        """Start and do not wait."""
        command = [sys.executable, "-P", "-m", "lvsagent.cli", "run", "--config", str(self.settings)]
        with net.namespace(self.director):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=os.environ | {"PYTHONPATH": str(Path.cwd()), "PYTHONFAULTHANDLER": "1"},
            )

    def answers(self) -> bool:
        """Whether all of its processes run and the API says so."""
        try:
            running = {process.name for process in self.client.state().processes if process.state == "running"}
        except AgentDown:
            return False
        return running == set(NAMES)

    def log(self) -> str:
        """What it wrote."""
        return "the agent is not as it should be:\n" + (self.folder / "log").read_text()

    def state(self) -> State:
        return self.client.state(servers=True)

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {process.name: process.pid for process in self.client.state().processes}

    def put(self, text: str) -> Receipt:
        """ACCEPT: write lvs.cf through the API."""
        return self.client.put_config(text, if_match=self.client.config().etag)

    def serve(self, text: str) -> Receipt:
        """Accept a configuration and wait until every enabled real server is up and every address is there."""
        receipt = self.put(text)
        until(self.settled, SETTLE_LIMIT_S, lambda: f"{self.state()}\n{self.log()}")
        return receipt

    def settled(self) -> bool:
        """Everything that lvs.cf asks for is in force."""
        state = self.state()
        wanted = [virtual for virtual in state.virtual_servers if virtual.state != "inactive"]
        served = all(virtual.state == "up" and virtual.up == virtual.enabled for virtual in wanted)
        in_table = all(real.weight is not None for virtual in wanted for real in virtual.real_servers if real.state == "up")
        addresses = {address.state for address in state.role.addresses}
        expected = {virtual.address for virtual in wanted if virtual.address}
        there = expected <= {address.address for address in state.role.addresses}
        return state.config.in_step and served and in_table and there and addresses <= {"present"} and state.role.role == "active"

    def stop(self) -> int:
        """A planned stop; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(START_LIMIT_S)

    def kill_all(self) -> None:
        """kill -9 of every process, the supervisor first."""
        pids = self.pids()
        for name in NAMES:
            if pids[name]:  # 0 is one that is about to be started again, and to kill() everybody
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[name], signal.SIGKILL)
        assert self._process is not None
        self._process.wait(START_LIMIT_S)

    def kill_supervisor(self) -> None:
        """kill -9 of the supervisor alone; returns when its children have left too."""
        pids = self.pids()
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_LIMIT_S)
        until(lambda: not any(Path(f"/proc/{pids[name]}").exists() for name in NAMES), START_LIMIT_S, self.log)

    def close(self) -> None:
        """Nothing of it runs afterwards."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self._log.close()
        net.output("umount", "--lazy", str(self.folder))


@contextlib.contextmanager
def running(text: str, settings: str = "") -> Iterator[Agent]:
    """An agent that serves ``text``; ``settings`` as for ``Agent``."""
    agent = Agent(text, settings=settings)
    try:
        agent.start()
        until(agent.settled, SETTLE_LIMIT_S, lambda: f"{agent.state()}\n{agent.log()}")
        yield agent
    finally:
        agent.close()
