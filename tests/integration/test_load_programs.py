"""Loads as the real programs tell them: uptime over a real sshd, also when everything about it is wrong, and programs that misbehave."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from lvsagent.adapters import load_programs
from lvsagent.adapters.load_programs import LoadPrograms
from lvsagent.core.load_plan import LoadReading, LoadSpec
from lvsagent.core.load_text import Monitor
from tests.misbehaving import serving, stays
from tests.sshd import USER, Sshd, folder_for_sshd, needs_sshd, running_sshd
from tests.stack import free_port

HERE = LoadSpec(Monitor.UPTIME, "127.0.0.1")
DOCUMENTED = 'restrict,command="uptime" '
"""As docs/load.md has administrators write it into authorized_keys."""


async def read(reader: LoadPrograms, spec: LoadSpec = HERE) -> LoadReading:
    (reading,) = await reader.read([spec])
    return reading


class Access:
    """A real server's sshd, and the folder that leads to it."""

    def __init__(self, sshd: Sshd, folder: Path) -> None:
        self.sshd = sshd
        self.folder = folder
        self.key = folder / "id_ed25519"
        make_key(self.key)
        self.use_port(sshd.port)
        self.allow(DOCUMENTED)
        self.know_host()

    def use_port(self, port: int) -> None:
        (self.folder / "config").write_text(f"Host *\n    Port {port}\n    User {USER}\n")

    def allow(self, options: str) -> None:
        path = self.sshd.settings.authorized_keys
        path.write_text(options + self.key.with_suffix(".pub").read_text())
        path.chmod(0o644)

    def know_host(self) -> None:
        kind, key = (self.sshd.folder / "host_key.pub").read_text().split()[:2]
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.sshd.port} {kind} {key}\n")


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with folder_for_sshd() as folder, running_sshd(folder) as running:
        yield running


@pytest.fixture
def access(sshd: Sshd, tmp_path: Path) -> Access:
    return Access(sshd, tmp_path)


@pytest.mark.root
@needs_sshd
class TestOverSsh:
    async def test_uptime_tells_this_machines_load(self, access: Access) -> None:
        reading = await read(LoadPrograms(access.folder))
        assert reading.reason == ""
        assert reading.load is not None
        assert reading.load == pytest.approx(os.getloadavg()[0], abs=2)
        assert "load average:" in reading.received

    def test_the_key_as_documented_does_nothing_else(self, access: Access) -> None:
        done = access.sshd.ssh(access.key, "id", "-u")
        assert done.returncode == 0
        assert "load average:" in done.stdout

    async def test_a_host_whose_key_is_not_known_is_not_asked(self, access: Access) -> None:
        (access.folder / "known_hosts").unlink()
        reading = await read(LoadPrograms(access.folder))
        assert (reading.load, reading.reason) == (None, f"ssh refused: the host's key is not in {access.folder}/known_hosts")

    async def test_a_host_with_another_key_than_before_is_not_asked(self, access: Access) -> None:
        other = access.folder / "other"
        make_key(other)
        kind, key = other.with_suffix(".pub").read_text().split()[:2]
        (access.folder / "known_hosts").write_text(f"[127.0.0.1]:{access.sshd.port} {kind} {key}\n")
        reading = await read(LoadPrograms(access.folder))
        assert reading.load is None
        assert reading.reason == f"ssh refused: the host has another host key than the one in {access.folder}/known_hosts"

    async def test_what_a_config_says_makes_nothing_less_strict(self, access: Access) -> None:
        (access.folder / "known_hosts").unlink()
        config = access.folder / "config"
        config.write_text(config.read_text() + "    StrictHostKeyChecking no\n    BatchMode no\n    UserKnownHostsFile /dev/null\n")
        assert (await read(LoadPrograms(access.folder))).load is None

    async def test_a_key_that_the_host_does_not_take(self, access: Access) -> None:
        access.key.unlink()
        make_key(access.key)
        reading = await read(LoadPrograms(access.folder))
        assert reading.load is None
        assert "Permission denied (publickey)" in reading.reason

    async def test_a_key_that_is_none(self, access: Access) -> None:
        access.key.write_text("no key at all\n")
        reading = await read(LoadPrograms(access.folder))
        assert reading.load is None
        assert reading.reason.startswith(f'ssh cannot use the key: Load key "{access.key}": ')

    async def test_a_host_that_answers_with_anything_else(self, access: Access) -> None:
        access.allow('restrict,command="head -c 5000 /dev/urandom" ')
        reading = await read(LoadPrograms(access.folder))
        assert reading.load is None
        assert reading.reason.isprintable()
        assert len(reading.reason) < 200
        assert reading.received.isprintable()

    async def test_a_host_that_never_ends_its_answer_is_cut_off(self, access: Access) -> None:
        access.allow('restrict,command="yes load average: 1.00, 1.00, 1.00" ')
        began = monotonic()
        reading = await read(LoadPrograms(access.folder))
        assert (reading.load, reading.reason) == (None, "ssh was killed after 65536 bytes of output")
        assert monotonic() - began < 5

    async def test_a_host_where_uptime_fails(self, access: Access) -> None:
        access.allow('restrict,command="echo no such thing >&2; exit 3" ')
        assert (await read(LoadPrograms(access.folder))).reason == "ssh: no such thing"

    async def test_a_host_that_refuses_the_connection(self, access: Access) -> None:
        access.use_port(free_port())
        reading = await read(LoadPrograms(access.folder))
        assert reading.load is None
        assert reading.reason.startswith("ssh: connect to host 127.0.0.1 port")
        assert reading.reason.endswith("Connection refused")

    async def test_a_host_that_takes_the_connection_and_says_nothing(self, access: Access) -> None:
        async with serving(stays) as port:
            access.use_port(port)
            reading = await read(LoadPrograms(access.folder, limit_s=0.5))
        assert (reading.load, reading.reason) == (None, "ssh was killed after 0.5 s")


