"""Numbers and times as people read them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_CENT = Decimal("0.01")


def cost(value: Decimal | None) -> str:
    """Return a cost in dollars with the digits that matter, or `unknown`; never 0 for unknown."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    if value >= _CENT:
        return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"
    return f"${value.quantize(Decimal(1).scaleb(value.adjusted() - 1)):f}"


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


def moment(value: datetime) -> str:
    """Return a time in UTC to the second."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def clock_time(value: datetime) -> str:
    """Return a time of day in UTC, to the millisecond."""
    return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}"


def words(name: str) -> str:
    """Return `prompt call` for `prompt_call`."""
    return name.replace("_", " ")
