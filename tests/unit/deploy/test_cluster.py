"""The demonstration's text and its choice of ports."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest

from app.lvscf import load
from app.settings import parse_settings as parse_console
from deploy.demo.cluster import (
    CONSOLE,
    DIRECTORS,
    REAL_SERVERS,
    Folder,
    Ports,
    agent_toml,
    console_toml,
    first_lvs_cf,
    is_free,
    moved,
    next_free,
)
from lvsagent.settings import parse_settings as parse_agent


@pytest.mark.parametrize("heartbeat_port", [0, 5390])
def test_the_first_lvs_cf_has_nothing_to_complain_about_and_nothing_activated(heartbeat_port: int) -> None:
    loaded = load(first_lvs_cf(8080, heartbeat_port))
    assert [one for one in loaded.diagnostics if one.code != "nothing-active"] == []
    (http,) = loaded.config.virtual
    assert (http.name, http.port, http.scheduler, http.active) == ("http", 80, "rr", False)
    assert [(one.name, one.address, one.effective_port, one.active) for one in http.servers] == [
        (name, address, 8080, False) for name, address in REAL_SERVERS.items()
    ]


def test_the_pair_is_enabled_and_meets_on_two_links() -> None:
    settings = load(first_lvs_cf(8080, 5391)).config.globals
    assert (settings.backup_active, settings.heartbeat, settings.heartbeat_port) == (True, True, 5391)
    assert [(settings.primary, settings.primary_private), (settings.backup, settings.backup_private)] == list(DIRECTORS.values())
    assert settings.deadtime >= 3 * settings.keepalive


def test_moving_the_web_servers_changes_their_three_port_lines_and_no_other() -> None:
    text = first_lvs_cf(8080).replace("     server number2 {", "     # mine\n     server number2 {")
    after = moved(text, Ports(web=8080), Ports(web=8099))
    changed = [(old, new) for old, new in zip(text.splitlines(), after.splitlines(), strict=True) if old != new]
    assert changed == [("         port = 8080", "         port = 8099")] * 3


def test_moving_the_heartbeats_changes_one_line() -> None:
    text = first_lvs_cf(8080, 5390)
    after = moved(text, Ports(), Ports(heartbeat=5395))
    changed = [(old, new) for old, new in zip(text.splitlines(), after.splitlines(), strict=True) if old != new]
    assert changed == [("heartbeat_port = 5390", "heartbeat_port = 5395")]


def test_moving_leaves_servers_that_are_not_the_demonstrations_alone() -> None:
    text = first_lvs_cf(8080).replace(REAL_SERVERS["number3"], "192.0.2.9").replace("port = 8080", "port = 8081", 1)
    after = moved(text, Ports(web=8080), Ports(web=8099))
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


def test_two_directors_share_the_password_and_nothing_else_and_each_has_the_way_to_the_other() -> None:
    folder = Folder(Path("/tmp/var"), Path("/tmp/run"))  # noqa: S108 -- nothing is made there
    pairs = (("lefty", "primary", "righty"), ("righty", "backup", "lefty"))
    lefty, righty = (parse_agent(agent_toml(folder.of(name), 8000, node, name, folder.of(other))) for name, node, other in pairs)
    assert (lefty.name, lefty.node, righty.name, righty.node) == ("lefty", "primary", "righty", "backup")
    assert (lefty.peer_socket, righty.peer_socket) == (righty.agent_socket, lefty.agent_socket)
    assert folder.of("lefty").password == folder.of("righty").password == folder.password
    for one in ("lvs_cf", "state_dir", "runtime_dir", "heartbeat_key_file"):
        assert getattr(lefty, one) != getattr(righty, one), one


def test_the_next_free_port_is_free_at_every_address() -> None:
    with socket.create_server(("127.0.0.22", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.22", port)
        assert next_free(["127.0.0.21", "127.0.0.22"], port) > port


def test_no_free_port_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 65535)), pytest.raises(OSError, match="no port from 65535"):
        next_free(["127.0.0.1"], 65535)
