"""What came of every line of another program's configuration, and what could not be said in the other direction.

Owns the shapes of both reports and the ledger in which a reader writes what each line became.  It knows none of the languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.lvscf.diagnostics import Diagnostic, shown
from app.lvscf.model import Config

LARGEST_CHARACTERS = 4_000_000
"""Longer texts are refused; a configuration of 40,000 real servers is shorter."""
WORDS_A_LINE = 8
"""So many things are said of one line; a line that a macro repeats would otherwise grow without end."""
SHOWN_CHARACTERS = 400


class Source(StrEnum):
    """Whose configuration it is."""

    KEEPALIVED = "keepalived"
    LDIRECTORD = "ldirectord"
    IPVSADM = "ipvsadm"


class Verdict(StrEnum):
    """What came of a line.  In a line about which several things are to be said, the last in this order counts."""

    STRUCTURE = "structure"
    """A comment, a blank line, a closing brace: nothing is to be said."""
    NEEDLESS = "needless"
    """lvs.cf needs no word for it: what it asks for is so anyway, or is nobody's business here."""
    BECAME = "became"
    KEPT = "kept"
    """It is in the new lvs.cf, and this version does not obey it yet."""
    LOST = "lost"
    """It has no counterpart."""
    ERROR = "error"
    """It could not be understood, or what it says cannot be used."""


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


class NotConvertible(ValueError):
    """The text as a whole is nothing that can be read; the message says why, in words."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of the source: ``number`` from 1, its ``text``, and what came of it, in words (``""``: nothing is to be said)."""

    number: int
    text: str
    verdict: Verdict
    words: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A foreign configuration, read.

    ``config`` is whole: what the source does not say is at the default of a new file.  ``found`` names the global settings that it does
    say.  ``text`` is the new lvs.cf, ``diagnostics`` what is to be said about it (never an error).  ``remarks`` concern no single line.
    """

    source: Source
    lines: tuple[SourceLine, ...]
    remarks: tuple[str, ...]
    config: Config
    found: frozenset[str]
    text: str
    diagnostics: tuple[Diagnostic, ...]

    def counts(self) -> dict[Verdict, int]:
        """How many lines came to what, in the order of ``Verdict``, those about which nothing is to be said left out."""
        found = dict.fromkeys(Verdict, 0)
        for line in self.lines:
            found[line.verdict] += 1
        return {verdict: count for verdict, count in found.items() if count and verdict is not Verdict.STRUCTURE}


@dataclass(frozen=True, slots=True)
class Exported:
    """lvs.cf in another program's language, and what has no counterpart there (in comments on top too, where the language has any)."""

    text: str
    missing: tuple[str, ...]


def refuse_rubbish(text: str) -> None:
    """Raises NotConvertible for what cannot be a configuration at all."""
    if len(text) > LARGEST_CHARACTERS:
        raise NotConvertible(f"the file is too large: at most {LARGEST_CHARACTERS:,} characters are read")
    if "\0" in text:
        raise NotConvertible("this is no text: it holds NUL bytes")
    if not text.strip():
        raise NotConvertible("the file is empty")


class Ledger:
    """The report while it is being written: one entry a line."""

    def __init__(self, text: str) -> None:
        """Raises NotConvertible for what cannot be a configuration at all."""
        refuse_rubbish(text)
        self.lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").removesuffix("\n").split("\n")]
        self.remarks: list[str] = []
        self._verdicts: list[Verdict | None] = [None] * len(self.lines)
        self._words: list[dict[str, None]] = [{} for _ in self.lines]

    def say(self, line: int, verdict: Verdict, words: str) -> None:
        """Of line ``line`` (from 1): this came of it."""
        index = line - 1
        before = self._verdicts[index]
        if before is None or _RANK[verdict] > _RANK[before]:
            self._verdicts[index] = verdict
        if words and len(self._words[index]) < WORDS_A_LINE:
            self._words[index][words] = None

    def became(self, line: int, words: str) -> None:
        """``words``: the line of lvs.cf."""
        self.say(line, Verdict.BECAME, words)

    def lost(self, line: int, words: str) -> None:
        self.say(line, Verdict.LOST, words)

    def error(self, line: int, words: str) -> None:
        self.say(line, Verdict.ERROR, words)

    def needless(self, line: int, words: str) -> None:
        self.say(line, Verdict.NEEDLESS, words)

    def structure(self, line: int) -> None:
        """Nothing is to be said of this line by itself."""
        self.say(line, Verdict.STRUCTURE, "")

    def remark(self, words: str) -> None:
        """Something about the whole, said once."""
        if words not in self.remarks:
            self.remarks.append(words)

    def report(self) -> tuple[SourceLine, ...]:
        """Every line of the source.  A line that no reader took up is reported as not understood."""
        return tuple(self._line(index) for index in range(len(self.lines)))

    @staticmethod
    def silent() -> Ledger:
        """One that hears nothing, for trying what something would become."""
        return _Silent("-")

    def _line(self, index: int) -> SourceLine:
        text, verdict = self.lines[index], self._verdicts[index]
        words = "; ".join(self._words[index])
        if verdict is None:
            verdict = Verdict.STRUCTURE if not text.strip() else Verdict.ERROR
            words = "" if verdict is Verdict.STRUCTURE else "this line is not understood"
        return SourceLine(index + 1, shown(text.replace("\t", "    "), SHOWN_CHARACTERS), verdict, words)


class _Silent(Ledger):
    def say(self, line: int, verdict: Verdict, words: str) -> None:
        pass
