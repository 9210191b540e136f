"""REVIEW that ACCEPT is held to, the second confirmation, and the countdown of a guarded change."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from app.safeguards import safeguards
from lvsagent.core.guard import Look, Served
from lvsagent.wire import PlanStep
from tests.fakes.agent import TUTORIAL, FakeAgent, etag_of
from tests.unit.app.browsing import Page, visit
from tests.unit.app.conftest import Clock, log_in, post

EDIT = "/virtual-servers/http/virtual-server"
DELETE = "/virtual-servers/http/delete"
REAL = "/virtual-servers/http/real-servers"
MORE = PlanStep(action="remove", what="real server", name="number9 of http", detail="")


def confirmed(page: Page) -> str:
    """The value of the tick box that says that taking these out is meant."""
    return page.form_with("BACK").boxes["confirm"]


# --- a plan that grows ---


def test_review_is_what_accept_is_held_to(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("REVIEW", timeout="9")
    assert (
        page.form_with("ACCEPT").fields["plan"]
        == agent.put_config(
            agent.text.replace("timeout = 6", "timeout = 9", 1).replace("serial_no = 7", "serial_no = 8"),
            if_match=etag_of(agent.text),
            dry_run=True,
        ).plan
    )
    assert "Accepted: serial 8" in page.press("ACCEPT").words


def test_a_plan_that_has_grown_is_shown_again_and_nothing_is_written(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("REVIEW", timeout="9")
    agent.safety.grows = [MORE]
    again = page.press("ACCEPT")
    assert again.status == 409
    assert "The plan has grown since it was shown, by remove real server number9 of http" in again.words
    assert agent.text == TUTORIAL
    assert "Accepted: serial 8" in again.press("ACCEPT").words


def test_a_plan_that_has_shrunk_is_accepted(client: FlaskClient, agent: FakeAgent) -> None:
    agent.safety.grows = [MORE]
    page = visit(client, EDIT).press("REVIEW", timeout="9")
    agent.safety.grows = []
    assert "Accepted: serial 8" in page.press("ACCEPT").words


def test_back_from_a_plan_that_has_grown_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("REVIEW", timeout="9", guard="1", guard_s="45")
    agent.safety.grows = [MORE]
    again = page.press("ACCEPT")
    assert again.form_with("ACCEPT").fields["guard_s"] == "45"
    back = again.press("BACK")
    assert back.form_with("ACCEPT").fields["timeout"] == "9"
    assert (back.form_with("ACCEPT").fields["guard"], back.form_with("ACCEPT").fields["guard_s"]) == ("1", "45")


# --- a large change ---


def test_review_names_what_a_large_change_takes_out(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, DELETE).press("REVIEW")
    for words in ("TAKES OUT OF SERVICE", "3 of 3 real servers", "number1 of http", "number3 of http"):
        assert words in page.words
    assert "Accepted: serial 8" in page.press("ACCEPT", confirm=confirmed(page)).words


def test_without_the_tick_it_is_asked_for_and_nothing_is_written(client: FlaskClient, agent: FakeAgent) -> None:
    asked = visit(client, DELETE).press("DELETE")
    assert asked.status == 409
    assert "out of service at once: http, number1 of http" in asked.words
    again = asked.press("ACCEPT")
    assert again.status == 409
    assert agent.text == TUTORIAL
    assert "Accepted: serial 8" in again.press("ACCEPT", confirm=confirmed(again)).words


def test_the_tick_counts_for_exactly_this_list(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, DELETE).press("REVIEW")
    assert page.press("ACCEPT", confirm="0" * 16).status == 409
    assert agent.text == TUTORIAL


def test_an_everyday_change_does_not_ask(client: FlaskClient, agent: FakeAgent) -> None:
    assert "TAKES OUT OF SERVICE" not in visit(client, EDIT).press("REVIEW", timeout="9").words
    assert "Accepted: serial 8" in visit(client, f"{REAL}/number1/delete").press("DELETE").words


def test_undo_asks_too_and_can_be_left(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("active = 1", "active = 0", 1))
    page = visit(client, "/virtual-servers/http/virtual-server").press("ACTIVATE")
    assert agent.config_now.virtual[0].active
    asked = page.press("UNDO")
    assert asked.status == 409
    assert "Review: Undo" in asked.words
    assert "Virtual servers" in asked.press("BACK").words
    assert agent.config_now.virtual[0].active
    assert "Undone: serial 9" in asked.press("ACCEPT", confirm=confirmed(asked)).words
    assert not agent.config_now.virtual[0].active


# --- the guard ---


@pytest.mark.parametrize("url", [EDIT, DELETE, "/global-settings", "/redundancy", f"{REAL}/number1/edit", "/virtual-servers/add"])
def test_every_accept_offers_to_go_back_by_itself(client: FlaskClient, url: str) -> None:
    form = next(form for form in visit(client, url).forms if "guard" in form.boxes)
    assert form.fields["guard_s"] == "60"
    assert "guard" not in form.fields


@pytest.mark.parametrize("url", ["/virtual-servers", REAL])
def test_activate_and_deactivate_go_back_by_themselves_too(client: FlaskClient, agent: FakeAgent, clock: Clock, url: str) -> None:
    before = agent.text
    table = visit(client, url)
    assert "(DE)ACTIVATE: go back by itself unless I confirm within" in table.words
    last = re.findall(r'type="radio" name="server" value="([^"]+)"', table.html)[-1]
    page = table.press("(DE)ACTIVATE", server=last, guard="1", guard_s="30")
    assert "Serial 8 goes back by itself in 30 s" in page.words
    clock.now += 30
    assert "Serial 8 went back by itself" in visit(client, url).words
    assert agent.text == before.replace("serial_no = 7", "serial_no = 9")


@pytest.mark.parametrize("url", ["/virtual-servers", REAL])
def test_without_the_tick_they_stay_and_a_time_that_is_none_is_refused(client: FlaskClient, agent: FakeAgent, url: str) -> None:
    table = visit(client, url)
    last = re.findall(r'type="radio" name="server" value="([^"]+)"', table.html)[-1]
    refused = table.press("(DE)ACTIVATE", server=last, guard="1", guard_s="soon")
    assert (refused.status, agent.text) == (422, TUTORIAL)
    assert "is not a number of seconds" in refused.words
    assert "goes back by itself in" not in table.press("(DE)ACTIVATE", server=last).words
    assert "serial_no = 8" in agent.text


def test_a_guarded_change_counts_down_on_every_page_of_every_session(
    client: FlaskClient, stranger: FlaskClient, agent: FakeAgent, clock: Clock
) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1", guard_s="45")
    log_in(stranger)
    clock.now += 5
    for browser in (client, stranger):
        for url in ("/control", "/global-settings", EDIT, "/help", "/password"):
            page = visit(browser, url)
            assert "Serial 8 goes back by itself in 40 s , at" in page.words, url
            assert {"CONFIRM", "GO BACK NOW"} <= page.form_with("CONFIRM").buttons.keys()


def test_confirm_from_anywhere_makes_it_stay(client: FlaskClient, agent: FakeAgent, clock: Clock) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    page = visit(client, "/global-settings").press("CONFIRM")
    assert "Confirmed: the change stays." in page.words
    assert page.form_with("ACCEPT").action == "/global-settings"
    clock.now += 3600
    assert "goes back by itself in" not in visit(client, "/control").words
    assert "timeout = 9" in agent.text


def test_go_back_now_brings_the_text_back_as_a_new_serial(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    page = visit(client, "/control").press("GO BACK NOW")
    assert "It has gone back" in page.words
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


def test_unconfirmed_it_goes_back_and_every_page_says_why(client: FlaskClient, agent: FakeAgent, clock: Clock) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1", guard_s="10")
    clock.now += 10
    page = visit(client, "/global-settings")
    assert "Serial 8 went back by itself" in page.words
    assert "Nobody confirmed it within 10 s. lvs.cf says again what it said with serial 7." in page.words
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


def test_the_reason_it_goes_back_is_said(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    machine = agent.safety.machine
    assert machine is not None
    machine.watch = type(machine.watch)(
        **{name: getattr(machine.watch, name) for name in machine.watch.__slots__ if name != "baseline"},
        baseline=type(machine.watch.baseline)(served=(Served("http", ("a",)),)),
    )
    agent.safety.look(etag_of(agent.text), agent.wall(), agent._go_back, Look(down=frozenset({"a"})))
    assert "Virtual server http has lost every real server that was up before." in visit(client, "/control").words


def test_a_word_about_a_change_that_is_watched_no_more_is_refused(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    page = visit(client, "/control")
    page.press("CONFIRM")
    late = page.press("GO BACK NOW")
    assert "no such change is being watched" in late.words
    assert "timeout = 9" in agent.text


@pytest.mark.parametrize("typed", ["", "0", "3601", "-5", "soon", "1e3", "٣"])
def test_a_time_that_is_none_is_refused_and_nothing_is_written(client: FlaskClient, agent: FakeAgent, typed: str) -> None:
    page = visit(client, EDIT).press("ACCEPT", timeout="9", guard="1", guard_s=typed)
    assert page.status == 422
    assert "is not a number of seconds from 1 to 3600" in page.words
    assert agent.text == TUTORIAL
    assert page.form_with("ACCEPT").fields["timeout"] == "9"


def test_without_the_tick_the_time_does_not_matter() -> None:
    assert safeguards({"guard_s": "soon"}).guard_s == 0


def test_the_live_part_is_the_banner_alone_and_asks_for_a_login(client: FlaskClient, stranger: FlaskClient, agent: FakeAgent) -> None:
    assert stranger.get("/guard/live").status_code == 302
    assert "GO BACK NOW" not in client.get("/guard/live").text
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    answer = client.get("/guard/live?next=/redundancy")
    assert 'data-left="60"' in answer.text
    assert 'name="next" value="/redundancy"' in answer.text
    assert "<html" not in answer.text
    assert 'value="/"' in client.get("/guard/live?next=//elsewhere.example/").text


def test_buttons_need_the_csrf_token_and_a_login(client: FlaskClient, stranger: FlaskClient, agent: FakeAgent) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    assert client.post("/guard", data={"action": "revert"}).status_code == 400
    assert stranger.post("/guard", data={"action": "revert"}).status_code == 401
    assert "timeout = 9" in agent.text


def test_without_javascript_the_page_comes_again_unless_something_is_typed_there(client: FlaskClient, agent: FakeAgent) -> None:
    refresh = re.compile(r'<noscript><meta http-equiv="refresh" content="5;url=/help\?auto=1"></noscript>')
    assert not refresh.search(client.get("/help").text)
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    assert refresh.search(client.get("/help").text)
    assert 'http-equiv="refresh"' not in client.get(EDIT).text


def test_while_the_agent_is_down_nothing_can_be_confirmed(client: FlaskClient, agent: FakeAgent) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9", guard="1")
    agent.down = True
    page = visit(client, "/control")
    assert page.form_with("CONFIRM").buttons["CONFIRM"][1]
    assert "The agent does not answer" in Page(post(client, "/guard", {"action": "confirm"}, follow=True), client).words


# --- the whole file ---


def test_a_file_that_would_empty_the_cluster_is_asked_about_by_name(client: FlaskClient, agent: FakeAgent) -> None:
    asked = visit(client, "/lvs-cf").press("ACCEPT", text="serial_no = 7\nprimary = 192.0.2.1\n")
    assert asked.status == 409
    assert "number3 of http" in asked.words
    assert agent.text == TUTORIAL
    assert "Accepted: serial 8" in asked.press("ACCEPT", confirm=confirmed(asked)).words


def test_going_back_to_a_revision_can_be_guarded(client: FlaskClient, agent: FakeAgent, clock: Clock) -> None:
    visit(client, EDIT).press("ACCEPT", timeout="9")
    review = visit(client, "/history/1").press("GO BACK TO IT")
    review.press("ACCEPT", guard="1", guard_s="20")
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")
    assert "Serial 9 goes back by itself in 20 s" in visit(client, "/history").words
    clock.now += 20
    visit(client, "/history")
    assert "timeout = 9" in agent.text
