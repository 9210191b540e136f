"""lvs.cf: parser, model, checks and writer.  This is the public face; the standard library is all it needs.

::

    loaded = load(text)                      # document, config, diagnostics
    new = dataclasses.replace(loaded.config, globals=…)
    text = write(loaded.document, new)       # the fewest changed lines
"""

from __future__ import annotations

from dataclasses import dataclass

from app.lvscf.diagnostics import CODES, Diagnostic, Severity
from app.lvscf.diff import Change, diff
from app.lvscf.document import Document
from app.lvscf.escapes import decode_escapes
from app.lvscf.keywords import BY_LEVEL, KEYWORDS, Effect, Keyword, Level, ValueType
from app.lvscf.literals import host_of, ip_of, is_host_name
from app.lvscf.model import (
    NO_ADDRESS,
    Block,
    CheckKind,
    Config,
    DnsRecord,
    FailoverService,
    Forwarding,
    GlobalSettings,
    HostDevice,
    Protocol,
    RealServer,
    ReservationConflictAction,
    Scheduler,
    ServiceKind,
    VirtualServer,
)
from app.lvscf.parser import parse
from app.lvscf.reader import Reading, read
from app.lvscf.validate import validate
from app.lvscf.writer import UnwritableValue, render, write


@dataclass(frozen=True, slots=True)
class Loaded:
    """A text, read: its tree, its meaning, and everything that is to be said about it, in the order of the lines."""

    document: Document
    config: Config
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether it has no error (warnings there may be)."""
        return all(found.severity is not Severity.ERROR for found in self.diagnostics)


def load(text: str) -> Loaded:
    """Parse, read and validate.  Never raises; ``text`` is UTF-8 decoded with ``surrogateescape``, newlines untouched."""
    document = parse(text)
    reading = read(document)
    found = sorted((*reading.diagnostics, *validate(reading.config, document)), key=lambda diagnostic: diagnostic.line)
    return Loaded(document, reading.config, tuple(found))


__all__ = [
    "BY_LEVEL",
    "CODES",
    "KEYWORDS",
    "NO_ADDRESS",
    "Block",
    "Change",
    "CheckKind",
    "Config",
    "Diagnostic",
    "DnsRecord",
    "Document",
    "Effect",
    "FailoverService",
    "Forwarding",
    "GlobalSettings",
    "HostDevice",
    "Keyword",
    "Level",
    "Loaded",
    "Protocol",
    "Reading",
    "RealServer",
    "ReservationConflictAction",
    "Scheduler",
    "ServiceKind",
    "Severity",
    "UnwritableValue",
    "ValueType",
    "VirtualServer",
    "decode_escapes",
    "diff",
    "host_of",
    "ip_of",
    "is_host_name",
    "load",
    "parse",
    "read",
    "render",
    "validate",
    "write",
]
