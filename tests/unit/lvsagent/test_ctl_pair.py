"""What lvsctl prints about two directors."""

from __future__ import annotations

from lvsagent.ctl_pair import history_text, rehearsal_text, role_text, role_values
from lvsagent.ctl_text import status_text
from lvsagent.wire import Rehearsal
from tests.fakes.agent import FakeAgent

REHEARSAL = Rehearsal(
    target="http://127.0.0.100:8080/",
    began_at=1_790_000_000,
    duration_s=5,
    interval_s=0.02,
    limit_s=0.1,
    requests=250,
    failed=3,
    longest_gap_s=0.1404,
    triggered=True,
    moved_from="lefty",
    host="client",
)


def test_a_line_for_each_director() -> None:
    agent = FakeAgent()
    agent.pair()
    agent.maintenance = True
    own, other = role_text(agent.state()).splitlines()
    assert "lefty (primary): active, in maintenance since" in own
    assert "the other director righty: alive, standby, serial 7, 3 of 3 real servers up; heartbeat: public up, private up" in other
    assert other.strip() in status_text(agent.state())


def test_one_line_without_a_peer_and_values_for_programs() -> None:
    agent = FakeAgent()
    assert len(role_text(agent.state()).splitlines()) == 1
    values = role_values(agent.state())
    assert (values["role"], values["identity"], values["peer"]["state"]) == ("active", "primary", "none")


def test_the_figure_of_a_rehearsal() -> None:
    assert rehearsal_text(REHEARSAL).startswith(
        "your failover takes 140 ms\n250 requests, one each 20 ms, 3 without an answer within 100 ms"
    )


def test_the_history() -> None:
    assert "140" in history_text([REHEARSAL]).splitlines()[1]
    assert history_text([]) == "nothing has been measured yet\n"
