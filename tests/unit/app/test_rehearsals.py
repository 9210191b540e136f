"""REHEARSE: a planned failover on a button, what it says beforehand, while it runs and afterwards."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient

from lvsagent.wire import Rehearsal
from tests.fakes.agent import NOW, FakeAgent
from tests.unit.app.browsing import visit
from tests.unit.app.conftest import post
from tests.unit.app.test_control import words
from tests.unit.app.test_redundancy_live import PAIR

PAGE = "/control/rehearsals"


@pytest.fixture
def pair(agent: FakeAgent) -> FakeAgent:
    """This is righty, standby; lefty is active."""
    agent.edit_by_hand(PAIR)
    agent.host, agent.identity, agent.passive = "righty", "backup", True
    agent.pair()
    return agent


@pytest.fixture
def active(pair: FakeAgent) -> FakeAgent:
    """This is lefty, active; righty is standby."""
    pair.host, pair.identity, pair.passive = "lefty", "primary", False
    pair.pair()
    return pair


# --- before ---


def test_on_the_standby_it_says_what_happens_and_from_where_it_is_seen(client: FlaskClient, pair: FakeAgent) -> None:
    page = words(client.get(PAGE).text)
    assert "Asks a virtual server every 20 ms from righty and moves the role meanwhile, for good:" in page
    assert "lefty is asked for the role, gives it up at once and stands by." in page
    assert "righty is standby: its requests reach lefty over the network until it takes over, and itself from then on." in page
    assert "http (192.0.2.100:80)" in page
    assert "https" not in page, "it is not active"
    assert "all the same" not in page


def test_on_the_active_one_it_advises_the_others_console(client: FlaskClient, active: FakeAgent) -> None:
    page = words(client.get(PAGE).text)
    assert "lefty is active now: its own requests never leave it" in page
    assert "righty is standby: better measure in its console." in page
    assert "Measure on lefty all the same" in page


def test_where_no_role_can_be_moved_there_is_no_button_but_the_reason(client: FlaskClient, pair: FakeAgent) -> None:
    pair.peer = msgspec.structs.replace(pair.peer, state="dead")
    page = client.get(PAGE).text
    assert "REHEARSE is off: The other director is not heard: it cannot be asked for the role." in words(page)
    assert ">REHEARSE</button>" not in page


def test_a_director_alone_has_nothing_to_rehearse(client: FlaskClient, agent: FakeAgent) -> None:
    assert "REHEARSE is off: There is no second director whose heartbeats are watched." in words(client.get(PAGE).text)


def test_before_the_first_rehearsal_the_command_for_a_client_is_said(client: FlaskClient, pair: FakeAgent) -> None:
    assert f'href="{PAGE}"' in client.get("/control").text
    page = words(client.get(PAGE).text)
    assert "Not measured yet" in page
    assert "lvsctl rehearse --url" in page


# --- the button ---


def test_the_button_measures_the_virtual_server_chosen(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, PAGE).press("REHEARSE", virtual="http", seconds="2,5")
    assert pair.rehearsing is not None
    assert (pair.rehearsing.target, pair.rehearsing.duration_s, pair.rehearsing.actor) == ("http://192.0.2.100:80/", 2.5, "piranha")
    assert pair.failovers == [("take_over", "piranha", "rehearsal")]
    assert "Measuring http://192.0.2.100:80/" in page.words
    assert "0 of 2.5 s" in page.words
    assert "Asks a virtual server" not in page.words, "one at a time"


def test_while_it_runs_the_page_renews_itself_and_then_no_longer(client: FlaskClient, pair: FakeAgent) -> None:
    visit(client, PAGE).press("REHEARSE")
    assert 'hx-trigger="every 1s"' in client.get(PAGE).text
    assert "Look again" in client.get(PAGE).text, "without JavaScript"
    pair.rehearsal_ends(0.14)
    page = client.get(PAGE).text
    assert "hx-trigger" not in page
    assert "Your failover takes 140 ms" in words(page)


def test_on_the_active_one_the_box_has_to_be_ticked(client: FlaskClient, active: FakeAgent) -> None:
    refused = visit(client, PAGE).press("REHEARSE", seconds="3")
    assert refused.status == 502
    assert "The agent said no: this director is active: measure on the standby" in refused.words
    assert refused.form_with("REHEARSE").fields["seconds"] == "3"
    assert active.rehearsing is None
    post(client, PAGE, {"virtual": "http", "seconds": "3", "here": "1"})
    assert active.failovers == [("step_down", "piranha", "rehearsal")]


@pytest.mark.parametrize("typed", ["", "1", "61", "soon", "nan", "inf", "-5"])
def test_a_duration_that_is_none_is_refused_with_what_is(client: FlaskClient, pair: FakeAgent, typed: str) -> None:
    page = visit(client, PAGE).press("REHEARSE", seconds=typed)
    assert page.status == 422
    assert "A number of seconds from 2 to 60." in page.words
    assert page.form_with("REHEARSE").fields["seconds"] == typed
    assert pair.rehearsing is None


def test_only_what_lvs_cf_names_is_ever_asked(client: FlaskClient, pair: FakeAgent) -> None:
    answer = post(client, PAGE, {"virtual": "http://203.0.113.1/", "seconds": "5"})
    assert answer.status_code == 502
    assert "lvs.cf has no virtual server http://203.0.113.1/" in answer.text
    assert pair.rehearsing is None


def test_a_second_one_meanwhile_is_refused(client: FlaskClient, pair: FakeAgent) -> None:
    page = visit(client, PAGE)
    page.press("REHEARSE")
    assert "http://192.0.2.100:80/ is being measured already" in page.press("REHEARSE").words


def test_one_that_came_to_nothing_says_why(client: FlaskClient, pair: FakeAgent) -> None:
    visit(client, PAGE).press("REHEARSE")
    pair.rehearsal_ends(failure="the other director is not heard: nobody would take over")
    page = words(client.get(PAGE).text)
    assert "The last rehearsal came to nothing: The other director is not heard: nobody would take over." in page
    assert "Nothing has been measured yet." in page


def test_needs_a_login_and_a_token(client: FlaskClient, stranger: FlaskClient, pair: FakeAgent) -> None:
    assert stranger.post(PAGE).status_code == 401
    assert client.post(PAGE, data={"virtual": "http", "seconds": "5"}).status_code == 400
    assert pair.rehearsing is None


# --- what it cost ---


def measured(gap_s: float, *, triggered: bool = True, moved_from: str = "lefty", target: str = "http://192.0.2.100/") -> Rehearsal:
    return Rehearsal(
        target=target,
        began_at=NOW - 3600,
        duration_s=5.0,
        interval_s=0.02,
        limit_s=0.1,
        requests=250,
        failed=2,
        longest_gap_s=gap_s,
        triggered=triggered,
        moved_from=moved_from,
        host="client",
    )


def test_the_last_failover_is_said_in_one_line_and_the_others_listed(client: FlaskClient, pair: FakeAgent) -> None:
    for one in (measured(0.32), measured(0.14), measured(0.021, triggered=False, moved_from="")):
        pair.add_rehearsal(one)
    page = words(client.get("/control/rehearsals").text)
    assert "Your failover takes 140 ms" in page
    assert "when lefty gave up the role" in page
    assert "2 of 250 requests had no answer" in page
    table = page[page.index("MEASURED BEFORE") :]
    assert table.index("21 ms") < table.index("140 ms") < table.index("320 ms")


def test_while_the_agent_is_down_the_rehearsals_say_so(client: FlaskClient, pair: FakeAgent) -> None:
    pair.down = True
    assert client.get(PAGE).status_code == 503
    assert post(client, PAGE, {"virtual": "http", "seconds": "5"}).status_code == 503
