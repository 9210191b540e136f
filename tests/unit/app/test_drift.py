"""The drift lamp on every page, and its page: what is here, what is there, and the buttons that mend what differs."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from lvsagent.client import AgentRefused
from lvsagent.wire import Difference, ForeignService
from tests.fakes.agent import FakeAgent
from tests.unit.app.conftest import post
from tests.unit.app.test_control import words
from tests.unit.app.test_redundancy_live import PAIR

URL = "/drift"
FOREIGN = """\
virtual 192.0.2.9-25 {
     active = 1
     address = 192.0.2.9 eth1:2
     port = 25
     server server1 {
         address = 10.0.0.9
     }
}
"""


@pytest.mark.parametrize(
    ("state", "behind", "lamp"),
    [
        ("in_step", 0, "both alike for 1 min 30 s"),
        ("behind", 3, "peer behind by 3"),
        ("ahead", 0, "peer is ahead"),
        ("diverged", 0, "edited on both"),
        ("refused", 0, "peer refuses lvs.cf"),
        ("unpaired", 0, "not paired"),
        ("unknown", 0, "peer’s lvs.cf not known"),
    ],
)
def test_the_lamp_says_in_words_how_the_two_stand_on_every_page(
    client: FlaskClient, agent: FakeAgent, state: str, behind: int, lamp: str
) -> None:
    agent.pair()
    agent.travels(state, behind=behind, differences=() if state == "in_step" else (Difference(code="peer-behind", words="it is not"),))
    for path in ("/control", "/virtual-servers", "/redundancy", URL):
        assert lamp in words(client.get(path).text)


@pytest.mark.parametrize(("age_s", "lamp"), [(0.3, "being applied"), (5.0, "not alike for 5 s")])
def test_a_change_on_its_way_to_the_other_director_is_not_called_drift(
    client: FlaskClient, agent: FakeAgent, age_s: float, lamp: str
) -> None:
    agent.pair()
    agent.travels(differences=(Difference(code="peer-table", words="righty applies it", since=agent.wall() - age_s),))
    assert lamp in words(client.get("/control").text)


@pytest.mark.parametrize(
    ("path", "tab"), [(URL, "/redundancy"), ("/health/release", "/virtual-servers"), ("/conflict", "/redundancy"), ("/import", "/lvs-cf")]
)
def test_pages_without_a_tab_of_their_own_mark_the_one_they_belong_to(client: FlaskClient, agent: FakeAgent, path: str, tab: str) -> None:
    agent.pair()
    assert f'<a href="{tab}" aria-current="page">' in client.get(path, follow_redirects=True).text


def test_what_differs_stands_above_what_does_not(client: FlaskClient, agent: FakeAgent) -> None:
    agent.pair()
    agent.travels("in_step")
    page = client.get(URL).text
    assert page.index("HERE AND THERE") < page.index("WHAT DIFFERS")
    agent.travels("behind", behind=1, differences=(Difference(code="peer-behind", words="it is not"),))
    page = client.get(URL).text
    assert page.index("WHAT DIFFERS") < page.index("HERE AND THERE")


def test_a_lone_director_has_no_lamp(client: FlaskClient, agent: FakeAgent) -> None:
    assert 'href="/drift"' not in client.get("/control").text


def test_while_the_agent_is_down_the_lamp_says_what_was(client: FlaskClient, agent: FakeAgent) -> None:
    agent.travels()
    client.get("/control")
    agent.down = True
    assert "was both alike" in words(client.get("/control").text)


def test_shows_both_sides_and_how_they_compare(client: FlaskClient, agent: FakeAgent) -> None:
    agent.travels("behind", behind=2, words="righty is behind by 2 (no route to host)")
    page = words(client.get(URL).text)
    assert "Righty is behind by 2 (no route to host)." in page
    assert "serial different 7 5" in page
    assert "lvs.cf in force" in page
    assert "888888888888" in page


@pytest.mark.parametrize("action", ["now", "adopt", "restore", "reconcile"])
def test_each_difference_has_its_buttons_and_they_are_carried_out(client: FlaskClient, agent: FakeAgent, action: str) -> None:
    agent.travels(differences=(Difference(code="file", words="lvs.cf on the disk is not what runs", since=1.0, actions=[action]),))
    page = client.get(URL).text
    assert "lvs.cf on the disk is not what runs" in words(page)
    assert f'value="{action}"' in page
    assert post(client, URL, {"action": action}).status_code == 302
    assert agent.sync_asked == [action]


def test_rejects_an_action_that_is_none(client: FlaskClient, agent: FakeAgent) -> None:
    assert post(client, URL, {"action": "format"}).status_code == 422
    assert agent.sync_asked == []


def test_a_refusal_of_the_agent_is_said_on_the_page(client: FlaskClient, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(action: str, *, actor: str = "") -> None:
        raise AgentRefused("unavailable", "it cannot be applied: line 3 is wrong")

    monkeypatch.setattr(agent, "sync_action", refuse)
    answer = post(client, URL, {"action": "adopt"})
    assert answer.status_code == 502
    assert "It cannot be applied: line 3 is wrong." in words(answer.text)


def test_foreign_virtual_servers_are_adopted_after_a_review(client: FlaskClient, agent: FakeAgent) -> None:
    agent.foreign = [ForeignService(service="192.0.2.9:25 tcp", scheduler="wlc", servers=1)]
    agent.foreign_blocks = FOREIGN
    agent.travels(differences=(Difference(code="foreign", words="a virtual server that lvs.cf does not name", actions=["adopt-foreign"]),))
    etag = agent.config().etag
    review = post(client, URL + "/foreign", {"action": "review", "etag": etag})
    assert "virtual server 192.0.2.9-25 added" in words(review.text)
    assert "192.0.2.9" not in agent.text
    post(client, URL + "/foreign", {"action": "accept", "etag": etag})
    assert agent.config_now.virtual[-1].servers[0].address == "10.0.0.9"


def test_an_accept_tells_what_became_of_it_on_the_other_director(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(PAIR)
    agent.travels()
    page = post(client, "/redundancy/backup", {"on": "0", "etag": agent.config().etag}, follow=True)
    assert "Applied on righty, serial 8." in words(page.text)


def test_a_review_shows_each_directors_plan(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(PAIR)
    agent.travels()
    page = post(client, "/redundancy/backup", {"on": "0", "etag": agent.config().etag, "action": "review"})
    assert "ON THE OTHER DIRECTOR" in words(page.text)


def test_needs_login_and_survives_the_agent_being_down(client: FlaskClient, stranger: FlaskClient, agent: FakeAgent) -> None:
    assert stranger.get(URL).headers["Location"].startswith("/login")
    client.get(URL)
    agent.down = True
    assert client.get(URL).status_code == 200
