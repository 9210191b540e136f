"""When the standby asks for the role because a failover service failed."""

from __future__ import annotations

from lvsagent.core.services import PATIENCE_S, SETTLE_S, ServiceWatch, Watched

SINCE = 1000.0
LATER = SINCE + SETTLE_S + 5
FAILED = LATER - 3


class Standby:
    """A watch that hears the other director all the time, unless a test says otherwise."""

    def __init__(self) -> None:
        self.watch = ServiceWatch()

    def asks(self, *services: Watched, heard_at: float | None = None, now: float = LATER) -> str:
        return self.watch.reason_to_take_over(services, role_since=SINCE, heard_at=now if heard_at is None else heard_at, now=now)


def failing(name: str = "ftp", *, since: float = FAILED, checked_at: float = LATER, check_s: float = 0.0) -> Watched:
    return Watched(name, False, checked_at, since, check_s)


def test_one_failed_service_moves_all_once_it_fails_again_with_the_other_director_heard_in_between() -> None:
    standby, web = Standby(), Watched("web", True, LATER)
    assert standby.asks(failing(checked_at=FAILED), web, heard_at=FAILED - 0.1) == ""
    assert standby.asks(failing(checked_at=FAILED), web, heard_at=FAILED + 1) == "", "no check since it was heard"
    words = "the failover service ftp failed on the active director"
    assert standby.asks(failing(checked_at=FAILED + 2), web) == words


def test_times_that_are_told_a_little_differently_each_time_do_not_begin_the_wait_anew() -> None:
    standby = Standby()
    for second in range(3):
        said = standby.asks(
            failing(since=FAILED + second * 1e-5, checked_at=FAILED + second), heard_at=FAILED + second + 0.5, now=FAILED + second + 0.6
        )
        assert bool(said) == (second == 1)


def test_services_that_are_up_or_not_known_move_nothing() -> None:
    standby = Standby()
    for _ in range(3):
        assert standby.asks() == standby.asks(Watched("ftp", True, LATER), Watched("web", None, 0.0)) == ""


def test_what_was_seen_before_or_right_after_the_change_of_roles_does_not_count() -> None:
    standby = Standby()
    for checked_at in (SINCE - 1, SINCE + 1, SINCE + SETTLE_S / 2):
        assert standby.asks(failing(since=SINCE - 5, checked_at=checked_at), heard_at=SINCE - 4) == ""


def test_a_watcher_without_network_never_asks_however_long_it_is_blind() -> None:
    standby = Standby()
    for second in range(100):
        assert standby.asks(failing(checked_at=FAILED + second), heard_at=FAILED - 1, now=LATER + second) == ""


def test_nor_when_its_network_has_just_come_back_and_the_last_check_is_still_from_before() -> None:
    standby, back_at = Standby(), FAILED + 20
    standby.asks(failing(checked_at=back_at - 1), heard_at=FAILED - 1, now=back_at - 0.5)
    assert standby.asks(failing(checked_at=back_at - 1), heard_at=back_at, now=back_at + 0.1) == ""
    assert standby.asks(failing(checked_at=back_at + 2, check_s=3), heard_at=back_at + 2, now=back_at + 2) == "", "begun while blind"
    assert standby.asks(Watched("ftp", True, back_at + 3, back_at + 3), now=back_at + 3) == ""


def test_a_service_that_fails_everywhere_does_not_have_them_go_to_and_fro() -> None:
    standby = Standby()
    standby.asks(failing(), heard_at=FAILED + 1)
    standby.watch._asked_at = LATER - PATIENCE_S / 2
    assert standby.asks(failing()) == ""
    assert standby.asks(failing(), now=LATER + PATIENCE_S)
