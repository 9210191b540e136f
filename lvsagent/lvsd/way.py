"""The way to the other director that is in force: ssh once the two are paired, the other agent's socket in a demonstration, else none.

Owns that choice and the one connection; what is said on it is ``exchange``'s.
"""

from __future__ import annotations

from lvsagent.adapters.peer_keys import NotPaired, PeerKeys
from lvsagent.adapters.peer_local import LocalPeer
from lvsagent.adapters.peer_ssh import SshPeer
from lvsagent.ports import AdapterError, Peer
from lvsagent.settings import AgentSettings

KEYWORD = b"rsh_command"
SSH = "ssh"


class PeerWay:
    """Call it for the way now."""

    def __init__(self, settings: AgentSettings, keys: PeerKeys) -> None:
        self._keys = keys
        self._local = LocalPeer(settings.peer_socket) if settings.peer_socket else None
        self._ssh: SshPeer | None = None
        self._tool = SSH
        self._stamp: object = None
        self._paired = False

    def __call__(self) -> Peer | None:
        """``None``: the two are not paired, so nothing can travel."""
        if self._local is not None:
            return self._local
        stamp = self._keys.stamp()
        if stamp != self._stamp:
            self._stamp, self._paired = stamp, self._look()
        if self._paired and self._ssh is None:
            self._ssh = SshPeer(self._keys, self._tool)
        return self._ssh if self._paired else None

    def use(self, tool: str, text: bytes) -> None:
        """The sync tool that an lvs.cf asks for; one that does not say it gets ssh, not Piranha's default rsh."""
        self._tool = tool if KEYWORD in text else SSH
        if self._ssh is not None:
            self._ssh.use(self._tool)

    async def close(self) -> None:
        """Hang up."""
        for each in (self._local, self._ssh):
            if each is not None:
                await each.close()

    def _look(self) -> bool:
        try:
            self._keys.peer()
        except NotPaired:
            return False
        except AdapterError:
            return True  # it was paired; what is wrong with the record is said by whoever uses it
        return True
