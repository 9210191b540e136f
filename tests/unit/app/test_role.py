"""The role on CONTROL/MONITORING, and the pages that ask before it is moved."""

from __future__ import annotations

import re

import msgspec
import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import FakeAgent
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import post
from tests.unit.app.test_control import words
from tests.unit.app.test_redundancy_live import PAIR

ASK = "/control/role/"
BUTTONS = {"step-down": "STEP DOWN", "take-over": "TAKE OVER", "maintenance": "MAINTENANCE", "resume": "RESUME"}


@pytest.fixture
def pair(agent: FakeAgent) -> FakeAgent:
    """lefty is active, righty stands by, two links."""
    agent.edit_by_hand(PAIR)
    agent.pair()
    return agent


def offered(client: FlaskClient) -> set[str]:
    """The buttons that lead somewhere."""
    return set(re.findall(rf'href="{ASK}([a-z-]+)"', client.get("/control").text))


# --- the header and the card ---


def test_the_header_tells_how_the_peer_is(client: FlaskClient, pair: FakeAgent) -> None:
    for path in ("/control", "/redundancy", "/virtual-servers"):
        header = words(client.get(path).text)
        assert "peer righty standby" in header, path
        assert "standby · heard" not in header, "how long ago is for the pages that are about it"


def test_a_silent_peer_is_said_in_the_header(client: FlaskClient, pair: FakeAgent) -> None:
    pair.peer_dies()
    page = client.get("/control").text
    assert "peer righty silent · heard 5 s ago" in words(page)
    assert '<span class="pill peer down">' in page


def test_the_card_shows_peer_and_links(client: FlaskClient, pair: FakeAgent) -> None:
    pair.link_silent("private")
    page = words(client.get("/control").text)
    assert "role active for 4 h 48 min started first peer righty standby heard 0.0 ms ago serial 7 · 3 of 3 real servers up" in page
    assert "public link heard 0.0 ms ago private link silent 40 s ago" in page


def test_a_missing_key_is_pointed_out(client: FlaskClient, pair: FakeAgent) -> None:
    pair.key = "missing"
    assert "shared key missing the role cannot move: REDUNDANCY says what to do" in words(client.get("/control").text)


def test_both_active_is_said_on_every_page_while_it_lasts(client: FlaskClient, pair: FakeAgent) -> None:
    pair.both_active()
    pair.alert("both directors are active since 12:00:00", code="both-active")
    for path in ("/control", "/control/live", "/redundancy", "/virtual-servers"):
        assert "Both directors are active, for 3 s now." in words(client.get(path).text), path
    page = words(client.get("/control").text)
    assert "both active for 3 s" in page
    assert "since 12:00:00" not in page, "it is said twice"
    pair.both_active_since = 0.0
    assert "Both directors are active" not in words(client.get("/control").text)


# --- which buttons ---


def test_a_director_alone_is_offered_nothing(client: FlaskClient, agent: FakeAgent) -> None:
    assert offered(client) == set()


def test_an_agent_without_heartbeats_is_offered_nothing(client: FlaskClient, pair: FakeAgent) -> None:
    pair.key, pair.links = "", []
    assert offered(client) == set()
    assert client.get(ASK + "step-down").status_code == 404


def test_the_active_one_can_step_down(client: FlaskClient, pair: FakeAgent) -> None:
    assert offered(client) == {"step-down", "maintenance"}


def test_the_standby_can_take_over_and_has_nothing_to_announce(client: FlaskClient, pair: FakeAgent) -> None:
    pair.passive = True
    pair.pair()
    assert offered(client) == {"take-over", "maintenance"}
    assert 'disabled title="Only the active director has addresses to announce"' in client.get("/control").text


def test_in_maintenance_it_can_only_resume(client: FlaskClient, pair: FakeAgent) -> None:
    pair.failover("maintenance")
    assert offered(client) == {"resume"}
    assert "TAKE OVER is off: this director is in maintenance: RESUME first." in words(client.get("/control").text)


@pytest.mark.parametrize(("state", "why"), [("dead", "is not heard"), ("waiting", "is not heard")])
def test_without_an_heir_stepping_down_is_off_and_says_why(client: FlaskClient, pair: FakeAgent, state: str, why: str) -> None:
    pair.peer = msgspec.structs.replace(pair.peer, state=state)
    assert offered(client) == {"maintenance"}
    assert f"STEP DOWN is off: the other director {why}: nobody would take over." in words(client.get("/control").text)


