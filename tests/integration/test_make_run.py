"""``make run`` as its readers meet it: from a fresh clone, as root and as anyone else, again and again, and gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
FIRST_RUN_S = 240
AS_ROOT = os.geteuid() == 0
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if AS_ROOT else ()
LOOPBACK_ALONE = (
    "import os, subprocess, sys; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True); os.execvp(sys.argv[1], sys.argv[1:])"
)
WITHOUT_NETWORK = ("unshare", "--net", sys.executable, "-c", LOOPBACK_ALONE)

pytestmark = pytest.mark.timeout(FIRST_RUN_S + 60)


@dataclass
class Run:
    """One ``make run``; ``mark`` is in the environment of everything it starts, so that what is left of it can be found."""

    folder: Path
    prefix: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    stdin: int = subprocess.DEVNULL
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    said: str = ""

    def __enter__(self) -> Run:
        home = self.folder.parent / "home"
        environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "PYTHONPATH"}}
        self.output = self.folder.parent / f"output-{self.mark}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.prefix, "make", "run", *self.words],
                cwd=self.folder,
                stdin=self.stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment | {"HOME": str(home), "RUN_MARK": self.mark},
                start_new_session=True,
            )
        return self

    def __exit__(self, *reason: object) -> None:
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def read(self) -> str:
        self.said = self.output.read_text(errors="replace")
        return self.said

    def wait_for(self, words: str, limit_s: float = 30) -> str:
        until(lambda: words in self.read() or self.process.poll() is not None, limit_s, lambda: f"no {words!r} in: {self.read()}")
        assert words in self.read(), self.said
        return self.said

    def ready(self, limit_s: float = 30) -> dict[str, object]:
        self.wait_for("Ctrl-C ends all of it", limit_s)
        record: dict[str, object] = json.loads((self.folder / "var/demo.json").read_text())
        return record

    def press_ctrl_c(self) -> None:
        """What a terminal does: the signal goes to its whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def family(self) -> list[int]:
        """Every process that this run started and that is still there.

        A process that gave itself a title has no environment left to read, but has the checkout's libraries in its memory.
        """
        return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal() and self._is_ours(folder)]

    def _is_ours(self, process: Path) -> bool:
        with contextlib.suppress(OSError):
            marked = f"RUN_MARK={self.mark}".encode() in (process / "environ").read_bytes()
            return marked or os.fsencode(self.folder) + b"/" in (process / "maps").read_bytes()
        return False

    def wait_until_nothing_is_left(self, limit_s: float = 15) -> None:
        self.process.wait(limit_s)
        until(lambda: not self.family(), limit_s, lambda: f"left over: {[_command_line(pid) for pid in self.family()]}")


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def listens(port: int, address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A fresh clone that belongs to an ordinary user, in a folder that everyone can reach."""
    with tempfile.TemporaryDirectory(prefix="clone-", ignore_cleanup_errors=True) as name:
        outside = Path(name)
        outside.chmod(0o755)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(outside / "piranha")], check=True)
        (outside / "home").mkdir()
        give(outside, "nobody", "nogroup")
        yield outside / "piranha"


def give(folder: Path, user: str, group: str) -> None:
    """Make ``folder`` and all in it ``user``'s, where that is possible."""
    if AS_ROOT:
        subprocess.run(["chown", "--recursive", "--no-dereference", f"{user}:{group}", str(folder)], check=True)


class TestFromAFreshClone:
    """In this order: each run finds what the one before it left."""

    def test_an_ordinary_user_gets_a_running_console_and_ctrl_c_leaves_nothing(self, checkout: Path) -> None:
        with Run(checkout, AS_NOBODY) as run:
            record = run.ready(FIRST_RUN_S)
            assert "Piranha" in fetch(str(record["console_url"]) + "login")
            assert [fetch(f"http://127.0.0.{number}:{record['ports']['web']}/").strip() for number in (21, 22, 23)] == [  # type: ignore[index]
                "number1",
                "number2",
                "number3",
            ]
            passwords = re.findall(r"password ((?:\w{4}-){3}\w{4})", run.said)
            assert len(passwords) == 1
            kept = (checkout / "var/piranha.passwd").read_text()
            assert passwords[0] not in kept
            assert "$argon2id$" in kept
            run.press_ctrl_c()
            run.wait_until_nothing_is_left()
        assert not listens(int(str(record["console_url"]).rstrip("/").rpartition(":")[2]), "127.0.0.1")
        assert not listens(int(record["ports"]["web"]), "127.0.0.21")  # type: ignore[index]

    @pytest.mark.skipif(not AS_ROOT, reason="only root can take the network away")
    def test_the_second_run_needs_no_network_keeps_its_state_and_shows_no_password(self, checkout: Path) -> None:
        lvs_cf = checkout / "var/lefty/lvs.cf"
        lvs_cf.write_text(lvs_cf.read_text().replace("scheduler = rr", "scheduler = wlc"))
        with Run(checkout, (*WITHOUT_NETWORK, *AS_NOBODY)) as run:
            run.ready()
            assert "the password shown at the first start" in run.said
            assert "Installing" not in run.said
            assert not re.search(r"(?:\w{4}-){3}\w{4}", run.said)
            assert "scheduler = wlc" in lvs_cf.read_text()
            run.press_ctrl_c()
            run.wait_until_nothing_is_left()

    @pytest.mark.skipif(not AS_ROOT, reason="needs root")
    def test_another_users_state_is_left_alone_and_the_way_out_is_said(self, checkout: Path) -> None:
        with Run(checkout) as run:
            run.wait_for("belongs to another user")
            assert run.process.wait(10) != 0

    @pytest.mark.skipif(not AS_ROOT, reason="needs root")
    def test_root_may_run_it_as_well_and_the_checks_are_nobodys(self, checkout: Path) -> None:
        give(checkout, "root", "root")
        with Run(checkout) as run:
            run.ready()
            assert len(run.family()) >= 10
            owners = {Path(f"/proc/{pid}/comm").read_text().strip(): Path(f"/proc/{pid}").stat().st_uid for pid in run.family()}
            assert owners["nanny"] != 0
            assert owners["lvsd"] == 0
            run.press_ctrl_c()
            run.wait_until_nothing_is_left()

    def test_killing_the_launcher_outright_leaves_nothing_either(self, checkout: Path) -> None:
        with Run(checkout) as run:
            run.ready()
            launcher = next(pid for pid in run.family() if "-m deploy.demo " in _command_line(pid) + " ")
            os.kill(launcher, signal.SIGKILL)
            run.wait_until_nothing_is_left()

    def test_a_taken_port_is_named_and_the_next_free_one_is_used(self, checkout: Path) -> None:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with Run(checkout, words=(f"PORT={port}",)) as run:
                record = run.ready()
                assert f"Port {port} is taken by another program" in run.said
                assert record["console_url"] != f"http://127.0.0.1:{port}/"
                assert "Piranha" in fetch(str(record["console_url"]) + "login")
                run.press_ctrl_c()
                run.wait_until_nothing_is_left()

    def test_at_a_terminal_it_asks_before_it_takes_another_port(self, checkout: Path) -> None:
        keyboard, terminal = pty.openpty()
        with socket.socket() as taken, contextlib.ExitStack() as stack:
            stack.callback(os.close, keyboard)
            stack.callback(os.close, terminal)
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with Run(checkout, words=(f"PORT={taken.getsockname()[1]}",), stdin=terminal) as run:
                run.wait_for("? [Y/n]")
                os.write(keyboard, b"n\n")
                assert run.process.wait(10) != 0
                assert "nothing was started" in run.read()
                run.wait_until_nothing_is_left()

    def test_web_servers_that_had_to_move_are_moved_in_lvs_cf_too(self, checkout: Path) -> None:
        before = json.loads((checkout / "var/demo.json").read_text())["ports"]["web"]
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.22", before))
            taken.listen()
            with Run(checkout) as run:
                record = run.ready()
                now = record["ports"]["web"]  # type: ignore[index]
                assert now != before
                assert (checkout / "var/lefty/lvs.cf").read_text().count(f"port = {now}") == 3
                run.press_ctrl_c()
                run.wait_until_nothing_is_left()

    def test_two_at_once_from_one_checkout_are_refused_with_the_address_of_the_first(self, checkout: Path) -> None:
        with Run(checkout) as first:
            record = first.ready()
            with Run(checkout) as second:
                second.wait_for(f"it is running already, at {record['console_url']}")
                assert second.process.wait(10) != 0
            since = monotonic()
            first.press_ctrl_c()
            first.wait_until_nothing_is_left()
            assert monotonic() - since < 10
