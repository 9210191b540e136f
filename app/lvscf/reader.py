"""From the lossless tree to the model: syntax and values, with everything that is wrong said at once.

Owns the rules of which line counts: the last of a repeated directive, no line in error, a server's port as known where its block opens.
What the values mean together is ``validate``'s business.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from app.lvscf.collector import uncollected
from app.lvscf.diagnostics import Diagnostic, Problem, diagnostic, shown
from app.lvscf.document import Block, Document
from app.lvscf.keywords import BY_LEVEL, LEVEL_OF_BLOCK, LEVEL_WORDS, OBSOLETE, UNUSED, Keyword, Level
from app.lvscf.lexer import BLOCK_WORDS, Kind, Line, tokenize
from app.lvscf.model import Config, FailoverService, GlobalSettings, RealServer, VirtualServer
from app.lvscf.values import interpret

DEFAULT_PORT = 80
MOST_HINTS = 200
"""So many unknown words are met with the nearest known one; in a file that is no lvs.cf at all the rest can do without."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says, and what is wrong with it, in the order of its lines."""

    config: Config
    diagnostics: tuple[Diagnostic, ...]


def read(document: Document) -> Reading:
    """The configuration of a document.  Done once a document: the second call returns the same value.

    Every line in error has a diagnostic and is not used; the rest of the file counts.
    """
    if document.reading is None:
        document.reading = _Reader(document).run()
    return document.reading


def placed(document: Document, index: int, problem: Problem) -> Diagnostic:
    """The problem as a diagnostic of the line with this index, pointing at its token (or at all of the line's words)."""
    tokens = tokenize(document.lines[index])
    shift = len(document.byte_order_mark) if index == 0 else 0
    if not tokens:
        return diagnostic(problem, index + 1)
    if 0 <= problem.token < len(tokens):
        token = tokens[problem.token]
        return diagnostic(problem, index + 1, token.start + 1 + shift, token.end - token.start)
    return diagnostic(problem, index + 1, tokens[0].start + 1 + shift, tokens[-1].end - tokens[0].start)


def counts(line: Line, keyword: Keyword) -> bool:
    """Whether this line, at the keyword's level, sets it (a line in error does not)."""
    return line.kind is Kind.DIRECTIVE and line.usable and interpret(keyword, line.args).used


class _Directive:
    """What one directive's line means at one level; shared by all lines with the same text."""

    __slots__ = ("name", "problems", "used", "value")

    def __init__(self, line: Line, level: Level, *, hint: bool) -> None:
        self.name = line.word
        self.value: object = None
        self.problems = line.problems
        self.used = False
        keyword = BY_LEVEL[level].get(line.word)
        if keyword is None and line.word in BLOCK_WORDS:
            pass  # half a head: the lexer has said what is wrong with it
        elif keyword is None:
            self.problems = (_unknown(line.word, level, hint=hint), *self.problems)
        elif line.kind is Kind.DIRECTIVE and line.usable:
            result = interpret(keyword, line.args)
            self.value = result.value
            self.used = result.used
            self.problems = (*result.problems, *self.problems)


def _unknown(word: str, level: Level, *, hint: bool) -> Problem:
    if (level, word) in UNUSED:
        return Problem("unused-keyword", UNUSED[level, word], 0)
    elsewhere = [other for other in Level if word in BY_LEVEL[other]]
    here = LEVEL_WORDS[level]
    if elsewhere:
        places = " or ".join(LEVEL_WORDS[other] for other in elsewhere)
        return Problem("wrong-level", f"{word} belongs {places}, not {here}", 0)
    if word in OBSOLETE:
        return Problem("obsolete-keyword", OBSOLETE[word], 0)
    nearest = _nearest(word, level) if hint else ""
    return Problem("unknown-keyword", f"there is no keyword {shown(word)} {here}{nearest}", 0)


def _nearest(word: str, level: Level) -> str:
    """What was probably meant, as the end of a message."""
    names = [*BY_LEVEL[level], *BLOCK_WORDS]
    if word.lower() in names:
        return f"; keywords are lower case: {word.lower()}"
    if close := difflib.get_close_matches(word.lower()[:60], names, n=1, cutoff=0.6):
        return f"; the nearest one is {close[0]}"
    if close := difflib.get_close_matches(word.lower()[:60], [name for known in BY_LEVEL.values() for name in known], n=1, cutoff=0.75):
        return f"; the nearest one, {close[0]}, belongs elsewhere"
    return ""


