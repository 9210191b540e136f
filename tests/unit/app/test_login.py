"""Logging in and out: who gets in, what strangers learn (nothing), and when a session ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.auth import AUTO_UPDATE_HEADER
from app.factory import create_app
from app.passwd import PasswordFile
from app.settings import ConsoleSettings
from tests.fakes.agent import FakeAgent
from tests.unit.app.conftest import CHEAP, PASSWORD, Clock, log_in, post, token


def inside(client: FlaskClient) -> bool:
    return client.get("/control").status_code == 200


def test_shows_a_form_that_names_its_fields(stranger: FlaskClient) -> None:
    page = stranger.get("/login")
    assert page.status_code == 200
    assert '<label for="user">User</label>' in page.text
    assert '<label for="password">Password</label>' in page.text
    assert 'autocomplete="current-password"' in page.text


def test_the_right_password_leads_to_control(stranger: FlaskClient) -> None:
    answer = log_in(stranger)
    assert answer.status_code == 302
    assert stranger.get("/", follow_redirects=True).request.path == "/control"


def test_leads_back_to_the_page_that_was_asked_for(stranger: FlaskClient) -> None:
    asked = stranger.get("/control?sort=name")
    assert asked.status_code == 302
    form = stranger.get(asked.location)
    assert 'name="next" value="/control?sort=name"' in form.text
    assert log_in(stranger, target="/control?sort=name").location == "/control?sort=name"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/a\nb",
        "/\t/evil.example",
    ],
)
def test_never_leads_outside(stranger: FlaskClient, target: str) -> None:
    assert log_in(stranger, target=target).location == "/"


def test_whoever_is_logged_in_goes_on(client: FlaskClient) -> None:
    assert client.get("/login?next=/password").location == "/password"


@pytest.mark.parametrize(
    ("user", "password"), [("piranha", "wrong"), ("root", PASSWORD), ("root", "wrong"), ("", ""), ("piranha", "x" * 5000)]
)
def test_what_was_wrong_is_not_told(stranger: FlaskClient, user: str, password: str) -> None:
    answer = log_in(stranger, password, user)
    assert answer.status_code == 403
    assert "User and password do not match." in answer.text
    assert password not in answer.text or not password
    assert not inside(stranger)


def test_a_refused_login_is_logged_with_its_source_and_nothing_that_was_typed(
    stranger: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(stranger, "secret guess", "somebody")
    assert "a login from 127.0.0.1 was refused" in caplog.text
    assert "secret guess" not in caplog.text
    assert "somebody" not in caplog.text


def test_tries_are_slowed_and_the_page_says_for_how_long(stranger: FlaskClient, clock: Clock) -> None:
    for _ in range(4):
        assert log_in(stranger, "wrong").status_code == 403
    slowed = log_in(stranger, PASSWORD)
    assert slowed.status_code == 429
    assert slowed.headers["Retry-After"] == "1"
    assert "The next one is possible in 1 s." in slowed.text
    clock.now += 1
    assert log_in(stranger, PASSWORD).status_code == 302


def test_another_source_still_gets_in(console: Flask, stranger: FlaskClient) -> None:
    for _ in range(6):
        log_in(stranger, "wrong")
    elsewhere = console.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.77"
    assert log_in(elsewhere).status_code == 302


def test_before_a_password_is_set_nobody_gets_in_and_the_page_says_which_command_to_run(
    stranger: FlaskClient, passwords: PasswordFile
) -> None:
    csrf = token(stranger, "/login")
    passwords.path.unlink()
    page = stranger.get("/login")
    assert "piranha-passwd" in page.text
    assert "<form" not in page.text
    assert stranger.post("/login", data={"user": "piranha", "password": "", "csrf_token": csrf}).status_code == 403


def test_a_password_file_that_cannot_be_read_is_said(stranger: FlaskClient, passwords: PasswordFile) -> None:
    passwords.path.unlink()
    passwords.path.mkdir()
    assert "cannot be read" in stranger.get("/login").text


def test_logging_in_needs_a_csrf_token(stranger: FlaskClient) -> None:
    answer = stranger.post("/login", data={"user": "piranha", "password": PASSWORD})
    assert answer.status_code == 400
    assert "That form is no longer valid" in answer.text
    assert not inside(stranger)


def test_a_new_session_has_nothing_of_the_old_one(stranger: FlaskClient) -> None:
    with stranger.session_transaction() as session:
        session["planted"] = "by someone else"
    log_in(stranger)
    with stranger.session_transaction() as session:
        assert "planted" not in session


def test_logging_out_ends_the_session_and_every_copy_of_its_cookie(console: Flask, client: FlaskClient) -> None:
    thief = console.test_client()
    stolen = client.get_cookie("piranha")
    assert stolen is not None
    thief.set_cookie("piranha", stolen.value)
    assert inside(thief)
    page = post(client, "/logout", follow=True)
    assert "You are logged out." in page.text
    assert not inside(client)
    assert not inside(thief)


def test_logging_out_is_a_post(client: FlaskClient) -> None:
    assert client.get("/logout").status_code == 405
    assert inside(client)


def test_a_session_ends_when_nobody_is_there(client: FlaskClient, clock: Clock, settings: ConsoleSettings) -> None:
    clock.now += settings.session_idle_minutes * 60
    assert inside(client)
    clock.now += settings.session_idle_minutes * 60 + 1
    assert not inside(client)


def test_a_page_that_updates_itself_is_nobody(client: FlaskClient, clock: Clock, settings: ConsoleSettings) -> None:
    clock.now += settings.session_idle_minutes * 60 - 1
    assert client.get("/control/live?auto=1", headers={"HX-Request": "true", AUTO_UPDATE_HEADER: "1"}).status_code == 200
    assert client.get("/control?auto=1").status_code == 200
    clock.now += 2
    assert not inside(client)


def test_an_update_after_the_end_sends_the_browser_to_the_login(client: FlaskClient, clock: Clock) -> None:
    clock.now += 10**6
    headers = {"HX-Request": "true", AUTO_UPDATE_HEADER: "1", "HX-Current-URL": "http://localhost/control?sort=name"}
    answer = client.get("/control/live?auto=1", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/control?sort%3Dname"


def test_a_session_ends_after_its_hours_whatever_happens(client: FlaskClient, clock: Clock, settings: ConsoleSettings) -> None:
    begun = clock.now
    while clock.now < begun + settings.session_hours * 3600:
        assert inside(client)
        clock.now += 30 * 60
    clock.now += 1
    assert not inside(client)


def test_a_changed_password_ends_every_session(client: FlaskClient, passwords: PasswordFile) -> None:
    passwords.set("another fish altogether")
    assert not inside(client)


def test_a_removed_password_ends_every_session(client: FlaskClient, passwords: PasswordFile) -> None:
    passwords.path.unlink()
    assert not inside(client)


def test_the_cookie_is_closed_to_scripts_and_other_sites(stranger: FlaskClient) -> None:
    cookie = log_in(stranger).headers["Set-Cookie"]
    assert cookie.startswith("piranha=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_under_tls_the_cookie_never_leaves_it(tmp_path: Path, agent: FakeAgent) -> None:
    settings = ConsoleSettings(state_dir=str(tmp_path))
    passwords = PasswordFile(settings.password_path, CHEAP)
    passwords.set(PASSWORD)
    client = create_app(settings, agent, passwords=passwords).test_client()
    answer = client.get("/login", base_url="https://lefty:3636")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-piranha=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_the_login_page_asks_the_agent_nothing(stranger: FlaskClient, agent: FakeAgent) -> None:
    agent.asked.clear()
    assert stranger.get("/login").status_code == 200
    log_in(stranger, "wrong")
    assert agent.asked == []


def test_a_typed_user_comes_back_escaped(stranger: FlaskClient) -> None:
    page = log_in(stranger, "wrong", '"><script>alert(1)</script>').text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