async def test_without_a_key_nobody_is_asked_and_the_file_is_named(tmp_path: Path) -> None:
    reading = await read(LoadPrograms(tmp_path / "nowhere"))
    assert reading.load is None
    assert f"{tmp_path}/nowhere/id_ed25519 is missing" in reading.reason
    assert "docs/load.md" in reading.reason


def program(folder: Path, text: str) -> dict[Monitor, str]:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return {Monitor.RUP: str(path), Monitor.RUPTIME: str(path)}


WEB1 = LoadSpec(Monitor.RUP, "web1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo 'rup: RPC: Program not registered' >&2", "there is no load of web1 in its answer: rup: RPC: Program not registered"),
        ("echo 'rup: RPC: Timed out' >&2; exit 1", "rup: RPC: Timed out"),
        ("exit 4", "rup: exit status 4"),
        ("sleep 600", "rup was killed after 0.3 s"),
        ("kill -9 $$", "rup was killed by signal 9"),
        ("yes", "rup was killed after 65536 bytes of output"),
        ("printf '\\033[31m\\377\\376'", "there is no load of web1 in its answer: \\x1b[31m��"),
    ],
)
async def test_a_program_that_misbehaves_is_a_reason_in_words(tmp_path: Path, text: str, words: str) -> None:
    reading = await read(LoadPrograms(tmp_path, program(tmp_path, text), limit_s=0.3 if "sleep" in text else 10), WEB1)
    assert (reading.load, reading.reason) == (None, words)


async def test_a_program_that_is_not_installed(tmp_path: Path) -> None:
    reading = await read(LoadPrograms(tmp_path, {Monitor.RUP: str(tmp_path / "rup")}), WEB1)
    assert reading.reason == "rup could not be started: No such file or directory (Debian's package is rstat-client)"


async def test_a_hosts_name_is_a_word_and_never_an_option(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").touch()
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    echo.chmod(0o755)
    reading = await read(LoadPrograms(tmp_path, {Monitor.UPTIME: str(echo)}), LoadSpec(Monitor.UPTIME, "-oProxyCommand=id"))
    assert reading.received.endswith("|--|-oProxyCommand=id|uptime|")
    assert "|BatchMode=yes|" in reading.received
    assert "|StrictHostKeyChecking=yes|" in reading.received


def test_nothing_is_run_that_forwards_or_asks(tmp_path: Path) -> None:
    assert {"ForwardAgent=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "BatchMode=yes"} <= set(load_programs._SSH_OPTIONS)
