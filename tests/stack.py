"""The real agent and the real console, started for tests and benchmarks, and a browser without a screen.

Owns processes under a temporary folder, always with the userspace data plane and on loopback.  Ports are free ones.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from app.passwd import PasswordFile
from deploy.demo import children, cluster
from deploy.demo.children import Child
from deploy.demo.cluster import Folder
from lvsagent.client import AgentClient, AgentDown
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PASSWORD = "correct-horse-battery"
READY_WITHIN_S = 30


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A running agent and console; ``offset`` is what the userspace plane adds to a virtual server's port."""

    folder: Folder
    offset: int
    console_port: int
    agent: Child
    console: Child | None
    agent_client: AgentClient

    @property
    def console_url(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    def session(self) -> Session:
        """Logged in."""
        found = Session(self.console_port)
        found.log_in()
        return found

    def stop_agent(self) -> None:
        """A planned stop of the agent alone."""
        children.stop([self.agent])

    def start_agent(self) -> None:
        """Start it again."""
        self.agent = _start_agent(self.folder)
        wait_for_agent(self.agent_client, self.agent)


@contextlib.contextmanager
def running_stack(lvs_cf: str, *, console: bool = True, agent_keys: str = "", offset: int | None = None) -> Iterator[Stack]:
    """Agent and console over ``lvs_cf``; ``agent_keys`` are more lines for agent.toml."""
    with tempfile.TemporaryDirectory(prefix="stack-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        folder = Folder(Path(name), Path(name) / "run")
        for needed in ("run", "agent", "console", "programs", "log"):
            (folder.path / needed).mkdir()
        offset = cluster.next_free([cluster.VIP], 20080) - 80 if offset is None else offset
        port = free_port()
        folder.lvs_cf.write_bytes(lvs_cf.encode("utf-8", "surrogateescape"))
        folder.agent_toml.write_text(cluster.agent_toml(folder, offset) + agent_keys)
        folder.console_toml.write_text(cluster.console_toml(folder, port))
        PasswordFile(folder.password).set(PASSWORD)
        agent = _start_agent(folder)
        stack = Stack(folder, offset, port, agent, None, AgentClient(folder.runtime / "agent.sock"))
        try:
            if console:
                argv = [str(BIN / "piranha-gui"), "--config", str(folder.console_toml)]
                stack.console = children.start("console", argv, folder.logs / "console.log", ROOT)
                until(lambda: _listens(port) or _ended(stack.console), READY_WITHIN_S, lambda: _words(stack.console))
            wait_for_agent(stack.agent_client, agent)
            yield stack
        finally:
            children.stop([child for child in (stack.console, stack.agent) if child])


def _start_agent(folder: Folder) -> Child:
    argv = [str(BIN / "lvsagent"), "run", "--config", str(folder.agent_toml)]
    return children.start("agent", argv, folder.logs / "agent.log", ROOT)


def wait_for_agent(client: AgentClient, agent: Child) -> None:
    """Until the data plane is ready and lvs.cf is in it."""

    def ready() -> bool:
        if _ended(agent):
            raise AssertionError(f"the agent has ended:\n{agent.last_words(40)}")
        try:
            state = client.state()
        except AgentDown:
            return False
        return state.data_plane.state == "ready" and state.config.in_step

    until(ready, READY_WITHIN_S, lambda: f"the agent is not ready:\n{agent.last_words(40)}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ended(child: Child | None) -> bool:
    return child is not None and child.process.poll() is not None


def _words(child: Child | None) -> str:
    return child.last_words(40) if child else ""


@dataclass(frozen=True)
class Page:
    """An answer of the console."""

    status: int
    location: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def csrf_token(self) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.text)
        assert found, f"no form on this page: {self.text[:500]}"
        return html.unescape(found.group(1))


class Session:
    """One browser's cookies over one connection that is kept open; follows no redirect by itself."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._cookies: dict[str, str] = {}
        self.token = ""

    def get(self, path: str) -> Page:
        return self.send("GET", path)

    def post(self, path: str, fields: Mapping[str, str]) -> Page:
        """With the session's CSRF token."""
        return self.send("POST", path, urlencode({"csrf_token": self.token, **fields}))

    def send(self, method: str, path: str, body: str | None = None) -> Page:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())} if self._cookies else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        for line in answer.headers.get_all("Set-Cookie", []):
            self._cookies.update({name: morsel.value for name, morsel in SimpleCookie(line).items()})
        return Page(answer.status, answer.headers.get("Location", ""), text, dict(answer.headers))

    def log_in(self, password: str = PASSWORD) -> None:
        self.token = self.get("/login").csrf_token
        page = self.post("/login", {"user": "piranha", "password": password})
        assert page.status in {302, 303}, page.text
        self.token = self.get("/password").csrf_token

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def web_server(name: str, address: str, port: int) -> Iterator[Child]:
    """One of the demonstration's web servers, as a process of its own."""
    with tempfile.NamedTemporaryFile(prefix=f"{name}-") as log:
        argv = [sys.executable, "-m", "deploy.demo.webserver", name, address, str(port)]
        child = children.start(name, argv, Path(log.name), ROOT)
        try:
            until(lambda: _answers(address, port) or _ended(child), 10, lambda: _words(child))
            yield child
        finally:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGKILL)
            child.process.wait()


def _answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0
