"""The picture of the cluster: every shape in its frame, nothing left out without a word."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from app.picture import MOST_HOSTS, Drawing, Picture, hosts, picture
from lvsagent.wire import CountersInfo, PeerInfo
from tests.fakes.agent import NOW, FakeAgent
from tests.unit.app.test_control import many
from tests.unit.app.test_redundancy_live import PAIR


def drawn(agent: FakeAgent) -> Picture:
    state = agent.state(servers=True)
    return picture(state, state.virtual_servers, NOW)


def overlapping(drawing: Drawing) -> list[tuple[str, str]]:
    """Pairs of boxes that lie over each other."""
    found = []
    for index, one in enumerate(drawing.nodes):
        for other in drawing.nodes[index + 1 :]:
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            if not apart and one.y < other.y + other.height and other.y < one.y + one.height:
                found.append((one.title, other.title))
    return found


@pytest.mark.parametrize("servers", [0, 1, 3, 8, 9, 200])
@pytest.mark.parametrize("peer", ["none", "unknown"])
def test_every_box_is_inside_and_none_covers_another(servers: int, peer: str) -> None:
    found = drawn(FakeAgent(text=many(3, servers), peer=PeerInfo(state=peer, name="righty")))
    for drawing in (found.wide, found.tall):
        for node in drawing.nodes:
            assert node.x >= 0
            assert node.y >= 0
            assert node.x + node.width <= drawing.width
            assert node.y + node.height <= drawing.height
        assert overlapping(drawing) == []


def pair(**knobs: object) -> FakeAgent:
    agent = FakeAgent(text=PAIR, **knobs)  # type: ignore[arg-type]  # FakeAgent's own fields
    agent.pair()
    return agent


def standby() -> FakeAgent:
    return pair(host="righty", identity="backup", passive=True)


STANDINGS = (FakeAgent.pair, FakeAgent.peer_dies, FakeAgent.both_active)


@pytest.mark.parametrize("make", STANDINGS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("agent", [pair(), standby()], ids=["lefty", "righty"])
def test_two_directors_fit_in_whatever_their_standing(make: Callable[[FakeAgent], None], agent: FakeAgent) -> None:
    agent = copy.deepcopy(agent)
    make(agent)
    found = drawn(agent)
    for drawing in (found.wide, found.tall):
        assert overlapping(drawing) == []
        assert all(0 <= label.x < drawing.width and 0 <= label.y < drawing.height for label in drawing.labels)
        assert max(node.y + node.height for node in drawing.nodes) <= drawing.height


def test_both_consoles_draw_the_primary_above_and_clients_reach_the_active_one() -> None:
    here, there = drawn(pair()).wide, drawn(standby()).wide
    for drawing in (here, there):
        lefty, righty = drawing.nodes[1:3]
        assert (lefty.title, lefty.kind) == ("lefty · active", "active")
        assert (righty.title, righty.kind) == ("righty · standby", "idle")
        assert lefty.y < righty.y
        clients, *flows = drawing.flows
        assert clients.path.endswith(f" {lefty.x:.0f} {lefty.middle:.0f}")
        assert all(flow.path.startswith(f"M420 {lefty.middle:.0f}") for flow in flows if flow.kind == "flow")


def test_after_a_takeover_clients_reach_the_one_below() -> None:
    agent = standby()
    agent.peer_dies()
    drawing = drawn(agent).wide
    lefty, righty = drawing.nodes[1:3]
    assert (lefty.title, lefty.kind, righty.title, righty.kind) == ("lefty · silent", "down", "righty · active", "active")
    assert drawing.flows[0].path.endswith(f" {righty.x:.0f} {righty.middle:.0f}")


def test_each_heartbeat_link_has_its_line_with_its_age() -> None:
    agent = pair()
    agent.link_silent("private")
    found = drawn(agent)
    assert [flow.kind for flow in found.wide.flows if "beat" in flow.kind or flow.kind == "gone"] == ["beat-up", "gone"]
    assert [label.words for label in found.wide.labels] == ["public", "0.0 ms ago", "private", "silent 40 s"]
    assert [label.words for label in found.tall.labels] == ["public: 0.0 ms ago", "private: silent 40 s"]


def test_both_active_is_red_on_both() -> None:
    agent = pair()
    agent.both_active()
    found = drawn(agent)
    assert [(node.title, node.kind) for node in found.wide.nodes[1:3]] == [("lefty · active", "down"), ("righty · active", "down")]
    assert sum(flow.path.startswith("M132") for flow in found.wide.flows) == 2, "clients reach both"


def test_the_words_tell_the_peer_too() -> None:
    assert drawn(pair()).words.startswith("lefty is active, the peer righty standby; 3 of 3")


def test_one_address_is_one_box_over_all_its_virtual_servers() -> None:
    state = FakeAgent(text=many(5, 2)).state(servers=True)
    found = hosts(state.virtual_servers, NOW)
    assert [host.address for host in found] == ["172.16.0.1", "172.16.0.2"]


def test_a_host_with_two_names_says_so() -> None:
    agent = FakeAgent()
    agent.edit_by_hand(
        agent.text.replace(
            "server number3 {\n         address = 10.11.12.23\n         active = 0", "server third {\n address = 10.11.12.23\n active = 0"
        )
    )
    state = agent.state(servers=True)
    assert [host.name for host in hosts(state.virtual_servers, NOW)] == ["number1", "number2", "number3 (+1)"]


def test_a_server_that_is_down_gets_no_flow_and_says_why() -> None:
    agent = FakeAgent()
    agent.mark_down("http", "number2", "connection refused")
    found = drawn(agent)
    node = next(node for node in found.wide.nodes if node.title.startswith("number2"))
    assert (node.kind, node.lines) == ("down", ("connection refused",))
    assert [flow.kind for flow in found.wide.flows].count("gone") == 1


def test_no_traffic_is_drawn_for_a_virtual_server_that_was_refused() -> None:
    agent = FakeAgent()
    agent.mark("http", "", "failed", "port 80 is in use")
    assert {flow.kind for flow in drawn(agent).wide.flows} == {"faint"}


def test_down_in_one_virtual_server_of_two_is_a_warning_that_names_it() -> None:
    agent = FakeAgent()
    agent.edit_by_hand(agent.text.replace("active = 0\n     address", "active = 1\n     address"))
    agent.mark_down("https", "number1")
    found = next(node for node in drawn(agent).wide.nodes if node.title.startswith("number1"))
    assert (found.kind, found.title) == ("warn", "number1 · down in https")


def test_widths_follow_the_traffic() -> None:
    agent = FakeAgent()
    for name, rate in (("number1", 100.0), ("number2", 25.0), ("number3", 0.0)):
        agent.count("http", name, CountersInfo(connections_per_s=rate))
    widths = [flow.width for flow in drawn(agent).wide.flows[1:4]]
    assert widths[0] > widths[1] > widths[2] > 0


def test_of_many_those_in_trouble_are_drawn_and_the_rest_is_counted() -> None:
    agent = FakeAgent(text=many(2, 50))
    for virtual in ("web0000", "web0001"):
        agent.mark_down(virtual, "real49")
    found = drawn(agent)
    titles = [node.title for node in found.wide.nodes]
    assert len(titles) == 2 + MOST_HOSTS
    assert any(title.startswith("real49 · down") for title in titles)
    assert titles[-1] == "and 43 more addresses"
    assert len(found.readings) == 50


def test_a_part_of_the_cluster_says_that_it_is_one() -> None:
    state = FakeAgent(text=many(40)).state(servers=True, per_page=6)
    assert picture(state, state.virtual_servers, NOW).more == "The 6 busiest virtual servers of 40."


def test_many_addresses_are_counted() -> None:
    found = drawn(FakeAgent(text=many(9)))
    assert found.wide.nodes[1].lines[-1] == "and 6 more addresses"


def test_an_empty_cluster_is_a_picture_too() -> None:
    found = drawn(FakeAgent(text="serial_no = 1\nprimary = 192.0.2.1\n"))
    assert found.words == "lefty is active and has no real servers yet."
    assert found.wide.nodes[1].lines == ("no virtual address yet",)


def test_long_names_are_cut_and_kept_whole_for_those_who_ask() -> None:
    agent = FakeAgent(host="a" * 80)
    node = drawn(agent).wide.nodes[1]
    assert node.title.endswith("…")
    assert "a" * 80 in node.full
