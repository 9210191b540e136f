"""One change of lvs.cf, from the configuration it starts from to what came of it.

Owns the rules every screen shares: an unchanged form writes nothing, a change adds one to serial_no, a missing file starts with Piranha's
screen defaults, UNDO is a new serial with the old text.  Knows nothing of Flask.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from app.lvscf import Loaded, diff, load, render, write
from app.lvscf.model import Config, GlobalSettings
from lvsagent.client import ConfigText
from lvsagent.wire import Receipt

NEW_FILE = Config(
    globals=GlobalSettings(serial_no=0, rsh_command="ssh", heartbeat=True, keepalive=6, deadtime=18, nat_nmask="255.255.255.0")
)
"""What the screens start from while there is no lvs.cf."""

KEPT_OUTCOMES = 64


@dataclass(frozen=True, slots=True)
class Basis:
    """lvs.cf as it stands when a request comes in."""

    text: ConfigText
    loaded: Loaded

    @property
    def config(self) -> Config:
        return self.loaded.config if self.text.exists else NEW_FILE

    @property
    def etag(self) -> str:
        return self.text.etag


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that is ready to be written: the new text with its serial, and what it changes, in words."""

    basis: Basis
    config: Config
    text: str
    changes: tuple[str, ...]
    note: str = ""
    """What its author says about it, instead of a line made from the changes."""
    origin: str = ""
    """As in ``RevisionInfo``; blank: an edit in the console."""

    @property
    def comment(self) -> str:
        """One line for the events and the history: the first changes, and how many more."""
        if self.note:
            return self.note
        head = "; ".join(self.changes[:3])
        more = len(self.changes) - 3
        return head + (f"; and {more} more" if more > 0 else "")


def draft(basis: Basis, wanted: Config) -> Draft | None:
    """What has to be written so that lvs.cf says ``wanted``; ``None`` when it says so already."""
    old = basis.config
    if wanted == old:
        return None
    changes = tuple(change.words for change in diff(old, wanted))
    new = _with_serial(wanted, old.globals.serial_no + 1)
    text = write(basis.loaded.document, new) if basis.text.exists else render(new)
    return Draft(basis, new, text, changes)


def undoing(basis: Basis, previous: ConfigText) -> Draft:
    """The previous text as a new serial."""
    before = load(previous.text)
    new = _with_serial(before.config, basis.config.globals.serial_no + 1)
    changes = tuple(change.words for change in diff(basis.config, before.config) if not change.words.startswith("serial_no"))
    return Draft(basis, new, write(before.document, new), changes)


UNSAID = "only comments, blanks, line ends or the order of lines"
"""What a text changes when it means the same."""


def retyped(basis: Basis, text: str, note: str = "") -> Draft | None:
    """``text`` in place of the whole file; ``None`` when it is the file.

    Its serial becomes the next one, unless it is higher already.  A text with errors is left as it was typed: the agent refuses it, and
    the lines that it names are those that were typed.
    """
    if text == basis.text.text:
        return None
    new, serial = load(text), basis.config.globals.serial_no
    config = new.config
    if new.ok and config.globals.serial_no <= serial:
        text = write(new.document, _with_serial(config, serial + 1))
        config = _with_serial(config, serial)
    changes = tuple(change.words for change in diff(basis.config, config))
    return Draft(basis, config, text, changes or (UNSAID,), note)


def going_back(basis: Basis, earlier: ConfigText, what: str) -> Draft | None:
    """An earlier text as a new serial; ``what`` names it.  ``None`` when lvs.cf says the same, its serial aside."""
    made = undoing(basis, earlier)
    unchanged = write(load(earlier.text).document, _with_serial(made.config, basis.config.globals.serial_no))
    if unchanged == basis.text.text:
        return None
    back = replace(made, changes=made.changes or (UNSAID,), origin="rollback")
    return replace(back, note=f"back to {what}: {back.comment}")


def _with_serial(config: Config, serial: int) -> Config:
    return replace(config, globals=replace(config.globals, serial_no=serial))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an accepted change led to; ``undo`` says that it was itself an undoing."""

    receipt: Receipt
    changes: tuple[str, ...]
    undo: bool = False


@dataclass
class Outcomes:
    """The last outcomes by the ETag they led to, so that the page after an ACCEPT can tell them, however often it is loaded."""

    _kept: OrderedDict[str, Outcome] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, outcome: Outcome) -> str:
        """Remember it; returns the word for the URL."""
        token = outcome.receipt.etag[:16]
        with self._lock:
            self._kept[token] = outcome
            self._kept.move_to_end(token)
            while len(self._kept) > KEPT_OUTCOMES:
                self._kept.popitem(last=False)
        return token

    def get(self, token: str) -> Outcome | None:
        with self._lock:
            return self._kept.get(token)
