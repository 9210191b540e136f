"""DRAIN OR FORCE by clicking: how it looks, and that the machine does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lvsagent.lvsd.override_words import Left
from lvsagent.wire import OverrideRequest
from tests.browser.conftest import Demo, activate_everything, running_demo, visiting
from tests.browser.served import Served, serving
from tests.browser.test_every_page import examine
from tests.fakes.agent import FakeAgent
from tests.unit.app.conftest import PASSWORD
from tests.waiting import until

TABLE = "/virtual-servers/http/real-servers"


def asks(agent: FakeAgent) -> bool:
    """Whether the drain's deadline has come by now."""
    agent.orders.look()
    return any(one.phase == "asking" for one in agent.overrides().overrides)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A drain that asks, a whole host that is down, and another weight."""
    agent = FakeAgent(wall=time.time)
    drain = OverrideRequest(
        action="drain",
        virtual="http",
        server="number1",
        deadline_s=0.01,
        then="ask",
        reason="a new disk is put in before noon",
        actor="ann",
    )
    agent.override(drain)
    agent.override(OverrideRequest(action="down", host="10.11.12.23", actor="bob", reason="its check is wrong"))
    agent.override(OverrideRequest(action="weight", virtual="http", server="number2", weight=7, actor="ann"))
    agent.orders.left["server:http/number1"] = Left(1234, 0, 56)
    until(lambda: asks(agent))
    agent.alert(
        "the deadline of the drain of real server number1 of http has come with 1234 connections left", "http", "warning", "drain-deadline"
    )
    with serving(agent, tmp_path) as found:
        yield found


def test_every_page_of_it_reads_well_by_day_and_by_night_wide_and_narrow(chromium: Browser, served: Served) -> None:
    with visiting(chromium, served.url, PASSWORD) as guest:
        guest.log_in()
        for path, name in (
            ("/control", "control"),
            ("/control/decisions", "list"),
            (TABLE, "table"),
            (f"{TABLE}/number1/decide", "decided"),
            (f"{TABLE}/number2/edit", "edit"),
        ):
            guest.visit(path)
            examine(guest.page, f"drain-{name}")


@pytest.fixture
def demo() -> Iterator[Demo]:
    with running_demo(activate_everything) as found:
        until(lambda: found.answers() and len(found.ask(9)) == 3, 20, "the cluster never came up")
        yield found


def test_a_drain_by_clicking_is_one_on_the_machine_and_on_the_other_director(chromium: Browser, demo: Demo) -> None:
    with visiting(chromium, demo.console_url, demo.password) as visitor:
        visitor.log_in()
        page = visitor.page
        visitor.visit(TABLE)
        page.get_by_label("Choose number1").check()
        page.get_by_role("button", name="DRAIN OR FORCE").click()
        page.get_by_label("Reason").fill("new disk")
        page.get_by_role("button", name="DO IT").click()
        expect(page.get_by_text("It is being drained: new connections go elsewhere.")).to_be_visible()
        assert set(demo.ask(12)) == {"number2", "number3"}
        with visiting(chromium, demo.console_urls["righty"], demo.password) as other:
            other.log_in()
            other.visit("/control/decisions")
            expect(other.page.get_by_role("cell", name="drained by piranha: new disk")).to_be_visible()
        page.get_by_role("button", name="Take back what was decided about number1").click()
        expect(page.get_by_text("Taken back: lvs.cf and its check rule again.")).to_be_visible()
        assert len(demo.ask(12)) == 3
