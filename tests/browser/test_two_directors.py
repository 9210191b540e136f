"""Two directors on the pages, over a FakeAgent: how each standing looks, and a change of role asked for by clicking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.served import Served, serving
from tests.browser.test_every_page import examine
from tests.browser.test_look import every_second
from tests.fakes.agent import TUTORIAL, FakeAgent

PAIR = TUTORIAL.replace(
    "service = lvs\n",
    "service = lvs\nbackup_active = 1\nbackup = 192.0.2.2\nbackup_private = 10.11.12.3\nheartbeat = 1\nkeepalive = 0.5\ndeadtime = 2\n",
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    agent = FakeAgent(text=PAIR, wall=time.time)
    agent.pair()
    with serving(agent, tmp_path) as found:
        yield found


def standby(agent: FakeAgent) -> None:
    agent.host, agent.identity, agent.passive = "righty", "backup", True
    agent.pair()


def a_link_lost(agent: FakeAgent) -> None:
    agent.link_silent("private")
    agent.links = [
        msgspec.structs.replace(one, lost=312, refused=7, refused_reasons={"wrong key": 5, "replayed": 2}) if one.name == "private" else one
        for one in agent.links
    ]
    agent.late_warning = "this host wakes up to 81 ms late: keepalive = 0.5 leaves too little room"


def without_a_key(agent: FakeAgent) -> None:
    agent.key = "missing"


def in_maintenance(agent: FakeAgent) -> None:
    agent.failover("maintenance", reason="new memory")


STANDINGS: tuple[Callable[[FakeAgent], None], ...] = (
    FakeAgent.pair,
    standby,
    a_link_lost,
    FakeAgent.peer_dies,
    FakeAgent.both_active,
    without_a_key,
    in_maintenance,
)


@pytest.mark.parametrize("make", STANDINGS, ids=lambda make: make.__name__)
def test_every_standing_reads_well_by_day_and_by_night_wide_and_narrow(
    make: Callable[[FakeAgent], None], served: Served, guest: Visitor
) -> None:
    make(served.agent)
    for path in ("/control", "/redundancy"):
        guest.visit(path)
        examine(guest.page, f"pair-{make.__name__}{path.replace('/', '-')}")


def test_the_page_that_asks_reads_well(guest: Visitor) -> None:
    guest.visit("/control/role/step-down")
    examine(guest.page, "pair-step-down")


def test_stepping_down_asks_first_and_the_page_follows(served: Served, guest: Visitor) -> None:
    page = guest.page
    every_second(guest)
    expect(page.locator("#bar")).to_contain_text("peer righty standby")
    page.get_by_role("link", name="STEP DOWN").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Let lefty step down?")
    assert served.agent.failovers == []
    page.get_by_label("Reason").fill("new kernel")
    page.get_by_role("button", name="STEP DOWN").click()
    expect(page.get_by_role("status")).to_contain_text("righty is asked to take over.")
    expect(page.locator("#bar")).to_contain_text("peer righty active")
    expect(page.get_by_role("link", name="TAKE OVER")).to_be_visible()
    assert served.agent.failovers == [("step_down", "piranha", "new kernel")]


@pytest.mark.parametrize("make", [FakeAgent.pair, standby, FakeAgent.peer_dies], ids=lambda make: make.__name__)
def test_the_rehearsals_read_well_by_day_and_by_night_wide_and_narrow(
    make: Callable[[FakeAgent], None], served: Served, guest: Visitor
) -> None:
    make(served.agent)
    guest.visit("/control/rehearsals")
    examine(guest.page, f"rehearsals-{make.__name__}")


def test_a_rehearsal_is_begun_by_a_button_and_its_figure_appears_by_itself(served: Served, guest: Visitor) -> None:
    standby(served.agent)
    guest.visit("/control/rehearsals")
    page = guest.page
    page.get_by_role("button", name="REHEARSE").click()
    expect(page.get_by_role("status")).to_contain_text("Measuring http://192.0.2.100:80/")
    expect(page.get_by_role("progressbar")).to_be_visible()
    examine(page, "rehearsals-running")
    assert served.agent.failovers == [("take_over", "piranha", "rehearsal")]
    served.agent.rehearsal_ends(0.14)
    expect(page.get_by_role("status")).to_contain_text("Your failover takes 140 ms")
    expect(page.get_by_role("table", name="Rehearsals, newest first")).to_contain_text("140 ms")
    expect(page.get_by_role("button", name="REHEARSE")).to_be_visible()
    examine(page, "rehearsals-measured")


def test_both_active_appears_in_red_and_leaves_by_itself(served: Served, guest: Visitor) -> None:
    every_second(guest)
    served.agent.both_active()
    expect(guest.page.get_by_role("alert")).to_contain_text("Both directors are active")
    served.agent.both_active_since = 0.0
    served.agent.pair()
    expect(guest.page.get_by_role("alert")).to_have_count(0)


def test_redundancys_live_half_follows_without_touching_what_is_typed(served: Served, guest: Visitor) -> None:
    guest.visit("/redundancy")
    page = guest.page
    page.get_by_label("Heartbeat interval", exact=True).fill("0.1")
    served.agent.link_silent("private")
    expect(page.locator("#live")).to_contain_text("silent")
    expect(page.get_by_label("Heartbeat interval", exact=True)).to_have_value("0.1")
