"""Edits of a document's lines, gathered and then applied in one go.

Owns the mechanics: replace, delete, insert and move lines without touching the others, line ends included.  It knows no keyword.

What is inserted after a line has a depth (0: the file, 1: a virtual or failover block, 2: a server), because one line can end several
blocks when they are not closed.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from app.lvscf.document import Block, Document
from app.lvscf.lexer import Kind


class Span(NamedTuple):
    """A block's own lines from ``start`` up to ``stop``, with the edits in them; ``depth`` is that of its body."""

    start: int
    stop: int
    depth: int


Content = str | Span


def span_of(block: Block) -> Span:
    """The block's lines, head and closing brace included."""
    return Span(block.head, block.end + 1, block.depth)


_DEEPEST = sys.maxsize


class _Inserted(NamedTuple):
    depth: int
    closing: bool
    content: Content


class Edits:
    """The edits of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.replaced: dict[int, str] = {}
        self.deleted: set[int] = set()
        self.gone: dict[int, Span] = {}
        """Blocks that are deleted, or moved elsewhere, by their first line."""
        self.before: dict[int, list[Content]] = {}
        self.after: dict[int, list[_Inserted]] = {}

    def replace(self, index: int, line: str) -> None:
        """Put ``line`` (with its line end's carriage return, if any) in the place of the line at ``index``."""
        self.replaced[index] = line

    def delete(self, index: int) -> None:
        """Leave one line out."""
        self.deleted.add(index)

    def take_out(self, span: Span) -> None:
        """Leave a block out here; it may be inserted elsewhere as a Span."""
        self.gone[span.start] = span

    def insert_before(self, index: int, content: Sequence[Content]) -> None:
        """Insert new lines before the one at ``index``."""
        self.before.setdefault(index, []).extend(content)

    def insert_after(self, index: int, depth: int, content: Sequence[Content]) -> None:
        """Insert new lines into a body of this depth, after the line at ``index``."""
        self.after.setdefault(index, []).extend(_Inserted(depth, closing=False, content=item) for item in content)

    def close_after(self, index: int, depth: int, line: str) -> None:
        """Insert the closing brace that a body of this depth lacks after its last line."""
        self.after.setdefault(index, []).append(_Inserted(depth, closing=True, content=line))

    def append(self, content: Sequence[Content]) -> None:
        """Insert new lines at the end of the file."""
        lines = self.document.lines
        if lines[-1] == "":
            self.insert_before(len(lines) - 1, content)
        else:
            self.insert_after(len(lines) - 1, 0, content)

    def above_comments(self, index: int) -> int:
        """The index of the first of the comment lines that stand directly above the line at ``index``."""
        lexed, lines = self.document.lexed, self.document.lines
        while index > 0 and lexed[index - 1].kind is Kind.BLANK and lines[index - 1].strip(" \t\r"):
            index -= 1
        return index

    def text(self) -> str:
        """The document's text with all edits applied."""
        return _Application(self).text()


class _Application:
    """One pass over the lines."""

    def __init__(self, edits: Edits) -> None:
        self.edits = edits
        self.lines = edits.document.lines
        self.points = sorted({*edits.replaced, *edits.deleted, *edits.gone, *edits.before, *edits.after})
        self.out: list[str] = []
        self.tail = -1
        """Index of the original line that came out last, -1 when that was a new one."""
        self.old_end = -1
        """Where in ``out`` the document's last line went."""
        ends = sum(line.endswith("\r") for line in self.lines)
        self.line_end = "\r" if 2 * ends > len(self.lines) - 1 and ends else ""

    def text(self) -> str:
        self._emit(Span(0, len(self.lines), 0))
        if self.lines[-1] != "":
            self._mend_end()
        return self.edits.document.byte_order_mark + "\n".join(self.out)

    def _mend_end(self) -> None:
        """The file's last line has no line feed: see that line ends stay where they were."""
        if self.tail == -1 and self.out:
            self.out[-1] = self.out[-1].removesuffix(self.line_end)
            if self.old_end >= 0 and not self.out[self.old_end].endswith(self.line_end):
                self.out[self.old_end] += self.line_end
        elif -1 < self.tail < len(self.lines) - 1:
            self.out.append("")

    def _emit(self, span: Span) -> None:
        edits, at = self.edits, span.start
        for point in self.points[bisect_left(self.points, span.start) : bisect_left(self.points, span.stop)]:
            if point < at:
                continue
            self._copy(at, point)
            is_own_start = point == span.start and span.depth > 0
            if not is_own_start:
                self._insert(edits.before.get(point, ()))
                if (gone := edits.gone.get(point)) is not None:
                    self._insert_after(gone.stop - 1, -1, gone.depth)
                    at = gone.stop
                    continue
            if point not in edits.deleted:
                self._copy_line(point)
            self._insert_after(point, span.depth if point == span.stop - 1 else 0, _DEEPEST)
            at = point + 1
        self._copy(at, span.stop)

    def _copy(self, start: int, stop: int) -> None:
        if start < stop:
            self.out += self.lines[start:stop]
            self._came_out(stop - 1)

    def _copy_line(self, index: int) -> None:
        self.out.append(self.edits.replaced.get(index, self.lines[index]))
        self._came_out(index)

    def _came_out(self, index: int) -> None:
        self.tail = index
        if index == len(self.lines) - 1:
            self.old_end = len(self.out) - 1

    def _insert_after(self, index: int, least: int, below: int) -> None:
        """What was inserted after the line into bodies of depth ``least`` up to, not including, ``below``: the innermost first."""
        found = [item for item in self.edits.after.get(index, ()) if least <= item.depth < below]
        found.sort(key=lambda item: (-item.depth, item.closing))
        self._insert([item.content for item in found])

    def _insert(self, content: Sequence[Content]) -> None:
        for item in content:
            if isinstance(item, Span):
                self._emit(item)
            else:
                self.out.append(item + self.line_end)
                self.tail = -1


def longest_in_order(places: Sequence[int]) -> set[int]:
    """The largest set of ``places`` that already stand in ascending order: what need not move."""
    if all(a < b for a, b in pairwise(places)):
        return set(places)
    tails: list[int] = []
    chain: dict[int, int | None] = {}
    for place in places:
        at = bisect_left(tails, place)
        chain[place] = tails[at - 1] if at else None
        tails[at : at + 1] = [place]
    staying: set[int] = set()
    at_place: int | None = tails[-1]
    while at_place is not None:
        staying.add(at_place)
        at_place = chain[at_place]
    return staying
