"""Who takes over the console gets no root: lvs.cf can be written from the web, so nothing in it may become a command of root's.

The real agent runs as root here, as on a director, with the userspace data plane.  Everything is tried through lvs.cf and the API.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lvsagent.client import AgentRefused, InvalidConfig
from lvsagent.wire import TrialRequest
from tests.stack import Stack, running_stack
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about not becoming root")]

LVS_CF = """\
serial_no = {serial}
primary = 127.0.0.1
service = lvs
network = nat
{directives}
virtual {name} {{
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 80
{checks}
     timeout = 1
     reentry = 1
     scheduler = rr
     server number1 {{
         address = 127.0.0.21
         port = 8999
         active = 1
     }}
}}
"""


@dataclass
class Ground:
    """A stack and a folder that everybody may write to: whoever runs a program leaves a mark there.

    ``name`` is the virtual server's: another one in each test, so that a check's results are this test's.
    """

    stack: Stack
    name: str = "http"

    @property
    def marks(self) -> Path:
        return self.stack.folder.path / "marks"

    def fresh(self, name: str) -> None:
        """As if it had been made for this test."""
        self.name = name
        if self.stack.agent.process.poll() is not None:
            self.stack.start_agent()
        for folder in (self.marks, self.stack.folder.path / "programs", self.stack.folder.path / "outside"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self.marks.chmod(0o777)
        self.apply()

    def apply(self, directives: str = "", checks: str = "") -> None:
        client = self.stack.agent_client
        now = client.config()
        serial = client.state().config.serial + 1
        client.put_config(LVS_CF.format(serial=serial, name=self.name, directives=directives, checks=checks), if_match=now.etag)

    def checked(self) -> str:
        """Wait for a check's result, and return its reason."""
        client = self.stack.agent_client

        def results() -> int:
            return sum(check.successes + check.failures for check in client.checks(virtual=self.name).checks)

        until(lambda: results() >= 1, 15, "no check ran")
        return client.checks(virtual=self.name).checks[0].reason

    def marked(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.marks.iterdir()}


@pytest.fixture(scope="module")
def shared() -> Iterator[Ground]:
    text = LVS_CF.format(serial=1, name="http", directives="", checks="")
    with running_stack(text, console=False, agent_keys=ROOT_COMMANDS) as stack:
        yield Ground(stack)


_numbers = itertools.count(1)


@pytest.fixture
def ground(shared: Ground) -> Ground:
    shared.fresh(f"http{next(_numbers)}")
    return shared


ROOT_COMMANDS = 'root_commands = ["/usr/bin/touch /run/piranha-test-listed"]\n'


def program(folder: Path, name: str, marks: Path) -> Path:
    """A program that writes down who runs it, with what arguments and what environment."""
    path = folder / name
    lines = (
        f"#!{os.path.realpath(sys.executable)} -I",
        "import os, pathlib, sys",
        f"mark = pathlib.Path({str(marks)!r}) / {name!r}",
        "caps = [line for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapPrm', 'NoNewPrivs'))]",
        "mark.write_text(repr((os.getuid(), os.geteuid(), os.getgroups(), sys.argv[1:], sorted(os.environ), caps)))",
    )
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


class TestChecks:
    def test_a_program_of_program_dirs_runs_as_the_check_user_without_capabilities_or_groups(self, ground: Ground) -> None:
        folder = ground.stack.folder.path / "programs"
        program(folder, "honest", ground.marks)
        ground.apply(checks=f'     send_program = "{folder}/honest %h %p"')
        ground.checked()
        user, effective, groups, arguments, environment, capabilities = eval(ground.marked()["honest"])  # noqa: S307 -- our own repr
        assert user == effective != 0
        assert 0 not in groups
        assert arguments == ["127.0.0.21", "8999"]
        assert set(environment) <= {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LVS_CHECK"}
        assert [line.split()[1] for line in capabilities] == ["0" * 16, "0" * 16, "1"]

    @pytest.mark.parametrize(
        "words",
        [
            "{outside}/stranger",
            "{folder}/../outside/stranger",
            "{folder}/link",
            "{folder}/door/stranger",
            "stranger",
            "../outside/stranger",
            "/bin/sh -c {outside}/stranger",
            "/usr/bin/env {outside}/stranger",
        ],
    )
    def test_a_program_from_elsewhere_never_runs(self, ground: Ground, words: str) -> None:
        folder = ground.stack.folder.path / "programs"
        outside = ground.stack.folder.path / "outside"
        program(outside, "stranger", ground.marks)
        (folder / "link").symlink_to(outside / "stranger")
        (folder / "door").symlink_to(outside, target_is_directory=True)
        try:
            ground.apply(checks=f'     send_program = "{words.format(folder=folder, outside=outside)}"')
            ground.checked()
        except InvalidConfig:
            pass
        assert ground.marked() == {}

    def test_what_a_shell_would_act_on_reaches_a_program_as_plain_words(self, ground: Ground) -> None:
        folder = ground.stack.folder.path / "programs"
        program(folder, "honest", ground.marks)
        touch = f"touch {ground.marks}/pwned"
        ground.apply(checks=f'     send_program = "{folder}/honest $({touch}) ; `{touch}` | %h > {ground.marks}/pwned"')
        ground.checked()
        marked = ground.marked()
        assert set(marked) == {"honest"}
        assert "$(touch" in marked["honest"]

    def test_test_now_is_held_to_the_same_rules(self, ground: Ground) -> None:
        outside = ground.stack.folder.path / "outside"
        program(outside, "stranger", ground.marks)
        client = ground.stack.agent_client
        request = TrialRequest(
            etag=client.config().etag, virtual=ground.name, send=None, expect=None, use_regex=False, send_program=f"{outside}/stranger %h"
        )
        with contextlib.suppress(AgentRefused, InvalidConfig):
            assert not any(result.ok for result in client.trial(request).results)
        assert ground.marked() == {}

    def test_nanny_itself_holds_no_privilege(self, ground: Ground) -> None:
        def pid() -> int:
            return next(
                (one.pid for one in ground.stack.agent_client.state().processes if one.name == "nanny" and one.state == "running"), 0
            )

        until(pid, 15, "nanny never ran")
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid()}/status").read_text().splitlines() if ":\t" in line)
        assert "0" not in status["Uid"].split()
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"


