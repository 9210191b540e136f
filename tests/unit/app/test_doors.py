"""Every door is closed unless it is marked open: each route × method without a session, each POST without a token, each header."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import IntegerConverter, Rule

from app.auth import HEADERS

OPEN = {("login.login", "GET"), ("login.enter", "POST"), ("static", "GET")}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def address(rule: Rule) -> str:
    """An address that the rule matches, with made-up values."""
    parts = []
    for is_dynamic, data in rule._trace:
        number = is_dynamic and isinstance(rule._converters.get(data), IntegerConverter)
        parts.append("1" if number else "anything" if is_dynamic else data)
    return "".join(parts).replace("|", "")


def rules(console: Flask) -> Iterator[Rule]:
    yield from console.url_map.iter_rules()


def test_no_route_answers_a_stranger(console: Flask, stranger: FlaskClient) -> None:
    tried = 0
    for rule in rules(console):
        for method in METHODS:
            view = method.replace("HEAD", "GET").replace("OPTIONS", "GET")
            if (rule.endpoint, view) in OPEN or rule.rule == "/login" or rule.endpoint == "static":
                continue
            answer = stranger.open(address(rule), method=method)
            if method in {"GET", "HEAD"}:
                assert answer.status_code == 302, (rule, method)
                assert answer.location.startswith("/login?next="), (rule, method)
            else:
                assert answer.status_code == 401, (rule, method, answer.status_code)
            assert "number1" not in answer.text
            tried += 1
    assert tried > 50


def test_no_stranger_reaches_the_agent(console: Flask, stranger: FlaskClient, agent: object) -> None:
    agent.asked.clear()  # type: ignore[attr-defined]
    for rule in rules(console):
        stranger.get(address(rule))
        stranger.post(address(rule))
    assert agent.asked == []  # type: ignore[attr-defined]


def test_only_these_views_are_marked_open(console: Flask) -> None:
    marked = {name for name, view in console.view_functions.items() if getattr(view, "public", False)}
    assert marked == {"login.login", "login.enter"}


def test_an_unknown_address_is_closed_too(stranger: FlaskClient) -> None:
    assert stranger.get("/no-such-page").status_code == 302
    assert stranger.post("/no-such-page").status_code == 401


def test_every_post_needs_a_token(console: Flask, client: FlaskClient) -> None:
    tried = 0
    for rule in rules(console):
        if "POST" not in (rule.methods or ()):
            continue
        for data in ({}, {"csrf_token": "invented"}):
            answer = client.post(address(rule), data=data)
            assert answer.status_code == 400, (rule, answer.status_code)
            assert "That form is no longer valid" in answer.text
        tried += 1
    assert tried > 8


def test_a_token_of_another_session_is_worth_nothing(console: Flask, client: FlaskClient) -> None:
    from tests.unit.app.conftest import token  # noqa: PLC0415 -- beside its only use

    foreign = token(console.test_client(), "/login")
    assert client.post("/control/announce", data={"csrf_token": foreign}).status_code == 400


@pytest.mark.parametrize(
    "path", ["/login", "/control", "/control/live", "/control/table?text=1", "/no-such-page", "/static/css/piranha.css", "/"]
)
def test_every_answer_says_what_a_browser_must_not_do(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        headers = answer.headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_pages_are_not_kept_by_browsers_and_the_style_sheet_is(client: FlaskClient) -> None:
    assert client.get("/control").headers["Cache-Control"] == "no-store"
    with client.get("/static/css/piranha.css") as answer:
        assert "max-age" in answer.headers["Cache-Control"]


def test_no_page_holds_an_inline_script_or_style(console: Flask, client: FlaskClient) -> None:
    for rule in rules(console):
        if "GET" in (rule.methods or ()) and rule.endpoint != "static" and not rule.arguments:
            page = client.get(rule.rule).text
            assert "<style" not in page, rule
            assert " style=" not in page, rule
            assert " onclick=" not in page, rule
            assert all("src=" in tag.split(">")[0] for tag in page.split("<script")[1:]), rule


def test_a_large_request_is_refused(client: FlaskClient) -> None:
    answer = client.post("/control/announce", data={"csrf_token": "x" * 2_000_000})
    assert answer.status_code == 413
