"""lvsctl's history commands over the console's FakeAgent: what they print, and what they refuse."""

from __future__ import annotations

import argparse
from typing import cast

import msgspec
import pytest

from lvsagent.client import AgentClient, AgentRefused, InvalidConfig, StaleConfig
from lvsagent.ctl_history import HANDLERS
from tests.fakes.agent import TUTORIAL, FakeAgent

HEAVIER = TUTORIAL.replace("weight = 1", "weight = 2", 1).replace("serial_no = 7", "serial_no = 8")
ARGUMENTS = {
    "json": False,
    "limit": 20,
    "text": False,
    "words": False,
    "comment": "",
    "number": 1,
    "a": 1,
    "b": None,
    "plan": "",
    "yes_take_out": False,
    "guard": 0.0,
}


def run(agent: FakeAgent, name: str, **given: object) -> int:
    return HANDLERS[name](argparse.Namespace(**{**ARGUMENTS, **given}), cast("AgentClient", agent))


@pytest.fixture
def agent() -> FakeAgent:
    made = FakeAgent()
    made.put_config(HEAVIER, if_match=made.config().etag, actor="piranha")
    return made


def test_a_long_list_is_fetched_in_pages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    agent = FakeAgent()
    for serial in range(8, 30):
        agent.put_config(TUTORIAL.replace("serial_no = 7", f"serial_no = {serial}"), if_match=agent.config().etag)
    monkeypatch.setattr("lvsagent.ctl_history.PAGE", 5)
    assert run(agent, "history", limit=1000) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines[1:]] == list(range(23, 0, -1))


def test_an_empty_history_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FakeAgent(exists=False), "history") == 0
    assert capsys.readouterr().out == "the history has not begun: there is no lvs.cf yet\n"


def test_a_rollback_is_refused_when_lvs_cf_changes_at_the_same_moment() -> None:
    class Moving(FakeAgent):
        def revision_text(self, number: int) -> object:  # type: ignore[override]
            found = super().revision_text(number)
            self.moving = True
            return found

        moving = False

        def config(self) -> object:  # type: ignore[override]
            found = super().config()
            if self.moving:
                self.edit_by_hand(TUTORIAL + "# somebody else\n")
            return found

    agent = Moving()
    with pytest.raises(StaleConfig):
        run(agent, "rollback", number=1)
    assert agent.text == TUTORIAL + "# somebody else\n"


def test_a_rollback_to_a_text_that_has_errors_today_writes_nothing(agent: FakeAgent) -> None:
    info, _text = agent._revisions[0]
    agent._revisions[0] = (info, TUTORIAL.replace("scheduler = rr", "scheduler = fastest"))
    with pytest.raises(InvalidConfig):
        run(agent, "rollback", number=1)
    assert agent.text == HEAVIER


def test_a_rollback_says_why_and_where_it_comes_from(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(agent, "rollback", number=1) == 0
    assert agent.text == TUTORIAL.replace("serial_no = 7", "serial_no = 9")
    assert capsys.readouterr().out.endswith("written, applied, serial 9, revision 3\n")
    newest = agent.history(limit=1).revisions[0]
    assert (newest.origin, newest.comment) == ("rollback", "back to revision 1")


def test_a_text_that_is_no_longer_kept_is_said(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    info, text = agent._revisions[0]
    agent._revisions[0] = (msgspec.structs.replace(info, kept=False), text)
    for name in ("rollback", "diff"):
        with pytest.raises(AgentRefused, match="its text is no longer kept"):
            run(agent, name)
    assert run(agent, "show") == 0
    assert "outcome:    applied, no text" in capsys.readouterr().out


def test_a_last_line_without_its_end_is_shown_as_diff_does(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.put_config(HEAVIER.rstrip("\n"), if_match=agent.config().etag)
    assert run(agent, "diff", a=2, text=True) == 0
    assert capsys.readouterr().out.endswith("-}\n+}\n\\ No newline at end of file\n")
