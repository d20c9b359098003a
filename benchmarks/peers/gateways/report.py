"""The figures of the gateways as rows of a table."""

from __future__ import annotations

from tables import Results, Row, at, number

LOADS = {
    "plain 1": "an answer, 1 connection",
    "plain 16": "an answer, 16 connections",
    "stream 16": "a stream, 16 connections",
}
FIGURES = {"cpu": "CPU ms a call", "p50": "p50 ms", "p99": "p99 ms", "rate": "calls a second"}


def rows(results: Results) -> list[Row]:
    """Return a row a figure of `measure.Added`, a cell a gateway."""

    def row(title: str, *path: str) -> Row:
        return title, [number(at(found, path)) for found in results.values()]

    return [
        *(
            row(f"{load}: {figure}", "added", "loads", name, key)
            for name, load in LOADS.items()
            for key, figure in FIGURES.items()
        ),
        row("memory at rest, MB", "added", "idle_mb"),
        row("memory at most, MB", "added", "peak_mb"),
        row("seconds from start to a first answer", "added", "first_seconds"),
        row("packages installed", "packages"),
        row("MB installed", "megabytes"),
    ]
