"""The circles at the left of the tables: which row was chosen, and whether it was active when the page was made.

The second half makes (DE)ACTIVATE mean what its user saw, whatever happened to the row since.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.refs import Ref


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row, and whether it was active when it was shown."""

    ref: Ref
    active: bool


def choice(ref: Ref, active: bool) -> str:
    """The value of a row's circle."""
    return f"{int(active)} {ref.slug}"


def chosen(value: str) -> Chosen | None:
    """The row that was chosen; ``None`` when none was."""
    active, blank, slug = value.partition(" ")
    if active not in ("0", "1") or not blank or not slug:
        return None
    return Chosen(Ref.parse(slug), active == "1")
