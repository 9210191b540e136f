"""On a narrow screen the tables that one decides by are read whole: nothing in them has to be pushed aside to be seen."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from lvsagent.wire import CheckResult, OverrideRequest
from tests.browser.conftest import visiting
from tests.browser.served import serving
from tests.browser.test_conflict import HERE, THERE
from tests.browser.test_two_directors import PAIR
from tests.fakes.agent import FakeAgent
from tests.unit.app.conftest import PASSWORD

PAGES = (
    "/history",
    "/virtual-servers/http/real-servers",
    "/virtual-servers/http/monitoring-scripts?results=http/number2",
    "/control/decisions",
    "/conflict",
)
PUSHED_ASIDE = (
    "[...document.querySelectorAll('.scroll')].filter(one => one.querySelector('.folds') && one.scrollWidth > one.clientWidth).length"
)
CURRENT_TAB = """[...document.querySelectorAll('.tabs [aria-current]')].every(one => {
  const place = one.getBoundingClientRect();
  return place.left >= 0 && place.right <= document.documentElement.clientWidth;
})"""


@pytest.fixture
def agent() -> FakeAgent:
    agent = FakeAgent(text=HERE, wall=time.time)
    agent.pair()
    agent.parts(PAIR, THERE)
    agent.many_revisions(3)
    agent.mark_down("http", "number2", "connection refused")
    agent.override(OverrideRequest(action="drain", virtual="http", server="number1", actor="ann", reason="a new kernel, and a ticket " * 3))
    result = CheckResult(
        at=time.time(), ok=False, duration_s=0.003, reason="connection refused", received="HTTP/1.0 " * 20, connect_s=0.001
    )
    agent.results["http/number2"] = [result] * 3
    return agent


def test_tables_fold_and_the_current_tabs_stay_in_view(agent: FakeAgent, tmp_path: Path, chromium: Browser) -> None:
    with (
        serving(agent, tmp_path) as served,
        visiting(chromium, served.url, PASSWORD, viewport={"width": 360, "height": 740}) as guest,
    ):
        guest.log_in()
        for path in PAGES:
            guest.visit(path)
            assert guest.page.locator(".folds").count(), path
            assert guest.page.evaluate(PUSHED_ASIDE) == 0, path
            assert guest.page.evaluate(CURRENT_TAB), path
        guest.visit("/virtual-servers/http/doctor")
        assert guest.page.evaluate(CURRENT_TAB), "the last of the sub-tabs"
