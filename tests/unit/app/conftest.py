"""The console over a FakeAgent, on a clock that stands still; ``client`` is logged in.

    def test_shows_the_name(client, agent): assert "http" in client.get("/virtual-servers").text

``post(client, url, data)`` sends a form with its CSRF token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.test import TestResponse

from app.factory import create_app
from app.passwd import PasswordFile
from app.settings import ConsoleSettings
from tests.fakes.agent import NOW, FakeAgent

PASSWORD = "a fish with sharp teeth"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class KeptTemplates(BytecodeCache):
    """Compiled templates, kept from test to test: compiling them again takes longer than most tests."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


TEMPLATES = KeptTemplates()


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> FakeAgent:
    return FakeAgent(wall=clock)


@pytest.fixture
def settings(tmp_path: Path) -> ConsoleSettings:
    return ConsoleSettings(bind="127.0.0.1", plain_http=True, state_dir=str(tmp_path))


@pytest.fixture
def passwords(settings: ConsoleSettings) -> PasswordFile:
    """The password file, with ``PASSWORD`` in it."""
    passwords = PasswordFile(settings.password_path, CHEAP)
    passwords.set(PASSWORD)
    return passwords


@pytest.fixture
def console(settings: ConsoleSettings, passwords: PasswordFile, agent: FakeAgent, clock: Clock) -> Flask:
    app = create_app(settings, agent, passwords=passwords, wall=clock, monotonic=clock)
    app.testing = True
    app.jinja_env.bytecode_cache = TEMPLATES
    return app


@pytest.fixture
def stranger(console: Flask) -> FlaskClient:
    """A browser that is not logged in."""
    return console.test_client()


@pytest.fixture
def client(console: Flask) -> FlaskClient:
    """A browser that is logged in."""
    client = console.test_client()
    answer = log_in(client)
    assert answer.status_code == 302, answer.text
    return client


def log_in(client: FlaskClient, password: str = PASSWORD, user: str = "piranha", target: str = "/") -> TestResponse:
    return client.post("/login", data={"user": user, "password": password, "next": target, "csrf_token": token(client, "/login")})


def token(client: FlaskClient, page: str = "/password") -> str:
    """The CSRF token of this browser's session."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
    assert found, f"no CSRF token on {page}"
    return found[1]


def post(client: FlaskClient, url: str, data: Mapping[str, object] | None = None, *, follow: bool = False) -> TestResponse:
    """Send a form, as a browser would, with its CSRF token."""
    return client.post(url, data={"csrf_token": token(client), **(data or {})}, follow_redirects=follow)
