"""CHANGE PASSWORD: the old one is asked for, every other session ends."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.auth import Auth
from app.passwd import PasswordError, PasswordFile
from tests.unit.app.conftest import CHEAP, PASSWORD, log_in, post


class FullDisk(PasswordFile):
    """A password file on a disk that is full."""

    def set(self, password: str) -> None:
        raise PasswordError(f"{self.path} cannot be written: No space left on device")


def auth_of(console: Flask) -> Auth:
    keeper = console.extensions["piranha-auth"]
    assert isinstance(keeper, Auth)
    return keeper


NEW = "an even sharper set of teeth"


def change(client: FlaskClient, old: str = PASSWORD, new: str = NEW, again: str = NEW) -> tuple[int, str]:
    answer = post(client, "/password", {"old": old, "new": new, "again": again})
    return answer.status_code, answer.text


def test_shows_three_fields_for_secrets(client: FlaskClient) -> None:
    page = client.get("/password").text
    assert page.count('type="password"') == 3
    assert page.count('autocomplete="new-password"') == 2


def test_the_new_password_counts_and_this_session_goes_on(client: FlaskClient, passwords: PasswordFile) -> None:
    assert change(client)[0] == 302
    assert passwords.verify("piranha", NEW)
    assert not passwords.verify("piranha", PASSWORD)
    assert "The password is changed." in client.get("/control").text


def test_every_other_session_ends(console: Flask, client: FlaskClient) -> None:
    other = console.test_client()
    log_in(other)
    change(client)
    assert other.get("/control").status_code == 302


@pytest.mark.parametrize(
    ("old", "new", "again", "words"),
    [
        ("wrong", NEW, NEW, "This is not the current password."),
        ("", NEW, NEW, "This is not the current password."),
        (PASSWORD, "tiny one", "tiny one", "at least 10 characters"),
        (PASSWORD, "aaaaaaaaaaaa", "aaaaaaaaaaaa", "too easy to guess"),
        (PASSWORD, "x" * 2000, "x" * 2000, "at most 1024"),
        (PASSWORD, NEW, NEW + "x", "The two new passwords are not the same."),
    ],
)
def test_refuses_in_words_beside_the_field(
    client: FlaskClient, passwords: PasswordFile, old: str, new: str, again: str, words: str
) -> None:
    status, page = change(client, old, new, again)
    assert status == 422
    assert words in page
    assert 'aria-invalid="true"' in page
    assert new not in page
    assert passwords.verify("piranha", PASSWORD)


def test_guessing_the_old_password_is_slowed(client: FlaskClient, passwords: PasswordFile) -> None:
    for _ in range(4):
        assert change(client, old="wrong")[0] == 422
    status, page = change(client)
    assert status == 429
    assert "Too many tries." in page
    assert passwords.verify("piranha", PASSWORD)


def test_a_file_that_cannot_be_written_is_said_and_the_old_password_stays(console: Flask, client: FlaskClient) -> None:
    keeper = auth_of(console)
    keeper.passwords = FullDisk(keeper.passwords.path, CHEAP)
    status, page = change(client)
    assert status == 422
    assert "cannot be written: No space left on device" in page
    assert keeper.passwords.verify("piranha", PASSWORD)


def test_needs_a_token(client: FlaskClient, passwords: PasswordFile) -> None:
    assert client.post("/password", data={"old": PASSWORD, "new": NEW, "again": NEW}).status_code == 400
    assert passwords.verify("piranha", PASSWORD)


def test_works_while_the_agent_is_down(client: FlaskClient, agent: object) -> None:
    agent.down = True  # type: ignore[attr-defined]
    assert client.get("/password").status_code == 200
    assert change(client)[0] == 302