@pytest.mark.parametrize("passive", [False, True])
def test_without_a_key_no_role_is_moved_by_a_button(client: FlaskClient, pair: FakeAgent, passive: bool) -> None:
    pair.passive, pair.key = passive, "missing"
    assert offered(client) == {"maintenance"}
    assert "is off: without a shared key no role can be moved." in words(client.get("/control").text)


def test_while_the_agent_is_silent_nothing_can_be_asked(client: FlaskClient, pair: FakeAgent) -> None:
    client.get("/control")
    pair.down = True
    assert offered(client) == set()


# --- asking and doing ---


def test_stepping_down_says_what_happens_before_it_does(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, ASK + "step-down")
    assert "Let lefty step down?" in page.words
    assert "righty is told and takes over at once, without waiting for the dead time." in page.words
    assert "lefty removes its 1 virtual address and stands by." in page.words
    assert "the sync daemon is off" in page.words
    assert pair.failovers == []


def test_with_the_sync_daemon_connections_go_on(client: FlaskClient, pair: FakeAgent) -> None:
    pair.edit_by_hand(PAIR.replace("keepalive", "syncdaemon = 1\nkeepalive"))
    assert "Established connections go on" in visit(client, ASK + "step-down").words


@pytest.mark.parametrize("slug", sorted(BUTTONS))
def test_each_button_does_what_it_says_with_name_and_reason(client: FlaskClient, pair: FakeAgent, slug: str) -> None:
    if slug == "take-over":
        pair.passive = True
        pair.pair()
    pair.maintenance = slug == "resume"
    page = visit(client, ASK + slug).press(BUTTONS[slug], reason="  new   kernel ")
    assert pair.failovers == [(slug.replace("-", "_"), "piranha", "new kernel")]
    assert "This page shows what comes of it." in page.words


def test_a_refusal_is_said_in_the_agents_words_and_the_reason_stays(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, ASK + "step-down")
    pair.peer_dies()
    after = page.press("STEP DOWN", reason="new kernel")
    assert after.status == 502
    assert "the other director is not heard: nobody would take over" in after.words
    assert after.form_with("STEP DOWN").fields["reason"] == "new kernel"
    assert pair.failovers == []


def test_maintenance_without_an_heir_warns_that_nobody_serves(client: FlaskClient, pair: FakeAgent) -> None:
    pair.peer_dies()
    assert "Nobody serves then: the other director is not heard" in visit(client, ASK + "maintenance").words


def test_the_role_cannot_be_asked_of_a_director_that_is_not_heard(client: FlaskClient, pair: FakeAgent) -> None:
    pair.passive = True
    pair.peer = msgspec.structs.replace(pair.peer, state="dead")
    assert offered(client) == {"maintenance"}
    assert "TAKE OVER is off: the other director is not heard: it cannot be asked for the role." in words(client.get("/control").text)


def test_a_reason_too_long_is_refused_in_words(client: FlaskClient, pair: FakeAgent) -> None:
    answer = post(client, ASK + "maintenance", {"reason": "x" * 201})
    assert answer.status_code == 422
    assert "The reason has 201 characters; 200 are kept." in answer.text
    assert pair.failovers == []


def test_an_invented_action_is_no_page(client: FlaskClient, pair: FakeAgent) -> None:
    assert client.get(ASK + "explode").status_code == 404
    assert post(client, ASK + "explode").status_code == 404


def test_survives_the_agent_being_down(client: FlaskClient, pair: FakeAgent) -> None:
    client.get("/redundancy")
    pair.down = True
    page = visit(client, ASK + "step-down")
    assert page.form_with("STEP DOWN").buttons["STEP DOWN"][1], "the button is on"
    answer = post(client, ASK + "step-down")
    assert answer.status_code == 503
    assert "The agent does not answer" in answer.text


def test_needs_a_login_and_a_token(client: FlaskClient, stranger: FlaskClient, pair: FakeAgent) -> None:
    assert stranger.get(ASK + "step-down").status_code == 302
    assert client.post(ASK + "step-down").status_code == 400
    assert pair.failovers == []
