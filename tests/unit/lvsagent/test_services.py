"""When the standby asks for the role because a failover service failed."""

from __future__ import annotations

from lvsagent.core.services import PATIENCE_S, SETTLE_S, Watched, reason_to_take_over

SINCE = 1000.0
LATER = SINCE + SETTLE_S + 5


def asks(*services: Watched, asked_at: float = float("-inf"), now: float = LATER) -> str:
    return reason_to_take_over(services, role_since=SINCE, asked_at=asked_at, now=now)


def test_one_failed_service_moves_all() -> None:
    assert asks(Watched("ftp", False, LATER), Watched("web", True, LATER)) == "the failover service ftp failed on the active director"


def test_services_that_are_up_or_not_known_move_nothing() -> None:
    assert asks() == asks(Watched("ftp", True, LATER), Watched("web", None, 0.0)) == ""


def test_what_was_seen_before_or_right_after_the_change_of_roles_does_not_count() -> None:
    assert asks(Watched("ftp", False, SINCE - 1)) == asks(Watched("ftp", False, SINCE + SETTLE_S / 2)) == ""


def test_a_service_that_fails_everywhere_does_not_have_them_go_to_and_fro() -> None:
    failed = Watched("ftp", False, LATER)
    assert asks(failed, asked_at=LATER - PATIENCE_S / 2) == ""
    assert asks(failed, asked_at=LATER - PATIENCE_S)
