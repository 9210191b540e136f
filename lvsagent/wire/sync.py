"""The two directors' lvs.cf compared, on the agent's own socket: what the console and lvsctl show of it."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class Fingerprints(Wire, frozen=True):
    """What a director has: SHA-256 of lvs.cf on its disk, of what it runs, of the table it wants and of the one it has.

    The table's leave the health of real servers out, so that they are equal on both directors when nothing is wrong; ``""``: not known.
    """

    file: str = ""
    applied: str = ""
    serial: int = 0
    table: str = ""
    table_read: str = ""


class Difference(Wire, frozen=True):
    """Something that is not as it should be.

    ``code``: file (lvs.cf on the disk is not what runs), table (the table is not what lvs.cf wants), foreign (a virtual server that
    lvs.cf does not name), peer-behind, peer-ahead, diverged, peer-file, peer-table, peer-unknown.  ``actions``: the words for
    ``SyncRequest.action`` that mend it from here.
    """

    code: str
    words: str
    here: str = ""
    peer: str = ""
    since: float = 0.0
    actions: list[str] = []


class SyncInfo(Wire, frozen=True):
    """How the other director's lvs.cf stands to this one's.

    ``state``: none (there is no other director), unpaired (nothing can travel), unknown (not reached yet), in_step, behind (the peer lacks
    ``behind`` revisions of ours), ahead (it has more, which are being fetched), diverged (edited on both), refused (it will not take ours,
    or cannot be believed: see ``words``).  ``reachable``: it answered last time; ``answered_at``: when it last did.  ``since``: when this
    state began.  ``equal``: file, running configuration and table are the same thing, here and there, as far as is known.
    """

    state: str = "none"
    words: str = ""
    since: float = 0.0
    reachable: bool = False
    answered_at: float = 0.0
    behind: int = 0
    peer_node: str = ""
    here: Fingerprints = Fingerprints()
    peer: Fingerprints | None = None
    equal: bool = True
    equal_since: float = 0.0
    differences: list[Difference] = []


class PeerReceipt(Wire, frozen=True):
    """What became of an accepted lvs.cf on the other director by the time of the answer.

    ``state``: applied (``etag`` and ``serial`` are what runs there), pushing (on its way; the state tells the rest), behind (it is away and
    lacks ``behind`` revisions), diverged, refused, unpaired.  ``words`` say it, with the reason.
    """

    state: str
    words: str
    etag: str = ""
    serial: int = 0
    behind: int = 0
    waited_s: float = 0.0


class SyncRequest(Wire, frozen=True):
    """``action``: now (compare, then push or fetch), adopt (apply the file as it stands), restore (write back what runs),
    reconcile (put the table right)."""

    action: str
    actor: str = ""


class ConflictText(Wire, frozen=True):
    """One of the three texts of a conflict.

    ``head`` is its revision's id, ``etag`` its own (``""``: there is none); ``text`` is lvs.cf's bytes.
    """

    head: str = ""
    etag: str = ""
    serial: int = 0
    node: str = ""
    actor: str = ""
    at: float = 0.0
    text: bytes = b""


class ConflictInfo(Wire, frozen=True):
    """What both directors had before (empty: nothing in common), what is here, what is there."""

    base: ConflictText
    here: ConflictText
    there: ConflictText
