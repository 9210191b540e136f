"""Which way leads to the other director: ssh, or, when both are on one machine for a demonstration, the other agent's socket."""

from __future__ import annotations

from app.lvscf.model import GlobalSettings
from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.adapters.peer_local import LocalPeer
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.core.sync_tool import sync_tool
from lvsagent.lvsd.configuration import Configuration
from lvsagent.settings import AgentSettings


def way_to_peer(settings: AgentSettings, keys: PeerKeys) -> SshPeer | LocalPeer:
    """The way that agent.toml asks for.  Nothing is connected before the first request; ``close()`` it at the end.

    ``use(tool_of(configuration))`` tells it lvs.cf's word whenever that changes.
    """
    return LocalPeer(settings.peer_socket) if settings.peer_socket else SshPeer(keys)


def tool_of(configuration: Configuration) -> str:
    """lvs.cf's sync tool.  A file that does not name one has not chosen Piranha's default, rsh: that it did is a diagnostic."""
    tool = configuration.config.globals.rsh_command
    given = tool != GlobalSettings().rsh_command or any(one.code == "rsh-refused" for one in configuration.diagnostics)
    return sync_tool(tool, given=given)
