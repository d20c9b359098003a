"""The figures of the servers as rows of a table."""

from __future__ import annotations

from typing import Any

from tables import UNKNOWN, Results, Row, at, number

SEARCHES = {"substring": "a part of a word", "words": "a whole word, by an index"}


def rows(results: Results) -> list[Row]:
    """Return a row a figure of `measure.Load` and `measure.Loss`, a cell a server."""

    def row(title: str, *path: str, factor: float = 1.0) -> Row:
        values = [at(found, path) for found in results.values()]
        return title, [number(None if value is None else value * factor) for value in values]

    searches = [
        row(f"search without a match, {how}, ms", "load", "searches", name)
        for name, how in SEARCHES.items()
    ]
    return [
        row("spans answered, a second", "load", "answered_rate"),
        row("spans queryable, a second", "load", "queryable_rate"),
        ("queryable of those answered", [_share(found.get("load")) for found in results.values()]),
        row("answer p50, ms", "load", "p50"),
        row("answer p99, ms", "load", "p99"),
        row("CPU seconds per 1,000 spans", "load", "cpu"),
        row("memory idle, MB", "load", "idle_mb"),
        row("memory at most, MB", "load", "peak_mb"),
        row("disk per span, kB", "load", "disk", factor=1e-3),
        row("the newest 50, ms", "load", "newest"),
        *searches,
        row("seconds from start to ready", "load", "ready_seconds"),
        row("seconds from start to a first trace that can be read", "load", "first_seconds"),
        (
            "lost of those answered, by SIGKILL",
            [_lost(found.get("kill")) for found in results.values()],
        ),
        (
            "lost of those answered, by SIGTERM",
            [_lost(found.get("term")) for found in results.values()],
        ),
        row("seconds to end on SIGTERM", "term", "end_seconds"),
        row("packages installed", "packages"),
        row("MB installed", "megabytes"),
    ]


def _share(load: dict[str, Any] | None) -> str:
    return f"{load['queryable']:,} of {load['answered']:,}" if load else UNKNOWN


def _lost(loss: dict[str, Any] | None) -> str:
    if loss is None:
        return UNKNOWN
    return f"{loss['answered'] - loss['found']:,} of {loss['answered']:,}"
