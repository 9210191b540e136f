"""keepalived.conf's grammar: words, quotes, comments, braces, definitions and their substitution, into a tree of statements.

Owns the text and nothing of its meaning.  Work and memory are bounded whatever the text is: definitions that would grow without end, deep
nesting and overlong lines are reported and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.report import Ledger

DEEPEST = 12
LONGEST_LINE = 16_000
LARGEST_EXPANSION = 2_000_000
"""Characters that all substitutions together may produce."""
SUBSTITUTIONS = 200
"""Names replaced in one line."""

_TOKEN = re.compile(r'"(?P<quoted>[^"]*)(?P<end>"?)|(?P<brace>[{}])|(?P<comment>[#!].*)|(?P<word>(?:\$\{[^}\s]{0,64}\}|[^\s{}"#!])+)')
_DEFINITION = re.compile(r"\s*\$(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})=(?P<value>.*)")
_NAME = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]{0,63})\}|(?P<bare>[A-Za-z_][A-Za-z0-9_]{0,63})(?=\s|$))")
_INCLUDES = frozenset(("include", "includer", "includem", "includew", "includeb", "includea"))


@dataclass(slots=True)
class Statement:
    """One statement: its words, and what stands in its braces (``None``: it has none)."""

    line: int
    words: tuple[str, ...]
    children: list[Statement] | None = None

    @property
    def word(self) -> str:
        return self.words[0]

    @property
    def rest(self) -> tuple[str, ...]:
        return self.words[1:]

    def value(self, default: str = "") -> str:
        """The word behind the first."""
        return self.words[1] if len(self.words) > 1 else default

    @property
    def inner(self) -> list[Statement]:
        return [] if self.children is None else self.children

    def all(self) -> Iterator[Statement]:
        """This one and everything inside."""
        yield self
        for child in self.inner:
            yield from child.all()


def parse(ledger: Ledger) -> list[Statement]:
    """The statements of the whole file; what is no statement is reported."""
    tree = _Tree(ledger)
    for number, text in _Lines(ledger).all():
        tree.line(number, text)
    tree.end()
    return tree.root.inner


class _Lines:
    """Physical lines to logical ones: continued lines joined, definitions taken out and put in."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._defined: dict[str, str] = {}
        self._left = LARGEST_EXPANSION

    def all(self) -> Iterator[tuple[int, str]]:
        lines = self._ledger.lines
        at = 0
        while at < len(lines):
            first = at
            parts = [lines[at]]
            while parts[-1].rstrip().endswith("\\") and at + 1 < len(lines):
                at += 1
                parts[-1] = parts[-1].rstrip()[:-1]
                parts.append(lines[at])
                self._ledger.structure(at + 1)
            at += 1
            yield from self._logical(first + 1, parts)

    def _logical(self, number: int, parts: list[str]) -> Iterator[tuple[int, str]]:
        definition = _DEFINITION.fullmatch(parts[0])
        if definition:
            body = [definition["value"], *parts[1:]]
            self._defined[definition["name"]] = "\n".join(body[1:] if len(body) > 1 and not body[0].strip() else body)
            self._ledger.needless(number, f"a definition: lvs.cf gets what ${definition['name']} stands for")
            return
        text = " ".join(parts)
        if len(text) > LONGEST_LINE:
            self._ledger.error(number, f"the line is longer than {LONGEST_LINE:,} characters; left out")
            return
        yield from self._expanded(number, text)

    def _expanded(self, number: int, text: str) -> Iterator[tuple[int, str]]:
        """The lines that a line becomes; a definition of several lines makes several of one."""
        if "$" not in text:
            yield number, text
            return
        queue, budget = [text], SUBSTITUTIONS
        while queue:
            line = queue.pop()
            inner = _DEFINITION.fullmatch(line)
            if inner:
                self._defined[inner["name"]] = inner["value"]
                continue
            found = next((match for match in _NAME.finditer(line) if (match["braced"] or match["bare"]) in self._defined), None)
            if found is None:
                yield number, line
                continue
            value = self._defined[found["braced"] or found["bare"]]
            self._left -= len(line) + len(value)
            budget -= 1
            if self._left < 0 or budget < 0 or len(line) + len(value) > LONGEST_LINE:
                self._ledger.error(number, "the definitions stand for too much text, or for themselves; left out")
                return
            queue.extend(reversed((line[: found.start()] + value + line[found.end() :]).split("\n")))


@dataclass(slots=True)
class _Open:
    """A block that is open."""

    statement: Statement
    last: Statement | None = field(default=None)
    """The statement that a brace on the next line would belong to."""


class _Tree:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.root = Statement(0, ("",), [])
        self._open = [_Open(self.root)]
        self._too_deep = 0
        self._said = False
        """Whether the line has a word of which something is to be said."""

    def line(self, number: int, text: str) -> None:
        words: list[str] = []
        self._said = False
        if text.lstrip().startswith(("@", "~")):
            self._special(number, text.strip())
            return
        for match in _TOKEN.finditer(text):
            if match["comment"] is not None:
                break
            if match["brace"]:
                self._brace(number, match["brace"], words)
                words = []
            else:
                words.append(match["word"] if match["word"] is not None else match["quoted"])
            if match["quoted"] is not None and not match["end"]:
                self._ledger.error(number, "a quote is opened and not closed in its line")
        self._statement(number, words)
        if not self._said:
            self._ledger.structure(number)

    def end(self) -> None:
        """The end of the file."""
        for still in self._open[1:]:
            self._ledger.error(still.statement.line, f"the block {shown(still.statement.word)} is not closed")

    def _special(self, number: int, text: str) -> None:
        if text.startswith("@"):
            self._ledger.lost(number, "a line for one host alone (@): not followed; take the @ away in the file of the host that is meant")
        else:
            self._ledger.lost(number, "a line that stands for many (~): not followed; import the lines that it stands for")

    def _statement(self, number: int, words: list[str]) -> Statement | None:
        if not words:
            return None
        self._said = True
        if self._too_deep:
            self._ledger.error(number, "inside a block that is left out")
            return None
        if words[0] in _INCLUDES:
            self._ledger.lost(number, f"{shown(' '.join(words[1:]))} is not followed: import that file too")
            return None
        here = self._open[-1]
        made = Statement(number, tuple(words))
        here.statement.inner.append(made)
        here.last = made
        return made

    def _brace(self, number: int, brace: str, words: list[str]) -> None:
        made = self._statement(number, words)
        if brace == "}":
            self._close(number)
            return
        owner = made or self._open[-1].last
        if self._too_deep or len(self._open) > DEEPEST or owner is None or owner.children is not None:
            if not self._too_deep:
                self._ledger.error(number, "a brace opens a block too deep inside others, or one without a name; it is left out")
            self._too_deep += 1
            return
        owner.children = []
        self._open.append(_Open(owner))

    def _close(self, number: int) -> None:
        if self._too_deep:
            self._too_deep -= 1
        elif len(self._open) > 1:
            self._open.pop()
            self._open[-1].last = None
        else:
            self._ledger.error(number, "a brace closes nothing")
