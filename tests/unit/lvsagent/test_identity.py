"""Which director this host is, its role while it watches no peer, and which commands it may run as root."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lvscf import GlobalSettings
from lvsagent.core.identity import identify, redundancy_wanted, role_without_peer
from lvsagent.core.root_commands import argv_permitted, permitted

ARTICLE = GlobalSettings(primary="192.0.2.11", primary_private="10.11.12.11", backup="192.0.2.12", backup_private="10.11.12.12")


@pytest.mark.parametrize(
    ("own", "identity"),
    [
        (["127.0.0.1", "192.0.2.11"], "primary"),
        (["10.11.12.11"], "primary"),
        (["192.0.2.12"], "backup"),
        (["10.11.12.12"], "backup"),
        (["127.0.0.1"], "unknown"),
        ([], "unknown"),
    ],
)
def test_auto_is_whichever_of_lvs_cfs_addresses_this_host_has(own: list[str], identity: str) -> None:
    assert identify("auto", ARTICLE, own) == identity


def test_agent_toml_decides_when_it_says_which() -> None:
    assert identify("backup", ARTICLE, ["192.0.2.11"]) == "backup"


def test_short_forms_names_and_absent_addresses() -> None:
    assert identify("auto", GlobalSettings(primary="10.1"), ["10.0.0.1"]) == "primary"
    assert identify("auto", GlobalSettings(primary="lefty"), ["10.0.0.1"], {"lefty": "10.0.0.1"}) == "primary"
    assert identify("auto", GlobalSettings(primary="lefty"), ["10.0.0.1"]) == "unknown"
    assert identify("auto", GlobalSettings(), ["0.0.0.0"]) == "unknown"


def test_a_backup_counts_when_it_is_named_and_enabled() -> None:
    assert redundancy_wanted(GlobalSettings(backup="192.0.2.12", backup_active=True))
    assert not redundancy_wanted(GlobalSettings(backup="192.0.2.12"))
    assert not redundancy_wanted(GlobalSettings(backup_active=True))


@pytest.mark.parametrize(
    ("identity", "redundant", "role"),
    [
        ("primary", False, "active"),
        ("primary", True, "active"),
        ("backup", False, "standby"),
        ("backup", True, "standby"),
        ("unknown", False, "active"),
        ("unknown", True, "standby"),
    ],
)
def test_never_are_two_directors_active_and_a_lone_one_always_is(identity: str, redundant: bool, role: str) -> None:
    found = role_without_peer(identity, redundant=redundant)
    assert found.role == role
    assert found.reason


LISTED = ("/usr/bin/systemctl start 'my mail.service'", "/usr/local/sbin/on-active --quiet")


def test_a_listed_command_line_is_split_without_a_shell() -> None:
    assert permitted(LISTED[0], LISTED) == ("/usr/bin/systemctl", "start", "my mail.service")


@pytest.mark.parametrize(
    "line",
    [
        "/usr/local/sbin/on-active",
        "/usr/local/sbin/on-active --quiet --more",
        "/usr/local/sbin/on-active  --quiet",
        "/usr/local/sbin/on-active\t--quiet",
        " /usr/local/sbin/on-active --quiet",
        "/usr/local/sbin/on-active --quiet ",
        "/usr/local/sbin/on-active --quiet\n",
        "/usr/local/sbin/on-active --quiet; id",
        "/usr/local/sbin/on-active --quiet\0",
        "/usr/local/sbin/on-active --QUIET",
        "/usr/local/sbin/../sbin/on-active --quiet",
        "/usr/local/sbin/on-active '--quiet'",
        "/bin/sh -c '/usr/local/sbin/on-active --quiet'",
        "",
    ],
)
def test_anything_else_is_not_permitted(line: str) -> None:
    assert permitted(line, LISTED) is None


def test_an_argv_is_permitted_only_as_a_whole() -> None:
    assert argv_permitted(["/usr/local/sbin/on-active", "--quiet"], LISTED)
    assert not argv_permitted(["/usr/local/sbin/on-active"], LISTED)
    assert not argv_permitted(["/usr/local/sbin/on-active --quiet"], LISTED)
    assert not argv_permitted([], LISTED)
    assert not argv_permitted([], ("'unclosed",))


@given(st.text(), st.lists(st.text(), max_size=3))
def test_only_the_listed_lines_themselves_pass(line: str, listed: list[str]) -> None:
    assert (permitted(line, listed) is not None) == (line in listed)
