"""What the doctor looks at and what it sees there: values that its eyes and its words have in common.

Owns these types alone, and imports little: every process that knows the agent's ports knows them.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.lvscf.model import Forwarding, Protocol
from lvsagent.core.packets import Answer


@dataclass(frozen=True, slots=True)
class Patient:
    """A real server to look at.

    ``port``: the one that is asked there (0: none is known).  ``payload``: what a UDP service is asked, from its check.  ``gateway``: the
    address that answers have to go back to with NAT (``""``: lvs.cf names none).
    """

    virtual: str
    name: str
    address: str
    forwarding: Forwarding
    vip: str
    port: int
    protocol: Protocol = Protocol.TCP
    payload: bytes = b""
    gateway: str = ""

    @property
    def six(self) -> bool:
        """Whether the virtual address is IPv6."""
        return ":" in self.vip


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a question, the address that answered, and the hardware address of another machine that sent the answer (``""``: the
    real server itself did, or it cannot be told)."""

    answer: Answer = Answer.NOT_ASKED
    source: str = ""
    other: str = ""

    @property
    def answered(self) -> bool:
        """Whether anything came back that only a holder of the address, or its firewall, would say."""
        return self.answer in {Answer.ACCEPTED, Answer.REFUSED, Answer.FORBIDDEN}


NOTHING = Heard()


@dataclass(frozen=True, slots=True)
class Seen:
    """``reason``: why the server could not be looked at (``""``: it was).

    ``service`` and ``ping``: what came of asking for the service and of a ping, as a client's packet reaches the server; ``own``: of
    either, asked by the director for itself (NAT).  ``claims``: the server tells its neighbours that it has the virtual address.
    ``mtu``: of the way there (bytes, 0: not known); ``room``: what a tunnel leaves of it; ``passes``: the largest packet that came through
    (0: none did).  ``director``: this host's address on that way.  ``here``: this director has the virtual address.
    """

    reason: str = ""
    service: Heard = NOTHING
    ping: Heard = NOTHING
    own: Heard = NOTHING
    claims: bool = False
    mtu: int = 0
    room: int = 0
    passes: int = 0
    director: str = ""
    here: bool = True
