"""LVS.CF and HISTORY under somebody's hands: looks, the keyboard, without JavaScript, strange bytes, large files, a way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, expect

from deploy.demo import cluster
from tests.browser.conftest import Visitor, visiting
from tests.browser.served import Served
from tests.browser.test_every_page import examine
from tests.browser.test_manners import tab_to
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.stack import PASSWORD as REAL_PASSWORD
from tests.stack import running_stack
from tests.unit.app.conftest import PASSWORD
from tests.waiting import until

FIELD = "The text of lvs.cf"
EDITED = TUTORIAL.replace("timeout = 6", "timeout = 9", 1)
WRONG = TUTORIAL.replace("timeout = 6", "timeout = six", 1).replace("weight = 3", "weigth = 3")
WRONG_LINE = 16


@pytest.fixture
def scriptless(chromium: Browser, served: Served) -> Iterator[Visitor]:
    """Someone whose browser runs no JavaScript."""
    with visiting(chromium, served.url, PASSWORD, java_script_enabled=False) as found:
        found.log_in()
        yield found


def told(agent: FakeAgent) -> None:
    """A history with something of everything."""
    agent.many_revisions(3)
    agent.edit_outside(agent.text.replace("timeout = 6", "timeout = 9", 1).replace("scheduler = rr", "scheduler = wrr"))
    agent.outcome(2, "failed", "http: the kernel has no module ip_vs_mh")
    agent.outcome(3, "reverted", "healthy servers fell from 3 to 1")
    agent.thin(1)


# --- looks ---


def test_the_history_and_its_pages_look_right(served: Served, guest: Visitor) -> None:
    told(served.agent)
    for name, path in (("history", "/history"), ("history-revision", "/history/5"), ("history-thinned", "/history/1")):
        guest.visit(path)
        examine(guest.page, f"look-{name}")
    guest.visit("/history/diff?from=4&to=5")
    examine(guest.page, "look-history-diff")
    guest.visit("/history/4")
    guest.page.get_by_role("button", name="GO BACK TO IT").click()
    guest.page.get_by_text("Nothing is written yet.").wait_for()
    examine(guest.page, "look-history-back")


def test_an_empty_history_and_a_stray_file_look_right(served: Served, guest: Visitor) -> None:
    served.agent.edit_by_hand(EDITED)
    guest.visit("/history")
    examine(guest.page, "look-history-stray")
    served.agent.forget_history()
    guest.visit("/history")
    expect(guest.page.get_by_text("No history yet.")).to_be_visible()
    examine(guest.page, "look-history-empty")


def test_the_editor_looks_right_checked_refused_and_overtaken(served: Served, guest: Visitor) -> None:
    guest.expect_complaint("409|422")
    page = guest.page
    guest.visit("/lvs-cf")
    examine(page, "look-editor")
    page.get_by_label(FIELD).fill(WRONG)
    page.get_by_role("button", name="CHECK").click()
    expect(page.get_by_role("region", name="Lines of lvs.cf with their numbers")).to_be_visible()
    examine(page, "look-editor-checked")
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was written")
    examine(page, "look-editor-refused")
    served.agent.edit_by_hand(TUTORIAL.replace("timeout = 6", "timeout = 7", 1))
    page.get_by_label(FIELD).fill(EDITED)
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("heading", name="CHANGED BY BOTH")).to_be_visible()
    examine(page, "look-editor-stale")


def test_both_look_right_while_the_agent_is_down(served: Served, guest: Visitor) -> None:
    for path in ("/lvs-cf", "/history"):
        guest.visit(path)
    served.agent.down = True
    for path in ("/lvs-cf", "/history"):
        guest.visit(path)
        examine(guest.page, f"look-down{path.replace('/', '-')}")


# --- the editor ---


def test_a_batch_edit_by_keyboard_alone(served: Served, guest: Visitor) -> None:
    page = guest.page
    guest.visit("/control")
    tab_to(page, "LVS.CF")
    page.keyboard.press("Enter")
    page.wait_for_url("**/lvs-cf")
    tab_to(page, FIELD)
    page.keyboard.press("Control+Home")
    page.keyboard.type("# typed by hand\n")
    tab_to(page, "Comment")
    page.keyboard.type("a remark on top")
    tab_to(page, "REVIEW")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="IN LVS.CF")).to_be_visible()
    tab_to(page, "ACCEPT")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status", name="What was accepted")).to_contain_text("serial 8")
    assert served.agent.text == "# typed by hand\n" + TUTORIAL.replace("serial_no = 7", "serial_no = 8")
    assert served.agent.comments == ["a remark on top"]


def test_line_numbers_follow_the_text_and_a_remark_leads_to_its_line(guest: Visitor) -> None:
    page = guest.page
    guest.visit("/lvs-cf")
    gutter = page.locator(".gutter")
    assert gutter.inner_text().split() == [str(number) for number in range(1, TUTORIAL.count("\n") + 2)]
    page.get_by_label(FIELD).press("Control+End")
    page.keyboard.type("\n\n")
    assert gutter.inner_text().split()[-1] == str(TUTORIAL.count("\n") + 3)
    assert gutter.evaluate("one => one.scrollTop === document.getElementById('text').scrollTop && one.scrollTop > 0")
    page.get_by_label(FIELD).fill(WRONG)
    page.get_by_role("button", name="CHECK").click()
    page.get_by_role("link", name=f"line {WRONG_LINE}", exact=True).click()
    expect(page.get_by_label(FIELD)).to_be_focused()
    assert page.get_by_label(FIELD).evaluate("one => one.value.slice(one.selectionStart, one.selectionEnd).trim()") == "timeout = six"


def test_without_javascript_a_mistake_is_found_by_its_line_and_the_change_accepted(served: Served, scriptless: Visitor) -> None:
    page = scriptless.page
    scriptless.visit("/lvs-cf")
    page.get_by_label(FIELD).fill(WRONG)
    page.get_by_role("button", name="CHECK").click()
    page.get_by_role("link", name=f"line {WRONG_LINE}", exact=True).click()
    line = page.locator(f"#L{WRONG_LINE}")
    expect(line).to_contain_text("timeout = six")
    expect(line).to_be_in_viewport()
    page.get_by_label(FIELD).fill(EDITED)
    page.get_by_role("button", name="REVIEW").click()
    page.get_by_role("button", name="BACK").click()
    expect(page.get_by_label(FIELD)).to_have_value(EDITED)
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
    assert served.agent.text == EDITED.replace("serial_no = 7", "serial_no = 8")


@pytest.mark.parametrize(
    "text",
    [
        "\n\n" + TUTORIAL,
        TUTORIAL.replace("\n", "\r\n"),
        TUTORIAL + "# caf\udce9 \\xff \r inside\r\n\x00\x0b\x1b\ufeff",
        TUTORIAL.rstrip("\n"),
    ],
)
def test_a_real_browser_brings_back_every_byte(served: Served, guest: Visitor, text: str) -> None:
    served.agent.edit_by_hand(text)
    guest.visit("/lvs-cf")
    guest.page.get_by_role("button", name="ACCEPT").click()
    expect(guest.page.get_by_text("There was nothing to change")).to_be_visible()
    assert served.agent.text == text


def test_upload_review_accept_download_the_same_bytes(served: Served, guest: Visitor, tmp_path: Path) -> None:
    page = guest.page
    mine = EDITED.replace("\n", "\r\n").encode() + b"# \xff\r\n"
    guest.visit("/lvs-cf")
    page.get_by_label("A file of yours").set_input_files({"name": "mine.cf", "mimeType": "text/plain", "buffer": mine})
    page.get_by_role("button", name="UPLOAD").click()
    expect(page.get_by_role("status")).to_contain_text("mine.cf is in the editor. Nothing is written yet.")
    assert served.agent.text == TUTORIAL
    page.get_by_role("button", name="REVIEW").click()
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="DOWNLOAD").click()
    download.value.save_as(tmp_path / "got")
    assert download.value.suggested_filename == "lvs.cf"
    assert (tmp_path / "got").read_bytes() == mine.replace(b"serial_no = 7", b"serial_no = 8")


def test_a_quarter_of_a_million_lines_are_uploaded_reviewed_and_accepted(served: Served, guest: Visitor) -> None:
    page = guest.page
    large = EDITED + "# a line of many, thirty letters\n" * 255_000
    guest.visit("/lvs-cf")
    page.get_by_label("A file of yours").set_input_files({"name": "large.cf", "mimeType": "text/plain", "buffer": large.encode()})
    page.get_by_role("button", name="UPLOAD").click()
    expect(page.get_by_text("too large for a text field")).to_be_visible()
    examine(page, "look-editor-large")
    page.get_by_role("button", name="REVIEW").click()
    expect(page.get_by_text("and 253,")).to_be_visible()
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
    assert served.agent.text == large.replace("serial_no = 7", "serial_no = 8")


def test_the_largest_text_for_the_field_stays_quick_to_type_into(served: Served, guest: Visitor) -> None:
    served.agent.edit_by_hand(TUTORIAL + "# a line\n" * 19_900)
    page = guest.page
    guest.visit("/lvs-cf")
    field = page.get_by_label(FIELD)
    field.press("Control+Home")
    took = page.evaluate(
        """() => new Promise((done) => {
            const text = document.getElementById("text"), began = performance.now();
            text.setRangeText("# one more\\n", 0, 0);
            text.dispatchEvent(new InputEvent("input"));
            requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
        })"""
    )
    assert took < 2000
    page.get_by_role("button", name="ACCEPT").click()
    expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
    assert served.agent.text.startswith("# one more\nserial_no = 8\n")


# --- the history ---


def test_two_revisions_are_chosen_and_compared_without_javascript(served: Served, scriptless: Visitor) -> None:
    told(served.agent)
    page = scriptless.page
    scriptless.visit("/history")
    page.get_by_role("radio", name="Compare from revision 2").check()
    page.get_by_role("radio", name="Compare to revision 5").check()
    page.get_by_role("button", name="COMPARE").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Revision 2 to revision 5")
    expect(page.get_by_role("region", name="Differing lines of lvs.cf")).to_contain_text("scheduler = wrr")


def test_going_back_by_keyboard_is_shown_done_and_undone(served: Served, guest: Visitor) -> None:
    served.agent.edit_outside(EDITED.replace("serial_no = 7", "serial_no = 8"))
    page = guest.page
    guest.visit("/history")
    tab_to(page, "Revision 1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/history/1")
    tab_to(page, "GO BACK TO IT")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Review: Back to revision 1")
    expect(page.locator("main")).to_contain_text("timeout 9 → 6")
    tab_to(page, "ACCEPT")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status", name="What was accepted")).to_contain_text("serial 9")
    expect(page.get_by_role("row").nth(1)).to_contain_text("in force")
    assert served.agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")
    page.get_by_role("button", name="UNDO").click()
    expect(page.get_by_role("status", name="What was accepted")).to_contain_text("Undone")
    assert served.agent.text == EDITED.replace("serial_no = 7", "serial_no = 10")


def test_with_a_real_agent_a_hand_edit_becomes_a_revision_and_the_way_back_leads_before_it(chromium: Browser) -> None:
    first = cluster.first_lvs_cf(cluster.USUAL_WEB_PORT)
    with running_stack(first) as stack, visiting(chromium, stack.console_url, REAL_PASSWORD) as guest:
        page = guest.page
        guest.log_in()
        guest.visit("/lvs-cf")
        page.get_by_label(FIELD).fill(first.replace("timeout = 2", "timeout = 3", 1))
        page.get_by_label("Comment").fill("slower checks")
        page.get_by_role("button", name="ACCEPT").click()
        expect(page.get_by_role("status", name="What was accepted")).to_contain_text("serial 2")
        accepted = stack.folder.lvs_cf.read_text()
        stack.folder.lvs_cf.write_text(accepted.replace("# ", "# by hand, ", 1).replace("timeout = 3", "timeout = 4", 1))
        until(lambda: stack.agent_client.history().revisions[0].origin == "outside", 10, "the edit by hand was never found")
        guest.visit("/history")
        expect(page.get_by_role("row").nth(1)).to_contain_text("edited outside the console")
        expect(page.get_by_role("row").nth(1)).to_contain_text("timeout 3 → 4")
        expect(page.get_by_role("row").nth(2)).to_contain_text("slower checks")
        number = stack.agent_client.history().revisions[1].number
        page.get_by_role("link", name=f"Revision {number}", exact=True).click()
        page.get_by_role("button", name="GO BACK TO IT").click()
        expect(page.locator("main")).to_contain_text("timeout 4 → 3")
        page.get_by_role("button", name="ACCEPT").click()
        expect(page.get_by_role("status", name="What was accepted")).to_be_visible()
        expect(page.get_by_role("row").nth(1)).to_contain_text("in force")
        assert stack.folder.lvs_cf.read_text() == accepted.replace("serial_no = 2", "serial_no = 3")
        assert stack.agent_client.history().revisions[0].origin == "rollback"


# --- unsaved edits ---


def test_leaving_the_editor_with_unaccepted_edits_asks_first(guest: Visitor) -> None:
    page, asked = guest.page, list[str]()

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    guest.page.on("dialog", stay)
    guest.visit("/lvs-cf")
    page.get_by_role("link", name="HISTORY").click()  # nothing was typed
    page.wait_for_url("**/history")
    guest.visit("/lvs-cf")
    page.get_by_label(FIELD).fill(EDITED)
    page.get_by_role("link", name="HISTORY").click()
    until(lambda: asked == ["beforeunload"], 5, "nobody asked")
    assert page.url.endswith("/lvs-cf")
    page.get_by_role("button", name="CHECK").click()  # sends it, so nothing is lost
    page.locator("#editor[data-edited]").wait_for()
    page.get_by_role("link", name="HISTORY").click()
    until(lambda: len(asked) == 2, 5, "nobody asked about edits that were only checked")
    page.get_by_role("link", name="CANCEL").click()
    page.locator("#editor:not([data-edited])").wait_for()
    assert len(asked) == 2


@pytest.mark.parametrize("path", ["/control", "/lvs-cf", "/history", "/import"])
def test_the_current_tab_is_in_view_on_a_narrow_screen_without_scripts(chromium: Browser, served: Served, path: str) -> None:
    narrow = {"width": 360, "height": 740}
    with visiting(chromium, served.url, PASSWORD, viewport=narrow, java_script_enabled=False) as guest:
        guest.log_in()
        guest.visit(path)
        box = guest.page.locator(".tabs:not(.sub) a[aria-current]").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= narrow["width"]
