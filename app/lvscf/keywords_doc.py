"""The tables of ``docs/lvs-cf.md``, made from the keyword table and the registry of diagnostics.

``python -m app.lvscf.keywords_doc docs/lvs-cf.md`` writes them between their markers; with ``--check`` it only says whether they are
current (exit 1 when not).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.lvscf.diagnostics import CODES
from app.lvscf.keywords import BY_LEVEL, OURS, Keyword, Level, ValueType

_LEVEL_TITLES = {
    Level.GLOBAL: "Global directives",
    Level.BLOCK: "In `virtual` and `failover` blocks",
    Level.SERVER: "In `server` blocks",
}


def updated(document: str) -> str:
    """The document with the text between each pair of markers made anew.  Raises ValueError when a marker is missing."""
    for name, lines in (("keywords", _keyword_tables()), ("diagnostics", _diagnostic_table())):
        begin, end = f"<!-- {name}: generated, do not edit -->\n", f"<!-- end of {name} -->\n"
        head, found, rest = document.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"the markers of the {name} are missing")
        document = f"{head}{begin}\n" + "\n".join(lines) + f"\n\n{end}{tail}"
    return document


def _keyword_tables() -> Iterable[str]:
    lines: list[str] = []
    for level, title in _LEVEL_TITLES.items():
        lines += ["", f"### {title}", ""] if lines else [f"### {title}", ""]
        lines += [
            "| keyword | value | default | screens offer | since | meaning | a change touches |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += (_keyword_row(keyword) for keyword in BY_LEVEL[level].values())
    return lines


def _keyword_row(keyword: Keyword) -> str:
    default = f"`{keyword.default_text}`" if keyword.default_text is not None else "–"
    screens = f"`{keyword.screens}`" if keyword.screens is not None else "–"
    since = keyword.version if keyword.version == OURS else "Piranha"
    meaning = keyword.meaning if keyword.in_use else f"{keyword.meaning} Kept; not in use yet."
    cells = (f"`{keyword.name}`", _value(keyword), default, screens, since, meaning, keyword.effect)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(keyword: Keyword) -> str:
    if keyword.type is ValueType.WORD and keyword.words is not None:
        return ", ".join(f"`{word}`" for word in keyword.words)
    if keyword.range is not None and keyword.range.hard is not None:
        return f"{keyword.type}, {keyword.range.hard[0]:.0f} to {keyword.range.hard[1]:.0f}"
    return str(keyword.type)


def _diagnostic_table() -> Iterable[str]:
    yield "| code | severity | meaning |"
    yield "| --- | --- | --- |"
    for code, (severity, meaning) in CODES.items():
        yield f"| `{code}` | {severity} | {meaning} |"


def main(argv: Sequence[str]) -> int:
    """Write or check the document named on the command line."""
    names = [name for name in argv if name != "--check"]
    if len(names) != 1:
        sys.stderr.write("usage: python -m app.lvscf.keywords_doc [--check] docs/lvs-cf.md\n")
        return 2
    path = Path(names[0])
    old = path.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in argv:
        return int(new != old)
    path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
