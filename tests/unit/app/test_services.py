"""What views share: lvs.cf parsed once, the last answers kept, an agent that hangs left alone."""

from __future__ import annotations

import pytest

from app.services import ConfigService, Query, StateService, sentence
from lvsagent.client import AgentDown
from lvsagent.wire import State
from tests.fakes.agent import NOW, FakeAgent, etag_of


def test_lvs_cf_is_parsed_once_an_etag() -> None:
    agent = FakeAgent()
    service = ConfigService(agent)
    assert service.current()[1] is service.current()[1]
    agent.edit_by_hand(agent.text + "# more\n")
    assert service.current()[0].etag == etag_of(agent.text)


def test_a_known_etag_is_not_fetched_again() -> None:
    agent = FakeAgent()
    service = ConfigService(agent)
    service.current()
    agent.asked.clear()
    service.current(etag_of(agent.text))
    assert agent.asked == []


def test_a_few_older_versions_are_kept_for_showing_what_an_edit_was_based_on() -> None:
    agent = FakeAgent()
    service = ConfigService(agent)
    etags = []
    for number in range(6):
        agent.edit_by_hand(f"serial_no = {number}\nprimary = 192.0.2.1\n")
        etags.append(service.current()[0].etag)
    assert service.by_etag(etags[0]) is None
    found = service.by_etag(etags[3])
    assert found
    assert found[1].config.globals.serial_no == 3


def test_while_the_agent_is_down_the_last_answer_to_the_same_question_is_given() -> None:
    agent, now = FakeAgent(), [NOW]
    service = StateService(agent, wall=lambda: now[0])
    service.snapshot(Query(search="https"))
    service.snapshot(Query())
    agent.down = True
    now[0] += 30
    found = service.snapshot(Query(search="https"))
    assert found.down
    assert found.age_s == 30
    assert found.state
    assert found.state.matching == 1


def test_before_any_answer_there_is_only_the_reason() -> None:
    found = StateService(FakeAgent(down=True)).snapshot(Query())
    assert (found.state, found.reason) == (None, "No agent listens on /run/lvsagent/agent.sock.")


class Hanging(FakeAgent):
    """An agent that takes its time to say nothing."""

    clock = 0.0

    def state(self, **query: object) -> State:
        self.asked.append("state")
        self.clock += 5
        raise AgentDown("the agent did not answer in time")


def test_an_agent_that_hangs_is_left_alone_for_a_moment() -> None:
    agent = Hanging()
    service = StateService(agent, monotonic=lambda: agent.clock)
    agent.asked.clear()
    for _ in range(10):
        assert service.snapshot(Query()).reason == "The agent did not answer in time."
    assert agent.asked == ["state"]
    agent.clock += 4
    service.snapshot(Query())
    assert agent.asked == ["state", "state"]


def test_an_answer_is_used_again_while_it_is_young_enough() -> None:
    now, asked = [100.0], []
    service = StateService(FakeAgent(), monotonic=lambda: now[0])

    def call() -> int:
        asked.append(now[0])
        return len(asked)

    assert [service.ask("key", call, 2), service.ask("key", call, 2), service.ask("key", call)] == [1, 1, 2]
    now[0] += 2
    assert service.ask("key", call, 2) == 3
    assert service.remembered("key") == 3


@pytest.mark.parametrize(("raw", "said"), [("no agent", "No agent."), ("Why?", "Why?"), ("", ""), ("  x  ", "X.")])
def test_words_of_the_agent_become_a_sentence(raw: str, said: str) -> None:
    assert sentence(raw) == said
