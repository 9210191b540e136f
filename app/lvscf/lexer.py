"""From one line's characters to what kind of line it is: blank, directive, head of a block, closing brace, or wrong.

Pure, line by line, no knowledge of keywords: a line's reading depends on its own text alone, so equal lines share one ``Line``.
Arguments are kept as written, quotes included; ``values`` takes them off.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from app.lvscf.diagnostics import Problem, shown

BLOCK_WORDS = frozenset(("virtual", "failover", "server"))

_TOKEN = re.compile(r"\"[^\"]*\"[^ \t]*|'[^']*'[^ \t]*|[\"'][^\n]*|[^ \t]+")
_HEAD = re.compile(r"[ \t]*(virtual|failover|server)[ \t]+([^ \t\"'#{}=\r\0][^ \t\r\0]*)[ \t]+\{[ \t]*\r?")
_SIMPLE = re.compile(
    r"[ \t]*(?!(?:virtual|failover|server)[ \t])([a-z0-9_]+)[ \t]+=[ \t]+(?:([^ \t\"'#\r\0][^ \t\r\0]*)[ \t]*|(\"[^\"\r\0]*\"))\r?"
)


class Kind(IntEnum):
    """What a line is.  ``BAD``: a directive, or half a block's head, that cannot be read."""

    BLANK = 0
    DIRECTIVE = 1
    BAD = 2
    OPEN = 3
    CLOSE = 4
    BRACE = 5


class Token(NamedTuple):
    """A word of a line with its place in it."""

    raw: str
    start: int
    end: int

    @property
    def fault(self) -> str:
        """The code of what is wrong with its quotes, or ``""``."""
        quote = self.raw[0]
        if quote not in "\"'":
            return ""
        close = self.raw.find(quote, 1)
        if close < 0:
            return "unclosed-quote"
        return "" if close == len(self.raw) - 1 else "text-after-quote"


class Line:
    """One line's reading.

    ``word``: the keyword or kind of block.  ``args``: the raw tokens of the value, or the block's name.  ``usable``: whether it may be
    used at all.  Shared by all lines with the same text: never changed.
    """

    __slots__ = ("args", "kind", "problems", "usable", "word")

    def __init__(
        self, kind: Kind, word: str = "", args: tuple[str, ...] = (), problems: tuple[Problem, ...] = (), *, usable: bool = True
    ) -> None:
        self.kind = kind
        self.word = word
        self.args = args
        self.problems = problems
        self.usable = usable


_NOTHING = Line(Kind.BLANK)
_END = Line(Kind.CLOSE)


def tokenize(line: str) -> list[Token]:
    """The words of a line, split at blanks and tabs outside quotes; a carriage return at its end is not part of it."""
    return [Token(match[0], match.start(), match.end()) for match in _TOKEN.finditer(content_of(line))]


def content_of(line: str) -> str:
    """The line without the carriage return of a CR LF line end."""
    return line.removesuffix("\r")


def unquoted(raw: str) -> str:
    """A token's text without the quotes around it, if any."""
    if len(raw) > 1 and raw[0] in "\"'" and raw[-1] == raw[0]:
        return raw[1:-1]
    return raw


def lex(line: str) -> Line:
    """Read one line (without its line feed)."""
    simple = _SIMPLE.fullmatch(line)
    if simple is not None:
        return Line(Kind.DIRECTIVE, simple[1], (simple[2] or simple[3],))
    head = _HEAD.fullmatch(line)
    if head is not None:
        return Line(Kind.OPEN, head[1], (head[2],))
    content = content_of(line)
    read = _lex_words(content)
    extra = []
    if "\0" in content:
        extra.append(Problem("nul-byte", "a NUL byte stands in this line; delete it"))
    if "\r" in content:
        extra.append(
            Problem("lone-carriage-return", "a carriage return inside the line does not end it; if a new line was meant, write a line feed")
        )
    if not extra:
        return read
    usable = read.usable and "\0" not in content
    return Line(read.kind, read.word, read.args, read.problems + tuple(extra), usable=usable)


def _lex_words(content: str) -> Line:
    tokens = [Token(match[0], match.start(), match.end()) for match in _TOKEN.finditer(content)]
    if not tokens or tokens[0].raw[0] == "#":
        return _NOTHING
    first = tokens[0].raw
    if first[0] == "}":
        return _END
    if first == "{":
        return _lone_brace(tokens)
    if _is_head(tokens):
        return _head(tokens)
    return _directive(content, tokens)


def _lone_brace(tokens: list[Token]) -> Line:
    rest = tokens[1:]
    if rest and rest[0].raw[0] != "#":
        return Line(Kind.BRACE, problems=(Problem("surplus-text", "text follows an opening brace that stands alone", 1),), usable=False)
    return Line(Kind.BRACE)


def _is_head(tokens: list[Token]) -> bool:
    if tokens[0].raw in BLOCK_WORDS:
        return True
    return _without_comment(tokens, 1)[-1].raw.endswith("{") and not any("=" in token.raw for token in tokens)


