"""LVS.CF, the file as a text: shows, checks by line, reviews, saves, keeps every byte, takes and gives files, survives a silent agent."""

from __future__ import annotations

import io
import re

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.forms import whole_file
from app.textarea import pack
from app.views import lvs_cf
from lvsagent.client import AgentRefused
from tests.fakes.agent import TUTORIAL, FakeAgent, etag_of
from tests.unit.app.browsing import Page, visit
from tests.unit.app.conftest import post, token

URL = "/lvs-cf"
LINES_OF_TUTORIAL = TUTORIAL.count("\n")
EDITED = TUTORIAL.replace("timeout = 6", "timeout = 9", 1).replace("weight = 3", "weight = 4")


def upload(client: FlaskClient, data: bytes, name: str = "mine.cf") -> Page:
    sent = {"csrf_token": token(client), "file": (io.BytesIO(data), name)}
    return Page(client.post("/lvs-cf/upload", data=sent, content_type="multipart/form-data"), client)


def field(page: Page) -> str:
    """What the text field says."""
    return page.form_with("REVIEW").fields["text"]


# --- shows ---


def test_shows_the_file_and_what_there_is_to_say_about_its_lines(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("primary =", "primry ="))
    page = visit(client, URL)
    assert field(page) == agent.text
    assert "line 2 : there is no keyword primry" in page.words
    assert 'href="#L2"' in page.html
    assert 'id="L2"' in page.html
    assert f"{LINES_OF_TUTORIAL} lines" in page.words


def test_a_tab_leads_to_it_and_piranhas_come_first(client: FlaskClient) -> None:
    nav = client.get(URL).text.split('aria-label="Screens"')[1].split("</nav>")[0]
    assert re.findall(r">([A-Z./ ]+)</a>", nav) == [
        "CONTROL/MONITORING",
        "GLOBAL SETTINGS",
        "REDUNDANCY",
        "VIRTUAL SERVERS",
        "LVS.CF",
        "HISTORY",
    ]
    assert '<a href="/lvs-cf" aria-current="page">' in nav


