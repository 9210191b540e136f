"""Deny by default: every address of the console, with every method, without a session, with an ended one, and without a CSRF token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.factory import create_app
from app.passwd import PasswordFile
from app.settings import ConsoleSettings
from tests.fakes.agent import FakeAgent

PASSWORD = "correct-horse-battery"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PUBLIC = {"/login", "/static/<path:filename>"}
WRITES_AND_ASKS_ANYTHING = ("config", "put_config", "state", "events", "checks", "trial", "announce", "table_text", "previous_config")


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent()


@pytest.fixture
def app(agent: FakeAgent, tmp_path: Path) -> Flask:
    settings = ConsoleSettings(bind="127.0.0.1", plain_http=True, state_dir=str(tmp_path))
    PasswordFile(settings.password_path).set(PASSWORD)
    return create_app(settings, agent)


@pytest.fixture
def browser(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def addresses(app: Flask) -> list[tuple[str, str]]:
    """(rule, an address that fits it) for every rule there is."""
    return [(rule.rule, fitting(rule)) for rule in app.url_map.iter_rules()]


def fitting(rule: Rule) -> str:
    parts = [data if not is_variable else "http" for is_variable, data in rule._trace]
    return "".join(parts).partition("|")[2] or "/"


def asked(agent: FakeAgent) -> list[str]:
    return [name for name in agent.asked if name in WRITES_AND_ASKS_ANYTHING]


def is_closed(answer: TestResponse) -> bool:
    """Sent to the login page, refused, or not a method of this address at all."""
    to_login = answer.status_code in {302, 303} and answer.location.startswith("/login")
    return to_login or answer.status_code in {400, 401, 403, 404, 405}


def test_no_address_answers_any_method_without_a_session(app: Flask, browser: FlaskClient, agent: FakeAgent) -> None:
    tried = 0
    for rule, address in addresses(app):
        if rule in PUBLIC:
            continue
        for method in METHODS:
            answer = browser.open(address, method=method, data={"action": "accept"} if method == "POST" else None)
            assert is_closed(answer), f"{method} {address}: {answer.status}"
            assert b"number1" not in answer.data, f"{method} {address} tells of the cluster"
            tried += 1
    assert tried >= 8 * 15
    assert asked(agent) == []


def test_an_ended_session_opens_nothing(app: Flask, browser: FlaskClient, agent: FakeAgent) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    browser.post("/login", data={"user": "piranha", "password": PASSWORD})
    stolen = browser.get_cookie("piranha")
    assert stolen is not None
    assert browser.get("/control").status_code == 200
    browser.post("/logout")
    browser.set_cookie("piranha", stolen.value)
    agent.asked.clear()
    for rule, address in addresses(app):
        if rule not in PUBLIC:
            assert is_closed(browser.get(address)), address
    assert asked(agent) == []


def test_no_post_is_taken_without_its_csrf_token(app: Flask, browser: FlaskClient, agent: FakeAgent) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    browser.post("/login", data={"user": "piranha", "password": PASSWORD})
    app.config["WTF_CSRF_ENABLED"] = True
    before = agent.config()
    agent.asked.clear()
    posts = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    assert len(posts) >= 12
    for rule, address in addresses(app):
        for token in ({}, {"csrf_token": "forged"}):
            if rule in posts:
                answer = browser.post(address, data={"action": "accept", "server": "http", **token})
                assert answer.status_code in {400, 403, 404}, f"POST {address}: {answer.status}"
    assert "put_config" not in agent.asked
    assert "announce" not in agent.asked
    assert agent.config() == before


@pytest.mark.parametrize("name", ["Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"])
def test_every_answer_has_the_headers_that_bind_a_browser(app: Flask, browser: FlaskClient, name: str) -> None:
    for _, address in addresses(app):
        for path in (address, "/nowhere"):
            assert name in browser.get(path).headers, path


def test_the_policy_allows_no_inline_script_or_style_and_no_other_site(browser: FlaskClient) -> None:
    policy = browser.get("/login").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy
