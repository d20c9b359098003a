"""What a chart shows: drawn by the server as lines, and by uPlot where there is JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from watchllm_server.pages import format as show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta
    from decimal import Decimal

Unit = Literal["count", "usd", "ms", "share"]
Tone = Literal["1", "2", "3", "4", "5", "6", "error", "muted"]
Number = int | float | None

WIDTH: Final = 300
HEIGHT: Final = 80
"""The drawing's own units; the page stretches it."""

_READ: Final[Mapping[Unit, Callable[[float], str]]] = {
    "count": show.short_count,
    "usd": lambda value: show.cost(show.decimal(value)),
    "ms": show.milliseconds,
    "share": show.percent,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line or the bars of a chart. A step of which nothing is known is None."""

    label: str
    values: list[Number]
    tone: Tone = "1"
    """Its colour: one of six, or what it means."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Values over time. `times` begin the steps, each `width` long; every line has all of them."""

    title: str
    unit: Unit
    times: list[datetime]
    width: timedelta
    lines: list[Line]
    kind: Literal["line", "bars", "stacked"] = "line"
    """stacked: bars upon each other, of values that add up."""

    @property
    def data(self) -> str:
        """Return what static/js/charts.js reads, as JSON."""
        return msgspec.json.encode(
            {
                "times": [round(moment.timestamp()) for moment in self.times],
                "width": round(self.width.total_seconds()),
                "unit": self.unit,
                "kind": self.kind,
                "lines": [
                    {"label": line.label, "tone": line.tone, "values": line.values}
                    for line in self.lines
                ],
            }
        ).decode()

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to draw."""
        return not any(value for line in self.lines for value in line.values)

    @property
    def paths(self) -> list[tuple[Tone, str]]:
        """Return for each line its colour and the path of an SVG of WIDTH by HEIGHT."""
        most = max((value or 0 for line in self.lines for value in line.values), default=0) or 1
        return [(line.tone, _path(line.values, most)) for line in self.lines]

    @property
    def summary(self) -> str:
        """Return the chart in words: the largest value of each line, and the last one."""
        read = _READ[self.unit]
        parts = []
        for line in self.lines:
            known = [value for value in line.values if value is not None]
            if known:
                parts.append(f"{line.label}: at most {read(max(known))}, last {read(known[-1])}")
        return "; ".join(parts) or "no values"


def number(value: Decimal | float | None) -> Number:
    """Return a value as JavaScript counts: money to the tenth of a thousandth of a cent."""
    return None if value is None else round(float(value), 7)


def _path(values: Sequence[Number], most: float) -> str:
    """Return the path of a line, which begins anew after a step of which nothing is known."""
    step = WIDTH / max(len(values) - 1, 1)
    parts, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        height = HEIGHT - 2 - (HEIGHT - 4) * value / most
        parts.append(f"{pen}{place * step:.1f} {height:.1f}")
        pen = "L"
    return "".join(parts)
