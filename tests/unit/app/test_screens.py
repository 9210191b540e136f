"""What holds for every editing screen: it keeps what was typed, needs login and CSRF, survives a silent agent, stale edits, undo."""

from __future__ import annotations

import re
from html import unescape

import msgspec
import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from app.passwd import PasswordFile
from app.settings import ConsoleSettings
from lvsagent.client import AgentDown, AgentRefused, InvalidConfig, StaleConfig
from lvsagent.wire import DiagnosticInfo, RefusalInfo, State
from tests.fakes.agent import TUTORIAL, FakeAgent, etag_of
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import Clock, log_in, post

FORMS = [
    "/global-settings",
    "/redundancy",
    "/virtual-servers/http/virtual-server",
    "/virtual-servers/http/real-servers/number1/edit",
    "/virtual-servers/http/monitoring-scripts",
]
ADDING = ["/virtual-servers/add", "/virtual-servers/http/real-servers/add", "/failover/add"]
QUESTIONS = ["/virtual-servers/http/delete", "/virtual-servers/http/real-servers/number1/delete"]
TABLES = ["/virtual-servers", "/virtual-servers/http/real-servers", "/failover"]
EVERY = [*FORMS, *ADDING, *QUESTIONS, *TABLES]
EDIT = "/virtual-servers/http/virtual-server"


@pytest.mark.parametrize("url", EVERY)
def test_shows_itself(client: FlaskClient, url: str) -> None:
    page = visit(client, url)
    assert page.status == 200
    assert page.tags.count("h1") == 1
    heading, title = (re.search(rf"<{tag}>\s*(.*?)\s*</{tag}>", page.html, re.DOTALL) for tag in ("h1", "title"))
    assert heading
    assert title
    assert title[1] == f"{heading[1]} · Piranha"


@pytest.mark.parametrize("url", EVERY)
def test_has_no_inline_script_or_style(client: FlaskClient, url: str) -> None:
    html = visit(client, url).html
    assert not re.search(r"<style|\sstyle=|<script>|\son[a-z]+=", html)


@pytest.mark.parametrize("url", [*EVERY, "/help"])
def test_needs_login(stranger: FlaskClient, url: str) -> None:
    answer = stranger.get(url)
    assert answer.status_code == 302
    assert "/login" in answer.location


@pytest.mark.parametrize("url", [*EVERY, "/undo", "/redundancy/backup"])
def test_a_post_needs_login_and_its_token(stranger: FlaskClient, client: FlaskClient, agent: FakeAgent, url: str) -> None:
    for browser in (stranger, client):
        answer = browser.post(url, data={"etag": etag_of(TUTORIAL), "action": "accept", "name": "x"})
        assert answer.status_code in {302, 400, 401}
    assert agent.text == TUTORIAL


@pytest.mark.parametrize("url", FORMS)
def test_an_unchanged_form_writes_nothing_and_says_so(client: FlaskClient, agent: FakeAgent, url: str) -> None:
    page = visit(client, url).press("ACCEPT")
    assert "There was nothing to change" in page.words
    assert agent.text == TUTORIAL
    assert "put_config" not in agent.asked


@pytest.mark.parametrize("url", FORMS)
def test_is_readable_while_the_agent_is_down_and_accept_is_off_with_the_reason(client: FlaskClient, agent: FakeAgent, url: str) -> None:
    visit(client, url)
    agent.down = True
    page = visit(client, url)
    assert page.status == 200
    assert page.form_with("ACCEPT").buttons["ACCEPT"][1]
    assert "ACCEPT is off: No agent listens" in page.words


@pytest.mark.parametrize("url", [*FORMS, *ADDING])
def test_without_any_known_configuration_a_page_says_what_is_wrong(client: FlaskClient, agent: FakeAgent, url: str) -> None:
    agent.down = True
    page = visit(client, url)
    assert page.status == 503
    assert "No agent listens" in page.words


def test_a_post_while_the_agent_is_down_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT)
    agent.down = True
    answer = page.press("ACCEPT", timeout="9")
    assert answer.status == 503
    assert answer.form_with("ACCEPT").fields["timeout"] == "9"
    assert "Nothing was written" in answer.words
    agent.down = False
    assert "serial 8" in visit(client, EDIT).press("ACCEPT", timeout="9").words


