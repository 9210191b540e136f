"""PAIRING in a browser: how each standing looks, and two real directors paired by a code shown in one console and typed in the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from lvsagent.settings import AgentSettings
from lvsagent.wire import PairingRequest
from tests.browser.conftest import Demo, Visitor, visiting
from tests.browser.served import Served
from tests.browser.test_every_page import examine
from tests.browser.test_two_directors import served
from tests.fakes.pairing import CODE, FakePairing

__all__ = ["served"]
URL = "/redundancy/pairing"


def alone(_desk: FakePairing) -> None:
    pass


def waiting(desk: FakePairing) -> None:
    desk.change(PairingRequest(action="wait"))


def paired(desk: FakePairing) -> None:
    desk.used()


def failed(desk: FakePairing) -> None:
    desk.ends("nobody waits at 192.0.2.2 port 3639 (connection refused): on the other director run lvsctl pair --wait")


@pytest.mark.parametrize("make", [alone, waiting, paired, failed], ids=lambda make: make.__name__)
def test_every_standing_reads_well_by_day_and_by_night_wide_and_narrow(
    make: Callable[[FakePairing], None], served: Served, guest: Visitor
) -> None:
    make(served.agent.desk)
    guest.visit(URL)
    examine(guest.page, f"pairing-{make.__name__}")
    guest.visit(URL + "/unpair")
    examine(guest.page, f"pairing-{make.__name__}-unpair")


def test_the_page_follows_when_the_code_is_used_elsewhere_and_keeps_what_is_typed(served: Served, guest: Visitor) -> None:
    page = guest.page
    guest.visit(URL)
    page.get_by_role("button", name="SHOW A CODE").click()
    expect(page.locator(".code")).to_have_text(CODE)
    page.get_by_label("Code", exact=True).fill("half a co")
    served.agent.desk.used()
    expect(page.locator("#live")).to_contain_text("Paired with righty")
    expect(page.locator(".code")).to_have_count(0)
    expect(page.get_by_label("Code", exact=True)).to_have_value("half a co")


@pytest.mark.skipif(not AgentSettings().ssh_host_key.exists(), reason="this host has no ssh host key to tell")
def test_two_directors_are_paired_by_clicking(chromium: Browser, demo: Demo, visitor: Visitor) -> None:
    visitor.log_in()
    visitor.visit(URL)
    visitor.page.get_by_role("button", name="SHOW A CODE").click()
    code = visitor.page.locator(".code").inner_text()
    lefty = demo.lvs_cf.read_text().split("primary = ")[1].split()[0]
    with visiting(chromium, demo.console_urls["righty"], demo.password) as other:
        other.log_in()
        other.visit(URL)
        other.page.get_by_label("Address").fill(lefty)
        other.page.get_by_label("Code", exact=True).fill(code.lower())
        other.page.get_by_role("button", name="PAIR", exact=True).click()
        expect(other.page.locator("#live")).to_contain_text("Paired with lefty")
        expect(visitor.page.locator("#live")).to_contain_text("Paired with righty")
        visitor.visit(URL)
        keys = visitor.page.locator(".key").all_inner_texts()
        mirrored = other.page.locator(".key").all_inner_texts()
        assert keys == mirrored[2:] + mirrored[:2]
        assert len(set(keys)) >= 3  # two directors on one host have one host key
        visitor.page.get_by_role("link", name="UNPAIR").click()
        visitor.page.get_by_role("button", name="UNPAIR").click()
        expect(visitor.page.locator("#live")).to_contain_text("Not paired")
