"""Two versions of lvs.cf side by side: the lines that differ, with a little of what surrounds them.

Pure, and quick on files of many thousand lines: what is alike at both ends is set aside, and the remainder is cut into small pieces at the
lines that stand in it once before and once after (the heads of blocks and addresses, as a rule).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from app.lvscf.edits import longest_in_order

CONTEXT = 3
PIECE = 100
"""A piece of up to so many lines is compared line by line; a larger one without a line of its own is shown as replaced as a whole."""


@dataclass(frozen=True, slots=True)
class DiffLine:
    """``sign`` is ``+``, ``-``, a blank, or ``@`` for a place in the file; ``number`` the line in the new file (``-``: in the old one)."""

    sign: str
    number: int
    text: str


Part = tuple[int, int, int, int]
"""old[a:b] became new[c:d]; equal parts are not listed."""


def changed_parts(old: Sequence[str], new: Sequence[str]) -> list[Part]:
    """What differs, in order."""
    parts: list[Part] = []
    start = _alike(old, new, 0, 0)
    if old[start + 1 : start + 3] == new[start + 1 : start + 3] and start < min(len(old), len(new)):
        parts.append((start, start + 1, start, start + 1))  # one line replaced: serial_no, as a rule
        start += 1
        start += _alike(old, new, start, start)
    tail = 0
    while tail < min(len(old), len(new)) - start and old[len(old) - 1 - tail] == new[len(new) - 1 - tail]:
        tail += 1
    pieces = [(start, len(old) - tail, start, len(new) - tail)]
    found: list[Part] = []
    while pieces:
        a, b, c, d = pieces.pop()
        if a == b or c == d:
            found += [(a, b, c, d)] if (a, c) != (b, d) else []
        elif (b - a) * (d - c) <= PIECE * PIECE:
            matcher = SequenceMatcher(None, old[a:b], new[c:d], autojunk=False)
            found += [(a + i, a + j, c + k, c + m) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]
        elif cut := _cut(old, new, (a, b, c, d)):
            pieces += cut
        else:
            found.append((a, b, c, d))
    return [*parts, *sorted(found)]


def _cut(old: Sequence[str], new: Sequence[str], piece: Part) -> list[Part]:
    """What lies before, between and behind the lines that ``piece`` has once on each side, in the same order; nothing without any."""
    a, b, c, d = piece
    before, after = _once(old, a, b), _once(new, c, d)
    common = [(at, after[line]) for line, at in before.items() if line in after]
    staying = longest_in_order([to for _at, to in common]) if common else set()
    pieces = []
    for at, to in common:
        if to in staying:
            pieces.append((a, at, c, to))
            a, c = at + 1, to + 1
    return [*pieces, (a, b, c, d)] if pieces else []


def _once(lines: Sequence[str], start: int, stop: int) -> dict[str, int]:
    """The lines that stand there only once, and where, in their order."""
    counts = Counter(lines[start:stop])
    return {lines[at]: at for at in range(start, stop) if counts[lines[at]] == 1}


def _alike(old: Sequence[str], new: Sequence[str], at: int, other: int) -> int:
    count = 0
    while at + count < len(old) and other + count < len(new) and old[at + count] == new[other + count]:
        count += 1
    return count


def unified(old_text: str, new_text: str) -> list[DiffLine]:
    """The differing lines with three lines around each place."""
    old, new = old_text.splitlines(), new_text.splitlines()
    return list(_lines(old, new, changed_parts(old, new)))


def _lines(old: Sequence[str], new: Sequence[str], parts: Sequence[Part]) -> Iterator[DiffLine]:
    shown = 0
    for index, (a, b, c, d) in enumerate(parts):
        first = max(shown, c - CONTEXT)
        if first > shown or index == 0:
            yield DiffLine("@", first + 1, f"line {first + 1}")
        yield from (DiffLine(" ", n + 1, new[n]) for n in range(first, c))
        yield from (DiffLine("-", n + 1, old[n]) for n in range(a, b))
        yield from (DiffLine("+", n + 1, new[n]) for n in range(c, d))
        following = parts[index + 1][2] if index + 1 < len(parts) else len(new)
        shown = min(following, d + CONTEXT)
        yield from (DiffLine(" ", n + 1, new[n]) for n in range(d, shown))
