"""The demonstration's text and its choice of ports."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest

from app.lvscf import load
from app.settings import parse_settings as parse_console
from deploy.demo.cluster import CONSOLE, REAL_SERVERS, Folder, agent_toml, console_toml, first_lvs_cf, is_free, moved, next_free
from lvsagent.settings import parse_settings as parse_agent


def test_the_first_lvs_cf_has_nothing_to_complain_about_and_nothing_activated() -> None:
    loaded = load(first_lvs_cf(8080))
    assert [one for one in loaded.diagnostics if one.code != "nothing-active"] == []
    (http,) = loaded.config.virtual
    assert (http.name, http.port, http.scheduler, http.active) == ("http", 80, "rr", False)
    assert [(one.name, one.address, one.effective_port, one.active) for one in http.servers] == [
        (name, address, 8080, False) for name, address in REAL_SERVERS.items()
    ]


def test_moving_the_web_servers_changes_their_three_port_lines_and_no_other() -> None:
    text = first_lvs_cf(8080).replace("     server number2 {", "     # mine\n     server number2 {")
    after = moved(text, 8080, 8099)
    changed = [(old, new) for old, new in zip(text.splitlines(), after.splitlines(), strict=True) if old != new]
    assert changed == [("         port = 8080", "         port = 8099")] * 3


def test_moving_leaves_servers_that_are_not_the_demonstrations_alone() -> None:
    text = first_lvs_cf(8080).replace(REAL_SERVERS["number3"], "192.0.2.9").replace("port = 8080", "port = 8081", 1)
    after = moved(text, 8080, 8099)
    assert [one.effective_port for one in load(after).config.virtual[0].servers] == [8081, 8099, 8080]


def test_the_settings_files_are_read_by_the_programs_they_are_for() -> None:
    folder = Folder(Path('/tmp/a "quoted" folder'), Path("/tmp/run"))  # noqa: S108 -- nothing is made there
    agent = parse_agent(agent_toml(folder, 8000))
    assert (agent.lvs_cf, agent.dataplane, agent.userspace_port_offset) == (folder.lvs_cf, "userspace", 8000)
    console = parse_console(console_toml(folder, 3637))
    assert (console.bind, console.port, console.plain_http) == (CONSOLE, 3637, True)
    assert console.agent_socket == str(agent.agent_socket)
    assert console.password_path == folder.password
    assert tomllib.loads(agent_toml(folder, 0))["userspace_port_offset"] == 0


def test_the_next_free_port_is_free_at_every_address() -> None:
    with socket.create_server(("127.0.0.22", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.22", port)
        assert next_free(["127.0.0.21", "127.0.0.22"], port) > port


def test_no_free_port_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 65535)), pytest.raises(OSError, match="no port from 65535"):
        next_free(["127.0.0.1"], 65535)
