"""A real sshd on loopback for one director, with the user that the other director comes as, and a stand-in for its agent.

sshd runs in a mount namespace where /etc/passwd and its kin have that user: the machine's own files are never touched.  Its configuration
is the one that deploy/ installs, for the folders of the test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.settings import AgentSettings, load_settings
from tests.stack import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
USER, UID = "lvssync", 48722
SSHD = "/usr/sbin/sshd"
AT = 1_790_000_000.0
LAUNCHER = f"""
import os, pathlib, subprocess, sys
folder = pathlib.Path(sys.argv[1])
for name, line in (
    ("passwd", "{USER}:x:{UID}:{UID}::/:/bin/sh"), ("group", "{USER}:x:{UID}:"), ("shadow", "{USER}:*:20000::::::")
):
    copy = folder / name
    copy.write_text(pathlib.Path("/etc", name).read_text().rstrip("\\n") + "\\n" + line + "\\n")
    copy.chmod(0o600 if name == "shadow" else 0o644)
    subprocess.run(["mount", "--bind", str(copy), f"/etc/{{name}}"], check=True)
os.execv("{SSHD}", ["{SSHD}", "-D", "-e", "-f", str(folder / "sshd_config")])
"""


def why_not() -> str:
    """Why there can be no sshd here; ``""``: there can."""
    if os.geteuid() != 0:
        return "a real sshd with a user of its own takes root"
    if not Path(SSHD).exists():
        return "there is no sshd"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "no mount namespace can be made here"
    if any(not path.stat().st_mode & 0o001 for path in (Path(sys.executable).parent, *Path(sys.executable).parents, ROOT)):
        return "another user cannot run this checkout"
    return ""


needs_sshd = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@dataclass
class Sshd:
    """One director as the other one sees it: its sshd, its settings, its keys."""

    folder: Path
    settings: AgentSettings
    keys: PeerKeys
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What sshd has said."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it listens."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        before = self.log.count("Server listening")
        argv = ["unshare", "--mount", "--propagation", "private", "/usr/bin/python3", "-I", "-c", LAUNCHER, str(self.folder)]
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        until(lambda: self.log.count("Server listening") > before or process.poll() is not None, 10, lambda: self.log)
        assert process.poll() is None, self.log

    def stop(self) -> None:
        """The listener and every session of it."""
        if self.process is None:
            return
        for pid in [*_children(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()
        self.process = None

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """It takes connections and requests and says nothing; with SIGCONT it goes on."""
        if self.process is not None:
            for pid in [self.process.pid, *_children(self.process.pid)]:
                os.kill(pid, number)

    def sessions(self) -> list[int]:
        """The processes that serve somebody."""
        return _children(self.process.pid) if self.process else []

    def new_host_key(self) -> None:
        """As after a fresh installation."""
        for path in (self.folder / "host_key", self.folder / "host_key.pub"):
            path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host_key")], check=True)

    def ssh(self, key: Path, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """The real ssh, as somebody with that key would try."""
        argv = ["ssh", "-F", "none", "-p", str(self.port), "-i", str(key), *SSH_OPTIONS, *options, f"{USER}@127.0.0.1", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL)


SSH_OPTIONS = tuple(
    word
    for option in ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    for word in ("-o", option)
)


def _children(pid: int) -> list[int]:
    """All of them, the youngest first."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                child = int(path.parent.name)
                found += [*_children(child), child]
    return found


@contextlib.contextmanager
def folder_for_sshd() -> Iterator[Path]:
    """Below /run: sshd trusts no file whose folders somebody else may write."""
    folder = Path(tempfile.mkdtemp(prefix="piranha-test-", dir="/run"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def director(folder: Path, port: int = 22) -> tuple[AgentSettings, PeerKeys]:
    """The settings and keys of a director whose whole world is ``folder``."""
    for name in ("state", "run", "sync/inbox"):
        (folder / name).mkdir(parents=True)
    toml = folder / "agent.toml"
    toml.write_text(
        f'lvs_cf = "{folder}/lvs.cf"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\nsync_dir = "{folder}/sync"\n'
        f'sync_port = {port}\nsync_user = "{USER}"\nssh_host_key = "{folder}/host_key.pub"\nname = "{folder.name}"\n'
    )
    settings = load_settings(toml)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")], check=True)
    return settings, PeerKeys(settings)


@contextlib.contextmanager
def running_sshd(folder: Path, addresses: tuple[str, ...] = ("127.0.0.1", "::1"), port: int = 0) -> Iterator[Sshd]:
    """sshd of the director in ``folder``, configured as deploy/ does it; ``port`` 0: a free one."""
    port = port or free_port()
    settings, keys = director(folder, port)
    os.chown(settings.inbox, UID, UID)
    snippet = (ROOT / "deploy/sshd_config.d/piranha.conf").read_text().replace("/var/lib/lvssync", str(settings.sync_dir))
    listen = "".join(f"ListenAddress {address}\n" for address in addresses)
    (folder / "sshd_config").write_text(
        f"Port {port}\n{listen}HostKey {folder}/host_key\nPidFile none\nUsePAM no\nLogLevel VERBOSE\n"
        f"Subsystem sftp internal-sftp\nAllowTcpForwarding yes\nAllowAgentForwarding yes\nPermitTunnel yes\n{snippet}"
    )
    (folder / "sshd.log").touch()
    found = Sshd(folder, settings, keys, port)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def pair(one: PeerKeys, other: PeerKeys, addresses: tuple[str, ...] = ("127.0.0.1",)) -> None:
    """Both know each other, as after ``lvsctl pair``."""
    one.keep(other.introduce("righty", addresses), AT)
    other.keep(one.introduce("lefty", addresses), AT)


Answer = Callable[[bytes], Awaitable[web.Response]]


@dataclass
class StandIn:
    """An agent that knows ``POST /v1/peer`` only: it remembers what it was asked and says it back, unless ``answer`` says otherwise."""

    asked: list[bytes] = field(default_factory=list)
    answer: Answer | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        body = await request.read()
        self.asked.append(body)
        return await self.answer(body) if self.answer else web.Response(body=body, content_type="application/json")


@contextlib.asynccontextmanager
async def stand_in(path: Path) -> AsyncIterator[StandIn]:
    """Listening at ``path``, for everybody."""
    agent = StandIn()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.add_routes([web.post("/v1/peer", agent.handle)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    os.chmod(path, 0o666)  # noqa: PTH101, S103 -- one system call, in a loop of a test
    try:
        yield agent
    finally:
        await runner.cleanup()
