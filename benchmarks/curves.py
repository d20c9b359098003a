"""Draw what is served rightly against what is served wrongly, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Curve = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, BOTTOM = 420, 260, 56, 44
MOST_WRONG, MOST_RIGHT = 0.05, 0.6
COLOURS = ("#9aa0a6", "#5f8dd3", "#c2410c")


def place(wrong: float, right: float) -> str:
    """Return the point of two shares."""
    x = LEFT + (WIDTH - LEFT - 12) * min(wrong / MOST_WRONG, 1)
    y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 34) * min(right / MOST_RIGHT, 1)
    return f"{x:.1f},{y:.1f}"


def text(x: float, y: float, words: str, more: str = "") -> str:
    """Return a text."""
    return f'<text x="{x}" y="{y}" {more}>{words}</text>'


def chart(title: str, curves: Mapping[str, Curve], top: float) -> list[str]:
    """Return the elements of one chart."""
    parts = [f'<g transform="translate(0,{top})">', text(LEFT, 18, title, 'font-weight="bold"')]
    for n in range(4):
        right = n * 0.2
        start, end = place(0, right), place(MOST_WRONG, right)
        parts.append(f'<polyline points="{start} {end}" stroke="#e0e0e0" fill="none"/>')
        y = float(start.split(",")[1]) + 4
        parts.append(text(LEFT - 8, y, f"{right:.0%}", 'text-anchor="end"'))
    for n in range(6):
        x = float(place(n / 100, 0).split(",")[0])
        parts.append(text(x, HEIGHT - BOTTOM + 16, f"{n} %", 'text-anchor="middle"'))
    middle = (LEFT + WIDTH) / 2
    label = "different questions that are served (wrong)"
    parts.append(text(middle, HEIGHT - 8, label, 'text-anchor="middle"'))
    for number, ((name, curve), colour) in enumerate(zip(curves.items(), COLOURS, strict=True)):
        inside = [(wrong, right) for wrong, right in curve if wrong <= MOST_WRONG]
        points = " ".join(place(wrong, right) for wrong, right in inside)
        style = f'stroke="{colour}" stroke-width="2" fill="none"'
        parts.append(f'<polyline points="{points}" {style}/>')
        parts.append(text(LEFT + 10 + 118 * number, 34, name, f'fill="{colour}"'))
    return [*parts, "</g>"]


def draw(path: Path, charts: Mapping[str, Mapping[str, Curve]]) -> None:
    """Write a picture with a chart for each file of pairs: y is the share served rightly."""
    box = f'viewBox="0 0 {WIDTH} {HEIGHT * len(charts)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (title, curves) in enumerate(charts.items()):
        parts += chart(title, curves, number * HEIGHT)
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")
