"""Which way leads to the other director: ssh, or, when both are on one machine for a demonstration, the other agent's socket."""

from __future__ import annotations

from app.lvscf.model import GlobalSettings
from lvsagent.adapters.peer_keys import NotPaired, PeerKeys
from lvsagent.adapters.peer_local import LocalPeer
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.core.sync_tool import sync_tool
from lvsagent.lvsd.configuration import Configuration
from lvsagent.ports import AdapterError
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


class PeerWay:
    """The way that is in force: call it.  ``None`` while the two are not paired, so that nothing can travel."""

    def __init__(self, settings: AgentSettings, keys: PeerKeys) -> None:
        self._keys = keys
        self._way = way_to_peer(settings, keys)
        self._stamp: object = None
        self._paired = False

    def __call__(self) -> SshPeer | LocalPeer | None:
        """The way now; cheap to ask."""
        if isinstance(self._way, LocalPeer):
            return self._way
        stamp = self._keys.stamp()
        if stamp != self._stamp:
            self._stamp, self._paired = stamp, self._look()
        return self._way if self._paired else None

    def use(self, configuration: Configuration) -> None:
        """lvs.cf has chosen the sync tool."""
        if isinstance(self._way, SshPeer):
            self._way.use(tool_of(configuration))

    async def close(self) -> None:
        """Hang up."""
        await self._way.close()

    def _look(self) -> bool:
        try:
            self._keys.peer()
        except NotPaired:
            return False
        except AdapterError:
            return True  # it was paired; what is wrong with the record is said by whoever uses it
        return True