class TestRootCommands:
    @pytest.mark.parametrize(
        "command",
        [
            "/usr/bin/touch /run/piranha-test-other",
            "/usr/bin/touch /run/piranha-test-listed /run/piranha-test-other",
            "/usr/bin/touch /run/piranha-test-listed; touch /run/piranha-test-other",
            "/bin/sh -c /usr/bin/touch /run/piranha-test-other",
            "/usr/bin/../bin/touch /run/piranha-test-listed",
            "touch /run/piranha-test-listed",
        ],
    )
    def test_a_command_that_agent_toml_does_not_list_never_runs(self, ground: Ground, command: str) -> None:
        """Neither when this director becomes active nor when it ceases to be, and each time it is said."""
        listed, other = Path("/run/piranha-test-listed"), Path("/run/piranha-test-other")
        listed.unlink(missing_ok=True)
        for keyword in ("active_cmd", "inactive_cmd"):
            with contextlib.suppress(InvalidConfig):
                ground.apply(directives=f'{keyword} = "{command}"')
                refused = {
                    alert.message.partition(" ")[0] for alert in ground.stack.agent_client.state().alerts if "root-command" in alert.code
                }
                assert refused == {keyword}
        with contextlib.suppress(InvalidConfig):
            ground.apply(directives=f'active_cmd = "{command}"\ninactive_cmd = "{command}"')
        ground.stack.stop_agent()
        ground.stack.start_agent()
        ground.checked()
        ground.stack.stop_agent()
        assert not listed.exists()
        assert not other.exists()

    def test_the_exact_line_that_agent_toml_lists_runs(self, ground: Ground) -> None:
        listed = Path("/run/piranha-test-listed")
        listed.unlink(missing_ok=True)
        try:
            ground.apply(directives='active_cmd = "/usr/bin/touch /run/piranha-test-listed"')
            ground.stack.stop_agent()
            ground.stack.start_agent()
            until(listed.exists, 10, "active_cmd did not run")
        finally:
            listed.unlink(missing_ok=True)

    def test_lvs_cf_cannot_name_another_file_as_its_own(self, ground: Ground) -> None:
        """The paths that lvs.cf may hold are kept and unused."""
        ground.apply(directives=f'ipvsadm = "{ground.marks}/ipvsadm"', checks=f'     client_monitor = "{ground.marks}/nanny"')
        for name in ("ipvsadm", "nanny"):
            program(ground.stack.folder.path, name, ground.marks).rename(ground.marks / f"{name}.program")
        ground.checked()
        assert {name for name in ground.marked() if not name.endswith(".program")} == set()


class TestTheSocket:
    def test_a_stranger_cannot_connect_to_the_agent(self, ground: Ground) -> None:
        socket_path = ground.stack.folder.runtime / "agent.sock"
        assert socket_path.stat().st_mode & 0o777 == 0o660
        words = as_nobody(f"import socket; socket.socket(socket.AF_UNIX).connect({str(socket_path)!r})")
        assert "PermissionError" in words

    def test_the_processes_own_sockets_are_roots_alone(self, ground: Ground) -> None:
        for name in ("supervisor", "pulse", "nanny"):
            path = ground.stack.folder.runtime / f"{name}.sock"
            until(path.exists, 30, f"{name} is not there")  # the API answers before the others do
            assert path.stat().st_mode & 0o077 == 0
            assert "PermissionError" in as_nobody(f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})")


def as_nobody(source: str) -> str:
    """Run Python as nobody, without groups; returns what it wrote to its error output."""
    command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/bin/python3", "-c", source]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stderr


def test_a_client_of_the_api_cannot_be_made_to_write_outside_lvs_cf_and_the_agents_own_folders(ground: Ground) -> None:
    folder = ground.stack.folder
    own = {folder.path / "agent", folder.runtime}

    def others() -> list[Path]:
        return sorted(path for path in folder.path.rglob("*") if not own & {path, *path.parents})

    before = others()
    text = LVS_CF.format(serial=9, name=ground.name, directives="", checks="")
    client = ground.stack.agent_client
    client.put_config(text, if_match=client.config().etag, comment="../../x\r\nX-Evil: 1", actor="../y")
    assert others() == before
