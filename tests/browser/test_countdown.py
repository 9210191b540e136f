"""A guarded change in the browser: the tick, the countdown in every session, both buttons, and what is said when it went back."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor, visiting
from tests.browser.served import Served
from tests.browser.test_every_page import examine
from tests.fakes.agent import TUTORIAL
from tests.unit.app.conftest import PASSWORD

EDIT = "/virtual-servers/http/virtual-server"
COUNTS = re.compile(r"Serial 8 goes back by itself in \d+ s")


def accept_guarded(guest: Visitor, seconds: str = "60") -> None:
    guest.visit(EDIT)
    guest.page.get_by_label("Service Timeout", exact=True).fill("9")
    guest.page.get_by_label("Go back by itself unless I confirm within").check()
    guest.page.get_by_label("Seconds until it goes back by itself").fill(seconds)
    guest.page.get_by_role("button", name="ACCEPT").click()
    expect(guest.page.locator("#guard")).to_contain_text(COUNTS)


def seconds_left(page: Page) -> int:
    return int(page.locator("#guard .left").inner_text())


def test_the_countdown_counts_and_a_confirmation_ends_it_in_every_session(served: Served, guest: Visitor, chromium: Browser) -> None:
    with visiting(chromium, served.url, PASSWORD) as other:
        other.log_in()
        other.visit("/redundancy")
        other.page.get_by_label("Heartbeat interval", exact=True).fill("0.1")
        accept_guarded(guest)
        first = seconds_left(guest.page)
        expect(guest.page.locator("#guard .left")).not_to_have_text(str(first))
        assert seconds_left(guest.page) < first
        expect(other.page.locator("#guard")).to_contain_text(COUNTS)  # by itself, and what is typed there stays
        expect(other.page.get_by_label("Heartbeat interval", exact=True)).to_have_value("0.1")
        guest.page.get_by_role("button", name="CONFIRM").click()
        expect(guest.page.get_by_role("status").first).to_contain_text("Confirmed: the change stays.")
        expect(guest.page.locator("#guard")).not_to_contain_text("goes back by itself")
        expect(other.page.locator("#guard")).not_to_contain_text("goes back by itself")
    assert "timeout = 9" in served.agent.text


def test_go_back_now(served: Served, guest: Visitor) -> None:
    accept_guarded(guest)
    guest.page.get_by_role("button", name="GO BACK NOW").click()
    expect(guest.page.locator("#guard")).to_contain_text("Serial 8 went back by itself")
    assert served.agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


def test_nobody_confirms_and_the_page_says_what_became_of_it(served: Served, guest: Visitor) -> None:
    accept_guarded(guest, "2")
    guest.visit("/help")
    expect(guest.page.locator("#guard")).to_contain_text("Nobody confirmed it within 2 s.")
    assert "timeout = 6" in served.agent.text


def test_a_button_that_has_the_focus_keeps_it_while_the_seconds_run(guest: Visitor) -> None:
    accept_guarded(guest)
    button = guest.page.get_by_role("button", name="CONFIRM")
    button.focus()
    with guest.page.expect_response(re.compile("/guard/live")):
        pass
    expect(button).to_be_focused()


def test_without_javascript_it_is_confirmed_as_well(served: Served, chromium: Browser) -> None:
    with visiting(chromium, served.url, PASSWORD, java_script_enabled=False) as guest:
        guest.log_in()
        accept_guarded(guest)
        guest.page.get_by_role("button", name="CONFIRM").click()
        expect(guest.page.get_by_role("status").first).to_contain_text("Confirmed: the change stays.")
    assert "timeout = 9" in served.agent.text


def test_they_read_well_by_day_and_by_night_wide_and_narrow(served: Served, guest: Visitor) -> None:
    guest.visit(EDIT)
    examine(guest.page, "guard-tick")
    guest.visit("/virtual-servers/http/delete")
    examine(guest.page, "guard-question")
    guest.page.get_by_role("button", name="REVIEW").click()
    examine(guest.page, "guard-take-out")
    guest.page.set_viewport_size({"width": 1400, "height": 900})
    accept_guarded(guest, "600")
    examine(guest.page, "guard-countdown")
    guest.page.get_by_role("button", name="GO BACK NOW").click()
    examine(guest.page, "guard-went-back")


def test_a_large_change_is_ticked_by_name(served: Served, guest: Visitor) -> None:
    guest.expect_complaint("409")
    guest.visit("/virtual-servers/http/delete")
    guest.page.get_by_role("button", name="DELETE").click()
    expect(guest.page.get_by_role("alert")).to_contain_text("out of service at once: http, number1 of http")
    guest.page.get_by_label("Take these out of service").check()
    guest.page.get_by_role("button", name="ACCEPT").click()
    expect(guest.page.get_by_role("status", name="What was accepted")).to_contain_text("serial 8")
    assert [one.name for one in served.agent.config_now.virtual] == ["https"]
