"""What the browser tests share: the demonstration as ``make run`` starts it, Chromium, and pages that may not complain.

A message on the browser's console, an exception in a page or a request that fails ends the test that caused it, unless it said before
that it expects one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from deploy.demo import children, cluster
from deploy.demo.children import Child
from tests.browser.chromium import PROGRAM, running_chromium
from tests.browser.served import Served, serving
from tests.fakes.agent import FakeAgent
from tests.stack import ROOT, free_port, web_server
from tests.unit.app.conftest import PASSWORD
from tests.waiting import until

RESULTS = ROOT / "test-results"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; without Chromium they are skipped, and on CI that is an error."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if PROGRAM is None and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for the whole folder."""
    with running_chromium() as browser:
        yield browser


@dataclass
class Demo:
    """The demonstration as its user has it.  ``console_url`` is lefty's."""

    folder: Path
    password: str
    console_urls: dict[str, str]
    virtual_url: str
    web_port: int
    pids: dict[str, int]
    replaced: dict[str, contextlib.ExitStack] = field(default_factory=dict)

    @property
    def console_url(self) -> str:
        """Where the tour begins."""
        return self.console_urls["lefty"]

    @property
    def lvs_cf(self) -> Path:
        """The file that everything is about, as lefty has it."""
        return self.folder / "lefty" / "lvs.cf"

    def ask(self, times: int = 1) -> Counter[str]:
        """Real requests through the VIP: who answered how often."""
        found: Counter[str] = Counter()
        for _ in range(times):
            with urllib.request.urlopen(self.virtual_url, timeout=5) as answer:
                found[answer.read().decode().strip()] += 1
        return found

    def answers(self) -> bool:
        """Whether the VIP accepts a connection at all."""
        port = int(self.virtual_url.rstrip("/").rpartition(":")[2])
        with socket.socket() as probe:
            return probe.connect_ex((cluster.VIP, port)) == 0

    def kill(self, name: str) -> None:
        """Kill one web server outright."""
        if name in self.replaced:
            self.replaced.pop(name).close()
        else:
            os.kill(self.pids[name], signal.SIGKILL)

    def kill_director(self, name: str) -> None:
        """As the launcher's words say."""
        os.kill(int((self.folder / name / "agent.pid").read_text()), signal.SIGKILL)

    def restart_director(self, name: str) -> None:
        """Start its agent again, as the launcher's words say."""
        argv = [str(Path(sys.executable).parent / "lvsagent"), "run", "--config", str(self.folder / name / "agent.toml")]
        child = children.start(name, argv, self.folder / "log" / f"{name}-again.log", ROOT)
        self.replaced[name] = contextlib.ExitStack()
        self.replaced[name].callback(children.stop, [child])

    def restart(self, name: str) -> Child:
        """Start it again, as the launcher's words say."""
        stack = contextlib.ExitStack()
        self.replaced[name] = stack
        return stack.enter_context(web_server(name, cluster.REAL_SERVERS[name], self.web_port))


