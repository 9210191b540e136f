"""The demonstration's cluster: which addresses it uses, the settings files, the first lvs.cf.

Owns text and the choice of free ports; starts nothing.  lvs.cf is written once, and afterwards changed only where a port of the
demonstration itself had to move.
"""

from __future__ import annotations

import grp
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app.lvscf import load, write

CONSOLE = "127.0.0.1"
CONSOLE_PORT = 3636
VIP = "127.0.0.100"
VIRTUAL_PORT = 80
USUAL_OFFSET = 8000
REAL_SERVERS = {"number1": "127.0.0.21", "number2": "127.0.0.22", "number3": "127.0.0.23"}
USUAL_WEB_PORT = 8080
PORTS_TRIED = 200

SERVER = """\
     server {name} {{
         address = {address}
         active = 0
         port = {port}
         weight = 1
     }}
"""
LVS_CF = """\
# The first cluster: one virtual server, three real servers, nothing activated yet.
# On a director the addresses would be, say, 192.0.2.100 on eth1:1 and 10.11.12.21 to 23.
serial_no = 1
primary = {console}
service = lvs
rsh_command = ssh
backup_active = 0
heartbeat = 1
heartbeat_port = 539
keepalive = 6
deadtime = 18
network = nat
debug_level = NONE
virtual http {{
     active = 0
     address = {vip} lo:1
     vip_nmask = 255.255.255.255
     port = {virtual_port}
     send = "GET / HTTP/1.0\\r\\n\\r\\n"
     expect = "HTTP"
     load_monitor = none
     scheduler = rr
     protocol = tcp
     timeout = 2
     reentry = 4
     quiesce_server = 0
{servers}}}
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demonstration listens: the console, the three web servers, and what is added to a virtual server's port."""

    console: int = CONSOLE_PORT
    web: int = USUAL_WEB_PORT
    offset: int = USUAL_OFFSET

    @property
    def console_url(self) -> str:
        """The console's address."""
        return f"http://{CONSOLE}:{self.console}/"

    @property
    def virtual_url(self) -> str:
        """The tutorial's virtual server, as it can be reached without root."""
        return f"http://{VIP}:{VIRTUAL_PORT + self.offset}/"


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that keeps the demonstration's state between runs, and the files in it."""

    path: Path
    runtime: Path

    @property
    def lvs_cf(self) -> Path:
        """The configuration."""
        return self.path / "lvs.cf"

    @property
    def agent_toml(self) -> Path:
        """The agent's settings, written at every start."""
        return self.path / "agent.toml"

    @property
    def console_toml(self) -> Path:
        """The console's settings, written at every start."""
        return self.path / "console.toml"

    @property
    def password(self) -> Path:
        """The hash of the password."""
        return self.path / "piranha.passwd"

    @property
    def running(self) -> Path:
        """What runs where, as JSON: for the tests, and to know which ports lvs.cf was written for."""
        return self.path / "demo.json"

    @property
    def logs(self) -> Path:
        """Each process's output."""
        return self.path / "log"


def is_free(address: str, port: int) -> bool:
    """Whether this user can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError:
            return False
        return True


def next_free(addresses: Iterable[str], wanted: int) -> int:
    """``wanted`` or the first port after it that is free at every one of ``addresses``.  Raises OSError."""
    everywhere = tuple(addresses)
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if all(is_free(address, port) for address in everywhere):
            return port
    raise OSError(f"no port from {wanted} to {wanted + PORTS_TRIED - 1} is free at {', '.join(everywhere)}")


def first_lvs_cf(web_port: int) -> str:
    """The tutorial's cluster as it is before anything is activated."""
    servers = "".join(SERVER.format(name=name, address=address, port=web_port) for name, address in REAL_SERVERS.items())
    return LVS_CF.format(console=CONSOLE, vip=VIP, virtual_port=VIRTUAL_PORT, servers=servers)


def moved(text: str, old_port: int, new_port: int) -> str:
    """lvs.cf with the demonstration's own web servers at ``new_port``; every other line as it was."""
    loaded = load(text)
    virtual = tuple(
        replace(
            block,
            servers=tuple(
                replace(server, port=new_port) if server.address in REAL_SERVERS.values() and server.effective_port == old_port else server
                for server in block.servers
            ),
        )
        for block in loaded.config.virtual
    )
    return write(loaded.document, replace(loaded.config, virtual=virtual))


def agent_toml(folder: Folder, offset: int) -> str:
    """The agent's settings: the demonstration data plane, this user's own group, checks as nobody when root starts it."""
    return f"""\
# Written by the demonstration at every start.
lvs_cf = {_quoted(folder.lvs_cf)}
state_dir = {_quoted(folder.path / "agent")}
runtime_dir = {_quoted(folder.runtime)}
dataplane = "userspace"
userspace_port_offset = {offset}
node = "primary"
socket_group = {_quoted(_own_group())}
check_user = "nobody"
program_dirs = [{_quoted(folder.path / "programs")}]
"""


def console_toml(folder: Folder, port: int) -> str:
    """The console's settings: plain HTTP, on loopback alone."""
    return f"""\
# Written by the demonstration at every start.
bind = "{CONSOLE}"
port = {port}
plain_http = true
agent_socket = {_quoted(folder.runtime / "agent.sock")}
password_file = {_quoted(folder.password)}
state_dir = {_quoted(folder.path / "console")}
"""


def _quoted(value: object) -> str:
    """A TOML string: JSON's form of one is TOML's as well."""
    return json.dumps(str(value), ensure_ascii=False)


def _own_group() -> str:
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return "nogroup"
