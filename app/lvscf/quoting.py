"""Words back into tokens: which quotes a text needs, and whether it can be written at all.  Owns the writing half of the lexical rules."""

from __future__ import annotations

from app.lvscf.keywords import Keyword, ValueType


class UnwritableValue(ValueError):
    """lvs.cf has no way to write this value.  ``field`` is the keyword (or ``name``), ``reason`` says why, in words."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


DOUBLE_ONLY = frozenset((ValueType.TEXT, ValueType.COMMAND))
"""Types of which only double quotes are stripped."""


def quoted(field: str, text: str, style: str, keyword: Keyword | None = None) -> str:
    """The token for ``text``: in the ``style`` (``'"'``, ``"'"`` or ``""`` for none) if it can be, else in one that can."""
    if "\n" in text or "\0" in text:
        raise UnwritableValue(field, "a line feed or a NUL byte cannot stand in lvs.cf; write a line feed as \\n where escapes are known")
    double_only = keyword is not None and keyword.type in DOUBLE_ONLY
    for quote in dict.fromkeys((style, '"', "'", "")):
        if _fits(text, quote, double_only=double_only):
            return f"{quote}{text}{quote}"
    if double_only:
        if "\n" not in text and _is_single_quoted(text):
            return text
        raise UnwritableValue(field, "a double quote together with blanks cannot be written: lvs.cf has no escape for quotes")
    raise UnwritableValue(field, "both kinds of quotes together with blanks cannot be written: lvs.cf has no escape for quotes")


def _fits(text: str, quote: str, *, double_only: bool) -> bool:
    if quote == "":
        return text != "" and text[0] not in "\"'#" and not any(c in " \t\r" for c in text) and text not in "={}" and not text.endswith("{")
    return quote not in text and not (quote == "'" and double_only)


def _is_single_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == "'" and "'" not in text[1:-1]


def quote_style(raw: str) -> str:
    """How a token is quoted: ``'"'``, ``"'"`` or ``""``."""
    return raw[0] if len(raw) > 1 and raw[0] in "\"'" and raw[-1] == raw[0] else ""
