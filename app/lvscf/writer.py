"""From a changed model back to text, with the fewest changed lines.

Owns which line an edit touches and where a new line goes.  A block that did not change keeps its own lines, byte for byte; an edited line
keeps its indentation, spacing, quotes, comment and line end.  Nothing is written that would not be read back as what was meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.lvscf.document import Block, Document
from app.lvscf.edits import Content, Edits, longest_in_order, span_of
from app.lvscf.keywords import BY_LEVEL, LEVEL_OF_BLOCK, Keyword, Level
from app.lvscf.layout import (
    BODY_INDENT,
    SERVER_BODY_INDENT,
    Item,
    Style,
    block_lines,
    checked_head,
    checked_line,
    directive_line,
    global_lines,
    indent_of,
    is_none,
    style_of,
)
from app.lvscf.lexer import Kind, Token, tokenize
from app.lvscf.model import Config, GlobalSettings, VirtualServer
from app.lvscf.parser import parse
from app.lvscf.quoting import UnwritableValue, quote_style, quoted
from app.lvscf.reader import counts, read
from app.lvscf.values import FIRST_VALUE, value_words

__all__ = ["UnwritableValue", "render", "write"]


def render(config: Config) -> str:
    """A new file for ``config``, in GUI order.  Raises UnwritableValue."""
    edits = Edits(parse(""))
    edits.append(global_lines(config.globals))
    for server in config.virtual:
        edits.append(block_lines("virtual", server, Style()))
    for service in config.failover:
        edits.append(block_lines("failover", service, Style()))
    return edits.text()


def write(document: Document, config: Config) -> str:
    """The document's text with the fewest lines changed so that it says ``config``.

    ``config`` was made from ``read(document).config`` with ``dataclasses.replace``.  Blocks are matched by ``key``; a block whose key is
    ``None`` (or belongs elsewhere) is new.  Raises UnwritableValue, and then nothing has changed.
    """
    old = read(document).config
    if config is old:
        return str(document)
    writer = _Writer(document)
    if config.globals is not old.globals:
        writer.fields(document.root, Level.GLOBAL, old.globals, config.globals)
    writer.blocks("virtual", document.root, old.virtual, config.virtual)
    writer.blocks("failover", document.root, old.failover, config.failover)
    return writer.edits.text()


class _Writer:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.edits = Edits(document)
        self.repaired = False

    # --- directives --------------------------------------------------------------------------------------------------------------

    def fields(self, block: Block, level: Level, old: Item | GlobalSettings, new: Item | GlobalSettings) -> None:
        """Edit the directives of one body."""
        changed = [keyword for name, keyword in BY_LEVEL[level].items() if getattr(old, name) != getattr(new, name)]
        if not changed:
            return
        body = _Body(self.document, block, level)
        for keyword in changed:
            value = getattr(new, keyword.name)
            lines = body.where.get(keyword.name, [])
            used = [index for index in lines if counts(self.document.lexed[index], keyword)]
            if is_none(keyword, value):
                for index in used:
                    self.edits.delete(index)
            elif lines:
                index = (used or lines)[-1]
                self.edits.replace(index, self._edited(index, keyword, value))
            else:
                self._add(body, keyword, value)

    def _add(self, body: _Body, keyword: Keyword, value: object) -> None:
        place = body.place_of(keyword)
        line = directive_line(place.indent, keyword, value)
        if place.before is not None:
            self.edits.insert_before(place.before, [line])
        elif place.after is not None:
            self.edits.insert_after(place.after, body.depth, [line])
        else:
            self.edits.append([line])
        body.places[keyword.name] = place

    def _edited(self, index: int, keyword: Keyword, value: object) -> str:
        """The line with another value in it; a line in error is written anew."""
        raw, line = self.document.lines[index], self.document.lexed[index]
        words = value_words(keyword, value)
        if line.kind is Kind.BAD or not line.usable or len(line.args) != len(words):
            return directive_line(indent_of(raw), keyword, value) + ("\r" if raw.endswith("\r") else "")
        tokens = tokenize(raw)[FIRST_VALUE : FIRST_VALUE + len(words)]
        edited = raw
        for token, word in reversed(list(zip(tokens, words, strict=True))):
            edited = _with_token(edited, token, quoted(keyword.name, word, quote_style(token.raw), keyword))
        return checked_line(edited, keyword, value)

    # --- blocks ------------------------------------------------------------------------------------------------------------------

    def blocks(self, kind: str, parent: Block, old: Sequence[Item], new: Sequence[Item]) -> None:
        """Edit, add, delete and move the blocks of this kind in ``parent``."""
        if new is old:
            return
        left = {item.key: item for item in old}
        kept = [left.pop(item.key, None) for item in new]
        for before, item in zip(kept, new, strict=True):
            if before is not None and before is not item:
                self._edit_block(before, item)
        if left or None in kept or [item.key for item in new] != [item.key for item in old]:
            self._repair()
            for gone in left.values():
                self.edits.take_out(span_of(self._block(gone)))
            self._arrange(kind, parent, [None if before is None else self._block(before) for before in kept], new)

    def _block(self, item: Item) -> Block:
        block = self.document.block(item.key or 0)
        if block is None:  # pragma: no cover -- every block of a reading has its key from the document
            raise LookupError(f"{item.name} comes from another document")
        return block

    def _edit_block(self, old: Item, new: Item) -> None:
        block = self._block(old)
        if new.name != old.name:
            raw = self.document.lines[block.head]
            token = tokenize(raw)[1]
            edited = _with_token(raw, token, quoted("name", new.name, quote_style(token.raw)))
            self.edits.replace(block.head, checked_head(edited, block.kind, new.name))
        self.fields(block, LEVEL_OF_BLOCK[block.kind], old, new)
        if isinstance(old, VirtualServer) and isinstance(new, VirtualServer):
            self.blocks("server", block, old.servers, new.servers)

    def _repair(self) -> None:
        """Close the blocks that the file leaves open: when blocks come or go, what belongs to them must not change."""
        if self.repaired:
            return
        self.repaired = True
        pending = list(self.document.root.blocks)
        while pending:
            block = pending.pop()
            pending += block.blocks
            if not block.closed:
                self.edits.close_after(block.end, block.depth, indent_of(self.document.lines[block.head]) + "}")

    def _arrange(self, kind: str, parent: Block, kept: Sequence[Block | None], new: Sequence[Item]) -> None:
        """Put new and moved blocks where they belong among those that stay."""
        staying = longest_in_order([block.head for block in kept if block is not None])
        first = next((block for block in kept if block is not None and block.head in staying), None)
        style = style_of(self.document, self._model(kind, parent), parent)
        last: Block | None = None
        for block, item in zip(kept, new, strict=True):
            if block is None:
                self._insert(parent, last, first, block_lines(kind, item, style), style.gap)
            elif block.head in staying:
                last = block
            else:
                self.edits.take_out(span_of(block))
                self._insert(parent, last, first, [span_of(block)], style.gap)

    def _model(self, kind: str, parent: Block) -> Block | None:
        """A block whose looks a new one takes on."""
        parents = [parent, *reversed(self.document.root.blocks)] if parent.kind else [parent]
        for candidate in parents:
            for block in reversed(candidate.blocks):
                if block.kind == kind and block.used:
                    return block
        return None

    def _insert(self, parent: Block, last: Block | None, first: Block | None, lines: Sequence[Content], gap: int) -> None:
        """Insert a block after ``last``, else before ``first``, else at the end of ``parent``."""
        edits = self.edits
        if last is not None:
            edits.insert_after(last.end, parent.depth, [*[""] * gap, *lines])
        elif first is not None:
            edits.insert_before(edits.above_comments(first.head), [*lines, *[""] * gap])
        elif not parent.kind:
            edits.append(lines)
        elif parent.closed:
            edits.insert_before(parent.end, lines)
        else:
            edits.insert_after(parent.end, parent.depth, lines)


class _Place(NamedTuple):
    """Where a new directive goes: after a line, before a line, or (neither) at the end of the file."""

    indent: str
    after: int | None = None
    before: int | None = None


class _Body:
    """The directives of one body as they stand, for placing new ones among them."""

    def __init__(self, document: Document, block: Block, level: Level) -> None:
        self.document = document
        self.block = block
        self.depth = block.depth
        self.order = {name: position for position, name in enumerate(BY_LEVEL[level])}
        self.where: dict[str, list[int]] = {}
        self.places: dict[str, _Place] = {}
        """Of the directives that have just been added."""
        for index in block.own_lines():
            line = document.lexed[index]
            if line.kind in (Kind.DIRECTIVE, Kind.BAD) and line.word in self.order:
                self.where.setdefault(line.word, []).append(index)

    def place_of(self, keyword: Keyword) -> _Place:
        """Behind its nearest predecessor in GUI order, else before its nearest successor, else first; always before inner blocks."""
        position = self.order[keyword.name]
        present = {*self.where, *self.places}
        before = max((name for name in present if self.order[name] < position), key=self.order.__getitem__, default=None)
        if before is not None and before in self.places:
            return self.places[before]
        if before is not None:
            return self._ahead_of_blocks(_Place(self._indent_at(self.where[before][-1]), after=self.where[before][-1]))
        after = min((name for name in self.where if self.order[name] > position), key=self.order.__getitem__, default=None)
        if after is not None:
            return self._ahead_of_blocks(_Place(self._indent_at(self.where[after][0]), before=self.where[after][0]))
        return self._first()

    def _indent_at(self, index: int) -> str:
        return indent_of(self.document.lines[index])

    def _ahead_of_blocks(self, place: _Place) -> _Place:
        """In a virtual block, servers take what stands above them: nothing new goes below."""
        if not self.block.kind or not self.block.blocks:
            return place
        head = self.block.blocks[0].head
        return _Place(place.indent, before=head) if head < (place.after or place.before or 0) else place

    def _first(self) -> _Place:
        if self.block.kind:
            indent = self._indent_at(self.block.head)
            step = SERVER_BODY_INDENT if self.block.kind == "server" else BODY_INDENT
            return _Place(indent + step, after=self.block.head)
        if self.block.blocks:
            return _Place("", before=Edits(self.document).above_comments(self.block.blocks[0].head))
        return _Place("")


def _with_token(line: str, token: Token, text: str) -> str:
    return line[: token.start] + text + line[token.end :]
