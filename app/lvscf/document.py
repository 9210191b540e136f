"""The lossless tree: every character of an lvs.cf, and which lines belong to which block.

Owns the text and its structure; it knows no keyword and no value.  ``str(document)`` is the text it was made from, whatever that was.
A document is never changed: ``writer`` makes a new text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from app.lvscf.diagnostics import Problem
from app.lvscf.lexer import Kind, Line

if TYPE_CHECKING:
    from app.lvscf.reader import Reading

BYTE_ORDER_MARK = "\ufeff"


class Block:
    """A block of the file, or the file itself (``kind`` ``""``, ``head`` -1).

    ``head`` and ``end`` are line indices: of the head and of the closing brace, or of the last line with content when it is not
    ``closed``.  ``used`` is false when its head is in error or it stands where it may not.  ``blocks`` are its inner blocks,
    ``depth`` counts the blocks around it.
    """

    __slots__ = ("blocks", "closed", "depth", "end", "head", "kind", "name", "used")

    def __init__(self, kind: str, name: str, head: int, *, depth: int, used: bool) -> None:
        self.kind = kind
        self.name = name
        self.head = head
        self.depth = depth
        self.end = head
        self.closed = False
        self.used = used
        self.blocks: Sequence[Block] = ()

    def add(self, block: Block) -> None:
        """Put an inner block behind the others.  Most blocks are servers and have none, so the list is made when it is needed."""
        if isinstance(self.blocks, list):
            self.blocks.append(block)
        else:
            self.blocks = [block]

    @property
    def key(self) -> int:
        """What ties a value of the model to this block: the number of its head line."""
        return self.head + 1

    @property
    def stop(self) -> int:
        """The index after the last line of its body."""
        return self.end if self.closed else self.end + 1

    def own_lines(self) -> Iterator[int]:
        """The indices of the lines of its body that belong to no inner block."""
        start = self.head + 1
        for block in self.blocks:
            yield from range(start, block.head)
            start = block.end + 1
        yield from range(start, self.stop)


class Document:
    """An lvs.cf as lines (without their line feeds), each line's reading, and the tree of blocks."""

    __slots__ = ("_by_key", "byte_order_mark", "lexed", "lines", "problems", "reading", "root")

    def __init__(self, byte_order_mark: str, lines: list[str], lexed: list[Line], root: Block, problems: list[tuple[int, Problem]]) -> None:
        self.byte_order_mark = byte_order_mark
        self.lines = lines
        self.lexed = lexed
        self.root = root
        self.problems = problems
        """What is wrong with the structure: line index, problem."""
        self._by_key: dict[int, Block] = {}
        self.reading: Reading | None = None
        """What ``reader.read`` made of it, kept so that it is done once."""

    def __str__(self) -> str:
        return self.byte_order_mark + "\n".join(self.lines)

    def lines_of(self, block: Block, keyword: str) -> list[int]:
        """The indices of the block's own lines that start with this keyword, readable or not."""
        lexed = self.lexed
        return [i for i in block.own_lines() if lexed[i].word == keyword and lexed[i].kind in (Kind.DIRECTIVE, Kind.BAD)]

    def block(self, key: int) -> Block | None:
        """The virtual, failover or server block with this key."""
        if not self._by_key and self.root.blocks:
            self._by_key = {inner.key: inner for block in self.root.blocks for inner in (block, *block.blocks)}
        return self._by_key.get(key)
