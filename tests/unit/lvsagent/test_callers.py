"""Who may call what on the agent's socket."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from lvsagent.api.callers import PEER_ROUTE, Caller, may_call

SYNC = pwd.getpwnam("daemon")
GROUP = grp.getgrnam("sys")
ROUTES = ("GET /v1/config", "PUT /v1/config", "POST /v1/failover", "GET /v1/state", "GET /v1/peer", "")


def may(uid: int, groups: frozenset[int], route: str) -> bool:
    return may_call(Caller(1, uid, groups), route, socket_group=GROUP.gr_name, sync_user=SYNC.pw_name)


@pytest.mark.parametrize("groups", [frozenset[int](), frozenset({GROUP.gr_gid}), frozenset({0, GROUP.gr_gid})])
def test_the_other_directors_user_may_make_its_request_and_nothing_else_whatever_its_groups(groups: frozenset[int]) -> None:
    assert may(SYNC.pw_uid, groups, PEER_ROUTE)
    assert not any(may(SYNC.pw_uid, groups, route) for route in ROUTES)


def test_members_of_the_sockets_group_may_do_all_but_speak_as_the_other_director() -> None:
    assert all(may(54321, frozenset({GROUP.gr_gid}), route) for route in ROUTES)
    assert not may(54321, frozenset({GROUP.gr_gid}), PEER_ROUTE)


def test_anyone_else_may_do_nothing() -> None:
    assert not any(may(54321, frozenset({54321}), route) for route in (*ROUTES, PEER_ROUTE))


@pytest.mark.parametrize("uid", [0, os.geteuid()])
def test_root_and_the_agents_own_user_may_do_all(uid: int) -> None:
    assert all(may(uid, frozenset(), route) for route in (*ROUTES, PEER_ROUTE))


def test_a_user_or_group_that_does_not_exist_is_nobody() -> None:
    caller = Caller(1, 54321, frozenset({54321}))
    assert not may_call(caller, PEER_ROUTE, socket_group="no-such-group", sync_user="no-such-user")
    assert not may_call(caller, "GET /v1/state", socket_group="no-such-group", sync_user="no-such-user")
