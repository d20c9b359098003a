"""The figures of the SDKs as rows of tables: costs, losses, exits."""

from __future__ import annotations

from typing import Any

from app import LONGEST_SECONDS
from exits import MODES
from losses import FAULTS
from tables import UNKNOWN, Results, Row, at, number


def cost_rows(results: Results) -> list[Row]:
    """Return a row a figure of `costs.Cost`, in a burst and paced, and what an import costs."""

    def row(title: str, *path: str) -> Row:
        return title, [number(at(found, path)) for found in results.values()]

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


def loss_rows(results: Results) -> list[Row]:
    """Return a row a fault: what arrived of the events of a program that met it."""
    return [
        (fault.title, [_loss_cell(found, fault.name) for found in results.values()])
        for fault in FAULTS
    ]


def exit_rows(results: Results) -> list[Row]:
    """Return a row a failure of the collector: how long a program takes to end beside it."""
    return [
        (
            f"seconds that exit takes longer while the collector {title}",
            [_seconds_cell(found, mode) for found in results.values()],
        )
        for mode, title in MODES.items()
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
    if mode not in found.get("exit", {}):
        return UNKNOWN
    seconds = found["exit"][mode]
    return f"> {LONGEST_SECONDS:.0f}" if seconds is None else f"{seconds:.1f}"
