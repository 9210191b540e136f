"""agent.toml: every key has a default, every mistake is said with its line, all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvsagent.settings import AgentSettings, SettingsError, load_settings, parse_settings


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text)
    return str(caught.value).splitlines()


def test_an_empty_file_is_all_defaults() -> None:
    assert parse_settings("") == AgentSettings()


def test_every_key_is_taken() -> None:
    settings = parse_settings(
        """
        lvs_cf = "/srv/lvs.cf"
        state_dir = "/srv/state"
        runtime_dir = "/srv/run"
        dataplane = "userspace"
        node = "backup"
        name = "lefty"
        socket_group = "operators"
        check_user = "nobody"
        program_dirs = ["/srv/a", "/srv/b"]
        root_commands = ["/usr/bin/systemctl start x.service"]
        heartbeat_key_file = "/srv/key"
        standby_checks = false
        nannies = 4
        reconcile_interval = 0.5
        userspace_port_offset = 8000
        sync_user = "other"
        sync_dir = "/srv/sync"
        sync_port = 2222
        ssh_host_key = "/srv/key.pub"
        pair_port = 4000
        load_dir = "/srv/load"
        peer_socket = "/srv/other.sock"
        """
    )
    assert settings == AgentSettings(
        lvs_cf=Path("/srv/lvs.cf"),
        state_dir=Path("/srv/state"),
        runtime_dir=Path("/srv/run"),
        dataplane="userspace",
        node="backup",
        name="lefty",
        socket_group="operators",
        check_user="nobody",
        program_dirs=(Path("/srv/a"), Path("/srv/b")),
        root_commands=("/usr/bin/systemctl start x.service",),
        heartbeat_key_file=Path("/srv/key"),
        standby_checks=False,
        nannies=4,
        reconcile_interval=0.5,
        userspace_port_offset=8000,
        sync_user="other",
        sync_dir=Path("/srv/sync"),
        sync_port=2222,
        ssh_host_key=Path("/srv/key.pub"),
        pair_port=4000,
        load_dir=Path("/srv/load"),
        peer_socket=Path("/srv/other.sock"),
    )
    assert settings.agent_socket == Path("/srv/run/agent.sock")


def test_an_unknown_key_names_its_line_and_the_nearest_known_one() -> None:
    assert problems('node = "auto"\nrun_time_dir = "/run"\n') == [
        "agent.toml, line 2: run_time_dir: there is no such key; did you mean runtime_dir?"
    ]


def test_an_unknown_table_is_a_key_too() -> None:
    assert problems("\n[zzz]\na = 1\n") == ["agent.toml, line 2: zzz: there is no such key"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lvs_cf = 5", "expected text in quotes"),
        ('lvs_cf = "lvs.cf"', 'begins with "/"'),
        ('lvs_cf = "/a\\u0000b"', "NUL"),
        ('dataplane = "kernal"', "one of kernel, userspace"),
        ("node = true", "expected text"),
        ('node = "first"', "one of auto, primary, backup"),
        ('check_user = "a b"', "name of a user"),
        ('program_dirs = "/a"', "expected a list"),
        ('program_dirs = ["a"]', 'begins with "/"'),
        ('root_commands = ["systemctl start x"]', "the program's whole path"),
        ("root_commands = [1]", "expected text"),
        ('standby_checks = "yes"', "true or false"),
        ("standby_checks = 1", "true or false"),
        ("reconcile_interval = true", "number of seconds"),
        ("reconcile_interval = 0", "0.1 to 3600"),
        ("nannies = 0", "1 to 16 processes"),
        ("nannies = 17", "1 to 16 processes"),
        ("nannies = true", "whole number"),
        ('nannies = "2"', "whole number"),
        ("reconcile_interval = nan", "0.1 to 3600"),
        ("userspace_port_offset = 1.5", "whole number"),
        ('name = "' + "ö" * 17 + '"', "at most 32 bytes"),
        ('name = "a\\nb"', "without control characters"),
        ("userspace_port_offset = 70000", "0 to 65534"),
        ("sync_port = 0", "1 to 65535"),
        ('pair_port = "3639"', "whole number"),
        ('sync_user = "a b"', "name of a user"),
    ],
)
def test_a_wrong_value_says_what_is_expected_and_where(line: str, words: str) -> None:
    key = line.split(maxsplit=1)[0]
    (problem,) = problems(f"# a comment\n\n{line}\n")
    assert problem.startswith(f"agent.toml, line 3: {key}: ")
    assert words in problem


def test_all_mistakes_are_said_at_once() -> None:
    assert len(problems('nod = "x"\nlvs_cf = 1\nreconcile_interval = "5"\n')) == 3


def test_bad_toml_names_the_place() -> None:
    (problem,) = problems("node = \n")
    assert "not valid TOML" in problem
    assert "line 1" in problem


def test_a_runtime_dir_that_no_socket_fits_in_is_refused() -> None:
    (problem,) = problems(f'runtime_dir = "/{"d" * 90}"\n')
    assert "too long for a socket" in problem


def test_a_port_offset_without_the_userspace_plane_is_refused() -> None:
    (problem,) = problems("userspace_port_offset = 8000\n")
    assert 'means nothing with dataplane = "kernel"' in problem


def test_a_missing_file_says_which_and_where_an_example_is(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"agent\.toml: there is no such file; .*deploy/agent\.toml"):
        load_settings(tmp_path / "agent.toml")


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)


def test_bytes_that_are_not_text_are_said(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b'node = "\xff"')
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings(path)


def test_what_belongs_to_the_other_director_is_beside_the_state_of_which_only_the_place_was_given() -> None:
    settings = parse_settings('state_dir = "/srv/state"\n')
    assert (settings.sync_dir, settings.authorized_keys) == (Path("/srv/state/sync"), Path("/srv/state/sync/authorized_keys"))
    assert settings.inbox == Path("/srv/state/sync/inbox")


def test_two_real_directors_do_not_speak_over_a_socket() -> None:
    (problem,) = problems('peer_socket = "/run/other.sock"\n')
    assert "two real directors use ssh" in problem
