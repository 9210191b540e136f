"""How new lines look: their words, quotes and indentation.

Owns the form of a new directive and of a new block, the GUI order included, and the check that what is written is read back as meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.lvscf.document import Block, Document
from app.lvscf.keywords import BY_LEVEL, LEVEL_OF_BLOCK, Keyword, Level
from app.lvscf.lexer import Kind, lex, unquoted
from app.lvscf.model import NO_ADDRESS, GlobalSettings, RealServer, VirtualServer
from app.lvscf.model import Block as ModelBlock
from app.lvscf.quoting import UnwritableValue, quoted
from app.lvscf.values import interpret, same_value, value_words

BODY_INDENT = " " * 5
SERVER_BODY_INDENT = " " * 4
"""What a server's body has beyond its head."""

_FAILOVER_ALWAYS = frozenset(("active", "port", "timeout"))

Item = ModelBlock | RealServer


class Style(NamedTuple):
    """Indentation of new blocks: of the head, of the body, and of the servers in it; ``gap``: blank lines between two blocks."""

    head: str = ""
    body: str = BODY_INDENT
    server_head: str = BODY_INDENT
    server_body: str = BODY_INDENT + SERVER_BODY_INDENT
    gap: int = 0


def indent_of(line: str) -> str:
    """The blanks that a line starts with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def body_indent(document: Document, block: Block) -> str | None:
    """The indentation of the block's first directive, ``None`` if it has none."""
    for index in block.own_lines():
        if document.lexed[index].kind is Kind.DIRECTIVE:
            return indent_of(document.lines[index])
    return None


def style_of(document: Document, model: Block | None, parent: Block) -> Style:
    """The style of a new block beside (or like) ``model`` in ``parent``; without a model, the GUI's own."""
    if parent.kind:
        head = (
            indent_of(document.lines[model.head])
            if model
            else body_indent(document, parent) or indent_of(document.lines[parent.head]) + BODY_INDENT
        )
        body = (body_indent(document, model) if model else None) or head + SERVER_BODY_INDENT
        return Style(head, body, gap=_gap(document, parent))
    if model is None:
        return Style(gap=_gap(document, parent))
    head = indent_of(document.lines[model.head])
    body = body_indent(document, model) or head + BODY_INDENT
    server_head, server_body = body, body + SERVER_BODY_INDENT
    for server in model.blocks[:1]:
        server_head = indent_of(document.lines[server.head])
        server_body = body_indent(document, server) or server_head + SERVER_BODY_INDENT
    return Style(head, body, server_head, server_body, _gap(document, parent))


def _gap(document: Document, parent: Block) -> int:
    """1 when the last two blocks in ``parent`` are set apart by a blank line."""
    if len(parent.blocks) < 2:
        return 0
    end = parent.blocks[-2].end
    return int(parent.blocks[-1].head > end + 1 and not document.lines[end + 1].strip(" \t\r"))


# --- lines ---------------------------------------------------------------------------------------------------------------------


def directive_line(indent: str, keyword: Keyword, value: object) -> str:
    """A new line that sets ``keyword``.  Raises UnwritableValue."""
    style = '"' if keyword.quoted else ""
    words = (quoted(keyword.name, word, style, keyword) for word in value_words(keyword, value))
    return checked_line(f"{indent}{keyword.name} = {' '.join(words)}", keyword, value)


def checked_line(line: str, keyword: Keyword, value: object) -> str:
    """The line, once it is sure that it says ``value``.  Raises UnwritableValue."""
    read = lex(line)
    if read.kind is not Kind.DIRECTIVE or not read.usable:
        reason = read.problems[0].message if read.problems else "the value does not fit in a line"
        raise UnwritableValue(keyword.name, reason)
    result = interpret(keyword, read.args)
    if not result.used:
        raise UnwritableValue(keyword.name, result.problems[0].message)
    if not same_value(keyword, value, result.value):
        raise UnwritableValue(keyword.name, f"{value!r} would be read back as {result.value!r}")
    return line


def checked_head(line: str, kind: str, name: str) -> str:
    """The line, once it is sure that it opens a block of this kind and name.  Raises UnwritableValue."""
    read = lex(line)
    if read.kind is not Kind.OPEN or not read.usable or read.word != kind or unquoted(read.args[0]) != name:
        raise UnwritableValue("name", "a block's name is not empty, and no line feed, NUL byte or both kinds of quotes stand in it")
    return line


# --- blocks --------------------------------------------------------------------------------------------------------------------


def global_lines(settings: GlobalSettings) -> list[str]:
    """The directives of a new file."""
    return list(_directives("", Level.GLOBAL, settings, None))


def block_lines(kind: str, item: Item, style: Style) -> list[str]:
    """A new block, head and closing brace included.  Raises UnwritableValue."""
    level = LEVEL_OF_BLOCK[kind]
    lines = [checked_head(f"{style.head}{kind} {quoted('name', item.name, '')} {{", kind, item.name)]
    lines += _directives(style.body, level, item, _FAILOVER_ALWAYS if kind == "failover" else None)
    if isinstance(item, VirtualServer):
        inner = Style(style.server_head, style.server_body)
        for server in item.servers:
            lines += block_lines("server", server, inner)
    lines.append(style.head + "}")
    return lines


def _directives(indent: str, level: Level, item: Item | GlobalSettings, always: frozenset[str] | None) -> Iterator[str]:
    """The directives worth a line in a new body: those that differ from the default, and those that the GUI always names."""
    for name, keyword in BY_LEVEL[level].items():
        value = getattr(item, name)
        named = keyword.always if always is None else name in always
        if not is_none(keyword, value) and (named or value != keyword.default):
            yield directive_line(indent, keyword, value)


def is_none(keyword: Keyword, value: object) -> bool:
    """Whether a keyword of this value has no line."""
    return value is None or (keyword.zero_is_none and value == NO_ADDRESS)
