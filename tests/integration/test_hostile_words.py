"""Hostile words in every field and every part of lvs.cf: they come out as text, never as markup, template or command.

The pages are found by following the links and the forms by reading them, so a page that is added is tested too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from app.passwd import PasswordFile
from app.settings import ConsoleSettings
from tests.fakes.agent import FakeAgent
from tests.pages import Form, is_inside, path_of, read_page

PASSWORD = "correct-horse-battery"
PROBE = "piranhaprobe"
HOSTILE = (
    f"<{PROBE}>",
    f'"><{PROBE} {PROBE}="1"',
    f"' {PROBE}='1",
    f"</textarea></script><{PROBE}>",
    "{{ 7077 * 7 }}",
    f"$({PROBE})`{PROBE}`",
)
LVS_CF = """\
# <piranhaprobe> {{ 7077 * 7 }}
serial_no = 1
primary = 127.0.0.1
rsh_command = "<piranhaprobe>"
debug_level = "{{ 7077 * 7 }}"
active_cmd = "/bin/<piranhaprobe> ' piranhaprobe='1"
network = nat
unknown_<piranhaprobe> = {{ 7077 * 7 }}
virtual "<piranhaprobe> {{ 7077 * 7 }}" {
     active = 1
     address = 127.0.0.100 "lo:1<piranhaprobe>"
     port = 80
     send = "<piranhaprobe> ' piranhaprobe='1"
     expect = "</textarea><piranhaprobe>"
     send_program = "/programs/<piranhaprobe> $(piranhaprobe) %h"
     load_monitor = "<piranhaprobe>"
     client_monitor = "<piranhaprobe>"
     scheduler = rr
     server "number1' piranhaprobe='1" {
         address = 127.0.0.21
         active = 1
     }
     server "../../<piranhaprobe>" {
         address = 127.0.0.22
         active = 0
     }
}
virtual ".." {
     address = 127.0.0.101 lo:2
     server "/" {
         address = 127.0.0.23
     }
}
"""


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent(LVS_CF)


@pytest.fixture
def browser(agent: FakeAgent, tmp_path: Path) -> Iterator[FlaskClient]:
    settings = ConsoleSettings(bind="127.0.0.1", plain_http=True, state_dir=str(tmp_path))
    PasswordFile(settings.password_path).set(PASSWORD)
    app = create_app(settings, agent)
    app.config["WTF_CSRF_ENABLED"] = False
    with app.test_client() as client:
        assert client.post("/login", data={"user": "piranha", "password": PASSWORD}).status_code == 302
        yield client


def all_pages(browser: FlaskClient) -> dict[str, str]:
    """Every page that can be reached by links, with its text."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in found or len(found) > 400:
            continue
        answer = browser.get(path, follow_redirects=True)
        assert answer.status_code < 500, f"{path}: {answer.text[:2000]}"
        found[path] = answer.text if answer.mimetype == "text/html" else ""
        page = read_page(found[path], f"http://console{answer.request.full_path}")
        waiting.extend(path_of(link) for link in page.links if is_inside(link))
    return found


def assert_only_text(where: str, text: str) -> None:
    page = read_page(text)
    assert PROBE not in page.tags, f"{where}: became an element"
    assert PROBE not in page.attributes, f"{where}: became an attribute"
    assert str(7077 * 7) not in text, f"{where}: was run as a template"


def test_an_lvs_cf_full_of_hostile_words_is_shown_as_text_on_every_page(browser: FlaskClient) -> None:
    pages = all_pages(browser)
    assert any(PROBE in text for text in pages.values()), "the hostile words are shown nowhere: nothing was tested"
    assert len(pages) >= 10
    for path, text in pages.items():
        assert_only_text(path, text)


def test_hostile_words_typed_into_every_field_of_every_form_come_back_as_text(browser: FlaskClient, agent: FakeAgent) -> None:
    before = agent.config().text
    tried = set()
    for path, text in all_pages(browser).items():
        for form in read_page(text, f"http://console{path}").forms:
            for name in form.texts:
                for hostile in HOSTILE:
                    if (form.action, name, hostile) not in tried:
                        tried.add((form.action, name, hostile))
                        assert_only_text(f"{form.action} {name}={hostile}", submit(browser, form, name, hostile))
                        put_back(agent, before)
    assert len({name for _, name, _ in tried}) >= 20


def submit(browser: FlaskClient, form: Form, name: str, value: str) -> str:
    fields = {**form.fields, name: value, **dict(form.buttons[:1])}
    path = path_of(form.action)
    answer = (
        browser.post(path, data=fields, follow_redirects=True)
        if form.method == "post"
        else browser.get(path, query_string=fields, follow_redirects=True)
    )
    assert answer.status_code < 500, f"{path}: {answer.text[:2000]}"
    return answer.text


def put_back(agent: FakeAgent, text: str) -> None:
    now = agent.config()
    if now.text != text:
        agent.edit_by_hand(text)