Values = dict[str, Any]
"""What the lines of one block have said so far, by keyword."""


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.lexed = document.lexed
        self.diagnostics: list[Diagnostic] = []
        self.unknown = 0
        self.repeated: dict[tuple[int, str], int] = {}
        """Head of a block and keyword → the last line that repeats it, so that a thousand repeats do not mean a thousand searches."""
        self.known: dict[Level, dict[Line, _Directive]] = {level: {} for level in Level}

    @uncollected
    def run(self) -> Reading:
        self._file_problems()
        for index, problem in self.document.problems:
            self._report(index, problem)
        root = self.document.root
        values = self._whole_body(root, Level.GLOBAL)
        virtual: list[VirtualServer] = []
        failover: list[FailoverService] = []
        for block in root.blocks:
            self._report_line(block.head)
            if block.kind == "virtual":
                server = self._virtual(block)
                if block.used:
                    virtual.append(server)
            elif block.kind == "failover":
                service = self._failover(block)
                if block.used:
                    failover.append(service)
            else:
                self._unusable(block)
        self.diagnostics.sort(key=lambda found: found.line)
        config = Config(globals=GlobalSettings(**values), virtual=tuple(virtual), failover=tuple(failover))
        return Reading(config, tuple(self.diagnostics))

    # --- blocks ------------------------------------------------------------------------------------------------------------------

    def _virtual(self, block: Block) -> VirtualServer:
        values: Values = {}
        servers: list[RealServer] = []
        at = block.head + 1
        for inner in block.blocks:
            self._lines(block, Level.BLOCK, values, at, inner.head)
            at = inner.end + 1
            self._report_line(inner.head)
            if inner.kind != "server":
                self._unusable(inner)
                continue
            server = self._server(inner, values.get("port", DEFAULT_PORT))
            if inner.used:
                servers.append(server)
        self._lines(block, Level.BLOCK, values, at, block.stop)
        if "port" in values:
            self._check_late_port(block, servers)
        return VirtualServer(name=block.name, key=block.key, servers=tuple(servers), **values)

    def _failover(self, block: Block) -> FailoverService:
        return FailoverService(name=block.name, key=block.key, **self._whole_body(block, Level.BLOCK))

    def _server(self, block: Block, port: int) -> RealServer:
        values = self._whole_body(block, Level.SERVER)
        own = values.get("port")
        return RealServer(name=block.name, key=block.key, effective_port=port if own is None else own, **values)

    def _unusable(self, block: Block) -> None:
        """A block that stands where it may not: read for what else is wrong in it.  Nothing is known of an unknown block's lines."""
        if block.kind in LEVEL_OF_BLOCK:
            self._whole_body(block, LEVEL_OF_BLOCK[block.kind])

    def _whole_body(self, block: Block, level: Level) -> Values:
        values: Values = {}
        at = block.head + 1
        if level is not Level.GLOBAL:
            for inner in block.blocks:
                self._lines(block, level, values, at, inner.head)
                at = inner.end + 1
                self._report_line(inner.head)
                self._unusable(inner)
        else:
            for inner in block.blocks:
                self._lines(block, level, values, at, inner.head)
                at = inner.end + 1
        self._lines(block, level, values, at, block.stop)
        return values

    def _check_late_port(self, block: Block, servers: list[RealServer]) -> None:
        portless = [server for server in servers if server.port is None]
        index = self._earlier(block, Level.BLOCK, "port", block.stop) if portless else -1
        missed = [server for server in portless if (server.key or 0) <= index]
        if missed:
            others = " and others" if len(missed) > 1 else ""
            text = f"port stands after server {shown(missed[0].name)}{others}, which it does not reach; move it above the server blocks"
            self._report(index, Problem("port-after-servers", text, 0))

    # --- lines -------------------------------------------------------------------------------------------------------------------

    def _lines(self, block: Block, level: Level, values: Values, start: int, stop: int) -> None:
        """Read the lines from ``start`` up to ``stop`` as directives of this level."""
        lexed, known = self.lexed, self.known[level]
        blank, bad = Kind.BLANK, Kind.BAD
        for index in range(start, stop):
            line = lexed[index]
            if line.kind == blank or line.kind > bad:
                if line.problems:
                    self._report_line(index)
                continue
            directive = known.get(line)
            if directive is None:
                directive = known[line] = _Directive(line, level, hint=self.unknown < MOST_HINTS)
                self.unknown += line.word not in BY_LEVEL[level]
            if directive.problems:
                for problem in directive.problems:
                    self._report(index, problem)
            if not directive.used:
                continue
            name = directive.name
            if name in values:
                self._report_repeat(block, level, name, index)
            values[name] = directive.value

    def _report_repeat(self, block: Block, level: Level, name: str, index: int) -> None:
        earlier = self.repeated.get((block.head, name))
        if earlier is None:
            earlier = self._earlier(block, level, name, index)
        self.repeated[block.head, name] = index
        self._report(index, Problem("repeated-directive", f"{name} stands in line {earlier + 1} already; this one counts", 0))

    def _earlier(self, block: Block, level: Level, name: str, before: int) -> int:
        """The index of the last line above ``before`` that sets this keyword in the block."""
        keyword = BY_LEVEL[level][name]
        lines = self.document.lines_of(block, name)
        return max(index for index in lines if index < before and counts(self.lexed[index], keyword))

    def _report_line(self, index: int) -> None:
        for problem in self.lexed[index].problems:
            self._report(index, problem)

    def _report(self, index: int, problem: Problem) -> None:
        self.diagnostics.append(placed(self.document, index, problem))

    # --- the file ----------------------------------------------------------------------------------------------------------------

    def _file_problems(self) -> None:
        document = self.document
        lines = document.lines
        if lines == [""] and not document.byte_order_mark:
            self._report_file("empty-file", 0, "the file is empty; a file of comments only is legal")
        if document.byte_order_mark:
            self._report_file("byte-order-mark", 1, "the file starts with a byte order mark, which Piranha refuses; it is kept as it is")
        crlf = [index for index, line in enumerate(lines) if line.endswith("\r")]
        if crlf:
            text = f"{len(crlf)} of {len(lines)} lines end in CR LF, which Piranha refuses; they are kept as they are"
            self._report_file("crlf", crlf[0] + 1, text)
        stray = next((index for index, line in enumerate(lines) if not line.isascii() and _has_stray_bytes(line)), None)
        if stray is not None:
            text = "bytes that are not UTF-8 (an older encoding?) stand in this line; they are kept as they are"
            self._report_file("not-utf8", stray + 1, text)

    def _report_file(self, code: str, line: int, text: str) -> None:
        self.diagnostics.append(diagnostic(Problem(code, text), line))


def _has_stray_bytes(line: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in line)
