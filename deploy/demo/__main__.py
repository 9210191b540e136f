"""``python -m deploy.demo``: start the demonstration, say where it is, wait for Ctrl-C, end all of it.

Owns the order of things and every word that is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic, strftime
from types import FrameType
from typing import IO

from deploy.demo import children, cluster
from deploy.demo.children import Child
from deploy.demo.claims import Claims
from deploy.demo.cluster import Folder, Ports
from lvsagent.client import AgentClient, AgentDown

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
READY_WITHIN_S = 30
LONGEST_RUNTIME_PATH = 73
"""A Unix socket's path has 107 bytes; in a deeper checkout the sockets live under the system's temporary folder."""
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of the password: none that looks like another."""


class DemoError(Exception):
    """The demonstration cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that was started: an agent and a console for each director, in their order; ``web`` are the real servers."""

    consoles: tuple[Child, ...]
    agents: tuple[Child, ...]
    web: tuple[Child, ...]

    @property
    def all(self) -> tuple[Child, ...]:
        """All of them."""
        return (*self.consoles, *self.agents, *self.web)


def main() -> int:
    """Run until Ctrl-C, SIGTERM, the terminal's end, or the end of a console."""
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if "MAKELEVEL" in os.environ:
        children.end_with_parent(os.getppid())
    try:
        with contextlib.ExitStack() as stack:
            folder = _folder(arguments.folder.resolve(), stack)
            _run(folder, arguments.port, stack.enter_context(Claims()))
    except KeyboardInterrupt:
        return 0
    except (DemoError, OSError) as error:
        print(f"\nmake run: {error}", file=sys.stderr)
        return 1
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="Two directors and three web servers on loopback.")
    parser.add_argument("--port", type=int, default=cluster.CONSOLE_PORT, help="the first console's port (default %(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / "var", help="where its state is kept between runs (default: var)")
    arguments = parser.parse_args()
    if not 1 <= arguments.port <= 65535:
        parser.error("--port: 1 to 65535")
    return arguments


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(folder: Folder, console_port: int, claims: Claims) -> None:
    """Everything between having the folder and the end.  Raises KeyboardInterrupt (asked to end) or DemoError."""
    before = _ports_before(folder)
    ports = _choose_ports(replace(before, console=console_port), claims)
    _write_files(folder, before, ports)
    _make_keys(folder)
    _record(folder, ports, ())
    password = _make_password(folder)
    with _started(folder, ports) as running:
        _wait_until_ready(folder, ports, running)
        _record(folder, ports, running.all)
        for child in running.agents:
            folder.of(child.name).agent_pid.write_text(f"{child.process.pid}\n")
        print(_welcome(folder, ports, password), flush=True)
        _watch(folder, running, ports)


# --- before anything runs ------------------------------------------------------------------------------------------------------


def _folder(path: Path, stack: contextlib.ExitStack) -> Folder:
    """The state's folder, locked for this run.  Raises DemoError."""
    words = "run it as that user, delete the folder, or take another: python -m deploy.demo --folder …"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    except PermissionError as error:
        raise DemoError(f"{error.filename} cannot be made by this user: {words}") from error
    if path.stat().st_uid != os.geteuid():
        raise DemoError(f"{path} belongs to another user: {words}")
    lock = stack.enter_context((path / "lock").open("w"))
    _lock(lock, path)
    runtime = path / "run"
    if len(bytes(runtime)) > LONGEST_RUNTIME_PATH:
        runtime = Path(tempfile.mkdtemp(prefix="piranha-"))
        stack.callback(shutil.rmtree, runtime, ignore_errors=True)
    folder = Folder(path, runtime)
    parts = [folder.of(name) for name in cluster.DIRECTORS]
    needed = [runtime, path / "console", path / "programs", folder.logs, *(part.path for part in parts), *(part.runtime for part in parts)]
    for each in (*needed, *(part.path / "agent" for part in parts)):
        each.mkdir(exist_ok=True, mode=0o755)
    return folder


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with contextlib.suppress(OSError, ValueError, KeyError):
            raise DemoError(f"it is running already, at {json.loads((path / 'demo.json').read_text())['console_url']}") from error
        raise DemoError(f"it is running already (with the state in {path})") from error


def _ports_before(folder: Folder) -> Ports:
    """The ports of the last run, which lvs.cf was written for."""
    try:
        return Ports(**json.loads(folder.running.read_text())["ports"])
    except (OSError, ValueError, KeyError, TypeError):
        return Ports()


def _choose_ports(wanted: Ports, claims: Claims) -> Ports:
    """The usual ports, or the next free ones; each that had to move is announced, and the console's is asked for at a terminal."""
    console = cluster.next_free([cluster.CONSOLE], wanted.console, claims=claims)
    heartbeats = [address for pair in cluster.DIRECTORS.values() for address in pair]
    ports = Ports(
        console=console,
        peer_console=cluster.next_free([cluster.CONSOLE], console + 1, claims=claims),
        heartbeat=cluster.next_free(heartbeats, wanted.heartbeat, socket.SOCK_DGRAM, claims=claims),
        web=cluster.next_free(cluster.REAL_SERVERS.values(), wanted.web, claims=claims),
        offset=cluster.next_free([cluster.VIP], cluster.VIRTUAL_PORT + cluster.USUAL_OFFSET, claims=claims) - cluster.VIRTUAL_PORT,
    )
    if ports.console != wanted.console:
        print(f"Port {wanted.console} is taken by another program; {ports.console} is free.")
        if sys.stdin.isatty() and input(f"Use {ports.console}? [Y/n] ").strip().lower().startswith("n"):
            raise DemoError("nothing was started; choose a port with: make run PORT=…")
    if ports.web != wanted.web:
        print(f"Port {wanted.web} of the real servers' addresses is taken by another program: they listen on {ports.web} instead.")
    if ports.offset != cluster.USUAL_OFFSET:
        print(f"Port {cluster.VIRTUAL_PORT + cluster.USUAL_OFFSET} of the virtual address is taken: it is reached at {ports.virtual_url}")
    return ports


def _write_files(folder: Folder, before: Ports, ports: Ports) -> None:
    """Settings anew at every start; lvs.cf only when there is none, or where a port of ours had to move."""
    for name, node, port in zip(cluster.DIRECTORS, ("primary", "backup"), (ports.console, ports.peer_console), strict=True):
        part = folder.of(name)
        part.agent_toml.write_text(cluster.agent_toml(part, ports.offset, node, name))
        part.console_toml.write_text(cluster.console_toml(part, port))
    if not folder.lvs_cf.exists():
        folder.lvs_cf.write_text(cluster.first_lvs_cf(ports.web, ports.heartbeat))
    elif (ports.web, ports.heartbeat) != (before.web, before.heartbeat):
        text = folder.lvs_cf.read_bytes().decode("utf-8", "surrogateescape")
        folder.lvs_cf.write_bytes(cluster.moved(text, before, ports).encode("utf-8", "surrogateescape"))


def _make_keys(folder: Folder) -> None:
    """The directors' heartbeat key, brought to both by the product's own command; and the key that signs sessions.

    The consoles share that one, so that one login opens both: a browser takes them for one, because they differ in their port alone.
    """
    sessions = folder.path / "console" / "secret.key"
    if not sessions.exists():
        sessions.touch(0o600)
        sessions.write_text(secrets.token_hex(32) + "\n")
    parts = [folder.of(name) for name in cluster.DIRECTORS]
    if all(part.heartbeat_key.exists() for part in parts):
        return
    fresh = folder.path / "pair.key"
    fresh.unlink(missing_ok=True)
    _run_lvsctl("pair", "--make", str(fresh))
    for part in parts:
        _run_lvsctl("pair", "--take", str(fresh), "--config", str(part.agent_toml))
    fresh.unlink()


def _run_lvsctl(*words: str) -> None:
    done = subprocess.run([str(BIN / "lvsctl"), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"the heartbeat key could not be made: {done.stderr.strip()}")


def _make_password(folder: Folder) -> str:
    """A new password when there is none yet, set by the product's own command; else ``""``."""
    if folder.password.exists():
        return ""
    password = "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))
    command = [str(BIN / "piranha-passwd"), "--config", str(_first(folder).console_toml), "--stdin"]
    done = subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"the password could not be set: {done.stderr.strip()}")
    return password


def _first(folder: Folder) -> Folder:
    return folder.of(next(iter(cluster.DIRECTORS)))


# --- while it runs -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _started(folder: Folder, ports: Ports) -> Iterator[Running]:
    """Start all; stop all at the end, whatever ended it."""
    begun: list[Child] = []

    def begin(name: str, *argv: str) -> Child:
        print(f"{'Starting' if not begun else ','} {name}", end="", flush=True)
        child = children.start(name, argv, folder.logs / f"{name}.log", ROOT)
        begun.append(child)
        return child

    try:
        web = tuple(
            begin(name, sys.executable, "-m", "deploy.demo.webserver", name, address, str(ports.web))
            for name, address in cluster.REAL_SERVERS.items()
        )
        agents = tuple(begin(name, str(BIN / "lvsagent"), "run", "--config", str(folder.of(name).agent_toml)) for name in cluster.DIRECTORS)
        consoles = tuple(
            begin(f"{name}-console", str(BIN / "piranha-gui"), "--config", str(folder.of(name).console_toml)) for name in cluster.DIRECTORS
        )
        print(" …", end="", flush=True)
        yield Running(consoles, agents, web)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        print("\nStopping …", end="", flush=True)
        children.stop(begun[::-1])
        print(" nothing of the demonstration is left running.", flush=True)


def _wait_until_ready(folder: Folder, ports: Ports, running: Running) -> None:
    """Return when both agents know their role and both consoles answer.  Raises DemoError with the words of whoever ended before that."""
    since = monotonic()
    while not (
        all(_agent_answers(folder.of(name)) for name in cluster.DIRECTORS) and all(map(_console_answers, ports.console_urls.values()))
    ):
        for child in running.all:
            if child.process.poll() is not None:
                raise DemoError(f"{child.name} has ended:\n{child.last_words()}")
        if monotonic() - since > READY_WITHIN_S:
            raise DemoError(f"not ready after {READY_WITHIN_S} s; what the processes said is in {folder.logs}")
        select.select([], [], [], 0.05)
    print(f" ready in {monotonic() - since:.1f} s", flush=True)


def _agent_answers(folder: Folder) -> bool:
    try:
        state = AgentClient(folder.runtime / "agent.sock").state()
    except AgentDown:
        return False
    return state.data_plane.state == "ready" and state.role.role in {"active", "standby"}


def _console_answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}login", timeout=2) as answer:  # noqa: S310 -- an http:// address of our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _watch(folder: Folder, running: Running, ports: Ports) -> None:
    """Wait for the end.  A web server or a director may end (that is what the tutorial tries out); a console may not."""
    alive = list(running.all)
    while True:
        ended = children.wait_for_end(alive)
        ended.process.wait()
        alive.remove(ended)
        if ended in running.consoles:
            raise DemoError(f"{ended.name} has ended; its last words ({ended.log}):\n{ended.last_words()}")
        if ended in running.agents:
            again = f"{BIN / 'lvsagent'} run --config {folder.of(ended.name).agent_toml}"
        else:
            again = f"{sys.executable} {ROOT / 'deploy/demo/webserver.py'} {ended.name} {cluster.REAL_SERVERS[ended.name]} {ports.web}"
        print(f"{strftime('%H:%M:%S')}  {ended.name} has ended.  To have it back:  {again}", flush=True)


