"""Which stretches of time a question is answered for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from watchllm_server.errors import invalid_query
from watchllm_server.events import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

Period = Literal["1h", "6h", "24h", "7d", "30d"]

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_PERIODS: Final[Mapping[Period, tuple[timedelta, timedelta]]] = {
    "1h": (_HOUR, 5 * _MINUTE),
    "6h": (6 * _HOUR, 30 * _MINUTE),
    "24h": (_DAY, _HOUR),
    "7d": (7 * _DAY, 6 * _HOUR),
    "30d": (30 * _DAY, _DAY),
}
_WIDTHS: Final = (_MINUTE, 5 * _MINUTE, 30 * _MINUTE, _HOUR, 6 * _HOUR, _DAY)
_WANTED: Final = 200
_MOST: Final = 1_000
_DEFAULT: Final = 30 * _DAY


class Stretches(NamedTuple):
    """Stretches of one width, from a time to a time, both multiples of the width since 1970."""

    date_from: datetime
    date_to: datetime
    width: timedelta


def stretches_of_period(period: Period, now: datetime) -> Stretches:
    """Return the stretches of a period that ends with the one that now lies in."""
    length, width = _PERIODS[period]
    end = floor(now, width) + width
    return Stretches(end - length, end, width)


def stretches_between(start: datetime, end: datetime) -> Stretches:
    """Return the stretches from the one that `start` lies in to the one before `end`.

    Raises the Problem that answers 400 to more than 1,000 days and to an end before the start.
    """
    start = max(start, EPOCH)
    if start >= end:
        raise invalid_query("`date_from` must be before `date_to`, which is now if not given.")
    width = next((each for each in _WIDTHS if (end - start) / each <= _WANTED), _WIDTHS[-1])
    if (end - start) / width > _MOST:
        raise invalid_query(f"A time series can show {_MOST} days: ask for less time.")
    return Stretches(floor(start, width), EPOCH - (EPOCH - end) // width * width, width)


def recently(now: datetime) -> datetime:
    """Return where totals begin when no time is asked for: 30 days ago, at a whole hour."""
    return floor(now, _HOUR) - _DEFAULT


def floor(moment: datetime, width: timedelta) -> datetime:
    """Return the beginning of the stretch that a moment lies in."""
    return EPOCH + (moment - EPOCH) // width * width
