"""DOCTOR in a browser: it is begun with a click, shows its progress by itself, and what it found can be read and copied at any size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Seen
from tests.browser.conftest import Visitor, visiting
from tests.browser.served import Served, serving
from tests.browser.test_every_page import examine
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.conftest import PASSWORD
from tests.unit.app.test_control import HOSTILE

URL = "/virtual-servers/http/doctor"
VIP = "192.0.2.100"
DIRECT = TUTORIAL.replace("network = nat", "network = direct").replace(
    "         weight = 1", "         forward = tunnel\n         weight = 1", 1
)
SILENT = Heard(Answer.SILENCE)
MISSING = Seen(service=SILENT, ping=SILENT, mtu=1500, room=1480, director="10.11.12.11")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    agent = FakeAgent(text=DIRECT)
    agent.room.sights = {
        "number1": MISSING,
        "number2": replace(
            MISSING, service=Heard(Answer.ACCEPTED, "10.11.12.22"), ping=Heard(Answer.ACCEPTED, VIP), claims=True, passes=1400, room=1500
        ),
    }
    with serving(agent, tmp_path) as found:
        yield found


@pytest.fixture
def guest(chromium: Browser, served: Served) -> Iterator[Visitor]:
    with visiting(chromium, served.url, PASSWORD) as found:
        found.log_in()
        yield found


def test_from_the_button_to_the_commands(served: Served, guest: Visitor) -> None:
    page = guest.page
    served.agent.room.held = True
    guest.visit("/virtual-servers/http/real-servers")
    page.locator(".toolbar").get_by_role("link", name="DOCTOR").click()
    page.get_by_role("button", name="LOOK NOW").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text("2 of 3 real servers looked at")).to_be_visible()
    examine(page, "doctor-running")
    served.agent.room.finish()
    expect(page.get_by_role("heading", name="number1")).to_be_visible()
    expect(page.get_by_label("Commands for number1", exact=True)).to_contain_text(f"ip address replace {VIP}/32 dev lo")
    page.get_by_text("So that it stays so when number1 is started again").click()
    expect(page.get_by_label("Commands that keep it so on number1", exact=True)).to_contain_text("systemctl enable")
    examine(page, "doctor")


def test_a_click_copies_the_commands(served: Served, chromium: Browser) -> None:
    with visiting(chromium, served.url, PASSWORD, permissions=["clipboard-read", "clipboard-write"]) as guest:
        guest.log_in()
        guest.visit(URL)
        guest.page.get_by_role("button", name="LOOK NOW").click()
        guest.page.get_by_role("button", name="COPY: Commands for number1", exact=True).click()
        expect(guest.page.get_by_role("button", name="COPIED: Commands for number1")).to_be_visible()
        copied = guest.page.evaluate("navigator.clipboard.readText()")
        assert copied.splitlines()[2] == f"ip address replace {VIP}/32 dev lo"


def test_without_javascript_it_comes_again_by_itself(served: Served, chromium: Browser) -> None:
    served.agent.room.held = True
    with visiting(chromium, served.url, PASSWORD, java_script_enabled=False) as guest:
        guest.log_in()
        guest.visit(URL)
        guest.page.get_by_role("button", name="LOOK NOW").click()
        expect(guest.page.get_by_text("2 of 3 real servers looked at")).to_be_visible()
        served.agent.room.finish()
        expect(guest.page.get_by_role("heading", name="number2")).to_be_visible(timeout=10_000)
        expect(guest.page).to_have_url(re.compile(f"{URL}.auto=1$"))


def test_those_that_lack_the_same_are_told_once(served: Served, guest: Visitor) -> None:
    served.agent.text = TUTORIAL.replace("network = nat", "network = direct")
    served.agent.room.sights = {f"number{number}": MISSING for number in (1, 2, 3)}
    guest.visit(URL)
    guest.page.get_by_role("button", name="LOOK NOW").click()
    expect(guest.page.get_by_role("heading", name="number1, number2, number3")).to_be_visible()
    assert guest.page.locator(".finding").count() == 1
    examine(guest.page, "doctor-alike")


def test_words_are_long_and_hostile(served: Served, guest: Visitor) -> None:
    served.agent.room.sights = {
        "number1": Seen(reason=HOSTILE * 3),
        "number2": Seen(reason="unbroken" * 60),
    }
    served.agent.text = DIRECT.replace("server number3", "server " + "averylongname" * 12)
    guest.visit(URL)
    guest.page.get_by_role("button", name="LOOK NOW").click()
    guest.page.get_by_role("heading", name="number1").wait_for()
    examine(guest.page, "doctor-hostile")
