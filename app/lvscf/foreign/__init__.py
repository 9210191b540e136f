"""Coming from and going to elsewhere: keepalived.conf, ldirectord.cf and ipvsadm's rules into an lvs.cf, and an lvs.cf into two of them.

Pure, and the standard library only: the console, lvsctl and the agent may all use it.  This is the public face::

    imported = import_text(text)                       # a report of every line, and a whole lvs.cf
    taken = replaced(present, imported)                # or added(present, imported)
    exported = export_keepalived(config, "primary")    # or export_ipvsadm(config)
"""

from __future__ import annotations

import re

from app.lvscf.foreign import ipvsadm, keepalived, ldirectord
from app.lvscf.foreign.assemble import assemble
from app.lvscf.foreign.report import Exported, Imported, NotConvertible, Source, SourceLine, Verdict, refuse_rubbish
from app.lvscf.foreign.taking import Taken, added, replaced
from app.lvscf.foreign.to_ipvsadm import export_ipvsadm
from app.lvscf.foreign.to_keepalived import Node, export_keepalived

DEVICE = "eth0"
"""The interface of virtual addresses for which the source names none."""

_READERS = {Source.KEEPALIVED: keepalived.read, Source.LDIRECTORD: ldirectord.read, Source.IPVSADM: ipvsadm.read}
_SIGNS = (
    (Source.IPVSADM, re.compile(r"(?:(?:sudo\s+)?(?:\S*/)?ipvsadm\s+)?(?:-[Aa]\s|--add-se)")),
    (Source.LDIRECTORD, re.compile(r"virtual6?\s*=")),
    (Source.KEEPALIVED, re.compile(r"(?:virtual_server|vrrp_|global_defs|real_server|static_|include\s)")),
)
_SIGN_CHARACTERS = 200


def guess(text: str) -> Source | None:
    """Whose configuration it is, by the first line that tells; ``None`` when none does."""
    for line in text.removeprefix("\ufeff").split("\n"):
        start = line[:_SIGN_CHARACTERS].strip()
        for source, sign in _SIGNS:
            if sign.match(start):
                return source
    return None


def import_text(text: str, source: Source | None = None, device: str = DEVICE) -> Imported:
    """Read a foreign configuration.  ``source``: whose (``None``: guessed).  Raises NotConvertible, with the reason in words."""
    refuse_rubbish(text)
    known = source or guess(text)
    if known is None:
        raise NotConvertible("nothing in it looks like keepalived.conf, ldirectord.cf or ipvsadm's rules; say which it is")
    return assemble(_READERS[known](text), device)


__all__ = [
    "DEVICE",
    "Exported",
    "Imported",
    "Node",
    "NotConvertible",
    "Source",
    "SourceLine",
    "Taken",
    "Verdict",
    "added",
    "export_ipvsadm",
    "export_keepalived",
    "guess",
    "import_text",
    "replaced",
]
