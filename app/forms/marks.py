"""From the lines of lvs.cf's findings to the fields of a form: which of them are about what this screen edits.

Pure.  What finds no field is left for the top of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from app.forms.base import ScreenForm
from app.lvscf.document import Block, Document


class Finding(Protocol):
    """A diagnostic of ``app.lvscf`` or its twin off the wire."""

    @property
    def severity(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def message(self) -> str: ...


F = TypeVar("F", bound=Finding)


def place(document: Document, line: int) -> tuple[int, str]:
    """The key of the innermost block around ``line`` (0: outside any) and the line's first word."""
    index = line - 1
    if not 0 <= index < len(document.lines):
        return 0, ""
    block, inside = document.root, _around(document.root.blocks, index)
    while inside is not None:
        block, inside = inside, _around(inside.blocks, index)
    return (block.key if block is not document.root else 0), document.lexed[index].word


def _around(blocks: Sequence[Block], index: int) -> Block | None:
    return next((block for block in blocks if block.head <= index <= block.end), None)


def mark(form: ScreenForm, document: Document, key: int, findings: Iterable[F]) -> list[F]:
    """Put each finding beside its field: errors as errors, the rest as warnings; returns those that found none.

    ``key`` is that of the block the form edits in ``document``, 0 for the directives outside any block.
    """
    fields: dict[str, list[str]] = {}
    for setting in form.settings:
        fields.setdefault(setting.about.keyword.rpartition(".")[2], []).append(setting.short_name)
    left = []
    for finding in findings:
        where, word = place(document, finding.line)
        names = fields.get(word, []) if where == key else []
        if not names:
            left.append(finding)
        elif finding.severity == "error":
            form.reject(names[0], finding.message)
        else:
            warnings = form.setting(names[0]).warnings
            warnings.extend([finding.message] if finding.message not in warnings else [])
    return left
