"""The pairing of two directors on the agent's sockets."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class PairingInfo(Wire, frozen=True):
    """Who the other director is, as this one keeps it.  The four keys are fingerprints, ``SHA256:…``, as ssh-keygen -l shows them.

    ``user_key``: with which this director comes to the other; ``host_key``: by which this one's sshd is known; the other two are the other
    director's.  ``since``: when they were paired; ``last_contact_at``: when the other one last answered (0: not since this agent started).
    ``code`` is a one-time code that waits to be typed on the other director until ``code_until`` (``""``: none waits); ``words`` say what
    became of the last attempt.
    """

    paired: bool
    name: str = ""
    addresses: list[str] = []
    port: int = 0
    since: float = 0.0
    user_key: str = ""
    host_key: str = ""
    peer_user_key: str = ""
    peer_host_key: str = ""
    last_contact_at: float = 0.0
    code: str = ""
    code_until: float = 0.0
    words: str = ""


class PairingRequest(Wire, frozen=True):
    """``action``: wait (make a code and listen), stop (waiting), join (``code`` at ``address``), unpair.

    With ``rotate`` this director comes with a new key from then on.
    """

    action: str
    address: str = ""
    code: str = ""
    rotate: bool = False
    actor: str = ""
