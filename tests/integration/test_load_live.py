"""load_monitor = uptime with all of it real: the agent's processes, ssh as a user without privileges, an sshd on each real server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lvsagent.client import AgentDown
from lvsagent.wire import LoadInfo, RealServerState
from tests.sshd import USER, Sshd, folder_for_sshd, needs_sshd, running_sshd
from tests.stack import Stack, running_stack
from tests.waiting import until

pytestmark = [pytest.mark.root, needs_sshd]
BIN = Path(sys.executable).parent
HOSTS = ("127.0.0.21", "127.0.0.22")
LVS_CF = """\
serial_no = 1
primary = 127.0.0.1
service = lvs
network = nat
virtual http {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 80
     scheduler = wrr
     load_monitor = uptime
     check = connect
     check_port = PORT
     server number1 {
         address = 127.0.0.21
         port = 8998
         active = 1
         weight = 100
     }
     server number2 {
         address = 127.0.0.22
         port = 8998
         active = 1
         weight = 100
     }
}
"""
UPTIME = " 18:01:14 up 3 days,  4:10,  2 users,  load average: {:.2f}, 0.80, 1.06\n"


@dataclass
class Cluster:
    """An agent, and two real servers that say what the test wants."""

    stack: Stack
    sshd: Sshd
    access: Path

    def servers(self) -> list[RealServerState]:
        return self.stack.agent_client.state(servers=True).virtual_servers[0].real_servers

    def loads(self) -> list[LoadInfo]:
        return [server.load for server in self.servers() if server.load is not None]


def say(folder: Path, host: str, load: float) -> None:
    path = folder / f"says-{host}"
    path.write_text(UPTIME.format(load))
    path.chmod(0o644)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with folder_for_sshd() as folder, running_sshd(folder, HOSTS) as sshd:
        access = folder / "access"
        access.mkdir()
        key = access / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        for path, mode in ((access, 0o750), (key, 0o640)):  # as docs/load.md says
            shutil.chown(path, "root", "nogroup")
            path.chmod(mode)
        kind, host_key = (folder / "host_key.pub").read_text().split()[:2]
        (access / "known_hosts").write_text("".join(f"[{host}]:{sshd.port} {kind} {host_key}\n" for host in HOSTS))
        (access / "config").write_text(f"Host *\n    Port {sshd.port}\n    User {USER}\n")
        for path in (access / "known_hosts", access / "config"):
            path.chmod(0o644)
        sshd.settings.authorized_keys.write_text(
            f'restrict,command="set -- $SSH_CONNECTION; cat {folder}/says-$3" {key.with_suffix(".pub").read_text()}'
        )
        say(folder, "127.0.0.21", 9.0)
        say(folder, "127.0.0.22", 1.0)
        text = LVS_CF.replace("PORT", str(sshd.port))
        with running_stack(text, console=False, agent_keys=f'load_dir = "{access}"\n') as stack:
            yield Cluster(stack, sshd, access)


def test_the_weight_in_the_data_plane_follows_the_load(cluster: Cluster) -> None:
    until(lambda: [server.weight for server in cluster.servers()] == [20, 100], 20, lambda: str(cluster.servers()))
    busy, calm = cluster.servers()
    assert (busy.configured_weight, calm.configured_weight) == (100, 100)
    assert busy.reason.endswith("load 9.00 by uptime, the others 1.00: 20% of its weight")
    assert [info.received for info in cluster.loads()] == [UPTIME.format(load).strip() for load in (9.0, 1.0)]


def test_lvsctl_explain_tells_it(cluster: Cluster) -> None:
    until(lambda: len([info for info in cluster.loads() if info.at]) == 2, 20, lambda: str(cluster.servers()))
    argv = [str(BIN / "lvsctl"), "--socket", str(cluster.stack.folder.runtime / "agent.sock"), "explain", "number1"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "its weight: load 9.00 by uptime, the others 1.00: 20% of its weight" in text
    assert "load average: 9.00, 0.80, 1.06" in text
    told = json.loads(subprocess.run([*argv, "--json"], capture_output=True, text=True, check=True).stdout)
    assert told["checks"][0]["load"]["load"] == 9.0
    status = json.loads(subprocess.run([*argv[:3], "status", "--json"], capture_output=True, text=True, check=True).stdout)
    assert [real["load"]["share_percent"] for real in status["virtual_servers"][0]["real_servers"]] == [20, 100]


def test_what_is_known_survives_a_nanny_and_an_lvsd_that_die(cluster: Cluster) -> None:
    until(lambda: [server.weight for server in cluster.servers()] == [20, 100], 20, lambda: str(cluster.servers()))
    (cluster.access / "known_hosts").rename(cluster.access / "unknown_hosts")  # from now on nobody answers
    for name in ("nanny", "lvsd"):
        before = {each.name: each.pid for each in cluster.stack.agent_client.state().processes}
        subprocess.run(["kill", "-KILL", str(before[name])], check=True)
        until(lambda name=name, before=before: _came_back(cluster, name, before[name]), 20, "it never came back")  # type: ignore[misc]
    until(lambda: all("the host's key is not in" in info.reason for info in cluster.loads()), 30, lambda: str(cluster.loads()))
    assert [server.weight for server in cluster.servers()] == [20, 100]
    assert [info.load for info in cluster.loads()] == [9.0, 1.0]


def _came_back(cluster: Cluster, name: str, before: int) -> bool:
    try:
        processes = {each.name: each for each in cluster.stack.agent_client.state().processes}
    except AgentDown:
        return False
    return processes[name].state == "running" and processes[name].pid not in {0, before}
