"""The console over a FakeAgent, served from the test's own process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from werkzeug.serving import make_server

from app.factory import create_app
from app.passwd import PasswordFile
from app.settings import ConsoleSettings
from tests.fakes.agent import FakeAgent
from tests.unit.app.conftest import CHEAP, PASSWORD


@dataclass
class Served:
    """A console in this process."""

    agent: FakeAgent
    passwords: PasswordFile
    url: str


@contextlib.contextmanager
def serving(agent: FakeAgent, folder: Path) -> Iterator[Served]:
    """The console over ``agent``, with a password; its state is in ``folder``."""
    settings = ConsoleSettings(bind="127.0.0.1", plain_http=True, state_dir=str(folder))
    passwords = PasswordFile(settings.password_path, CHEAP)
    passwords.set(PASSWORD)
    server = make_server("127.0.0.1", 0, create_app(settings, agent, passwords=passwords), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Served(agent, passwords, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
