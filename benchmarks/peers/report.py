"""The figures as tables: on the screen, and as Markdown for the documentation."""

from __future__ import annotations

from typing import Any

from app import LONGEST_SECONDS
from losses import FAULTS
from rich.table import Table
from rich.text import Text

Results = dict[str, dict[str, Any]]
Row = tuple[str, list[str]]
UNKNOWN = "-"


def table(results: Results) -> Table:
    """Return one line a figure, one column a product."""
    shown = Table(title="What logging costs, and how many events arrive")
    shown.add_column("", no_wrap=True)
    for name, found in results.items():
        shown.add_column(
            Text(f"{name} {found['version']}".strip()), justify="right", overflow="fold"
        )
    for rows in (_cost_rows(results), _loss_rows(results), _exit_rows(results)):
        for title, cells in rows:
            if set(cells) != {UNKNOWN}:
                shown.add_row(Text(title), *map(Text, cells))
        shown.add_section()
    return shown


def markdown(results: Results) -> str:
    """Return when and where it was measured, and two tables: costs, and losses, as Markdown."""
    dates = sorted({found["date"] for found in results.values()})
    where = {f"CPython {found['python']}, {found['machine']}" for found in results.values()}
    head = [f"{name} {found['version']}".strip() for name, found in results.items()]
    delivering = {name: found for name, found in results.items() if "losses" in found}
    losses = [*_loss_rows(delivering), *_exit_rows(delivering)]
    days = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    lines = [
        f"Measured {days} on {'; '.join(sorted(where))}.",
        "",
        *_markdown_table(head, _cost_rows(results)),
        "",
        *_markdown_table(list(delivering), losses),
    ]
    return "\n".join([*lines, ""])


def _markdown_table(head: list[str], rows: list[Row]) -> list[str]:
    lines = [
        ["", *head],
        ["---", *["---:"] * len(head)],
        *([title, *cells] for title, cells in rows),
    ]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cost_rows(results: Results) -> list[Row]:
    """Return a row a figure of `costs.Cost`, in a burst and paced, and what an import costs."""

    def row(title: str, *path: str) -> Row:
        return title, [_number(_at(found, path)) for found in results.values()]

    bursts = [found.get("burst") if "packages" in found else None for found in results.values()]
    delivered = [f"{one['delivered']}/{one['logged']}" if one else UNKNOWN for one in bursts]
    return [
        row("caller, burst, p50 µs", "burst", "p50"),
        row("caller, burst, p99 µs", "burst", "p99"),
        row("caller, 400/s, p50 µs", "paced", "p50"),
        row("caller, 400/s, p99 µs", "paced", "p99"),
        row("process CPU, burst, µs per delivered event", "burst", "cpu"),
        row("process CPU, 400/s, µs per delivered event", "paced", "cpu"),
        ("delivered of a burst", delivered),
        row("bytes on the wire per event", "paced", "bytes"),
        row("import, CPU ms", "import_ms"),
        row("import to first event, CPU ms", "first_event_ms"),
        row("packages installed", "packages"),
        row("MB installed", "megabytes"),
    ]


def _loss_rows(results: Results) -> list[Row]:
    return [
        (fault.title, [_loss_cell(found, fault.name) for found in results.values()])
        for fault in FAULTS
    ]


def _exit_rows(results: Results) -> list[Row]:
    titles = {"refuse": "refuses connections", "hang": "never answers"}
    return [
        (
            f"seconds to exit while the collector {title}",
            [_seconds_cell(found, mode) for found in results.values()],
        )
        for mode, title in titles.items()
    ]


def _loss_cell(found: dict[str, Any], fault: str) -> str:
    """Return arrived -> arrived once started again (how many of them came twice), * for a note."""
    one = found.get("losses", {}).get(fault)
    if one is None:
        return UNKNOWN
    cell = str(one["arrived"])
    if one["again"] != one["arrived"]:
        cell += f" → {one['again']}"
    if one["repeated"]:
        cell += f" ({one['repeated']} twice)"
    return cell + ("*" if one["note"] else "")


def _seconds_cell(found: dict[str, Any], mode: str) -> str:
    if "exit" not in found:
        return UNKNOWN
    seconds = found["exit"][mode]
    return f"> {LONGEST_SECONDS:.0f}" if seconds is None else f"{seconds:.1f}"


def _at(found: Any, path: tuple[str, ...]) -> float | None:
    for name in path:
        found = found.get(name) if found else None
    return None if found is None else float(found)


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
