"""Numbers and times as people read them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

NONE = "–"
_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_CENT = Decimal("0.01")
_TIMES = 3
_MANY = 100
_UNITS = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


def cost(value: Decimal | None) -> str:
    """Return a cost in dollars with the digits that matter, or `unknown`; never 0 for unknown."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    if value >= _CENT:
        return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
    return f"${value.quantize(Decimal(1).scaleb(value.adjusted() - 1)):f}"


def decimal(value: float) -> Decimal:
    """Return a number of a chart as money."""
    return Decimal(repr(value))


def milliseconds(value: float | None) -> str:
    """Return a duration in the unit that fits it, or `unknown`."""
    if value is None:
        return "unknown"
    if value < 1:
        return f"{value:.2g} ms"
    if value < _SECOND:
        return f"{value:.0f} ms"
    if value < _MINUTE:
        return f"{value / _SECOND:.2f} s"
    if value < _HOUR:
        return f"{value / _MINUTE:.1f} min"
    return f"{value / _HOUR:.1f} h"


def count(value: int | None) -> str:
    """Return an integer with thousands apart, or `unknown`."""
    return "unknown" if value is None else f"{value:,}"


def counted(value: int, thing: str) -> str:
    """Return how many there are of a thing, which takes an `s` for all numbers but one."""
    return f"{value:,} {thing if value == 1 else f'{thing}s'}"


def moment(value: datetime) -> str:
    """Return a time in UTC to the second."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def words(name: str) -> str:
    """Return `prompt call` for `prompt_call`."""
    return name.replace("_", " ")


def percent(value: float | None) -> str:
    """Return a share as percent with the digits that matter, or `unknown`."""
    if value is None:
        return "unknown"
    return f"{100 * value:.3g} %" if value < 1 else f"{100 * value:.0f} %"


def dollars(value: float) -> str:
    """Return a sum that is an estimate, or of estimates, as a cost."""
    return cost(decimal(value))


def change(value: float) -> str:
    """Return a change as percent with its sign, in whole numbers."""
    return f"{100 * value:+.0f} %"


def short_count(value: float | None) -> str:
    """Return a count in at most four characters and a unit: 950, 12.3 k, 4.56 M; or `unknown`."""
    if value is None:
        return "unknown"
    for least, size, unit in _UNITS:
        if abs(value) >= least:
            return (
                f"{value / size:,.3g} {unit}"
                if abs(value) < 1_000 * size
                else f"{value / size:,.0f} {unit}"
            )
    return f"{value:,.0f}"


def size(value: int) -> str:
    """Return a number of bytes: 950 B, 12.3 kB, 4.56 MB."""
    return f"{value:,} B" if value < _UNITS[-1][0] else f"{short_count(value)}B"


def ratio(value: float) -> str:
    """Return a ratio to a time before: `+12 %`, `−5 %`, `× 3.4`, or `as before`."""
    if value >= _TIMES:
        return f"× {value:.2g}" if value < _MANY else f"× {value:,.0f}"
    percents = f"{abs(100 * (value - 1)):.0f} %"
    if percents == "0 %":
        return "as before"
    return f"{'+' if value > 1 else '−'}{percents}"


FILTERS: Final = {
    "change": change,
    "cost": cost,
    "milliseconds": milliseconds,
    "count": count,
    "counted": counted,
    "dollars": dollars,
    "moment": moment,
    "percent": percent,
    "short_count": short_count,
    "size": size,
    "words": words,
}
"""The names that templates have for these."""
