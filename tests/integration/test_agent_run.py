"""``lvsagent run`` as a whole, with its real processes: names, privileges, every way to die and to come back, every way to be refused.

The userspace data plane on loopback stands in for the kernel's; what IPVS itself keeps over a restart is tested in ``tests/kernel``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.children import Child, start
from lvsagent.wire import ProcessInfo
from tests.stack import Stack, running_stack, wait_for_agent
from tests.waiting import until

BIN = Path(sys.executable).parent
CHILDREN = ("lvsd", "pulse", "nanny")
LVS_CF = """\
serial_no = 7
primary = 127.0.0.1
service = lvs
network = nat
virtual http {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 80
     timeout = 1
     reentry = 1
     scheduler = rr
     server number1 {
         address = 127.0.0.21
         port = 8998
         active = 1
     }
}
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="there are no privileges to drop")


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    """For tests that leave an agent behind that runs."""
    with running_stack(LVS_CF, console=False) as stack:
        yield stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    """For tests that end it."""
    with running_stack(LVS_CF, console=False) as found:
        yield found


def processes(stack: Stack) -> dict[str, ProcessInfo]:
    return {each.name: each for each in stack.agent_client.state().processes}


def pids(stack: Stack) -> dict[str, int]:
    """Of all of them: lvsd answers before it has been told of the others."""
    until(lambda: {"supervisor", *CHILDREN} <= set(processes(stack)) and all(each.pid for each in processes(stack).values()), 30)
    return {name: each.pid for name, each in processes(stack).items()}


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def gone(pid: int) -> bool:
    try:
        return status_of(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def lvsctl(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / "lvsctl"), "--socket", str(stack.folder.runtime / "agent.sock"), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def run_agent(config: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / "lvsagent"), "run", "--config", str(config)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def targets_in(folder: Path) -> list[str]:
    """Where the descriptors in a /proc/PID/fd lead; one that is closed while we look is passed over."""
    targets = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(str(path.readlink()))
    return targets


class TestRunning:
    def test_ps_shows_each_process_under_its_own_name(self, shared: Stack) -> None:
        found = pids(shared)
        shown = subprocess.run(
            ["ps", "-o", "pid=,comm=,args=", "-p", ",".join(map(str, found.values()))], capture_output=True, text=True, check=True
        ).stdout
        names = {int(line.split()[0]): line.split()[1:] for line in shown.splitlines()}
        assert names == {found[name]: [name, name] for name in CHILDREN} | {found["supervisor"]: ["lvsagent", "lvsagent"]}
        assert {status_of(found[name])["PPid"] for name in CHILDREN} == {str(found["supervisor"])}

    @as_root
    @pytest.mark.root
    def test_each_process_keeps_only_the_privileges_it_needs(self, shared: Stack) -> None:
        bind_service, net_admin, net_raw = 1 << 10, 1 << 12, 1 << 13
        for name, capabilities in {"lvsd": net_admin, "pulse": bind_service | net_admin | net_raw, "nanny": 0}.items():
            status = status_of(pids(shared)[name])
            expected = f"{capabilities:016x}"
            found = {key: status[key] for key in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs")}
            assert found == {
                "CapPrm": expected,
                "CapEff": expected,
                "CapBnd": expected,
                "CapInh": "0" * 16,
                "CapAmb": "0" * 16,
                "NoNewPrivs": "1",
            }
        nanny = status_of(pids(shared)["nanny"])
        assert nanny["Uid"].split() == ["65534"] * 4
        assert nanny["Groups"] == ""

    def test_no_process_has_a_file_of_another_ones_business_open(self, shared: Stack) -> None:
        """Lifelines, locks and listening sockets are not inherited."""
        for name in CHILDREN:
            folder = Path(f"/proc/{pids(shared)[name]}/fd")
            locks = [target for target in targets_in(folder) if target.endswith(".lock")]
            assert locks == [str(shared.folder.runtime / f"{name}.lock")]

    def test_a_second_agent_on_the_same_runtime_dir_is_refused_in_words(self, shared: Stack) -> None:
        done = run_agent(shared.folder.agent_toml)
        assert done.returncode == 1
        assert f"an agent is running already with runtime_dir = {shared.folder.runtime}" in done.stderr
        assert lvsctl(shared, "status").returncode == 0

    @pytest.mark.parametrize("name", CHILDREN)
    def test_a_killed_process_comes_back_by_itself_and_the_others_never_notice(self, shared: Stack, name: str) -> None:
        before = processes(shared)
        os.kill(before[name].pid, signal.SIGKILL)

        def back() -> bool:
            now = lvsctl(shared, "status", "--json")
            found = {each["name"]: each for each in json.loads(now.stdout).get("processes", [])} if now.returncode == 0 else {}
            return name in found and found[name]["state"] == "running" and found[name]["pid"] != before[name].pid

        until(back, 15)
        wait_for_agent(shared.agent_client, shared.agent)
        now = processes(shared)
        assert now[name].restarts == before[name].restarts + 1
        assert "was killed by SIGKILL" in now[name].reason
        assert {each for each in now if now[each].pid != before[each].pid} == {name}

    def test_lvs_cf_edited_by_hand_is_read_again_on_reload(self, shared: Stack) -> None:
        shared.folder.lvs_cf.write_text(LVS_CF.replace("serial_no = 7", "serial_no = 8"))
        assert lvsctl(shared, "reload").returncode == 0
        until(lambda: shared.agent_client.state().config.applied_serial == 8)


class TestEnding:
    def test_a_planned_stop_ends_every_process_and_leaves_no_socket(self, stack: Stack) -> None:
        found = pids(stack)
        stack.agent.process.send_signal(signal.SIGTERM)
        assert stack.agent.process.wait(20) == 0
        assert all(gone(pid) for pid in found.values())
        assert sorted(path.name for path in stack.folder.runtime.iterdir() if path.is_socket()) == []

    def test_a_killed_supervisor_leaves_no_process_behind_and_the_next_one_goes_on(self, stack: Stack) -> None:
        found = pids(stack)
        since = active_since(stack)
        os.kill(found["supervisor"], signal.SIGKILL)
        stack.agent.process.wait(10)
        until(lambda: all(gone(pid) for pid in found.values()), 10)
        stack.start_agent()
        assert active_since(stack) == since  # pulse kept its record: to it, nothing happened

    def test_a_process_waits_for_one_of_its_name_that_is_still_leaving(self, stack: Stack) -> None:
        found = pids(stack)
        os.kill(found["supervisor"], signal.SIGKILL)
        until(lambda: all(gone(pid) for pid in found.values()), 10)
        with (stack.folder.runtime / "pulse.lock").open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # as the last pulse would, had it not left yet
            stack.agent.process.wait(10)
            stack.agent = start_again(stack)
            until(lambda: {"lvsd", "nanny"} <= set(running_children(stack)), 15)
            assert "pulse" not in running_children(stack)
        until(lambda: "pulse" in running_children(stack), 15)

    def test_a_restart_in_place_keeps_the_process_id_and_replaces_every_child(self, stack: Stack) -> None:
        before = pids(stack)
        since = active_since(stack)
        os.kill(before["supervisor"], signal.SIGUSR1)
        until(lambda: all(gone(before[name]) for name in CHILDREN), 15)
        wait_for_agent(stack.agent_client, stack.agent)
        until(lambda: set(running_children(stack)) == set(CHILDREN), 15)
        now = pids(stack)
        assert now["supervisor"] == before["supervisor"] == stack.agent.process.pid
        assert not {now[name] for name in CHILDREN} & set(before.values())
        assert active_since(stack) == since

    def test_an_end_that_is_asked_for_during_a_restart_in_place_comes_after_it_and_takes_everything_down(self, stack: Stack) -> None:
        before = pids(stack)
        os.kill(before["supervisor"], signal.SIGUSR1)
        until(lambda: any(gone(before[name]) for name in CHILDREN), 15)
        os.kill(before["supervisor"], signal.SIGTERM)
        assert stack.agent.process.wait(30) == 0
        assert not list(stack.folder.runtime.glob("*.sock"))
        log = (stack.folder.logs / "agent.log").read_text()
        assert "restarting in place" in log
        stack.start_agent()
        started = next(event.message for event in stack.agent_client.events().events if event.message.startswith("lvsd has started"))
        assert ", 0 changes" not in started, "the table had been emptied"

    def test_everything_killed_at_once_and_started_again(self, stack: Stack) -> None:
        for pid in pids(stack).values():
            os.kill(pid, signal.SIGKILL)
        stack.agent.process.wait(10)
        stack.start_agent()
        until(lambda: set(running_children(stack)) == set(CHILDREN), 15)
        assert stack.agent_client.config().text == LVS_CF


def active_since(stack: Stack) -> float:
    until(lambda: stack.agent_client.state().role.role == "active", 15)
    return stack.agent_client.state().role.since


def start_again(stack: Stack) -> Child:
    argv = [str(BIN / "lvsagent"), "run", "--config", str(stack.folder.agent_toml)]
    return start("agent", argv, stack.folder.logs / "agent2.log", Path("/"))


def running_children(stack: Stack) -> list[str]:
    done = lvsctl(stack, "status", "--json")
    if done.returncode:
        return []
    return [each["name"] for each in json.loads(done.stdout)["processes"] if each["name"] in CHILDREN and each["state"] == "running"]


class TestRefusing:
    """``lvsagent run`` that cannot: exit status 1, every problem in words, nothing started."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "agent.toml"
        path.write_text(self.text(tmp_path))
        return path

    def text(self, folder: Path) -> str:
        paths = f'lvs_cf = "{folder}/lvs.cf"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        return paths + 'check_user = "nobody"\nsocket_group = "nogroup"\n'

    def refused(self, config: Path) -> str:
        done = run_agent(config)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not (config.parent / "run/agent.sock").exists()
        return done.stderr

    def test_without_agent_toml(self, tmp_path: Path) -> None:
        assert "agent.toml: there is no such file" in self.refused(tmp_path / "agent.toml")

    def test_with_mistakes_in_agent_toml_all_of_them_with_their_lines(self, config: Path) -> None:
        config.write_text(config.read_text() + 'dataplan = "kernel"\nnode = 1\n')
        words = self.refused(config)
        assert "line 6: dataplan: there is no such key; did you mean dataplane?" in words
        assert "line 7: node: expected text" in words

    def test_with_a_runtime_dir_that_cannot_be_made(self, config: Path) -> None:
        config.write_text(config.read_text().replace(f"{config.parent}/run", "/proc/run"))
        assert re.search(r"runtime_dir = /proc/run cannot be made: \w+", self.refused(config))

    @as_root
    @pytest.mark.root
    def test_as_root_without_the_check_user(self, config: Path) -> None:
        config.write_text(config.read_text().replace('"nobody"', '"lvs-nobody-here"'))
        words = self.refused(config)
        assert 'there is no user "lvs-nobody-here" (check_user in agent.toml)' in words
        assert "useradd --system" in words

    @as_root
    @pytest.mark.root
    def test_as_root_with_root_as_the_check_user(self, config: Path) -> None:
        config.write_text(config.read_text().replace('"nobody"', '"root"'))
        assert 'check_user = "root" is root' in self.refused(config)

    @as_root
    @pytest.mark.root
    def test_as_root_without_the_socket_group(self, config: Path) -> None:
        config.write_text(config.read_text().replace('"nogroup"', '"lvs-no-group-here"'))
        assert "groupadd --system lvs-no-group-here" in self.refused(config)

    @as_root
    @pytest.mark.root
    def test_with_a_runtime_dir_of_someone_else(self, config: Path) -> None:
        (config.parent / "run").mkdir()
        os.chown(config.parent / "run", 65534, 65534)
        assert "belongs to user id 65534" in self.refused(config)

    def test_check_config_says_the_same_and_starts_nothing(self, config: Path) -> None:
        argv = [str(BIN / "lvsagent"), "check-config", "--config", str(config)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"no errors; the agent's socket is {config.parent}/run/agent.sock" in done.stdout
        config.write_text("nod = 1\n")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "did you mean node?" in done.stderr
