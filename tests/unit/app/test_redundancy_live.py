"""REDUNDANCY's live half: the heartbeat links, the other director, the key, the takeover, as they are right now."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient

from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.test_control import HOSTILE, words

URL = "/redundancy"
PAIR = TUTORIAL.replace(
    "service = lvs\n",
    "service = lvs\nbackup_active = 1\nbackup = 192.0.2.2\nbackup_private = 10.11.12.3\nheartbeat = 1\nkeepalive = 0.5\ndeadtime = 2\n",
)


@pytest.fixture
def pair(agent: FakeAgent) -> FakeAgent:
    """lefty is active, righty stands by, two links."""
    agent.edit_by_hand(PAIR)
    agent.pair()
    return agent


def live(client: FlaskClient, url: str = URL + "/live") -> str:
    return words(client.get(url).text)


def test_each_link_says_what_is_heard_and_what_is_not(client: FlaskClient, pair: FakeAgent) -> None:
    pair.link_silent("private")
    pair.links[1] = msgspec.structs.replace(pair.links[1], lost=320, refused=7, refused_reasons={"replayed": 2, "wrong key": 5})
    page = live(client)
    assert "public heard from, to 192.0.2.1 → 192.0.2.2 last heard 0.0 ms ago received 17,280 lost 0 refused 0" in page
    assert "private silent from, to 10.11.12.1 → 10.11.12.2 last heard 40 s ago received 17,280 lost 320 (1.8 %) refused 7" in page
    assert page.index("5 wrong key") < page.index("2 replayed")


def test_a_link_that_was_never_heard_says_so(client: FlaskClient, pair: FakeAgent) -> None:
    pair.links[1] = msgspec.structs.replace(pair.links[1], state="never", heard_at=0.0, received=0)
    assert "private never heard from, to 10.11.12.1 → 10.11.12.2 last heard never received 0" in live(client)


def test_the_peer_is_known_by_its_heartbeats(client: FlaskClient, pair: FakeAgent) -> None:
    page = live(client)
    assert "name righty backup role standby" in page
    assert "version 0.1.0 serial 7 as here health 3 of 3 real servers up" in page


def test_another_version_or_serial_over_there_is_pointed_out(client: FlaskClient, pair: FakeAgent) -> None:
    pair.peer = msgspec.structs.replace(pair.peer, version="0.2.0", serial=6)
    page = live(client)
    assert "version 0.2.0 here 0.1.0" in page
    assert "serial 6 here 7" in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "dead"}, "silent Silent on every link."),
        ({"state": "waiting", "heard_at": 0.0}, "not heard yet Not heard since this agent started. heard never"),
        ({"maintenance": True}, "standby, in maintenance In maintenance: it does not take over"),
        ({"links_whole": False}, "standby, a link is down One of its watched network links is down"),
    ],
)
def test_whatever_is_wrong_with_the_peer_is_said(client: FlaskClient, pair: FakeAgent, changes: dict[str, object], said: str) -> None:
    pair.peer = msgspec.structs.replace(pair.peer, **changes)
    assert said in live(client)


def test_the_takeover_time_is_the_agents_figure(client: FlaskClient, pair: FakeAgent) -> None:
    assert "takeover 2.5 s after a crash (dead time 2 s, 4 heartbeats)" in live(client)


def test_a_host_that_wakes_up_too_late_is_warned_of(client: FlaskClient, pair: FakeAgent) -> None:
    pair.late_warning = "this host wakes up 81 ms late at worst"
    assert "This host wakes up 81 ms late at worst." in live(client)


def test_the_key_is_there_or_the_command_is_said(client: FlaskClient, pair: FakeAgent) -> None:
    assert "shared key present" in live(client)
    assert "lvsctl pair" not in live(client)
    pair.key = "missing"
    page = live(client)
    assert "shared key missing" in page
    assert "lvsctl pair" in page


def test_without_redundancy_no_heartbeat_is_claimed(client: FlaskClient, agent: FakeAgent) -> None:
    page = live(client)
    assert "Redundancy is off: no heartbeat is sent or heard." in page
    assert "other director none is configured" in page
    assert "shared key" not in page


def test_an_agent_that_says_nothing_of_heartbeats_is_not_believed_to_send_any(client: FlaskClient, agent: FakeAgent) -> None:
    agent.edit_by_hand(PAIR)
    assert "The agent says nothing of heartbeats." in live(client)


def test_the_page_has_the_same_half_and_asks_for_it_again(client: FlaskClient, pair: FakeAgent) -> None:
    page = client.get(URL).text
    assert 'hx-get="/redundancy/live" hx-trigger="every 2s"' in page
    assert "name righty backup role standby" in words(page)


def test_while_the_agent_is_silent_the_last_known_says_that_it_is_old(client: FlaskClient, pair: FakeAgent) -> None:
    client.get(URL)
    pair.down = True
    page = live(client)
    assert "was heard" in page
    assert "was standby" in page
    assert "updated" not in page


def test_hostile_names_stay_text(client: FlaskClient, pair: FakeAgent) -> None:
    pair.peer = msgspec.structs.replace(pair.peer, name=HOSTILE, version=HOSTILE)
    pair.links[0] = msgspec.structs.replace(pair.links[0], name=HOSTILE, refused=1, refused_reasons={HOSTILE: 1})
    for url in (URL, "/control"):
        assert "<script>alert" not in client.get(url).text


def test_needs_a_login(stranger: FlaskClient) -> None:
    assert stranger.get(URL + "/live").status_code in {302, 401}
