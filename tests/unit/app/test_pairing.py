"""PAIRING: shows whom this director is paired with, shows a code, takes one, ends a pairing; survives the agent's absence."""

from __future__ import annotations

import html
import re

import msgspec
import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import FakeAgent
from tests.fakes.pairing import CODE
from tests.unit.app.conftest import post
from tests.unit.app.test_control import HOSTILE, words

URL = "/redundancy/pairing"


def test_a_lone_director_says_so_and_offers_both_ways(client: FlaskClient, agent: FakeAgent) -> None:
    page = words(client.get(URL).text)
    assert "Not paired" in page
    assert "SHOW A CODE" in page
    assert "TYPE THE CODE OF THE OTHER DIRECTOR" in page
    assert "STOP WAITING" not in page
    assert "UNPAIR" not in page


def test_directors_that_reach_each_other_without_keys_are_not_said_to_be_cut_off(client: FlaskClient, agent: FakeAgent) -> None:
    agent.pair()
    agent.travels("in_step")
    page = words(client.get(URL).text)
    assert "there is nothing to pair" in page
    assert "does not reach" not in page


def test_redundancy_leads_here(client: FlaskClient) -> None:
    assert f'href="{URL}"' in client.get("/redundancy").text


def test_a_code_is_shown_until_it_is_used_or_stopped(client: FlaskClient, agent: FakeAgent) -> None:
    page = post(client, URL, {"action": "wait"}, follow=True).text
    assert CODE in page
    assert "STOP WAITING" in page
    assert CODE in client.get(URL + "/live").text
    assert agent.desk.requests[-1].actor == "piranha"
    assert CODE not in post(client, URL, {"action": "stop"}, follow=True).text


def test_whom_it_is_paired_with_and_all_fingerprints(client: FlaskClient, agent: FakeAgent) -> None:
    agent.desk.used()
    page = words(client.get(URL).text)
    assert "Paired with righty since" in page
    assert "192.0.2.2, 10.11.12.2 ssh port 22" in page
    for key in ("lefty-host", "lefty-user", "righty-host", "righty-user"):
        assert f"SHA256:{key}" in page
    assert "A new pairing takes the place of this one." in page
    agent.desk.now = msgspec.structs.replace(agent.desk.now, last_contact_at=0.0)
    assert "none since the agent started" in words(client.get(URL + "/live").text)


def test_a_code_typed_here_reaches_the_agent_as_it_was_typed(client: FlaskClient, agent: FakeAgent) -> None:
    answer = post(client, URL, {"action": "join", "address": "192.0.2.2", "code": CODE.lower(), "rotate": "1"})
    assert answer.location == URL
    asked = agent.desk.requests[-1]
    assert (asked.address, asked.code, asked.rotate) == ("192.0.2.2", CODE.lower(), True)
    assert "asking 192.0.2.2" in words(client.get(URL + "/live").text).lower()


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"action": "join", "address": "192.0.2.2", "code": "short"}, 422, "4 groups of 5"),
        ({"action": "join", "address": "righty", "code": CODE}, 422, "is an IP address"),
        ({"action": "unpair"}, 502, "not paired"),
        ({"action": "dance"}, 422, "wait, stop, join or unpair"),
        ({}, 422, "wait, stop, join or unpair"),
    ],
)
def test_what_is_refused_is_said_here_and_what_was_typed_stays(
    client: FlaskClient, agent: FakeAgent, fields: dict[str, str], status: int, said: str
) -> None:
    answer = post(client, URL, fields)
    assert answer.status_code == status
    assert said in words(answer.text)
    if "address" in fields:
        assert f'value="{fields["address"]}"' in answer.text


def test_the_other_directors_address_is_there_already(client: FlaskClient, agent: FakeAgent) -> None:
    agent.pair()
    assert 'value="192.0.2.2"' in client.get(URL).text


def test_unpairing_asks_first_and_says_what_happens(client: FlaskClient, agent: FakeAgent) -> None:
    agent.desk.used()
    page = words(client.get(URL + "/unpair").text)
    assert "The key of righty opens nothing here any more" in page
    assert "no role moves" in page
    assert agent.pairing().paired
    done = words(post(client, URL, {"action": "unpair"}, follow=True).text)
    assert "Do the same there." in done
    assert not agent.pairing().paired
    assert re.search(r'value="unpair"\s+disabled', client.get(URL + "/unpair").text)


def test_the_other_directors_name_is_only_text(client: FlaskClient, agent: FakeAgent) -> None:
    agent.desk.used()
    agent.desk.now = msgspec.structs.replace(agent.desk.now, name=HOSTILE, words=HOSTILE)
    for page in (URL, URL + "/live", URL + "/unpair"):
        text = client.get(page).text
        assert HOSTILE not in text
        assert html.escape(HOSTILE, quote=False)[:20] in text or "&lt;" in text


def test_the_page_stays_when_the_agent_is_away(client: FlaskClient, agent: FakeAgent) -> None:
    client.get(URL)
    agent.down = True
    page = client.get(URL).text
    assert "PAIR is off:" in words(page)
    assert re.search(r'value="join"\s+disabled', page)
    assert post(client, URL, {"action": "wait"}).status_code == 503


def test_a_key_that_is_missing_leads_to_pairing(client: FlaskClient, agent: FakeAgent) -> None:
    agent.pair()
    agent.key = "missing"
    assert f'href="{URL}"' in client.get("/redundancy/live").text
