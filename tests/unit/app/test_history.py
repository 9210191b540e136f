"""HISTORY: shows every revision, compares any two, goes back by REVIEW and ACCEPT, needs login and token, survives a silent agent."""

from __future__ import annotations

import re
import time

import pytest
from flask.testing import FlaskClient

from lvsagent.client import AgentRefused
from tests.fakes.agent import TUTORIAL, FakeAgent, etag_of
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import post

URL = "/history"
SECOND = TUTORIAL.replace("serial_no = 7", "serial_no = 8").replace("timeout = 6", "timeout = 9", 1)
THIRD = SECOND.replace("serial_no = 8", "serial_no = 9").replace("weight = 3", "weight = 4")


@pytest.fixture
def told(agent: FakeAgent) -> FakeAgent:
    """Three revisions: found at the start, from the console, edited outside."""
    agent.put_config(SECOND, if_match=etag_of(TUTORIAL), actor="piranha", comment="slower checks")
    agent.edit_outside(THIRD)
    return agent


def table_rows(html: str) -> list[str]:
    """The words of each row."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html.partition("<tbody>")[2].partition("</tbody>")[0], re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


# --- shows ---


def test_shows_every_revision_newest_first_with_who_how_and_what(client: FlaskClient, told: FakeAgent) -> None:
    rows = table_rows(client.get(URL).text)
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert "real server number1 of https: weight 3 → 4" in rows[0]
    assert "edited outside the console" in rows[0]
    assert "serial 8 slower checks virtual server http: timeout 6 → 9" in rows[1]
    assert "piranha on lefty in the console" in rows[1]
    assert "found at the start" in rows[2]


def test_marks_the_one_in_force_and_only_that(client: FlaskClient, told: FakeAgent) -> None:
    rows = table_rows(client.get(URL).text)
    assert ["in force" in row for row in rows] == [True, False, False]


@pytest.mark.parametrize(
    ("origin", "words"),
    [("lvsctl", "with lvsctl"), ("peer", "from the other director"), ("rollback", "back to an earlier one"), ("import", "imported")],
)
def test_says_in_words_where_a_revision_came_from(client: FlaskClient, agent: FakeAgent, origin: str, words: str) -> None:
    agent.put_config(SECOND, if_match=etag_of(TUTORIAL), actor="root", origin=origin)
    assert words in table_rows(client.get(URL).text)[0]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("failed", "failed http: no module ip_vs_mh"), ("reverted", "taken back http: no module ip_vs_mh"), ("pending", "outcome not known")],
)
def test_says_how_it_ended_and_why(client: FlaskClient, told: FakeAgent, outcome: str, words: str) -> None:
    told.outcome(2, outcome, "http: no module ip_vs_mh")
    assert words in table_rows(client.get(URL).text)[1]
    told.outcome(3, outcome)
    assert "in force" in table_rows(client.get(URL).text)[0]
    assert words.partition(" http")[0] in table_rows(client.get(URL).text)[0]


def test_without_any_it_says_so(client: FlaskClient, agent: FakeAgent) -> None:
    agent.forget_history()
    page = visit(client, URL)
    assert "No history yet." in page.words
    assert "There is no revision to compare." in visit(client, "/history/diff").words


def test_one_alone_is_not_compared(client: FlaskClient, agent: FakeAgent) -> None:
    agent.many_revisions(0)
    page = visit(client, URL)
    assert "With a second revision the two can be compared." in page.words
    assert "COMPARE" not in page.words


def test_says_so_when_lvs_cf_is_none_of_them(client: FlaskClient, told: FakeAgent) -> None:
    assert "lvs.cf is none of these" not in visit(client, URL).words
    told.edit_by_hand(THIRD + "nonsense = 1\n")
    page = visit(client, URL)
    assert "lvs.cf is none of these." in page.words
    assert not any("in force" in row for row in table_rows(page.html))
    assert 'href="/history/diff?from=3&amp;to=now"' in page.html


def test_a_page_holds_fifty_and_leads_to_older_ones_and_back(client: FlaskClient, agent: FakeAgent) -> None:
    agent.many_revisions(119)
    seen: list[int] = []
    url = URL
    for _ in range(3):
        html = client.get(url).text
        seen += [int(row.split()[0]) for row in table_rows(html)]
        older = re.search(r'rel="next" href="([^"]+)"', html)
        url = older[1] if older else ""
    assert seen == list(range(120, 0, -1))
    assert url == ""
    assert '<a class="btn" href="/history">Newest</a>' in html
    assert "There is nothing older." in client.get("/history?before=1").text
    assert client.get("/history?before=x").status_code == 200


def test_a_page_of_fifteen_hundred_revisions_is_quick(client: FlaskClient, agent: FakeAgent) -> None:
    agent.many_revisions(1500)
    client.get(URL)
    began = time.perf_counter()
    page = client.get(URL)
    took = time.perf_counter() - began
    assert "1,501 revisions" in page.text
    assert len(page.data) < 200_000
    assert took < 1.0


def test_a_text_that_is_no_longer_kept_is_said_and_cannot_be_chosen(client: FlaskClient, told: FakeAgent) -> None:
    told.thin(1)
    page = client.get(URL).text
    assert "its text is no longer kept" in table_rows(page)[2]
    assert re.search(r'name="from" value="1" [^>]*disabled', page)
    one = visit(client, "/history/1")
    assert "Its text is no longer kept: only what is said above is left of it." in one.words
    assert one.form_with("GO BACK TO IT").buttons["GO BACK TO IT"][1]
    assert client.get("/history/1/file").status_code == 404
    assert "Revision 1 cannot be compared." in visit(client, "/history/diff?from=1&to=2").words


def test_a_receipt_leads_to_its_revision(client: FlaskClient, told: FakeAgent) -> None:
    page = visit(client, "/global-settings").press("ACCEPT", tcp_timeout="900")
    assert 'href="/history/4">Revision 4</a>' in page.html


# --- one revision ---


def test_one_revision_shows_what_it_is_what_it_changed_and_its_text(client: FlaskClient, told: FakeAgent) -> None:
    page = visit(client, "/history/2")
    for words in ("serial 8", "piranha on lefty", "slower checks", "virtual server http: timeout 6 → 9", "16 timeout = 9"):
        assert words in page.words
    assert etag_of(SECOND) in page.words
    assert 'href="/history/diff?from=1&amp;to=2"' in page.html
    assert 'href="/history/diff?from=2&amp;to=3"' in page.html


def test_a_revision_that_never_was_is_not_found(client: FlaskClient, told: FakeAgent) -> None:
    assert client.get("/history/4").status_code == 404
    assert client.get("/history/0").status_code == 404
    assert client.get("/history/99999999999").status_code == 404


def test_a_download_is_the_very_bytes(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_outside("# \udcff\r\nserial_no = 8")
    assert client.get("/history/2/file").data == b"# \xff\r\nserial_no = 8"
    assert 'href="/history/2/file" download="lvs.cf.2"' in client.get("/history/2").text


def test_of_a_large_text_the_first_lines_are_shown(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_outside(TUTORIAL + "# a line of many\n" * 255_000)
    page = visit(client, "/history/2")
    assert "and 253,0" in page.words
    assert len(page.html) < 600_000


# --- compares ---


def test_compares_any_two_in_words_and_in_lines(client: FlaskClient, told: FakeAgent) -> None:
    page = visit(client, "/history/diff?from=1&to=3")
    assert "virtual server http: timeout 6 → 9 real server number1 of https: weight 3 → 4" in page.words
    assert "- timeout = 6" in page.words
    assert "+ timeout = 9" in page.words
    backwards = visit(client, "/history/diff?from=3&to=1")
    assert "timeout 9 → 6" in backwards.words


def test_the_two_newest_are_compared_when_none_are_named(client: FlaskClient, told: FakeAgent) -> None:
    assert "Revision 2 to revision 3" in visit(client, "/history/diff").words


def test_two_that_mean_the_same_and_two_that_are_the_same(client: FlaskClient, told: FakeAgent) -> None:
    told.edit_outside("# ours\n" + THIRD)
    assert "Only comments, blanks, line ends or the order of lines." in visit(client, "/history/diff?from=3&to=4").words
    assert "byte for byte" in visit(client, "/history/diff?from=3&to=3").words


def test_a_revision_is_compared_with_the_file_as_it_stands(client: FlaskClient, told: FakeAgent) -> None:
    told.edit_by_hand(THIRD.replace("scheduler = wlc", "scheduler = lc") + "nonsense = 1\n")
    page = visit(client, "/history/diff?from=3&to=now")
    assert "Revision 3 to lvs.cf now" in page.words
    assert "scheduler wlc → lc" in page.words
    assert "+ nonsense = 1" in page.words


@pytest.mark.parametrize(
    "query", ["from=1&to=99", "from=x&to=y", "from=&to=", "from=-1&to=2", "from=" + "9" * 40, "from=now&to=now", "from=%00&to=%ff"]
)
def test_odd_numbers_are_answered_in_words(client: FlaskClient, told: FakeAgent, query: str) -> None:
    assert visit(client, f"/history/diff?{query}").status == 200


# --- goes back ---


def test_going_back_is_shown_first_and_then_done_as_a_new_revision(client: FlaskClient, told: FakeAgent) -> None:
    review = visit(client, "/history/1").press("GO BACK TO IT")
    assert "Review: Back to revision 1" in review.words
    for words in ("virtual server http: timeout 9 → 6", "real server number1 of https: weight 4 → 3", "IN THE DATA PLANE", "+ timeout = 6"):
        assert words in review.words
    assert told.text == THIRD
    done = review.press("ACCEPT")
    assert told.text == TUTORIAL.replace("serial_no = 7", "serial_no = 10")
    assert "Accepted: serial 10" in done.words
    newest = told.history().revisions[0]
    assert (newest.number, newest.origin) == (4, "rollback")
    assert newest.comment.startswith("back to revision 1: virtual server http: timeout 9 → 6")
    assert "back to an earlier one" in table_rows(client.get(URL).text)[0]
    done.press("UNDO")
    assert told.text == THIRD.replace("serial_no = 9", "serial_no = 11")


def test_back_from_the_review_writes_nothing(client: FlaskClient, told: FakeAgent) -> None:
    review = visit(client, "/history/1").press("GO BACK TO IT")
    assert "BACK changes nothing." in review.words
    assert "you typed" not in review.words
    page = review.press("BACK")
    assert "Revision 1" in page.words
    assert told.text == THIRD


def test_the_one_in_force_cannot_be_gone_back_to(client: FlaskClient, told: FakeAgent) -> None:
    page = visit(client, "/history/3")
    assert page.form_with("GO BACK TO IT").buttons["GO BACK TO IT"][1]
    assert "GO BACK TO IT is off: This is what lvs.cf says now." in page.words


def test_going_back_to_what_is_there_but_for_its_serial_writes_nothing(client: FlaskClient, told: FakeAgent) -> None:
    told.edit_outside(TUTORIAL.replace("serial_no = 7", "serial_no = 10"))
    page = visit(client, "/history/1").press("GO BACK TO IT")
    assert "There was nothing to change" in page.words
    assert len(told.history().revisions) == 4


def test_going_back_keeps_the_bytes_of_another_system(client: FlaskClient, agent: FakeAgent) -> None:
    strange = TUTORIAL.replace("service = lvs", "# caf\udce9\nservice = lvs").replace("\n", "\r\n")
    agent.edit_outside(strange)
    agent.edit_outside(SECOND)
    visit(client, "/history/2").press("GO BACK TO IT").press("ACCEPT")
    assert agent.text == strange.replace("serial_no = 7", "serial_no = 9")


def test_a_file_that_changed_meanwhile_is_said_before_it_is_lost(client: FlaskClient, told: FakeAgent) -> None:
    review = visit(client, "/history/1").press("GO BACK TO IT")
    told.edit_outside(THIRD.replace("serial_no = 9", "serial_no = 10").replace("scheduler = wlc", "scheduler = lc"))
    stale = review.press("ACCEPT")
    assert stale.status == 409
    assert "Going back takes that change back too." in stale.words
    assert "virtual server https: scheduler wlc → lc" in stale.words
    assert "virtual server https: scheduler lc → wlc" in stale.words
    assert not any("EDIT AGAIN" in form.buttons for form in stale.forms)
    stale.press("APPLY MY CHANGE TO THE NEW FILE")
    assert told.text == TUTORIAL.replace("serial_no = 7", "serial_no = 11")


def test_an_earlier_text_with_errors_is_refused_by_line(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_outside(TUTORIAL + "nonsense = 1\n")
    agent.edit_outside(SECOND)
    page = visit(client, "/history/2").press("GO BACK TO IT")
    assert page.status == 422
    assert "there is no keyword nonsense" in page.words
    assert agent.text == SECOND


def test_a_text_that_went_meanwhile_is_said(client: FlaskClient, told: FakeAgent) -> None:
    page = visit(client, "/history/1")
    told.thin(1)
    answer = page.press("GO BACK TO IT")
    assert answer.status == 409
    assert "The text of revision 1 is no longer kept" in answer.words


def test_a_request_without_its_version_goes_back_to_nothing(client: FlaskClient, told: FakeAgent) -> None:
    assert post(client, "/history/1", {"action": "accept"}).status_code == 409
    assert told.text == THIRD


# --- needs login, needs its token, survives the agent down ---


@pytest.mark.parametrize("url", [URL, "/history/1", "/history/1/file", "/history/diff"])
def test_needs_login(stranger: FlaskClient, url: str) -> None:
    answer = stranger.get(url)
    assert answer.status_code == 302
    assert "/login" in answer.location


def test_a_post_needs_login_and_its_token(stranger: FlaskClient, client: FlaskClient, told: FakeAgent) -> None:
    for browser in (stranger, client):
        assert browser.post("/history/1", data={"etag": etag_of(THIRD), "action": "accept"}).status_code in {400, 401}
    assert told.text == THIRD


def test_shows_the_last_it_knew_while_the_agent_is_down(client: FlaskClient, told: FakeAgent) -> None:
    client.get(URL)
    told.down = True
    page = visit(client, URL)
    assert page.status == 200
    assert "The agent does not answer." in page.words
    assert len(table_rows(page.html)) == 3


@pytest.mark.parametrize("url", [URL, "/history/1", "/history/1/file", "/history/diff", "/history?before=3"])
def test_without_anything_known_it_says_what_is_wrong(client: FlaskClient, told: FakeAgent, url: str) -> None:
    told.down = True
    page = visit(client, url)
    assert page.status == 503
    assert "No agent listens" in page.words


def test_an_agent_that_keeps_no_history_says_so(client: FlaskClient, told: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(**_named: object) -> None:
        raise AgentRefused("unavailable", "The history cannot be read: disk I/O error.")

    monkeypatch.setattr(told, "history", no)
    page = visit(client, URL)
    assert page.status == 502
    assert "The history cannot be read: disk I/O error." in page.words


def test_hostile_words_come_out_as_text(client: FlaskClient, agent: FakeAgent) -> None:
    hostile = "<script>alert(1)</script>'\"{{7*7}}"
    agent.put_config(SECOND, if_match=etag_of(TUTORIAL), actor=hostile, comment=hostile, origin=hostile)
    agent.outcome(2, hostile, hostile)
    for url in (URL, "/history/2", "/history/diff"):
        page = visit(client, url)
        assert page.status == 200
        assert "<script>alert" not in page.html
        assert "{{7*7}}" in page.html
