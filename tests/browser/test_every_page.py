"""Every page, by day and by night, wide and narrow: nothing for axe to find, nothing on the console, nothing wider than the screen.

The pictures land in test-results for whoever wants to look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import RESULTS, Demo, Visitor, visiting
from tests.pages import is_inside, path_of, read_page

SIZES = ((1400, 900), (360, 740))
SCHEMES = ("light", "dark")
BEHIND_BUTTONS = (
    "/virtual-servers/add",
    "/virtual-servers/http/delete",
    "/virtual-servers/http/real-servers/add",
    "/virtual-servers/http/real-servers/number1/delete",
)
TWINS = re.compile("number[23]")
"""The screens of number1 stand for those of its neighbours."""
DOWNLOADS = re.compile("/file$")
"""Links to files, not to pages."""
NARROW_ENOUGH = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def linked_pages(visitor: Visitor) -> Iterator[str]:
    """Open every page that links lead to, once a path."""
    seen: set[str] = set()
    waiting = ["/control", *BEHIND_BUTTONS]
    while waiting:
        path = waiting.pop(0)
        if path.partition("?")[0] in seen:
            continue
        seen.add(path.partition("?")[0])
        if TWINS.search(path) or DOWNLOADS.search(path):
            continue
        visitor.visit(path)
        yield path
        links = read_page(visitor.page.content(), visitor.page.url).links
        waiting.extend(path_of(link) for link in links if is_inside(link, visitor.console_url))


def examine(page: Page, name: str) -> None:
    """axe and the width, in both schemes and sizes; a picture of each."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # both are schemes
            RESULTS.mkdir(exist_ok=True)
            page.screenshot(path=RESULTS / f"{name}-{width}-{scheme}.png", full_page=True)
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name}, {scheme}, {width} wide:\n{found.generate_report()}"
        assert page.evaluate(NARROW_ENOUGH), f"{name} is wider than {width}"


@pytest.mark.timeout(300)
def test_every_page_behind_the_login(settled_visitor: Visitor) -> None:
    names = []
    for path in linked_pages(settled_visitor):
        if "text/html" not in settled_visitor.page.evaluate("document.contentType"):
            continue
        name = path.partition("?")[0].strip("/").replace("/", "-")
        examine(settled_visitor.page, name)
        names.append(name)
    for wanted in (
        "control",
        "global-settings",
        "redundancy",
        "virtual-servers",
        "virtual-servers-add",
        "password",
        "lvs-cf",
        "history",
        "history-1",
    ):
        assert wanted in names
    assert len(names) >= 12, names


def test_the_login_page_and_a_wrong_password(chromium: Browser, settled_demo: Demo) -> None:
    with visiting(chromium, settled_demo.console_url, settled_demo.password) as visitor:
        visitor.expect_complaint("403")
        visitor.visit("/")
        examine(visitor.page, "login")
        visitor.page.get_by_label("Password").fill("not this one")
        visitor.page.get_by_role("button", name="Log in").click()
        visitor.page.get_by_role("alert").wait_for()
        examine(visitor.page, "login-refused")


def test_pages_that_come_between(settled_visitor: Visitor) -> None:
    """A field in error, the review of a change, a page that does not exist."""
    visitor, page = settled_visitor, settled_visitor.page
    visitor.expect_complaint("404|422")
    visitor.visit("/virtual-servers/http/virtual-server")
    page.get_by_label("Application port", exact=True).fill("70000")
    page.get_by_role("button", name="ACCEPT").click()
    page.locator(".err").first.wait_for()
    examine(page, "field-error")
    page.get_by_label("Application port", exact=True).fill("80")
    page.get_by_label("Service Timeout", exact=True).fill("5")
    page.get_by_role("button", name="REVIEW").click()
    page.get_by_text("Nothing is written yet.").wait_for()
    examine(page, "review")
    visitor.visit("/nowhere")
    examine(page, "not-found")


def test_pages_stay_usable_when_text_is_twice_as_large(settled_visitor: Visitor) -> None:
    page = settled_visitor.page
    page.set_viewport_size({"width": 700, "height": 900})
    for path in ("/control", "/virtual-servers/http/virtual-server"):
        settled_visitor.visit(path)
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate(NARROW_ENOUGH), path


def test_the_pictures_are_kept_out_of_the_repository() -> None:
    ignored = (Path(__file__).resolve().parents[2] / ".gitignore").read_text().splitlines()
    assert "/test-results/" in ignored
