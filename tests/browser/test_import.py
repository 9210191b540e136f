"""IMPORT AND EXPORT under somebody's hands: looks in each state, a file from disk, without JavaScript, and a file to keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor, visiting
from tests.browser.served import Served
from tests.browser.test_every_page import examine
from tests.unit.app.conftest import PASSWORD

CORPUS = Path(__file__).parents[1] / "corpus" / "foreign"


@pytest.fixture(params=[True, False], ids=["JavaScript", "no JavaScript"])
def guest(request: pytest.FixtureRequest, chromium: Browser, served: Served) -> Iterator[Visitor]:
    with visiting(chromium, served.url, PASSWORD, java_script_enabled=request.param) as found:
        found.log_in()
        yield found


def test_a_file_from_disk_becomes_virtual_servers(served: Served, guest: Visitor) -> None:
    page = guest.page
    guest.visit("/lvs-cf")
    page.get_by_role("link", name="IMPORT, EXPORT").click()
    page.get_by_label("Or a file of yours").set_input_files(CORPUS / "ka-web-pair-nat.conf")
    page.get_by_role("button", name="READ").click()
    expect(page.get_by_role("heading", name="WITHOUT A COUNTERPART")).to_be_visible()
    page.locator("summary", has_text="Every line").click()
    expect(page.get_by_role("region", name="What became of every line").get_by_text("scheduler = wrr")).to_be_visible()
    page.get_by_label("Put its virtual servers in place").check()
    page.get_by_role("button", name="REVIEW").click()
    page.get_by_role("heading", name="WHAT CHANGES").wait_for()
    page.get_by_role("button", name="ACCEPT").click()
    page.get_by_text("Accepted: serial 8").wait_for()
    assert [one.name for one in served.agent.config_now.virtual] == ["http-192.0.2.100", "https-192.0.2.101"]


def test_lvs_cf_is_kept_as_keepalived_conf(guest: Visitor, tmp_path: Path) -> None:
    guest.visit("/import")
    with guest.page.expect_download() as started:
        guest.page.get_by_role("link", name="keepalived.conf").first.click()
    kept = tmp_path / started.value.suggested_filename
    started.value.save_as(kept)
    assert kept.name == "keepalived-primary.conf"
    assert "virtual_server " in kept.read_text()


def test_each_state_looks_right(served: Served, chromium: Browser) -> None:
    with visiting(chromium, served.url, PASSWORD) as guest:
        guest.log_in()
        guest.expect_complaint("422")
        page = guest.page
        guest.visit("/import")
        examine(page, "look-import")
        page.get_by_label("Its text").fill((CORPUS / "ka-programs.conf").read_text())
        page.get_by_role("button", name="READ").click()
        page.get_by_text("Nothing is written yet.").wait_for()
        page.locator("summary", has_text="Every line").click()
        examine(page, "look-import-read")
        page.get_by_role("button", name="REVIEW").click()
        page.get_by_text("WHAT CHANGES").wait_for()
        examine(page, "look-import-review")
        guest.visit("/import")
        page.get_by_label("Its text").fill("nothing that is known")
        page.get_by_role("button", name="READ").click()
        page.get_by_text("It could not be read").wait_for()
        examine(page, "look-import-refused")