def test_without_a_file_the_first_accept_makes_it(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand("")
    agent.exists = False
    page = visit(client, URL)
    assert "There is no lvs.cf yet" in page.words
    assert field(page) == ""
    page.press("ACCEPT", text="primary = 192.0.2.1\n")
    assert agent.text.splitlines() == ["serial_no = 1", "primary = 192.0.2.1"]
    assert client.get("/lvs-cf/file").data == agent.text.encode()


# --- saves ---


def test_saves_what_was_typed_with_the_next_serial(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("ACCEPT", text=EDITED)
    assert "Accepted: serial 8, written and applied." in page.words
    assert "virtual server http: timeout 6 → 9" in page.words
    assert agent.text == EDITED.replace("serial_no = 7", "serial_no = 8")
    assert agent.history().revisions[0].origin == "console"
    page.press("UNDO")
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


@pytest.mark.parametrize(("typed", "written"), [("20", "20"), ("8", "8"), ("7", "8"), ("3", "8")])
def test_a_serial_that_was_raised_by_hand_is_taken_and_any_other_becomes_the_next(
    client: FlaskClient, agent: FakeAgent, typed: str, written: str
) -> None:
    visit(client, URL).press("ACCEPT", text=EDITED.replace("serial_no = 7", f"serial_no = {typed}"))
    assert agent.text == EDITED.replace("serial_no = 7", f"serial_no = {written}")


def test_a_comment_is_kept_and_without_one_the_change_in_words(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL).press("ACCEPT", text=EDITED, note="  slower checks, as agreed\r\n")
    visit(client, URL).press("ACCEPT", text=agent.text.replace("timeout = 9", "timeout = 12"))
    assert agent.comments == ["slower checks, as agreed", "virtual server http: timeout 9 → 12"]


def test_a_comment_line_alone_is_a_change(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("REVIEW", text="# ours\n" + TUTORIAL)
    assert "only comments, blanks, line ends or the order of lines" in page.words
    page.press("ACCEPT")
    assert agent.text == "# ours\n" + TUTORIAL.replace("serial_no = 7", "serial_no = 8")


def test_an_untouched_text_writes_nothing_and_says_so(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("ACCEPT")
    assert "There was nothing to change" in page.words
    assert "put_config" not in agent.asked


# --- REVIEW, CHECK ---


def test_review_shows_words_lines_and_plan_writes_nothing_and_leads_on_or_back(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("REVIEW", text=EDITED, note="why")
    for words in ("virtual server http: timeout 6 → 9", "- timeout = 6", "+ timeout = 9", "IN THE DATA PLANE"):
        assert words in page.words
    assert agent.text == TUTORIAL
    back = page.press("BACK")
    assert field(back) == EDITED
    assert back.form_with("REVIEW").fields["note"] == "why"
    assert "Accepted: serial 8" in page.press("ACCEPT").words
    assert agent.comments == ["why"]


def test_check_shows_every_line_with_its_number_and_the_findings_beside_it(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL).press("CHECK", text=TUTORIAL.replace("timeout = 6", "timeout = six", 1))
    assert page.status == 200
    assert "16 timeout = six error timeout is a whole number" in page.words
    assert '<details class="card" open>' in page.html
    assert field(page) == TUTORIAL.replace("timeout = 6", "timeout = six", 1)
    assert "put_config" not in agent.asked


def test_check_finds_nothing_and_says_so(client: FlaskClient) -> None:
    assert "Nothing to remark." in visit(client, URL).press("CHECK", text=EDITED).words


# --- rejects ---


@pytest.mark.parametrize("button", ["ACCEPT", "REVIEW"])
def test_rejects_a_text_with_errors_names_each_line_and_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent, button: str) -> None:
    wrong = TUTORIAL.replace("serial_no = 7\n", "").replace("timeout = 6", "timeout = six", 1) + "nonsense = 1\n}\n"
    page = visit(client, URL).press(button, text=wrong, note="try")
    assert page.status == 422
    assert "Nothing was written: lvs.cf would have errors." in page.words
    for number in (15, LINES_OF_TUTORIAL, LINES_OF_TUTORIAL + 1):
        assert f"line {number} :" in page.words
        assert f'id="L{number}"' in page.html
    assert field(page) == wrong
    assert page.form_with("REVIEW").fields["note"] == "try"
    assert agent.text == TUTORIAL


def test_what_only_the_agent_finds_is_shown_at_its_line(client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    from lvsagent.client import InvalidConfig  # noqa: PLC0415 -- beside its only use
    from lvsagent.wire import DiagnosticInfo  # noqa: PLC0415

    def no(_text: str, **_named: object) -> None:
        raise InvalidConfig("no", [DiagnosticInfo(severity="error", code="x", line=3, message="a newer agent says no")])

    page = visit(client, URL)
    monkeypatch.setattr(agent, "put_config", no)
    answer = page.press("ACCEPT", text=EDITED)
    assert answer.status == 422
    assert "line 3 : a newer agent says no" in answer.words


def test_an_agent_that_says_no_leaves_the_text_with_its_words(
    client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(_text: str, **_named: object) -> None:
        raise AgentRefused("unavailable", "The disk is full.")

    page = visit(client, URL)
    monkeypatch.setattr(agent, "put_config", no)
    answer = page.press("ACCEPT", text=EDITED)
    assert "The disk is full." in answer.words
    assert field(answer) == EDITED


@pytest.mark.parametrize("data", [{}, {"exact": "spoilt"}, {"exact": pack("x")[:-4]}])
def test_rejects_a_request_without_a_text(client: FlaskClient, agent: FakeAgent, data: dict[str, str]) -> None:
    assert post(client, URL, {**data, "etag": etag_of(TUTORIAL)}).status_code == 400
    assert agent.text == TUTORIAL


def test_a_text_without_its_version_is_never_written(client: FlaskClient, agent: FakeAgent) -> None:
    assert post(client, URL, {"text": EDITED}).status_code == 409
    assert agent.text == TUTORIAL


# --- needs login, needs its token ---


@pytest.mark.parametrize("url", [URL, "/lvs-cf/file"])
def test_needs_login(stranger: FlaskClient, url: str) -> None:
    answer = stranger.get(url)
    assert answer.status_code == 302
    assert "/login" in answer.location


@pytest.mark.parametrize("url", [URL, "/lvs-cf/upload"])
def test_a_post_needs_login_and_its_token(stranger: FlaskClient, client: FlaskClient, agent: FakeAgent, url: str) -> None:
    for browser in (stranger, client):
        assert browser.post(url, data={"etag": etag_of(TUTORIAL), "text": EDITED}).status_code in {400, 401}
    assert agent.text == TUTORIAL


# --- survives the agent down ---


def test_is_readable_while_the_agent_is_down_and_accept_is_off_with_the_reason(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, URL)
    agent.down = True
    page = visit(client, URL)
    assert field(page) == TUTORIAL
    assert page.form_with("ACCEPT").buttons["ACCEPT"][1]
    assert "ACCEPT is off: No agent listens" in page.words


def test_a_post_while_the_agent_is_down_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL)
    agent.down = True
    answer = page.press("ACCEPT", text=EDITED)
    assert answer.status == 503
    assert field(answer) == EDITED
    assert "Nothing was written" in answer.words
    agent.down = False
    assert "serial 8" in visit(client, URL).press("ACCEPT", text=EDITED).words


def test_without_any_known_file_it_says_what_is_wrong(client: FlaskClient, agent: FakeAgent) -> None:
    agent.down = True
    for url in (URL, "/lvs-cf/file"):
        page = visit(client, url)
        assert page.status == 503
        assert "No agent listens" in page.words


# --- stale edits ---


def test_a_stale_edit_of_other_lines_is_offered_on_top_of_the_new_file(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL)
    agent.edit_by_hand(TUTORIAL.replace("serial_no = 7", "serial_no = 8").replace("scheduler = rr", "scheduler = wrr"))
    stale = page.press("ACCEPT", text=EDITED)
    assert stale.status == 409
    assert "do not touch the same lines, so both can stand" in stale.words
    assert "virtual server http: scheduler rr → wrr" in stale.words
    assert "timeout = 9" not in agent.text
    stale.press("APPLY MY CHANGE TO THE NEW FILE")
    assert agent.text == EDITED.replace("scheduler = rr", "scheduler = wrr").replace("serial_no = 7", "serial_no = 9")


def test_a_stale_edit_of_the_same_line_shows_both_versions_and_can_be_edited_again(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL)
    agent.edit_by_hand(TUTORIAL.replace("timeout = 6", "timeout = 7", 1))
    stale = page.press("ACCEPT", text=EDITED)
    assert "You both changed 1 place" in stale.words
    assert "Line 16 timeout = 6 timeout = 7 timeout = 9" in stale.words
    again = stale.press("EDIT AGAIN")
    assert field(again) == EDITED
    assert "Accepted: serial 8" in again.press("ACCEPT").words
    assert "timeout = 9" in agent.text


def test_a_stale_edit_whose_origin_is_forgotten_says_that_it_replaces_everything(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("weight = 3", "weight = 5"))
    page = visit(client, URL)
    page.form_with("REVIEW").fields["etag"] = "0" * 64
    stale = page.press("ACCEPT", text=EDITED)
    assert stale.status == 409
    assert "The whole file" in stale.words
    assert "real server number1 of https: weight 5 → 4" in stale.words
    assert "weight = 5" in agent.text


def test_what_a_form_was_made_from_is_found_in_the_history(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, URL)
    for number in range(8, 16):
        agent.edit_outside(TUTORIAL.replace("serial_no = 7", f"serial_no = {number}").replace("weight = 3", f"weight = {number}"))
        visit(client, URL)
    stale = page.press("ACCEPT", text=TUTORIAL.replace("timeout = 6", "timeout = 9", 1))
    assert "both can stand" in stale.words
    assert "real server number1 of https: weight 3 → 15" in stale.words


# --- every byte ---

LINES = st.lists(
    st.sampled_from(
        [
            b"serial_no = 1",
            b"primary = 192.0.2.1",
            b"# \xff\xfe",
            b"# \\xff \xc3\xa9 \xe2\x90\x8d",
            b"virtual a {",
            b"}",
            b"</textarea>",
            b"",
        ]
    )
)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans()).map(lambda it: it[1].join(it[0]) + it[1] * it[2]),
    ).map(lambda data: data.replace(b"\0", b""))
)
@example(b"\n\n# begins with blank lines\n")
@example(b"\xef\xbb\xbfserial_no = 1\r\n")
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_comes_back_from_the_page_as_it_was(client: FlaskClient, agent: FakeAgent, data: bytes) -> None:
    agent.edit_by_hand(data.decode("utf-8", "surrogateescape"))
    agent.asked.clear()
    page = visit(client, URL).press("ACCEPT")
    assert "There was nothing to change" in page.words
    assert "put_config" not in agent.asked
    assert client.get("/lvs-cf/file").data == data


def test_a_file_of_another_system_keeps_its_line_ends_and_bytes_when_one_line_is_edited(client: FlaskClient, agent: FakeAgent) -> None:
    strange = TUTORIAL.replace("service = lvs", "# caf\udce9\nservice = lvs").replace("\n", "\r\n")
    agent.edit_by_hand(strange)
    page = visit(client, URL)
    assert "# caf\\xe9" in field(page)
    visited = page.press("REVIEW", text=field(page).replace("timeout = 6", "timeout = 9", 1))
    visited.press("ACCEPT")
    assert agent.text == strange.replace("serial_no = 7", "serial_no = 8").replace("timeout = 6", "timeout = 9", 1)


# --- upload and download ---


def test_an_upload_goes_into_the_editor_and_nothing_is_written_before_accept(client: FlaskClient, agent: FakeAgent) -> None:
    data = EDITED.replace("\n", "\r\n").encode() + b"# \xff\r\n"
    page = upload(client, data)
    assert "mine.cf is in the editor. Nothing is written yet." in page.words
    assert agent.text == TUTORIAL
    page.press("REVIEW").press("ACCEPT")
    assert client.get("/lvs-cf/file").data == data.replace(b"serial_no = 7", b"serial_no = 8")


def test_an_upload_with_errors_shows_them_by_line(client: FlaskClient) -> None:
    page = upload(client, b"serial_no = 1\nnonsense = 1\n")
    assert "line 2 : there is no keyword nonsense" in page.words


def test_an_upload_of_what_is_there_already_says_so(client: FlaskClient) -> None:
    assert "It says exactly what lvs.cf says already." in upload(client, TUTORIAL.encode()).words


@pytest.mark.parametrize("data", [None, b""])
def test_an_upload_of_nothing_says_so(client: FlaskClient, data: bytes | None) -> None:
    page = Page(post(client, "/lvs-cf/upload"), client) if data is None else upload(client, data)
    assert page.status == 422
    assert "No file was chosen" in page.words
    assert field(page) == TUTORIAL


def test_an_upload_that_is_too_large_is_refused_with_the_limit(
    client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Up to 16 MiB." in visit(client, URL).words
    monkeypatch.setattr(lvs_cf, "LARGEST_FILE_BYTES", 2048)
    page = upload(client, b"x" * 2049)
    assert page.status == 413
    assert "mine.cf is larger than 2.0 KiB" in page.words
    assert field(page) == TUTORIAL
    monkeypatch.setattr(lvs_cf, "LARGEST_REQUEST", 3000)
    assert upload(client, b"x" * 3000).status == 413
    assert agent.text == TUTORIAL


def test_a_hostile_file_name_is_text(client: FlaskClient) -> None:
    page = upload(client, b"serial_no = 9\n", '"><script>alert(1)</script>')
    assert "<script>alert" not in page.html


def test_a_download_is_the_very_bytes(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand("# \udcff\r\nserial_no = 1")
    answer = client.get("/lvs-cf/file")
    assert answer.data == b"# \xff\r\nserial_no = 1"
    assert answer.mimetype == "text/plain"
    assert 'href="/lvs-cf/file" download="lvs.cf"' in client.get(URL).text


# --- large files ---


@pytest.fixture
def small_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text field that takes as little as the tutorial's lvs.cf."""
    monkeypatch.setattr(whole_file, "EDITED_LINES", 60)


@pytest.mark.usefixtures("small_editor")
def test_a_file_too_large_for_a_text_field_is_uploaded_and_reviewed_without_one(client: FlaskClient, agent: FakeAgent) -> None:
    large = EDITED + "# one more line\n" * 20
    page = upload(client, large.encode())
    assert "too large for a text field" in page.words
    assert "textarea" not in page.tags
    page.press("REVIEW").press("ACCEPT")
    assert agent.text == large.replace("serial_no = 7", "serial_no = 8")
    there = visit(client, URL)
    assert "DOWNLOAD it, edit it, and UPLOAD it below" in there.words
    assert not any("ACCEPT" in form.buttons for form in there.forms)


def test_the_page_of_a_file_of_a_quarter_million_lines_stays_small(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL + "# a line of many\n" * 255_000)
    page = visit(client, URL)
    assert "255,055 lines" in page.words
    assert "too large for a text field" in page.words
    assert len(page.html) < 100_000


def test_the_page_of_a_file_with_an_error_in_every_line_stays_small(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand("nonsense = 1\n" * 10_000)
    page = visit(client, URL)
    assert re.search(r"and 9,80\d more", page.words)
    assert len(page.html) < 500_000


def test_the_editors_bounds_are_those_of_the_page() -> None:
    at_most = whole_file.TypedFile("x\n" * (whole_file.EDITED_LINES - 1), "")
    assert at_most.editable
    assert not whole_file.TypedFile(at_most.text + "x\n", "").editable
    assert not whole_file.TypedFile("x" * (whole_file.EDITED_CHARACTERS + 1), "").editable
