"""A line chart as SVG, for the docs: readable on a light and on a dark page, without any script.

Owns the drawing; the numbers are its caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 56
TICKS = 5
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1c2530 } .title { font-weight: 600; font-size: 15px } .grid { stroke: #d5dbe3 }
.l0 { stroke: #0b62c4; fill: #0b62c4 } .l1 { stroke: #b3540a; fill: #b3540a } .l2 { stroke: #2c7a3f; fill: #2c7a3f }
.line { fill: none; stroke-width: 2.5 } text.l0, text.l1, text.l2 { stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf2 } .grid { stroke: #3a4553 }
  .l0 { stroke: #6db3ff; fill: #6db3ff } .l1 { stroke: #ffab66; fill: #ffab66 } .l2 { stroke: #7fd295; fill: #7fd295 } .line { fill: none }
}
"""

Points = Sequence[tuple[float, float]]


def line_chart(title: str, across: str, up: str, lines: Mapping[str, Points]) -> str:
    """``lines`` (at most three) by name, each from left to right; ``across`` and ``up`` say what the axes are.  The axes begin at 0."""
    widest = _round_up(max(x for points in lines.values() for x, _ in points))
    highest = _round_up(max(y for points in lines.values() for _, y in points))

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / widest * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / highest * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>', f'<text x="{LEFT}" y="38">{escape(up)}</text>']
    for tick in range(TICKS + 1):
        x, y = at(widest * tick / TICKS, highest * tick / TICKS)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{highest * tick / TICKS:,.0f}</text>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{widest * tick / TICKS:,.0f}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end">{escape(across)}</text>')
    for number, (name, points) in enumerate(lines.items()):
        placed = [at(x, y) for x, y in points]
        track = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="line l{number}" points="{track}"/>')
        parts.extend(f'<circle class="l{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in placed)
        x, y = placed[-1]
        parts.append(f'<text class="l{number}" x="{x - 8:.1f}" y="{y - 10:.1f}" text-anchor="end">{escape(name)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _round_up(value: float) -> float:
    """The axis' end: the next number whose fifth is a round one."""
    step = 1.0
    while True:
        for factor in (1, 2, 4, 5, 8):
            if step * factor * TICKS >= value:
                return step * factor * TICKS
        step *= 10
