"""Both active: seen, and said by both directors, with who yielded and for how long it lasted.

Owns these words.  The machine tells of a split that it has seen last; one that ends with the first beat after the links came back is seen
by nobody, so whoever yields says for how long both were active, here and in its datagrams.
"""

from __future__ import annotations

import time

from lvsagent.core.failover import Machine
from lvsagent.core.failover_types import Cause
from lvsagent.core.heartbeat import Datagram
from lvsagent.core.identity import ACTIVE
from lvsagent.pulse.holder import Tell

SHORTEST_S = 0.001


class SplitWatch:
    """``yielded_s`` is what the other director is to be told: for how long both were active before this one yielded (0: it did not)."""

    def __init__(self, now: float, tell: Tell) -> None:
        self.yielded_s = 0.0
        self._tell = tell
        self._told = False
        self._role_at = now
        self._theirs_s = 0.0
        self._both_since: float | None = None

    def before(self, machine: Machine) -> None:
        """The machine is about to be asked."""
        self._told = self._told and machine.role == ACTIVE and machine.both_active_since is None

    def told(self) -> None:
        """The machine has said itself how a split ended."""
        self._told = True

    def role_changed(self, machine: Machine, before: str, now: float) -> None:
        """It yields, or is active anew."""
        peer = machine.peer.beat
        if before == ACTIVE and machine.cause is Cause.BOTH_ACTIVE and peer is not None:
            self.yielded_s = max(min(now - self._role_at, peer.role_for_s), SHORTEST_S)
            self._tell_end(self.yielded_s, "this one")
        elif machine.role == ACTIVE:
            self.yielded_s = 0.0
        self._role_at = now

    def look(self, machine: Machine, last: Datagram | None, now: float, since: float) -> bool:
        """Has the other one yielded, are both active now?  ``since``: the wall clock's time of this one's role.

        True when the other one has just yielded: the neighbours may have believed it.
        """
        theirs_s = last.yielded_s if last else 0.0
        yielded = machine.role == ACTIVE and machine.both_active_since is None and self._both_since is not None
        if theirs_s and theirs_s != self._theirs_s and machine.role == ACTIVE and self._role_at < now - theirs_s:
            self._tell_end(theirs_s, "the other")
            yielded = True
        self._theirs_s = theirs_s
        if machine.both_active_since is not None and self._both_since is None:
            peer = machine.peer.beat
            theirs = f"the {peer.identity} has been for {peer.role_for_s:.3g} s" if peer else "the other one is too"
            at = time.strftime("%H:%M:%S", time.localtime(since))
            self._tell("role", "error", f"both directors are active: this one since {at} ({machine.reason}), {theirs}")
        self._both_since = machine.both_active_since
        return yielded

    def _tell_end(self, both_s: float, who: str) -> None:
        if not self._told:
            self._tell("role", "error", f"both directors were active for {both_s:.3g} s; {who} yielded")
