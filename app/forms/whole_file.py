"""Changes that are a whole lvs.cf: one typed into the editor or uploaded, and an earlier one to go back to.

Pure: what was posted comes in as a mapping, what is to be written goes out as a Draft.  ``app.views.review`` does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.editing import Basis, Draft, going_back, retyped
from app.forms.base import Meanwhile
from app.forms.values import legible, readable
from app.merging import Clash, merge
from app.textarea import pack, restored, shown, unpack
from lvsagent.client import ConfigText

LONGEST_NOTE = 200
EDITED_LINES = 20_000
EDITED_CHARACTERS = 1_000_000
"""A larger file than this is not put into a text field, where browsers become slow: it is downloaded, edited and uploaded."""
SHOWN_OF_A_CLASH = 300


@dataclass(slots=True)
class TypedFile:
    """lvs.cf as somebody wants it.  ``text`` is exact, every byte; ``etag`` that of the file it was made from."""

    text: str
    etag: str
    note: str = ""
    typed: bool = True

    @property
    def shown(self) -> str:
        """The text as the text field has it."""
        return shown(self.text)

    @property
    def packed(self) -> str:
        """The text as a hidden field carries it."""
        return pack(self.text)

    @property
    def editable(self) -> bool:
        """Whether it is small enough for a text field."""
        return len(self.text) <= EDITED_CHARACTERS and self.text.count("\n") < EDITED_LINES

    def draft(self, basis: Basis) -> Draft | None:
        """It in place of the file, as the next serial."""
        return retyped(basis, self.text, self.note)

    def rebase(self, before: Basis | None, basis: Basis) -> tuple[Meanwhile, ...]:
        """Put what was typed on top of a newer file; where both changed the same lines, what was typed is taken and the place returned."""
        self.etag = basis.etag
        if before is None:
            return (Meanwhile("The whole file", "no longer kept", "see below", "what you typed, in place of all of it", conflict=True),)
        merged = merge(before.text.text, self.text, basis.text.text)
        self.text = merged.text
        return tuple(Meanwhile(_place(one), _short(one.was), _short(one.mine), _short(one.theirs), conflict=True) for one in merged.clashes)

    def fields_to_carry(self) -> list[tuple[str, str]]:
        """For hidden fields on a page in between."""
        return [("etag", self.etag), ("exact", self.packed), ("note", self.note)]


def take(posted: Mapping[str, str]) -> TypedFile | None:
    """The editor's fields, or those of a page in between, as they were posted; ``None`` when there is no text in them."""
    exact = unpack(posted.get("exact", ""))
    if "text" in posted:
        text = restored(posted["text"], exact or "")
    elif exact is not None:
        text = exact
    else:
        return None
    return TypedFile(text, posted.get("etag", ""), readable(posted.get("note", "")).strip()[:LONGEST_NOTE])


@dataclass(slots=True)
class EarlierFile:
    """An lvs.cf that was in force before; ``what`` names it."""

    earlier: ConfigText
    etag: str
    what: str
    typed: bool = False

    def draft(self, basis: Basis) -> Draft | None:
        """The earlier text as the next serial."""
        return going_back(basis, self.earlier, self.what)

    def rebase(self, before: Basis | None, basis: Basis) -> tuple[Meanwhile, ...]:
        """Going back means the same whatever the file says now."""
        del before  # nothing of it is kept
        self.etag = basis.etag
        return ()

    def fields_to_carry(self) -> list[tuple[str, str]]:
        """For hidden fields on a page in between."""
        return [("etag", self.etag)]


def _place(clash: Clash) -> str:
    if clash.last < clash.first:
        return f"Before line {clash.first}"
    return f"Line {clash.first}" if clash.first == clash.last else f"Lines {clash.first} to {clash.last}"


def _short(text: str) -> str:
    text = legible(text).replace("\r", "")
    return text if len(text) <= SHOWN_OF_A_CLASH else text[:SHOWN_OF_A_CLASH] + "…"
