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
from app.lvscf.model import RealServer
from deploy.demo.claims import Claims

CONSOLE = "127.0.0.1"
CONSOLE_PORT = 3636
DIRECTORS = {"lefty": ("127.0.0.11", "127.0.1.11"), "righty": ("127.0.0.12", "127.0.1.12")}
"""Each one's public and private address: heartbeats run between both pairs.  The first is the primary."""
USUAL_HEARTBEAT_PORT = 5390
"""Piranha's 539 would need root."""
VIP = "127.0.0.100"
NAT_ROUTER = "127.0.0.10"
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
ALONE = """\
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
"""
PAIR = """\
# The first cluster: two directors, one virtual server, three real servers, nothing activated yet.
# On directors the addresses would be, say, 192.0.2.100 on eth1:1 and 10.11.12.21 to 23.
serial_no = 1
primary = {primary[0]}
primary_private = {primary[1]}
service = lvs
rsh_command = ssh
backup_active = 1
backup = {backup[0]}
backup_private = {backup[1]}
heartbeat = 1
heartbeat_port = {heartbeat_port}
keepalive = 0.25
deadtime = 1
nat_router = {router} lo:2
nat_nmask = 255.255.255.255
"""
SERVICE = """\
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
    """Where the demonstration listens: the consoles of lefty and righty, the three web servers, what is added to a virtual server's port,
    and the heartbeats."""

    console: int = CONSOLE_PORT
    peer_console: int = CONSOLE_PORT + 1
    web: int = USUAL_WEB_PORT
    offset: int = USUAL_OFFSET
    heartbeat: int = USUAL_HEARTBEAT_PORT

    @property
    def console_urls(self) -> dict[str, str]:
        """The address of each director's console."""
        return {name: f"http://{CONSOLE}:{port}/" for name, port in zip(DIRECTORS, (self.console, self.peer_console), strict=True)}

    @property
    def virtual_url(self) -> str:
        """The tutorial's virtual server, as it can be reached without root."""
        return f"http://{VIP}:{VIRTUAL_PORT + self.offset}/"


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that keeps the demonstration's state between runs, and the files in it.

    ``of`` gives the part of one director.  Both read one lvs.cf and one password, as if they had been copied, which real directors do.
    """

    path: Path
    runtime: Path
    shared: Path | None = None

    def of(self, director: str) -> Folder:
        """What belongs to this director alone."""
        return Folder(self.path / director, self.runtime / director, self.path)

    @property
    def common(self) -> Path:
        """Where that lies which both directors have."""
        return self.shared or self.path

    @property
    def lvs_cf(self) -> Path:
        """The configuration."""
        return self.common / "lvs.cf"

    @property
    def heartbeat_key(self) -> Path:
        """The key of the pair, as this director has it."""
        return self.path / "heartbeat.key"

    @property
    def agent_pid(self) -> Path:
        """Which process to kill."""
        return self.path / "agent.pid"

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
        return self.common / "piranha.passwd"

    @property
    def running(self) -> Path:
        """What runs where, as JSON: for the tests, and to know which ports lvs.cf was written for."""
        return self.path / "demo.json"

    @property
    def logs(self) -> Path:
        """Each process's output."""
        return self.common / "log"


def is_free(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether this user can listen there now."""
    with socket.socket(type=kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            if kind is socket.SOCK_STREAM:
                probe.listen()
        except OSError:
            return False
        return True


def next_free(addresses: Iterable[str], wanted: int, kind: socket.SocketKind = socket.SOCK_STREAM, *, claims: Claims | None = None) -> int:
    """``wanted`` or the first port after it that is free at every one of ``addresses``; with ``claims``, that nobody else has claimed.

    Raises OSError.
    """
    everywhere = tuple(addresses)
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        if all(is_free(address, port, kind) for address in everywhere) and (claims is None or claims.take(everywhere, port)):
            return port
    raise OSError(f"no port from {wanted} to {wanted + PORTS_TRIED - 1} is free at {', '.join(everywhere)}")


def first_lvs_cf(web_port: int, heartbeat_port: int = 0) -> str:
    """The tutorial's cluster as it is before anything is activated; without ``heartbeat_port`` with one director."""
    servers = "".join(SERVER.format(name=name, address=address, port=web_port) for name, address in REAL_SERVERS.items())
    primary, backup = DIRECTORS.values()
    pair = PAIR.format(primary=primary, backup=backup, heartbeat_port=heartbeat_port, router=NAT_ROUTER)
    directors = pair if heartbeat_port else ALONE.format(console=CONSOLE)
    return directors + SERVICE.format(vip=VIP, virtual_port=VIRTUAL_PORT, servers=servers)


def moved(text: str, before: Ports, now: Ports) -> str:
    """lvs.cf with the demonstration's own web servers and heartbeats where they are ``now``; every other line as it was."""
    loaded = load(text)
    config, settings = loaded.config, loaded.config.globals
    if settings.heartbeat_port == before.heartbeat:
        settings = replace(settings, heartbeat_port=now.heartbeat)
    virtual = tuple(replace(block, servers=tuple(_moved_server(one, before, now) for one in block.servers)) for block in config.virtual)
    return write(loaded.document, replace(config, globals=settings, virtual=virtual))


def _moved_server(server: RealServer, before: Ports, now: Ports) -> RealServer:
    ours = server.address in REAL_SERVERS.values() and server.effective_port == before.web and now.web != before.web
    return replace(server, port=now.web) if ours else server


def agent_toml(folder: Folder, offset: int, node: str = "primary", name: str = "") -> str:
    """The agent's settings: the demonstration data plane, this user's own group, checks as nobody when root starts it."""
    return f"""\
# Written by the demonstration at every start.
lvs_cf = {_quoted(folder.lvs_cf)}
state_dir = {_quoted(folder.path / "agent")}
runtime_dir = {_quoted(folder.runtime)}
dataplane = "userspace"
userspace_port_offset = {offset}
node = {_quoted(node)}
name = {_quoted(name)}
heartbeat_key_file = {_quoted(folder.heartbeat_key)}
socket_group = {_quoted(_own_group())}
check_user = "nobody"
program_dirs = [{_quoted(folder.common / "programs")}]
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
state_dir = {_quoted(folder.common / "console")}
"""


def _quoted(value: object) -> str:
    """A TOML string: JSON's form of one is TOML's as well."""
    return json.dumps(str(value), ensure_ascii=False)


def _own_group() -> str:
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return "nogroup"
