"""From text to the lossless tree.  Never fails: what cannot be understood is kept, and noted as a problem.

Owns the structure: where blocks open and close, also when braces are missing.  It looks at no keyword but the three that open blocks.
"""

from __future__ import annotations

from app.lvscf.collector import uncollected
from app.lvscf.diagnostics import Problem, shown
from app.lvscf.document import BYTE_ORDER_MARK, Block, Document
from app.lvscf.lexer import BLOCK_WORDS, Kind, Line, lex, opens_without_brace, unquoted


@uncollected
def parse(text: str) -> Document:
    """The document of any text at all; ``str(parse(text)) == text``.

    ``text`` is the file decoded as UTF-8 with ``surrogateescape``, newlines untouched.
    """
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    lines = text[len(mark) :].split("\n")
    structure = _Structure()
    lexed: list[Line] = []
    known: dict[str, Line] = {}
    add, get, blank, first_structural = lexed.append, known.get, Kind.BLANK, Kind.OPEN
    for index, raw in enumerate(lines):
        line = get(raw)
        if line is None:
            line = known[raw] = lex(raw)
        add(line)
        kind = line.kind
        if kind == blank:
            continue
        if kind >= first_structural:
            structure.take(index, line)
        else:
            structure.awaiting = False
        structure.last = index
    return Document(mark, lines, lexed, structure.finish(len(lines)), structure.problems)


class _Structure:
    """The open blocks while the lines go by."""

    def __init__(self) -> None:
        self.root = Block("", "", -1, depth=0, used=True)
        self.stack = [self.root]
        self.problems: list[tuple[int, Problem]] = []
        self.last = -1
        self.awaiting = False
        """The line before was the head of a block without its brace."""

    def take(self, index: int, line: Line) -> None:
        """A line that opens or closes something; ``last`` is still the line with content before it."""
        if line.kind is Kind.OPEN:
            self._open(index, line)
            return
        awaiting, self.awaiting = self.awaiting, False
        if line.kind is Kind.BRACE:
            if not awaiting:
                self.problems.append(
                    (index, Problem("stray-brace", "this { opens nothing: it belongs at the end of a line such as `virtual NAME {`", 0))
                )
        elif len(self.stack) > 1:
            block = self.stack.pop()
            block.end = index
            block.closed = True
        else:
            self.problems.append((index, Problem("stray-brace", "this } closes nothing: every block is closed already", 0)))

    def _open(self, index: int, line: Line) -> None:
        word = line.word
        if word in ("virtual", "failover"):
            self._close_down_to(1, word)
        elif word == "server" and self.stack[-1].kind == "server":
            self._close_down_to(len(self.stack) - 1, word)
        parent = self.stack[-1]
        used = line.usable and parent.used and self._allowed(index, word, parent)
        name = unquoted(line.args[0]) if line.args else ""
        block = Block(word if word in BLOCK_WORDS else "?", name, index, depth=len(self.stack), used=used)
        parent.add(block)
        self.stack.append(block)
        self.awaiting = opens_without_brace(line)

    def _allowed(self, index: int, word: str, parent: Block) -> bool:
        if word not in BLOCK_WORDS:
            text = f"{shown(word)} is no kind of block: lvs.cf has virtual and failover, and server inside virtual"
            self.problems.append((index, Problem("unknown-keyword", text, 0)))
            return False
        if word == "server" and parent.kind != "virtual":
            place = f"a {parent.kind} block" if parent.kind in BLOCK_WORDS else "an unknown block" if parent.kind else "the global settings"
            self.problems.append((index, Problem("wrong-level", f"a server block belongs inside a virtual block, not in {place}", 0)))
            return False
        return True

    def _close_down_to(self, depth: int, word: str) -> None:
        """Close what a head implies has ended: a block of this kind cannot stand inside another."""
        while len(self.stack) > depth:
            block = self.stack.pop()
            block.end = self.last
            text = f"{_title(block)} is not closed: a }} is missing before the next {word} block"
            self.problems.append((block.head, Problem("unclosed-block", text)))

    def finish(self, count: int) -> Block:
        """Close what is open at the end of the file; the root."""
        while len(self.stack) > 1:
            block = self.stack.pop()
            block.end = self.last
            self.problems.append(
                (block.head, Problem("unclosed-block", f"{_title(block)} is not closed: a }} is missing before the end of the file"))
            )
        self.root.end = count
        self.root.closed = True
        return self.root


def _title(block: Block) -> str:
    return f"{block.kind} {shown(block.name)}" if block.name else f"this {block.kind} block" if block.kind != "?" else "this block"