def _without_comment(tokens: list[Token], first: int) -> list[Token]:
    """The tokens before the first one from index ``first`` on that opens a comment."""
    for index in range(first, len(tokens)):
        if tokens[index].raw[0] == "#":
            return tokens[:index]
    return tokens


def _comment_warning(tokens: list[Token], words: list[Token]) -> tuple[Problem, ...]:
    if len(words) == len(tokens):
        return ()
    return (Problem("inline-comment", "Piranha refuses a comment behind a value; give it a line of its own", len(words)),)


def _quote_fault(words: list[Token], first: int) -> Problem | None:
    for index, token in enumerate(words[first:], first):
        if token.fault == "unclosed-quote":
            return Problem("unclosed-quote", f"the quote {token.raw[0]} is not closed in this line", index)
        if token.fault:
            return Problem(
                "text-after-quote", "put a blank after the closing quote; a quote cannot be escaped inside quotes of its own kind", index
            )
    return None


def _head(tokens: list[Token]) -> Line:
    words = _without_comment(tokens, 2)
    word = words[0].raw
    name = words[1].raw if len(words) > 1 else ""
    notes = _comment_warning(tokens, words)
    if len(words) == 3 and words[2].raw == "{" and not words[1].fault and unquoted(name):
        return Line(Kind.OPEN, word, (name,), notes)
    if words[-1].raw.endswith("}"):
        text = f"a {word} block opened and closed in one line; write its directives and the }} on lines of their own"
        return Line(Kind.BAD, word, (), (Problem("one-line-block", text), *notes), usable=False)
    if len(words) > 1 and words[1].raw == "=" and words[-1].raw != "{":
        return Line(
            Kind.BAD, word, (), (Problem("missing-brace", f"{word} opens a block: write `{word} NAME {{`", 1), *notes), usable=False
        )
    return Line(Kind.OPEN, word, (), (_head_problem(word, words), *notes), usable=False)


def _head_problem(word: str, words: list[Token]) -> Problem:
    fault = _quote_fault(words, 1)
    last = words[-1].raw
    if fault is not None and not (fault.code == "text-after-quote" and last.endswith("{")):
        return fault
    if last == "{":
        if len(words) == 2 or (len(words) == 3 and not unquoted(words[1].raw)):
            return Problem("missing-name", f"the {shown(word)} block has no name: write `{shown(word)} NAME {{`", 1)
        return Problem(
            "surplus-text", f'too many words before the brace: a name with blanks needs quotes, as in `{shown(word)} "two words" {{`', 2
        )
    if last.endswith("{"):
        return Problem("brace-needs-blank", "put a blank before the {", len(words) - 1)
    if len(words) == 1:
        return Problem("missing-name", f"the {word} block has no name: write `{word} NAME {{`", 0)
    return Problem("missing-brace", f"the {{ belongs at the end of this line: `{word} {shown(words[1].raw)} {{`", len(words) - 1)


def opens_without_brace(line: Line) -> bool:
    """Whether it is the head of a block whose brace may stand on the next line."""
    return line.kind is Kind.OPEN and bool(line.problems) and line.problems[0].code in {"missing-brace", "missing-name"}


def _directive(content: str, tokens: list[Token]) -> Line:
    word = tokens[0].raw
    if len(tokens) < 2 or tokens[1].raw != "=":
        return _without_equals(tokens)
    words = _without_comment(tokens, 3)
    args = words[2:]
    notes = _comment_warning(tokens, words)
    if not args:
        return Line(Kind.BAD, word, (), (Problem("missing-value", f"{shown(word)} has no value", 1),), usable=False)
    fault = _quote_fault(words, 2)
    if fault is not None:
        return Line(Kind.BAD, word, (), (fault, *notes), usable=False)
    last = args[-1].raw
    if last[0] in "\"'" and " " not in last and "\t" not in last and len(words) == len(tokens) and words[-1].end < len(content):
        notes = (Problem("quote-then-blank", "Piranha refuses a blank behind this closing quote; delete it", len(words) - 1), *notes)
    return Line(Kind.DIRECTIVE, word, tuple(token.raw for token in args), notes)


def _without_equals(tokens: list[Token]) -> Line:
    word, equals, _ = tokens[0].raw.partition("=")
    if equals or (len(tokens) > 1 and tokens[1].raw[0] == "="):
        text = f"write blanks around the equals sign: `{shown(word)} = …`"
        return Line(Kind.BAD, word, (), (Problem("equals-needs-blanks", text, 0 if equals else 1),), usable=False)
    if len(tokens) == 1:
        return Line(
            Kind.BAD, word, (), (Problem("missing-equals", f"{shown(word)} has no value: write `{shown(word)} = …`", 0),), usable=False
        )
    return Line(Kind.BAD, word, (), (Problem("missing-equals", f"no equals sign after {shown(word)}", 1),), usable=False)