@pytest.mark.parametrize("error", [AgentDown("It went away."), AgentRefused("unavailable", "The disk is full.")])
def test_an_agent_that_says_no_leaves_the_form_with_its_words(
    client: FlaskClient, agent: FakeAgent, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit(client, EDIT)

    def no(*_args: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(agent, "put_config", no)
    answer = page.press("ACCEPT", timeout="9")
    assert answer.status in {502, 503}
    assert str(error) in answer.words
    assert answer.form_with("ACCEPT").fields["timeout"] == "9"


def test_an_agent_that_finds_errors_puts_them_beside_the_field(
    client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit(client, EDIT)

    def no(text: str, **_named: object) -> None:
        line = next(n for n, words in enumerate(text.splitlines(), 1) if "timeout = 9" in words)
        found = [DiagnosticInfo(severity="error", code="x", line=line, message="9 is unlucky here")]
        found.append(DiagnosticInfo(severity="error", code="y", line=1, message="the serial is odd"))
        raise InvalidConfig("lvs.cf would have 2 errors.", found)

    monkeypatch.setattr(agent, "put_config", no)
    answer = page.press("ACCEPT", timeout="9")
    assert answer.status == 422
    assert answer.error("timeout") == "9 is unlucky here"
    assert "line 1: the serial is odd" in answer.words


def test_what_the_data_plane_refuses_is_named_with_its_reason(client: FlaskClient, agent: FakeAgent) -> None:
    agent.refusals = [RefusalInfo(subject="http", reason="scheduler mh: module missing")]
    page = visit(client, EDIT).press("ACCEPT", scheduler="mh")
    assert "Not everything could be carried out" in page.words
    assert "http scheduler mh: module missing" in page.words


def test_accept_says_what_was_applied_and_offers_undo(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("ACCEPT", timeout="9")
    assert "Accepted: serial 8, written and applied." in page.words
    assert "virtual server http: timeout 6 → 9" in page.words
    assert agent.actors == ["piranha"]
    assert agent.comments == ["virtual server http: timeout 6 → 9"]
    page.press("UNDO")
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")


def test_undo_says_what_it_did_and_can_be_undone(client: FlaskClient, agent: FakeAgent) -> None:
    undone = visit(client, EDIT).press("ACCEPT", timeout="9").press("UNDO")
    assert "Undone: serial 9" in undone.words
    undone.press("UNDO")
    assert "timeout = 9" in agent.text


def test_undo_is_refused_once_the_file_has_changed_again(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("ACCEPT", timeout="9")
    agent.edit_by_hand(agent.text.replace("weight = 3", "weight = 5"))
    kept = agent.text
    answer = page.press("UNDO")
    assert answer.status == 409
    assert "changed again since" in answer.words
    assert agent.text == kept


def test_undo_without_an_earlier_file_says_so(client: FlaskClient) -> None:
    answer = post(client, "/undo", {"etag": etag_of(TUTORIAL), "next": "/virtual-servers"})
    assert answer.status_code == 409
    assert "no earlier lvs.cf" in answer.text


def test_undo_never_leads_out_of_the_console(client: FlaskClient) -> None:
    page = visit(client, EDIT).press("ACCEPT", timeout="9")
    form = page.form_with("UNDO")
    answer = post(client, "/undo", {**form.fields, "next": "https://example.org/"})
    assert answer.location.startswith("/?accepted=")


# --- REVIEW -------------------------------------------------------------------------------------------------------------------------


def test_review_shows_words_lines_and_plan_and_writes_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("REVIEW", timeout="9", scheduler="wlc")
    assert page.status == 200
    assert "virtual server http: timeout 6 → 9" in page.words
    assert "- timeout = 6" in page.words
    assert "+ timeout = 9" in page.words
    assert "IN THE DATA PLANE" in page.words
    assert agent.text == TUTORIAL


def test_review_then_accept_writes_what_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("REVIEW", timeout="9").press("ACCEPT")
    assert "Accepted: serial 8" in page.words
    assert "timeout = 9" in agent.text


def test_back_from_review_keeps_what_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT).press("REVIEW", timeout="9").press("BACK")
    assert page.form_with("ACCEPT").fields["timeout"] == "9"
    assert agent.text == TUTORIAL


def test_back_keeps_a_tick_that_was_taken_out(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("service = lvs", "service = lvs\nsyncdaemon = 1"))
    page = visit(client, "/redundancy").press("REVIEW", syncdaemon=None).press("BACK")
    assert "syncdaemon" not in page.form_with("ACCEPT").fields
    page.press("ACCEPT")
    assert "syncdaemon = 0" in agent.text


# --- stale edits --------------------------------------------------------------------------------------------------------------------


def test_a_stale_edit_that_merges_is_offered_on_top_of_the_new_file(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT)
    agent.edit_by_hand(TUTORIAL.replace("serial_no = 7", "serial_no = 8").replace("scheduler = rr", "scheduler = wrr"))
    stale = page.press("ACCEPT", timeout="9")
    assert stale.status == 409
    assert "both can stand" in stale.words
    assert "virtual server http: timeout 6 → 9" in stale.words
    assert "virtual server http: scheduler rr → wrr" in stale.words
    assert "scheduler = wrr" in agent.text
    assert "timeout = 9" not in agent.text
    stale.press("APPLY MY CHANGE TO THE NEW FILE")
    assert "scheduler = wrr" in agent.text
    assert "timeout = 9" in agent.text
    assert agent.text.startswith("serial_no = 9")


def test_a_stale_edit_of_the_same_field_shows_both_versions(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT)
    agent.edit_by_hand(TUTORIAL.replace("timeout = 6", "timeout = 7"))
    stale = page.press("ACCEPT", timeout="9")
    assert "You both changed 1 field" in stale.words
    assert "Service Timeout 6 7 9" in stale.words
    assert stale.press("EDIT AGAIN").form_with("ACCEPT").fields["timeout"] == "9"
    stale.press("APPLY MY CHANGE TO THE NEW FILE")
    assert "timeout = 9" in agent.text


def test_the_agent_finding_the_edit_stale_leads_to_the_same_page(
    client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, real = visit(client, EDIT), agent.put_config

    def late(text: str, **named: object) -> None:
        agent.edit_by_hand(TUTORIAL.replace("weight = 3", "weight = 5"))
        monkeypatch.setattr(agent, "put_config", real)
        raise StaleConfig("lvs.cf has changed.", etag_of(agent.text))

    monkeypatch.setattr(agent, "put_config", late)
    stale = page.press("ACCEPT", timeout="9")
    assert stale.status == 409
    assert "real server number1 of https: weight 3 → 5" in stale.words
    stale.press("APPLY MY CHANGE TO THE NEW FILE")
    assert "weight = 5" in agent.text
    assert "timeout = 9" in agent.text


def test_a_stale_edit_of_what_is_gone_shows_what_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, EDIT)
    agent.edit_by_hand(TUTORIAL.replace("virtual http {", "virtual web {"))
    answer = page.press("ACCEPT", timeout="9")
    assert answer.status == 409
    assert "no longer in lvs.cf" in answer.words
    assert "Service Timeout 9" in answer.words


def test_a_stale_switch_does_what_its_user_saw(client: FlaskClient, agent: FakeAgent) -> None:
    page = visit(client, "/virtual-servers")
    agent.edit_by_hand(TUTORIAL.replace("active = 1\n     address", "active = 0\n     address", 1))
    answer = page.press("(DE)ACTIVATE", server="1 http")
    assert answer.status == 409
    assert "says what you wanted already" in answer.words


def test_a_form_without_its_version_is_never_written(client: FlaskClient, agent: FakeAgent) -> None:
    answer = post(client, EDIT, {"timeout": "9", "action": "accept"})
    assert answer.status_code == 409
    assert agent.text == TUTORIAL


@pytest.mark.parametrize("was", ["", "[", "[1]", "null", '{"timeout": 3}', "[" * 5000])
def test_a_spoilt_memory_of_the_form_does_no_harm(client: FlaskClient, agent: FakeAgent, was: str) -> None:
    page = visit(client, EDIT).press("ACCEPT", timeout="9", was=was)
    assert "timeout = 9" in agent.text
    assert page.status == 200


# --- lvs.cf itself in trouble ---------------------------------------------------------------------------------------------------------


def test_errors_in_the_file_are_shown_by_line_and_a_field_can_mend_its_own(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("timeout = 6", "timeout = six", 1))
    page = visit(client, EDIT)
    assert "lvs.cf has 1 error" in page.words
    assert "line 16:" in page.words
    assert page.error("timeout")
    page.press("ACCEPT", timeout="6")
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 8")


def test_an_edit_beside_an_error_says_which_line_must_be_mended(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL + "nonsense = 1\n")
    answer = visit(client, EDIT).press("ACCEPT", timeout="9")
    assert answer.status == 422
    assert f"line {TUTORIAL.count(chr(10)) + 1}:" in answer.words
    assert answer.form_with("ACCEPT").fields["timeout"] == "9"


def test_without_a_file_the_first_accept_makes_one_with_the_screens_defaults(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand("")
    agent.exists = False
    page = visit(client, "/global-settings")
    assert "There is no lvs.cf yet" in page.words
    done = page.press("ACCEPT", primary="192.0.2.1")
    assert "Accepted: serial 1" in done.words
    for line in ("serial_no = 1", "primary = 192.0.2.1", "keepalive = 6", "deadtime = 18", "rsh_command = ssh"):
        assert line in agent.text.splitlines()


# --- hostile words --------------------------------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\"'`{{7*7}}{%x%}&amp;"


@pytest.mark.parametrize("url", [*FORMS, *ADDING])
def test_hostile_words_come_back_escaped_in_every_field(client: FlaskClient, agent: FakeAgent, url: str) -> None:
    page = visit(client, url)
    typed = {name: HOSTILE for name in page.form_with("ACCEPT").fields if name not in {"etag", "was", "csrf_token"}}
    answer = page.press("ACCEPT", **typed)
    assert answer.status == 422
    assert "<script>alert" not in answer.html
    assert "{{7*7}}" in answer.html
    assert agent.text == TUTORIAL


def test_hostile_names_in_the_file_come_out_escaped_everywhere(client: FlaskClient, agent: FakeAgent) -> None:
    name = "<script>alert(1)</script> a/b..%2F ~2"
    agent.edit_by_hand(TUTORIAL.replace("virtual http {", f'virtual "{name}" {{').replace("server number1 {", f'server "{name}" {{', 1))
    table = visit(client, "/virtual-servers")
    assert "<script>alert" not in table.html
    links = [found for found in re.findall(r'href="([^"]+/virtual-server)"', table.html) if "alert" in found]
    assert len(links) == 1
    for tab in ("virtual-server", "real-servers", "monitoring-scripts", "delete"):
        page = visit(client, unescape(links[0]).removesuffix("virtual-server") + tab)
        assert page.status == 200
        assert "<script>alert" not in page.html
    assert visit(client, unescape(links[0])).press("ACCEPT", timeout="9").status == 200
    assert "timeout = 9" in agent.text


@pytest.mark.parametrize(
    "name", ["a b", "a/b", ".", "..", "%", "50%", "a~2", "ü ñ 漢", "add", "?x#y", "a\\b", "+", "&amp;", "x;y=z", "\udcff\udcfe"]
)
def test_any_name_has_an_address_that_leads_back_to_it(client: FlaskClient, agent: FakeAgent, name: str) -> None:
    agent.edit_by_hand(TUTORIAL.replace("virtual http {", f'virtual "{name}" {{').replace("server number2 {", f'server "{name}" {{', 1))
    url = re.search(r'href="(/virtual-servers/[^"]+/virtual-server)"', visit(client, "/virtual-servers").html)
    assert url
    here = unescape(url[1])
    assert visit(client, here).press("ACCEPT", timeout="9").status == 200
    assert "timeout = 9" in agent.text
    servers = visit(client, here.removesuffix("virtual-server") + "real-servers")
    circles = re.findall(r'type="radio" name="server" value="([^"]*)"', servers.html)
    assert servers.press("(DE)ACTIVATE", server=unescape(circles[1])).status == 200
    assert agent.config_now.virtual[0].servers[1].active is False


def test_blocks_of_one_name_are_told_apart(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(TUTORIAL.replace("virtual https {", "virtual http {"))
    page = visit(client, "/virtual-servers/http~2/virtual-server")
    assert page.form_with("ACCEPT").fields["port"] == "443"
    page.press("ACCEPT", port="8443")
    assert [one.port for one in agent.config_now.virtual] == [80, 8443]


class Unnoticing(FakeAgent):
    """An agent that has not yet noticed that lvs.cf was edited by hand: its state speaks of the file before."""

    noticed = ""

    def state(self, **query: object) -> State:
        now = super().state(**query)  # type: ignore[arg-type]
        return msgspec.structs.replace(now, config=msgspec.structs.replace(now.config, etag=self.noticed or now.config.etag))


def test_a_hand_edit_that_the_agent_has_not_noticed_yet_is_seen_by_whoever_ran_into_it(
    settings: ConsoleSettings, passwords: PasswordFile, clock: Clock
) -> None:
    agent = Unnoticing(wall=clock)
    client = create_app(settings, agent, passwords=passwords, wall=clock, monotonic=clock).test_client()
    log_in(client)
    page = visit(client, EDIT)
    agent.noticed = etag_of(TUTORIAL)
    agent.edit_by_hand(TUTORIAL.replace("timeout = 6", "timeout = 7"))
    stale = page.press("ACCEPT", timeout="9")
    assert "You both changed 1 field" in stale.words
    afresh = visit(client, EDIT)
    assert afresh.form_with("ACCEPT").fields["timeout"] == "7"
    assert "Accepted: serial 8" in afresh.press("ACCEPT", timeout="10").words
