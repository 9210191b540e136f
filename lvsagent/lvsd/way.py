"""Which way leads to the other director: ssh, or, when both are on one machine for a demonstration, the other agent's socket."""

from __future__ import annotations

from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.adapters.peer_local import LocalPeer
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.settings import AgentSettings


def way_to_peer(settings: AgentSettings, keys: PeerKeys) -> SshPeer | LocalPeer:
    """The way that agent.toml asks for.  Nothing is connected before the first request; ``close()`` it at the end.

    ``use(tool)`` tells it lvs.cf's rsh_command whenever that changes.
    """
    return LocalPeer(settings.peer_socket) if settings.peer_socket else SshPeer(keys)
