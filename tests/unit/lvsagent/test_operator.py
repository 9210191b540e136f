"""What an operator may ask of the role, and why not now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvsagent.core.operator import ACTIONS, Standing, why_not

ACTIVE = Standing(redundant=True, role="active", maintenance=False, peer="alive")
STANDBY = replace(ACTIVE, role="standby")


@pytest.mark.parametrize(
    ("action", "standing"),
    [
        ("step_down", ACTIVE),
        ("take_over", STANDBY),
        ("take_over", replace(STANDBY, peer="waiting")),
        ("maintenance", ACTIVE),
        ("maintenance", STANDBY),
        ("resume", replace(STANDBY, maintenance=True)),
        ("maintenance", replace(ACTIVE, redundant=False, peer="none")),
    ],
)
def test_what_can_be_done_now(action: str, standing: Standing) -> None:
    assert why_not(action, standing) == ""


@pytest.mark.parametrize(
    ("action", "standing", "words"),
    [
        ("step_down", STANDBY, "only the active one can step down"),
        ("step_down", replace(ACTIVE, peer="dead"), "nobody would take over"),
        ("step_down", replace(ACTIVE, peer_maintenance=True), "in maintenance: nobody would take over"),
        ("step_down", replace(ACTIVE, redundant=False, peer="none"), "no backup director"),
        ("take_over", ACTIVE, "only a standby can take over"),
        ("take_over", replace(STANDBY, maintenance=True), "resume first"),
        ("maintenance", replace(ACTIVE, maintenance=True), "in maintenance already"),
        ("resume", ACTIVE, "not in maintenance"),
    ],
)
def test_what_cannot_says_why(action: str, standing: Standing, words: str) -> None:
    assert words in why_not(action, standing)


def test_every_action_has_an_answer_wherever_things_stand() -> None:
    for action in ACTIONS:
        for role in ("starting", "standby", "active", "stopped"):
            assert isinstance(why_not(action, replace(ACTIVE, role=role)), str)
