"""lvs.cf edited on both directors, settled by clicking; the drift page beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.lvscf import load
from lvsagent.wire import Difference
from tests.browser.conftest import Visitor
from tests.browser.served import Served, serving
from tests.browser.test_every_page import examine
from tests.browser.test_look import every_second
from tests.browser.test_two_directors import PAIR
from tests.fakes.agent import FakeAgent

HERE = PAIR.replace("serial_no = 7", "serial_no = 8").replace("weight = 3", "weight = 5").replace("timeout = 6", "timeout = 7", 1)
THERE = PAIR.replace("serial_no = 7", "serial_no = 9").replace("port = 80\n", "port = 8080\n").replace("weight = 3", "weight = 9")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    agent = FakeAgent(text=HERE, wall=time.time)
    agent.pair()
    agent.parts(PAIR, THERE)
    with serving(agent, tmp_path) as found:
        yield found


def test_the_three_columns_read_well_by_day_and_by_night_wide_and_narrow(guest: Visitor) -> None:
    guest.visit("/conflict")
    examine(guest.page, "conflict")


def test_a_conflict_is_found_on_any_page_decided_row_by_row_reviewed_and_accepted(served: Served, guest: Visitor) -> None:
    page = guest.page
    guest.visit("/virtual-servers")
    expect(page.get_by_role("alert")).to_contain_text("lvs.cf was edited on both directors")
    page.get_by_role("link", name="Look at both and decide").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Edited on both directors")
    page.get_by_role("group", name="virtual server https").get_by_label("there").check()
    page.get_by_role("button", name="REVIEW").click()
    expect(page.get_by_text("weight 5 → 9").first).to_be_visible()
    assert served.agent.joined == []
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("status")).to_contain_text("Accepted: serial 10")
    config = load(served.agent.text).config
    assert (config.virtual[0].port, config.virtual[0].timeout, config.virtual[1].servers[0].weight) == (80, 7, 9)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_drift_reads_well_and_follows_by_itself(served: Served, guest: Visitor) -> None:
    served.agent.travels(
        "behind",
        behind=3,
        words="righty is behind by 3 (no route to host)",
        differences=(
            Difference(code="peer-behind", words="the other director is behind by 3", here="serial 8", peer="serial 5", actions=["now"]),
            Difference(code="file", words="lvs.cf on this director's disk is not what it runs", since=1.0, actions=["adopt", "restore"]),
            Difference(code="foreign", words="the table has a virtual server that lvs.cf does not name", actions=["adopt-foreign"]),
        ),
    )
    every_second(guest)
    guest.visit("/drift")
    examine(guest.page, "drift")
    expect(guest.page.locator("#bar")).to_contain_text("peer behind by 3")
    served.agent.travels()
    expect(guest.page.locator("#live")).to_contain_text("alike")
