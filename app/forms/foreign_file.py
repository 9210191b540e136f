"""Another program's configuration, pasted or uploaded, as a change of lvs.cf.

Pure: what was posted comes in as a mapping, what is to be written goes out as a Draft.  What becomes what is ``app.lvscf.foreign``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from app.editing import Basis, Draft, draft
from app.forms.base import Meanwhile
from app.lvscf.foreign import DEVICE, Imported, NotConvertible, Source, Taken, added, import_text, replaced
from app.textarea import pack, restored, shown, unpack

Way = Literal["add", "replace"]
WAYS: Mapping[Way, str] = {
    "add": "Add its virtual servers to those in lvs.cf. Global settings stay as they are.",
    "replace": "Put its virtual servers in place of those in lvs.cf, and take the global settings that it names.",
}
GUESS = "guess"
SOURCES: Mapping[str, str] = {
    GUESS: "find out by itself",
    "keepalived": "keepalived.conf",
    "ldirectord": "ldirectord.cf",
    "ipvsadm": "ipvsadm -Sn",
}


@dataclass(slots=True)
class ForeignFile:
    """A foreign text and how it is to be taken.  ``text`` is exact; ``source`` is a key of ``SOURCES``, ``etag`` that of lvs.cf."""

    text: str = ""
    etag: str = ""
    source: str = GUESS
    device: str = DEVICE
    way: Way = "add"
    typed: bool = True
    _read: Imported | None = None

    @property
    def shown(self) -> str:
        """The text as the text field has it."""
        return shown(self.text)

    @property
    def packed(self) -> str:
        """The text as a hidden field carries it."""
        return pack(self.text)

    def read(self) -> Imported:
        """The report and the lvs.cf that it makes by itself.  Raises NotConvertible."""
        if self._read is None:
            self._read = import_text(self.text, None if self.source == GUESS else Source(self.source), self.device or DEVICE)
        return self._read

    def taken(self, basis: Basis) -> Taken:
        """It on top of lvs.cf.  Raises NotConvertible."""
        take = added if self.way == "add" else replaced
        return take(basis.config, self.read())

    def draft(self, basis: Basis) -> Draft | None:
        """What to write.  Raises ValueError (NotConvertible is one) for what cannot be said."""
        made = draft(basis, self.taken(basis).config)
        if made is None:
            return None
        return replace(made, origin="import", note=f"import of {SOURCES[self.read().source]}: {made.comment}")

    def rebase(self, before: Basis | None, basis: Basis) -> tuple[Meanwhile, ...]:
        """Taking it means the same whatever lvs.cf says now."""
        del before
        self.etag = basis.etag
        return ()

    def fields_to_carry(self) -> list[tuple[str, str]]:
        """For hidden fields on a page in between."""
        return [("etag", self.etag), ("exact", self.packed), ("source", self.source), ("device", self.device), ("way", self.way)]


def take(posted: Mapping[str, str]) -> ForeignFile:
    """The page's fields, or those of a page in between, as they were posted.  What is no choice of the page is its default."""
    exact = unpack(posted.get("exact", "")) or ""
    text = restored(posted["text"], exact) if "text" in posted else exact
    source, way = posted.get("source", GUESS), posted.get("way", "add")
    return ForeignFile(
        text=text,
        etag=posted.get("etag", ""),
        source=source if source in SOURCES else GUESS,
        device=posted.get("device", DEVICE).strip()[:32] or DEVICE,
        way="replace" if way == "replace" else "add",
    )


__all__ = ["GUESS", "SOURCES", "WAYS", "ForeignFile", "NotConvertible", "Way", "take"]