def _record(folder: Folder, ports: Ports, running: Iterable[Child]) -> None:
    """Write down what runs where, for the next start and for programs."""
    record = {
        "console_url": ports.console_urls["lefty"],
        "console_urls": ports.console_urls,
        "virtual_url": ports.virtual_url,
        "agent_sockets": {name: str(folder.of(name).runtime / "agent.sock") for name in cluster.DIRECTORS},
        "ports": asdict(ports),
        "pids": {child.name: child.process.pid for child in running},
    }
    folder.running.write_text(json.dumps(record, indent=2) + "\n")


def _welcome(folder: Folder, ports: Ports, password: str) -> str:
    """What the reader needs, once."""
    passwd = f"{BIN / 'piranha-passwd'} --config {_first(folder).console_toml}"
    if password:
        login = f"user piranha, password {password}\n                   (shown this once; a new one: {passwd})"
    else:
        login = f"user piranha, the password shown at the first start\n                   (a new one: {passwd})"
    identities = ("the primary director", "the backup; logging in at one is logging in at both")
    consoles = "".join(
        f"\n  {'Consoles' if name == 'lefty' else '':<16} {url}  {name}, {identity}"
        for (name, url), identity in zip(ports.console_urls.items(), identities, strict=True)
    )
    servers = "".join(
        f"\n  {'Real servers' if name == 'number1' else '':<16} http://{address}:{ports.web}/  {name}"
        for name, address in cluster.REAL_SERVERS.items()
    )
    return f"""{consoles}
                   {login}
  {"Virtual server":<16} {ports.virtual_url}  once http and its real servers are activated{servers}
  {"lvs.cf":<16} {folder.lvs_cf}  read by both directors

Requests going round:   for i in 1 2 3 4 5 6; do curl {ports.virtual_url}; done
Killing a director:     kill -9 $(cat {folder.of("lefty").agent_pid})
Ctrl-C ends all of it.  What you change is kept in {folder.path}; to begin again, delete that folder.
"""


if __name__ == "__main__":
    sys.exit(main())
