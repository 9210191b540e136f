"""The console over a FakeAgent in states that a real cluster seldom shows: huge, broken, silent, hostile; and how live updates behave."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import Browser, expect

from app.passwd import PasswordFile
from app.settings import load_settings
from lvsagent.wire import PeerInfo, ProcessInfo
from tests.browser.conftest import Visitor, visiting
from tests.browser.served import Served, serving
from tests.browser.test_every_page import examine
from tests.fakes.agent import FakeAgent
from tests.integration.test_gui import console, write_config
from tests.stack import free_port
from tests.unit.app.conftest import CHEAP, PASSWORD
from tests.unit.app.test_control import HOSTILE, many


def every_second(guest: Visitor) -> None:
    """Have the page update itself each second."""
    guest.page.get_by_label("Update frequency in seconds").fill("1")
    with guest.page.expect_navigation():
        guest.page.get_by_role("button", name="Update information now").click()


def test_over_https_a_browser_logs_in_changes_the_password_and_logs_out(tmp_path: Path, chromium: Browser) -> None:
    port = free_port()
    config = write_config(tmp_path, port)
    PasswordFile(load_settings(config).password_path, CHEAP).set(PASSWORD)
    with console(config, port), visiting(chromium, f"https://127.0.0.1:{port}", PASSWORD, ignore_https_errors=True) as guest:
        page = guest.page
        guest.log_in()
        assert [(one["name"], one["secure"], one["httpOnly"], one["sameSite"]) for one in page.context.cookies()] == [
            ("__Host-piranha", True, True, "Strict")
        ]
        page.get_by_role("link", name="CHANGE PASSWORD").click()
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password", exact=True).fill("another fish altogether")
        page.get_by_label("New password once more").fill("another fish altogether")
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_role("status")).to_contain_text("The password is changed.")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("status")).to_have_text("You are logged out.")


# --- live updates ---


def test_a_change_appears_without_a_click_and_leaves_the_reader_alone(served: Served, guest: Visitor) -> None:
    page = guest.page
    every_second(guest)
    page.get_by_text("The same as a table").click()
    page.get_by_label("Show only names or addresses with").fill("half typed")
    served.agent.mark_down("http", "number2", "connection refused")
    served.agent.alert("real server number2 of http is down: connection refused", subject="http")
    expect(page.locator("#routing")).to_contain_text("2 of 3 up")
    expect(page.locator("#problems")).to_contain_text("number2 of http is down")
    expect(page.locator("#picture-table")).to_have_attribute("open", "")
    expect(page.locator("#picture-table")).to_contain_text("connection refused")
    assert page.get_by_label("Show only names or addresses with").input_value() == "half typed"
    assert page.get_by_label("Show only names or addresses with").evaluate("one => one === document.activeElement")


def test_a_table_pushed_aside_stays_there(served: Served, chromium: Browser) -> None:
    with visiting(chromium, served.url, PASSWORD, viewport={"width": 390, "height": 800}) as guest:
        guest.log_in()
        every_second(guest)
        page = guest.page
        page.locator("#routing .scroll").evaluate("one => { one.scrollLeft = 120 }")
        served.agent.mark_down("http", "number2", "connection refused")
        expect(page.locator("#routing")).to_contain_text("connection refused")
        assert page.locator("#routing .scroll").evaluate("one => one.scrollLeft") == 120


def test_the_agents_silence_and_its_return_appear_by_themselves(served: Served, guest: Visitor) -> None:
    every_second(guest)
    served.agent.down = True
    expect(guest.page.locator("#silence")).to_contain_text("The agent does not answer.")
    expect(guest.page.locator("#bar")).to_contain_text("was active")
    served.agent.down = False
    expect(guest.page.locator("#silence")).not_to_contain_text("The agent does not answer.")


def test_unticking_auto_update_counts_at_once(guest: Visitor) -> None:
    with guest.page.expect_navigation():
        guest.page.get_by_label("Auto update").uncheck()
    expect(guest.page.get_by_label("Auto update")).not_to_be_checked()
    assert guest.page.locator("[hx-trigger]").count() == 0


def test_a_session_that_ends_leads_to_the_login_by_itself(served: Served, guest: Visitor) -> None:
    guest.expect_complaint(r"401")
    every_second(guest)
    served.passwords.set("another fish altogether")
    guest.page.wait_for_url(re.compile(r"/login\?next=/control$"))
    expect(guest.page.get_by_label("Password")).to_be_focused()


# --- looks, by day and by night, wide and narrow ---


def test_a_thousand_virtual_servers(tmp_path: Path, chromium: Browser) -> None:
    agent = FakeAgent(text=many(1000, 10), wall=time.time)
    with serving(agent, tmp_path) as served, visiting(chromium, served.url, PASSWORD) as guest:
        guest.log_in()
        guest.visit("/control?open=web0001&sort=rate")
        examine(guest.page, "look-thousand")


def test_much_is_broken_and_words_are_long_and_hostile(served: Served, guest: Visitor) -> None:
    agent = served.agent
    agent.host = "a-director-with-an-uncommonly-long-name.rack-17.example.org"
    agent.peer = PeerInfo(state="unknown", name=HOSTILE)
    agent.edit_by_hand(agent.text.replace("virtual http {", 'virtual "' + "averylongname" * 12 + '" {'))
    agent.mark_down("https", "number1", HOSTILE * 5)
    agent.processes[3] = ProcessInfo(
        name="nanny", state="stopped", restarts=12, reason="it ended with signal 11, and again, and again " * 3
    )
    for number in range(9):
        agent.alert(f"{HOSTILE} {number} " + "unbroken" * 40, subject="http", severity="warning" if number % 2 else "error")
    agent.event("server", "unbroken" * 60, severity="error")
    guest.visit("/control")
    examine(guest.page, "look-broken")


def test_the_agent_is_down(served: Served, guest: Visitor) -> None:
    guest.expect_complaint(r"503")
    served.agent.down = True
    for path in ("/control", "/control/checks", "/password"):
        guest.visit(path)
        examine(guest.page, f"look-down{path.replace('/', '-')}")


def test_nothing_is_configured_yet(served: Served, guest: Visitor) -> None:
    served.agent.edit_by_hand("serial_no = 1\nprimary = 192.0.2.1\n")
    guest.visit("/control")
    examine(guest.page, "look-empty")


def test_no_password_is_set_yet(served: Served, chromium: Browser) -> None:
    served.passwords.path.unlink()
    with visiting(chromium, served.url, PASSWORD) as guest:
        guest.visit("/")
        expect(guest.page.get_by_text("piranha-passwd")).to_be_visible()
        examine(guest.page, "look-no-password")


def test_errors_look_like_the_rest(served: Served, guest: Visitor) -> None:
    guest.expect_complaint(r"40\d")
    guest.visit("/no-such-page")
    examine(guest.page, "look-404")
    guest.page.context.clear_cookies()
    guest.visit("/login")
    guest.page.get_by_label("Password").fill("wrong")
    guest.page.get_by_role("button", name="Log in").click()
    expect(guest.page.get_by_role("alert")).to_have_text("User and password do not match.")
    examine(guest.page, "look-refused")
