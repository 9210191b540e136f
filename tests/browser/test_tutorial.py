"""The classic tutorial, click by click, on what ``make run`` starts: three real servers behind one address, one of them failing; then a
director."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from app.lvscf import load
from deploy.demo import cluster
from tests.browser.conftest import Demo, Visitor, activate_everything, first_lvs_cf, running_demo, visiting
from tests.waiting import until

ONLY_THE_DIRECTOR = "serial_no = 1\nprimary = 127.0.0.1\nservice = lvs\nnetwork = nat\n"
EVEN = {"number1": 10, "number2": 10, "number3": 10}


def accepted(page: Page) -> None:
    expect(page.get_by_role("status", name="What was accepted")).to_contain_text("Accepted")


def choose_and(page: Page, name: str, button: str) -> None:
    page.get_by_role("radio", name=f"Choose {name}", exact=True).check()
    page.get_by_role("button", name=button, exact=True).click()


def row(page: Page, name: str) -> str:
    """The table row of a real or virtual server, as text."""
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).first.inner_text()


def open_real_servers(page: Page) -> None:
    page.get_by_role("navigation", name="Screens").get_by_role("link", name="VIRTUAL SERVERS").click()
    page.get_by_role("link", name="http", exact=True).click()
    page.get_by_role("link", name=re.compile("^REAL SERVER")).click()


def activate_all(page: Page) -> None:
    """Each real server, then the virtual server, through the tables' buttons."""
    open_real_servers(page)
    for name in cluster.REAL_SERVERS:
        choose_and(page, name, "(DE)ACTIVATE")
        accepted(page)
    page.get_by_role("navigation", name="Screens").get_by_role("link", name="VIRTUAL SERVERS").click()
    choose_and(page, "http", "(DE)ACTIVATE")
    accepted(page)


def watch_closely(page: Page) -> None:
    """CONTROL/MONITORING, updated every second."""
    page.get_by_role("link", name="CONTROL/MONITORING").click()
    seconds = page.get_by_label(re.compile("seconds|every", re.IGNORECASE))
    seconds.fill("1")
    seconds.press("Enter")
    expect(seconds).to_have_value("1")


def all_serve(demo: Demo) -> bool:
    """Each of the three answers in its turn; whoever comes before one is up is sent away."""
    with contextlib.suppress(OSError):
        return demo.answers() and len(demo.ask(3)) == 3
    return False


def test_the_provided_cluster_is_activated_spreads_requests_loses_a_server_and_gets_it_back(demo: Demo, visitor: Visitor) -> None:
    page = visitor.page
    assert not demo.answers()
    visitor.log_in()
    activate_all(page)
    until(lambda: all_serve(demo), 20, "the virtual server never answered with all three")
    assert demo.ask(30) == EVEN

    watch_closely(page)
    expect(page.locator("#routing")).to_contain_text("3 of 3 up")
    demo.kill("number2")
    expect(page.locator("#routing")).to_contain_text("2 of 3 up", timeout=15_000)
    assert re.search(r"down.*refused", row(page, "number2"), re.DOTALL), row(page, "number2")
    answers = demo.ask(20)
    assert answers == {"number1": 10, "number3": 10}

    demo.restart("number2")
    expect(page.locator("#routing")).to_contain_text("3 of 3 up", timeout=20_000)
    assert demo.ask(30) == EVEN
    expect(page.locator("body")).to_contain_text(re.compile("number2.*(available|up|back)"))


def test_the_cluster_is_built_by_hand_from_a_file_that_only_names_the_director(chromium: Browser) -> None:
    def only_the_director(folder: Path) -> None:
        first_lvs_cf(folder, ONLY_THE_DIRECTOR)

    with running_demo(only_the_director) as demo, visiting(chromium, demo.console_url, demo.password) as visitor:
        page = visitor.page
        visitor.log_in()
        page.get_by_role("navigation", name="Screens").get_by_role("link", name="VIRTUAL SERVERS").click()
        page.get_by_role("button", name="ADD", exact=True).click()
        for label, value in (
            ("Name", "http"),
            ("Application port", "80"),
            ("Virtual IP Address", "127.0.0.100"),
            ("Virtual IP Network Mask", "255.255.255.255"),
            ("Device", "lo:1"),
            ("Service Timeout", "1"),
            ("Re-entry Time", "1"),
        ):
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_label("Scheduling", exact=True).select_option(label="Round robin")
        page.get_by_role("button", name="ACCEPT").click()
        accepted(page)
        for name, address in cluster.REAL_SERVERS.items():
            page.get_by_role("button", name="ADD", exact=True).click()
            page.get_by_label("Name", exact=True).fill(name)
            page.get_by_label("Address", exact=True).fill(address)
            page.get_by_label("Port", exact=True).fill(str(demo.web_port))
            page.get_by_role("button", name="ACCEPT").click()
            accepted(page)
        assert not demo.answers()
        activate_all(page)
        until(lambda: all_serve(demo), 20, "the virtual server never answered with all three")
        assert demo.ask(30) == EVEN

        written = load(demo.lvs_cf.read_text())
        assert demo.lvs_cf.read_text().startswith("serial_no = 9\nprimary = 127.0.0.1\nservice = lvs\nnetwork = nat\n")
        assert [one.name for one in written.config.virtual] == ["http"]
        assert [(one.name, one.address, one.active) for one in written.config.virtual[0].servers] == [
            (name, address, True) for name, address in cluster.REAL_SERVERS.items()
        ]
        assert not [one for one in written.diagnostics if one.severity == "error"]


def test_lefty_dies_nobody_notices_and_the_role_comes_back_by_a_button(chromium: Browser) -> None:
    with running_demo(activate_everything) as demo, visiting(chromium, demo.console_urls["righty"], demo.password) as visitor:
        until(lambda: all_serve(demo), 20, "the cluster never came up")
        page = visitor.page
        visitor.log_in()
        watch_closely(page)
        bar = page.locator("#bar")
        expect(bar).to_contain_text(re.compile(r"righty\s+backup\s+standby.*peer lefty\s+active", re.DOTALL))

        demo.kill_director("lefty")
        expect(bar).to_contain_text(re.compile(r"righty\s+backup\s+active.*peer lefty\s+silent", re.DOTALL), timeout=20_000)
        until(demo.answers, 10, "nobody answers")
        assert demo.ask(30) == EVEN

        demo.restart_director("lefty")
        expect(bar).to_contain_text(re.compile(r"active.*peer lefty\s+standby", re.DOTALL), timeout=20_000)
        page.get_by_role("link", name="STEP DOWN").click()
        page.get_by_role("button", name="STEP DOWN").click()
        expect(bar).to_contain_text(re.compile(r"righty\s+backup\s+standby.*peer lefty\s+active", re.DOTALL), timeout=20_000)
        until(demo.answers, 10, "nobody answers")
        assert demo.ask(30) == EVEN

        page.goto(demo.console_urls["lefty"] + "control")
        expect(page.locator("#bar")).to_contain_text(re.compile(r"lefty\s+primary\s+active.*peer righty\s+standby", re.DOTALL))