@contextlib.contextmanager
def running_demo(before: Callable[[Path], None] = lambda _folder: None) -> Iterator[Demo]:
    """``make run``'s launcher with a folder of its own; ``before`` may put files there."""
    with tempfile.TemporaryDirectory(prefix="demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "var"
        folder.mkdir()
        Path(name).chmod(0o755)
        before(folder)
        output = Path(name) / "said"
        command = [sys.executable, "-m", "deploy.demo", "--folder", str(folder), "--port", str(free_port())]
        with output.open("wb") as said:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        try:
            until(
                lambda: "Ctrl-C ends all of it" in output.read_text() or process.poll() is not None,
                40,
                lambda: f"the demonstration is not ready: {output.read_text()}",
            )
            words = output.read_text()
            assert process.poll() is None, words
            password = re.search(r"password ((?:\w{4}-){3}\w{4})", words)
            assert password, words
            record = json.loads((folder / "demo.json").read_text())
            demo = Demo(folder, password.group(1), record["console_urls"], record["virtual_url"], record["ports"]["web"], record["pids"])
            try:
                yield demo
                assert process.poll() is None, f"the demonstration has ended by itself: {output.read_text()}"
            finally:
                for stack in demo.replaced.values():
                    stack.close()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@dataclass
class Visitor:
    """A browser window with its own cookies; ``complaints`` must be empty at the end."""

    context: BrowserContext
    page: Page
    console_url: str
    password: str
    complaints: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=list)

    def expect_complaint(self, pattern: str) -> None:
        """This test causes such a message on purpose (a refused form, an agent that is down)."""
        self.expected.append(re.compile(pattern))

    def visit(self, path: str) -> None:
        """Open a page of the console."""
        self.page.goto(self.console_url.rstrip("/") + path)

    def log_in(self) -> None:
        """As the tutorial does."""
        self.visit("/")
        self.page.get_by_label("Password").fill(self.password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("heading", level=1, name="Control").wait_for()

    def listen(self, page: Page) -> None:
        """Note what this page complains about."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception in {page.url}: {error}"))
        page.on("response", self._on_response)

    def unexpected(self) -> list[str]:
        """Complaints that nobody announced."""
        return [words for words in self.complaints if not any(pattern.search(words) for pattern in self.expected)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type} in {message.location.get('url', '')}: {message.text}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} for {response.request.method} {response.url}")


@contextlib.contextmanager
def visiting(browser: Browser, console_url: str, password: str, **settings: object) -> Iterator[Visitor]:
    """A window; fails the test at the end when something complained."""
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **settings})  # type: ignore[arg-type]  # Playwright's own keywords
    context.set_default_timeout(10_000)
    page = context.new_page()
    visitor = Visitor(context, page, console_url, password)
    visitor.listen(page)
    context.on("page", visitor.listen)
    try:
        yield visitor
        assert visitor.unexpected() == []
    finally:
        context.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The console over an agent that serves the tutorial's cluster."""
    with serving(FakeAgent(wall=time.time), tmp_path) as found:
        yield found


@pytest.fixture
def guest(chromium: Browser, served: Served) -> Iterator[Visitor]:
    """Someone who is logged in there."""
    with visiting(chromium, served.url, PASSWORD) as found:
        found.log_in()
        yield found


@pytest.fixture
def demo() -> Iterator[Demo]:
    """A demonstration of its own, as first started."""
    with running_demo() as found:
        yield found


@pytest.fixture
def visitor(chromium: Browser, demo: Demo) -> Iterator[Visitor]:
    """Someone at the login page's door."""
    with visiting(chromium, demo.console_url, demo.password) as found:
        yield found


def activate_everything(folder: Path) -> None:
    """The tutorial's end state from the start."""
    text = cluster.first_lvs_cf(cluster.USUAL_WEB_PORT, cluster.USUAL_HEARTBEAT_PORT)
    first_lvs_cf(folder, text.replace(" active = 0", " active = 1"))


def first_lvs_cf(folder: Path, text: str) -> None:
    """What lefty has before the first start; righty gets it from there."""
    (folder / "lefty").mkdir(exist_ok=True)
    (folder / "lefty" / "lvs.cf").write_text(text)


@pytest.fixture(scope="package")
def settled_demo() -> Iterator[Demo]:
    """One demonstration with everything activated, for tests that leave it as it is."""
    with running_demo(activate_everything) as found:
        until(lambda: found.answers() and len(found.ask(9)) == 3, 20, "the cluster never came up")
        yield found


@pytest.fixture
def settled_visitor(chromium: Browser, settled_demo: Demo) -> Iterator[Visitor]:
    """Someone who is logged in there."""
    with visiting(chromium, settled_demo.console_url, settled_demo.password) as found:
        found.log_in()
        yield found
