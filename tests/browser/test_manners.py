"""How the console behaves under somebody's hands: the keyboard alone, no JavaScript, two windows, UNDO, an agent that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.demo import cluster
from tests.browser.conftest import Demo, Visitor, visiting
from tests.stack import PASSWORD, Stack, running_stack

GLOBAL = "/global-settings"
FIELD = "TCP timeout"


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Agent and console without the launcher, which would end with the agent."""
    with running_stack(cluster.first_lvs_cf(cluster.USUAL_WEB_PORT)) as found:
        yield found


@pytest.fixture
def guest(chromium: Browser, stack: Stack) -> Iterator[Visitor]:
    """Someone who is logged in there."""
    with visiting(chromium, stack.console_url, PASSWORD) as found:
        found.log_in()
        yield found


def tab_to(page: Page, wanted: str, limit: int = 80) -> None:
    """Press Tab until the element with this name has the focus; each stop on the way must be visible as such."""
    names = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
                const one = document.activeElement, style = getComputedStyle(one);
                const label = one.labels && one.labels.length ? one.labels[0].innerText : "";
                const shown = style.outlineStyle !== "none" || style.boxShadow !== "none";
                return {name: (one.getAttribute("aria-label") || label || one.innerText || "").trim(), shown};
            }"""
        )
        assert focus["shown"], f"the focus on {focus['name']!r} cannot be seen"
        if focus["name"] == wanted:
            return
        names.append(focus["name"])
    raise AssertionError(f"{wanted!r} is not reached by Tab: {names}")


def test_the_keyboard_alone_logs_in_changes_a_field_and_accepts(chromium: Browser, stack: Stack) -> None:
    with visiting(chromium, stack.console_url, PASSWORD) as visitor:
        page = visitor.page
        visitor.visit("/")
        expect(page.get_by_label("Password")).to_be_focused()
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", level=1).wait_for()
        tab_to(page, "Skip to the page", 1)
        tab_to(page, "GLOBAL SETTINGS")
        page.keyboard.press("Enter")
        page.wait_for_url("**/global-settings")
        tab_to(page, FIELD)
        page.keyboard.type("900")
        tab_to(page, "ACCEPT")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
    assert "tcp_timeout = 900" in stack.folder.lvs_cf.read_text()


def test_without_javascript_every_screen_reads_and_a_change_is_accepted(chromium: Browser, stack: Stack) -> None:
    with visiting(chromium, stack.console_url, PASSWORD, java_script_enabled=False) as visitor:
        page = visitor.page
        visitor.log_in()
        expect(page.locator("#routing")).to_contain_text("http")
        for screen in ("GLOBAL SETTINGS", "REDUNDANCY", "LVS.CF", "HISTORY", "VIRTUAL SERVERS"):
            page.get_by_role("navigation", name="Screens").get_by_role("link", name=screen).click()
            expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.get_by_role("radio", name="Choose http", exact=True).check()
        page.get_by_role("button", name="(DE)ACTIVATE").click()
        expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()
    assert stack.agent_client.state().virtual_servers[0].state != "inactive"


def test_undo_brings_back_the_file_but_for_its_serial_number(guest: Visitor, stack: Stack) -> None:
    before = stack.folder.lvs_cf.read_text()
    guest.visit(GLOBAL)
    guest.page.get_by_label(FIELD, exact=True).fill("900")
    guest.page.get_by_role("button", name="ACCEPT").click()
    expect(guest.page.get_by_role("status", name="What was accepted")).to_contain_text("serial 2")
    assert "tcp_timeout = 900" in stack.folder.lvs_cf.read_text()
    guest.page.get_by_role("button", name="UNDO").click()
    expect(guest.page.get_by_role("status", name="What was accepted")).to_contain_text("Undone")
    assert stack.folder.lvs_cf.read_text() == before.replace("serial_no = 1", "serial_no = 3")


def test_review_shows_the_change_three_ways_and_writes_nothing_before_accept(guest: Visitor, stack: Stack) -> None:
    before = stack.folder.lvs_cf.read_text()
    page = guest.page
    guest.visit(GLOBAL)
    page.get_by_label(FIELD, exact=True).fill("900")
    page.get_by_role("button", name="REVIEW").click()
    for heading in ("WHAT CHANGES", "IN THE DATA PLANE", "IN LVS.CF"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.locator("main")).to_contain_text("tcp_timeout = 900")
    assert stack.folder.lvs_cf.read_text() == before
    page.get_by_role("button", name="BACK").click()
    expect(page.get_by_label(FIELD, exact=True)).to_have_value("900")
    page.get_by_role("button", name="REVIEW").click()
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
    assert "tcp_timeout = 900" in stack.folder.lvs_cf.read_text()


def test_two_windows_on_one_form_the_second_is_told_and_loses_nothing(guest: Visitor, stack: Stack) -> None:
    guest.expect_complaint("409|412")
    first, second = guest.page, guest.context.new_page()
    for page in (first, second):
        page.goto(guest.console_url + GLOBAL)
    first.get_by_label(FIELD, exact=True).fill("900")
    first.get_by_role("button", name="ACCEPT").click()
    expect(first.get_by_role("status", name="What was accepted")).to_be_visible()
    second.get_by_label("UDP timeout", exact=True).fill("300")
    second.get_by_role("button", name="ACCEPT").click()
    expect(second.get_by_role("heading", level=1)).to_contain_text("changed meanwhile")
    expect(second.locator("main")).to_contain_text("tcp_timeout")
    second.get_by_role("button", name="APPLY MY CHANGE TO THE NEW FILE").click()
    expect(second.get_by_role("status", name="What was accepted")).to_be_visible()
    written = stack.folder.lvs_cf.read_text()
    assert "tcp_timeout = 900" in written
    assert "udp_timeout = 300" in written


def test_a_file_edited_by_hand_meanwhile_is_noticed_and_both_versions_are_shown(guest: Visitor, stack: Stack) -> None:
    guest.expect_complaint("409|412")
    page = guest.page
    guest.visit(GLOBAL)
    text = stack.folder.lvs_cf.read_text()
    stack.folder.lvs_cf.write_text(text.replace("network = nat\n", "network = nat\n# by hand\ntcp_timeout = 1200\n"))
    page.get_by_label(FIELD, exact=True).fill("900")
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("heading", name="CHANGED BY BOTH")).to_be_visible()
    conflict = page.get_by_role("row").filter(has_text=FIELD)
    expect(conflict).to_contain_text("1200")
    expect(conflict).to_contain_text("900")
    page.get_by_role("link", name="DISCARD MY CHANGE").click()
    expect(page.get_by_label(FIELD, exact=True)).to_have_value("1200")
    assert "# by hand\ntcp_timeout = 1200\n" in stack.folder.lvs_cf.read_text()


def test_with_the_agent_gone_the_last_snapshot_stays_and_accept_is_off_with_the_reason(guest: Visitor, stack: Stack) -> None:
    page = guest.page
    guest.visit("/control")
    expect(page.locator("#routing")).to_contain_text("number1")
    guest.visit(GLOBAL)
    stack.stop_agent()
    guest.visit("/control")
    expect(page.locator("#routing")).to_contain_text("number1")
    expect(page.locator("body")).to_contain_text(re.compile(r"agent", re.IGNORECASE))
    guest.visit(GLOBAL)
    expect(page.get_by_label(FIELD, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="ACCEPT")).to_be_disabled()
    expect(page.locator("main")).to_contain_text("ACCEPT is off")
    stack.start_agent()
    guest.visit(GLOBAL)
    expect(page.get_by_role("button", name="ACCEPT")).to_be_enabled()


def test_delete_asks_first_and_names_what_goes(settled_visitor: Visitor, settled_demo: Demo) -> None:
    page = settled_visitor.page
    before = settled_demo.lvs_cf.read_bytes()
    settled_visitor.visit("/virtual-servers")
    page.get_by_role("radio", name="Choose http", exact=True).check()
    page.get_by_role("button", name="DELETE").click()
    expect(page.locator("main")).to_contain_text("http")
    expect(page.locator("main")).to_contain_text("number3")
    expect(page.locator("main")).to_contain_text("connection")
    page.get_by_role("link", name="CANCEL").click()
    assert settled_demo.lvs_cf.read_bytes() == before


def test_test_now_runs_the_check_as_typed_against_each_real_server_and_saves_nothing(settled_visitor: Visitor, settled_demo: Demo) -> None:
    page = settled_visitor.page
    before = settled_demo.lvs_cf.read_bytes()
    settled_visitor.visit("/virtual-servers/http/monitoring-scripts")
    page.get_by_label("Expect", exact=True).fill("NEVER")
    page.get_by_role("button", name="TEST NOW").click()
    expect(page.locator("main")).to_contain_text("number3")
    expect(page.locator("main")).to_contain_text("HTTP/1.0 200 OK")
    assert settled_demo.lvs_cf.read_bytes() == before


def test_the_pages_update_by_themselves_while_one_reads(settled_visitor: Visitor, settled_demo: Demo) -> None:
    page = settled_visitor.page
    settled_visitor.visit("/control")
    seconds = page.get_by_label(re.compile("seconds|every", re.IGNORECASE))
    seconds.fill("1")
    seconds.press("Enter")
    expect(seconds).to_have_value("1")
    before = page.locator("time, .stamp, #stamp").first.inner_text()
    expect(page.locator("time, .stamp, #stamp").first).not_to_have_text(before, timeout=8_000)
