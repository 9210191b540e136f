"""Which tool carries lvs.cf: what the file says, and what a file that says nothing means."""

from __future__ import annotations

import pytest

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.config_files import etag_of
from lvsagent.lvsd.configuration import read_configuration
from lvsagent.lvsd.names import Names
from lvsagent.lvsd.way import tool_of
from lvsagent.ports import ConfigFile


@pytest.mark.parametrize(
    ("line", "tool"),
    [
        ("", "ssh"),
        ("rsh_command = rsh\n", "rsh"),
        ("rsh_command = /usr/bin/rsh\n", "rsh"),
        ("rsh_command = ssh\n", "ssh"),
        ('rsh_command = "/usr/bin/ssh -q"\n', "ssh"),
        ("rsh_command = rsync\n", "rsync"),
        ("rsh_command = telnet\n", "telnet"),
    ],
)
async def test_the_tool_is_what_the_file_says_and_ssh_when_it_says_nothing(line: str, tool: str) -> None:
    data = f"serial_no = 1\nprimary = 192.0.2.1\nservice = lvs\n{line}".encode()
    found = await read_configuration(ConfigFile(data, etag_of(data)), Names(SystemClock()))
    assert tool_of(found) == tool
