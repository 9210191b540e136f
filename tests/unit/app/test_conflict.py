"""The page for an lvs.cf that was edited on both directors: shows three versions, takes one, the other, or both merged."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from app.lvscf import load
from tests.fakes.agent import TUTORIAL, FakeAgent, etag_of
from tests.unit.app.browsing import Page
from tests.unit.app.conftest import post, token
from tests.unit.app.test_control import words

URL = "/conflict"
HERE = (
    TUTORIAL.replace("serial_no = 7", "serial_no = 8")
    .replace("weight = 3", "weight = 5")
    .replace("virtual http {", "# the shop\nvirtual http {")
)
THERE = TUTORIAL.replace("serial_no = 7", "serial_no = 9").replace("port = 80\n", "port = 8080\n")
CLASH = TUTORIAL.replace("serial_no = 7", "serial_no = 9").replace("weight = 3", "weight = 9")


@pytest.fixture
def parted(agent: FakeAgent) -> FakeAgent:
    """Each side changed another virtual server."""
    agent.edit_by_hand(HERE)
    agent.pair()
    agent.parts(TUTORIAL, THERE)
    return agent


def fields(agent: FakeAgent, **more: str) -> dict[str, object]:
    assert agent.conflict_now is not None
    return {
        "etag": etag_of(agent.text),
        "here": agent.conflict_now.here.head,
        "head": agent.conflict_now.there.head,
        "way": "merge",
        "action": "accept",
        **more,
    }


def test_every_page_says_that_both_were_edited_and_where_to_decide(client: FlaskClient, parted: FakeAgent) -> None:
    for path in ("/control", "/redundancy", "/virtual-servers", "/global-settings", "/drift"):
        page = client.get(path).text
        assert "lvs.cf was edited on both directors while they were apart." in words(page)
        assert 'href="/conflict"' in page


def test_shows_before_here_and_there_with_what_each_changed(client: FlaskClient, parted: FakeAgent) -> None:
    page = words(client.get(URL).text)
    assert "BEFORE, ON BOTH serial 7" in page
    assert "HERE: LEFTY serial 8" in page
    assert "real server number1 of https: weight 3 → 5" in page
    assert "THERE: RIGHTY serial 9" in page
    assert "virtual server http: port 80 → 8080" in page
    assert "no conflicts" in page


def test_a_merge_has_both_changes_and_our_comments(client: FlaskClient, parted: FakeAgent) -> None:
    head = parted.conflict_now and parted.conflict_now.there.head
    answer = post(client, URL, fields(parted), follow=True)
    assert answer.status_code == 200
    assert "Accepted: serial 10" in words(answer.text)
    assert "# the shop\nvirtual http {" in parted.text
    config = load(parted.text).config
    assert (config.globals.serial_no, config.virtual[0].port, config.virtual[1].servers[0].weight) == (10, 8080, 5)
    assert parted.joined == [head]


@pytest.mark.parametrize(("way", "port", "weight"), [("here", 80, 5), ("there", 8080, 3)])
def test_takes_one_or_the_other(client: FlaskClient, parted: FakeAgent, way: str, port: int, weight: int) -> None:
    post(client, URL, fields(parted, way=way))
    config = load(parted.text).config
    assert (config.globals.serial_no, config.virtual[0].port, config.virtual[1].servers[0].weight) == (10, port, weight)
    assert len(parted.joined) == 1


def test_what_both_changed_is_chosen_row_by_row(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(HERE)
    agent.parts(TUTORIAL, CLASH)
    assert "1 conflict" in words(client.get(URL).text)
    post(client, URL, fields(agent, **{"pick:0": "there"}))
    assert load(agent.text).config.virtual[1].servers[0].weight == 9
    assert "# the shop" in agent.text


def test_review_shows_the_change_first_and_its_accept_writes_it(client: FlaskClient, parted: FakeAgent) -> None:
    review = Page(post(client, URL, fields(parted, action="review")), client)
    assert "virtual server http: port 80 → 8080" in review.words
    assert not parted.joined
    form = next(one for one in review.forms if one.action == URL)
    client.post(URL, data={**form.fields, "action": "accept"})
    assert len(parted.joined) == 1


def test_rejects_a_word_that_is_no_way(client: FlaskClient, parted: FakeAgent) -> None:
    answer = post(client, URL, fields(parted, way="both"))
    assert answer.status_code == 422
    assert "Choose what to take first" in words(answer.text)


@pytest.mark.parametrize("stale", [{"head": "f" * 64}, {"etag": "f" * 64}, {"here": "f" * 64}])
def test_a_side_that_moved_meanwhile_is_shown_anew_and_nothing_is_written(
    client: FlaskClient, parted: FakeAgent, stale: dict[str, str]
) -> None:
    before = parted.text
    answer = post(client, URL, fields(parted, **stale))
    assert answer.status_code == 409
    assert "changed again meanwhile" in words(answer.text)
    assert parted.text == before


def test_without_a_conflict_it_leads_to_drift(client: FlaskClient, agent: FakeAgent) -> None:
    answer = client.get(URL)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/drift")


def test_names_that_are_not_text_are_legible_and_can_be_merged(client: FlaskClient, agent: FakeAgent) -> None:
    odd = TUTORIAL.replace("virtual http {", "virtual h\udcfft<b> {")
    agent.edit_by_hand(odd.replace("serial_no = 7", "serial_no = 8").replace("timeout = 6", "timeout = 7", 1))
    agent.parts(odd, odd.replace("timeout = 6", "timeout = 9", 1))
    page = client.get(URL).text
    assert "<b>" not in page.split("WHAT TO TAKE")[1]
    post(client, URL, fields(agent, **{"pick:0": "there"}))
    assert load(agent.text).config.virtual[0].timeout == 9


def test_needs_login(stranger: FlaskClient, parted: FakeAgent) -> None:
    assert stranger.get(URL).headers["Location"].startswith("/login")


def test_needs_the_csrf_token(client: FlaskClient, parted: FakeAgent) -> None:
    assert token(client)
    assert client.post(URL, data=fields(parted)).status_code == 400
    assert not parted.joined


def test_survives_the_agent_being_down(client: FlaskClient, parted: FakeAgent) -> None:
    client.get("/control")
    parted.down = True
    assert client.get(URL).status_code == 503
