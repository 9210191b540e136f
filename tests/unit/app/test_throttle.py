"""Tries to log in: slowed per source and per account, bounded in memory, and nobody can lock the administrator out."""

from __future__ import annotations

from app.throttle import MOST_KEPT, Throttle

SOURCE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


def test_the_first_tries_are_free_then_each_waits_twice_as_long() -> None:
    throttle, now, waits = Throttle(), 0.0, []
    for _ in range(9):
        wait = throttle.attempt(SOURCE, "piranha", now)
        waits.append(wait)
        now += wait
        if wait:
            assert throttle.attempt(SOURCE, "piranha", now) == 0
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16]


def test_a_try_while_waiting_counts_for_nothing() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.attempt(SOURCE, "piranha", 0)
    assert [throttle.attempt(SOURCE, "piranha", 0.25) for _ in range(50)] == [0.75] * 50
    assert throttle.attempt(SOURCE, "piranha", 1) == 0


def test_the_longest_wait_of_a_source_is_a_quarter_of_an_hour() -> None:
    throttle, now, wait = Throttle(), 0.0, 0.0
    for _ in range(40):
        wait = throttle.attempt(SOURCE, "piranha", now)
        now += wait
    assert throttle.attempt(SOURCE, "piranha", now) <= 900


def test_success_forgets_the_failures() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.attempt(SOURCE, "piranha", 0)
    throttle.succeeded(SOURCE, "piranha", 0)
    assert throttle.attempt(SOURCE, "piranha", 0) == 0


def test_tries_from_many_sources_slow_the_account() -> None:
    throttle = Throttle()
    waits = [throttle.attempt(f"203.0.113.{number}", "piranha", 0) for number in range(30)]
    assert waits[:12] == [0] * 12
    assert waits[12] > 0
    assert max(waits) <= 30


def test_a_source_that_logged_in_before_is_not_locked_out_from_elsewhere() -> None:
    throttle = Throttle()
    throttle.succeeded(SOURCE, "piranha", 0)
    for number in range(200):
        throttle.attempt(f"203.0.113.{number}", "piranha", 0)
    assert throttle.attempt(ELSEWHERE, "piranha", 0) > 0
    assert throttle.attempt(SOURCE, "piranha", 0) == 0


def test_an_hour_of_peace_forgets() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.attempt(SOURCE, "piranha", 0)
    assert throttle.attempt(SOURCE, "piranha", 3700) == 0
    assert throttle.attempt(SOURCE, "piranha", 3700) == 0


def test_a_host_with_many_ipv6_addresses_is_one_source() -> None:
    throttle = Throttle()
    for number in range(4):
        throttle.attempt(f"2001:db8::{number + 1:x}", "piranha", 0)
    assert throttle.attempt("2001:db8::ffff", "piranha", 0) > 0
    assert throttle.attempt("2001:db8:0:1::1", "piranha", 0) == 0


def test_an_ipv4_address_in_ipv6_form_is_the_same_source() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.attempt(f"::ffff:{SOURCE}", "piranha", 0)
    assert throttle.attempt(SOURCE, "piranha", 0) > 0


def test_memory_is_bounded_whatever_is_tried() -> None:
    throttle = Throttle()
    for number in range(MOST_KEPT * 2):
        throttle.attempt(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "piranha", number * 40.0)
        throttle.succeeded(f"not an address {number}", "nobody", number)
    assert len(throttle) <= MOST_KEPT + MOST_KEPT // 16
