"""Figures as tables: on the screen, and as Markdown for the documentation."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

Results = dict[str, dict[str, Any]]
Row = tuple[str, list[str]]
UNKNOWN = "-"


def screen(title: str, results: Results, sections: list[list[Row]]) -> Table:
    """Return one line a figure, one column a product; a figure that none has is left out."""
    shown = Table(title=title)
    shown.add_column("", no_wrap=True)
    for head in heads(results):
        shown.add_column(Text(head), justify="right", overflow="fold")
    for rows in sections:
        for name, cells in rows:
            if set(cells) != {UNKNOWN}:
                shown.add_row(Text(name), *map(Text, cells))
        shown.add_section()
    return shown


def markdown(head: list[str], rows: list[Row]) -> str:
    """Return the lines of a table."""
    lines = [
        ["", *head],
        ["---", *["---:"] * len(head)],
        *([title, *cells] for title, cells in rows),
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def measured_on(results: Results) -> str:
    """Return a sentence that says when and where the figures were taken."""
    dates = sorted({found["date"] for found in results.values()})
    where = {f"CPython {found['python']}, {found['machine']}" for found in results.values()}
    days = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    return f"Measured {days} on {'; '.join(sorted(where))}.\n"


def heads(results: Results) -> list[str]:
    """Return the products with their versions."""
    return [f"{name} {found['version']}".strip() for name, found in results.items()]


def at(found: Any, path: tuple[str, ...]) -> float | None:
    """Return the figure at a path of names, None where there is none."""
    for name in path:
        found = found.get(name) if found else None
    return None if found is None else float(found)


def number(value: float | None) -> str:
    """Return a figure with the digits that it deserves."""
    if value is None:
        return UNKNOWN
    if value >= 10 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
